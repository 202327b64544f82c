// Fibers: one stack for each CUDA thread, and the switch between them. A hand-written switch costs
// about 15 ns; swapcontext, which other processors use, makes two system calls and costs 20 times
// as much.
#include <sys/mman.h>

#include "emulator/state.h"

#if !defined(__x86_64__) && !defined(__aarch64__)
#define SIMT_UCONTEXT 1
#include <ucontext.h>
#endif

// simt_switch(&save, to): keeps the callee-saved registers on this stack and its address in save,
// goes on from `to`.
#if defined(__x86_64__)
extern "C" void simt_switch(void** save, void* to);
asm(R"(.text
.type simt_switch,@function
simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size simt_switch,.-simt_switch
)");
#elif defined(__aarch64__)
extern "C" void simt_switch(void** save, void* to);
asm(R"(.text
.type simt_switch,%function
simt_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size simt_switch,.-simt_switch
)");
#endif

namespace simt {
namespace {

#ifdef SIMT_UCONTEXT
ucontext_t contexts[max_threads + 1]; // the last is the host's
ucontext_t* context_of(void* stack_pointer) {
    return static_cast<ucontext_t*>(stack_pointer);
}
#endif

#if defined(SIMT_ASAN) && SIMT_ASAN
const void* host_stack_bottom;
size_t host_stack_bytes;
#endif

// nullptr: the host. `last`: nothing comes back to this stack.
void jump(void** save, Thread* to, [[maybe_unused]] bool last) {
#if defined(SIMT_ASAN) && SIMT_ASAN
    void* fake_stack;
    __sanitizer_start_switch_fiber(last ? nullptr : &fake_stack,
                                   to != nullptr ? to->stack : host_stack_bottom,
                                   to != nullptr ? stack_bytes : host_stack_bytes);
#endif
    if (to != nullptr) {
        state.current = to;
        context = &to->context;
    }
    void* target = to != nullptr ? to->stack_pointer : state.host_stack_pointer;
#ifdef SIMT_UCONTEXT
    swapcontext(context_of(*save), context_of(target));
#else
    simt_switch(save, target);
#endif
#if defined(SIMT_ASAN) && SIMT_ASAN
    const void* bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(fake_stack, &bottom, &bytes);
#endif
}

void (*first_function)();
void first_frame() {
#if defined(SIMT_ASAN) && SIMT_ASAN
    const void* bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
    if (host_stack_bottom == nullptr) {
        host_stack_bottom = bottom;
        host_stack_bytes = bytes;
    }
#endif
    first_function();
    __builtin_trap();
}

} // namespace

void allocate_stacks() {
    auto* stacks =
        static_cast<char*>(mmap(nullptr, stack_bytes * max_threads, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    for (unsigned i = 0; i < max_threads; i++) {
        state.threads[i].stack = stacks + stack_bytes * i;
        mprotect(state.threads[i].stack, page, PROT_NONE); // an overflow faults
    }
}

void prepare_fiber(Thread& thread, void (*entry)()) {
    first_function = entry;
    // Tops at different distances from the page, so that the stacks do not share cache sets.
    char* top = thread.stack + stack_bytes - 256 - (thread.id * 17 % 64) * 64;
#ifdef SIMT_UCONTEXT
    ucontext_t& c = contexts[thread.id];
    getcontext(&c);
    c.uc_stack.ss_sp = thread.stack + page;
    c.uc_stack.ss_size = size_t(top - thread.stack) - page;
    c.uc_link = nullptr;
    makecontext(&c, first_frame, 0);
    thread.stack_pointer = &c;
#elif defined(__x86_64__)
    auto** s = reinterpret_cast<void**>(top);
    *--s = nullptr;
    *--s = reinterpret_cast<void*>(first_frame);
    thread.stack_pointer = s - 6; // six registers of any value
#else
    auto** s = reinterpret_cast<void**>(top - 160);
    s[11] = reinterpret_cast<void*>(first_frame); // x30, to which the switch returns
    thread.stack_pointer = s;
#endif
}

void enter_fibers(Thread* first) {
#ifdef SIMT_UCONTEXT
    state.host_stack_pointer = &contexts[max_threads];
#endif
#if defined(SIMT_ASAN) && SIMT_ASAN
    host_stack_bottom = nullptr;
#endif
    jump(&state.host_stack_pointer, first, false);
}

void switch_to(Thread* from, Thread* to) {
    jump(&from->stack_pointer, to, from->status == Status::done);
}

void leave_fibers() {
#ifdef SIMT_UCONTEXT
    static ucontext_t dead_context;
    void* dead = &dead_context;
#else
    void* dead;
#endif
    jump(&dead, nullptr, true);
    __builtin_unreachable();
}

} // namespace simt
