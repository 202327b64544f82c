// The functions that -fsanitize=thread makes compiled code call on every load and store. libtsan is
// not linked: these take its place, in the build whose kernels are compiled so.
#include "emulator/checker.h"

#if !(defined(SIMT_ASAN) && SIMT_ASAN)

#define SIMT_HOOK(NAME, BYTES, KIND)                                                               \
    void __tsan_##NAME##BYTES(void* p) {                                                           \
        simt::hook(p, BYTES, simt::Access::KIND, __builtin_return_address(0));                     \
    }
#define SIMT_HOOKS(BYTES)                                                                          \
    SIMT_HOOK(read, BYTES, read)                                                                   \
    SIMT_HOOK(write, BYTES, write)                                                                 \
    SIMT_HOOK(unaligned_read, BYTES, read)                                                         \
    SIMT_HOOK(unaligned_write, BYTES, write)                                                       \
    SIMT_HOOK(volatile_read, BYTES, read)                                                          \
    SIMT_HOOK(volatile_write, BYTES, write)

extern "C" {
void __tsan_init() {
    simt::hooked = true;
}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_read_range(void* p, unsigned long bytes) {
    simt::hook(p, unsigned(bytes), simt::Access::read, __builtin_return_address(0));
}
void __tsan_write_range(void* p, unsigned long bytes) {
    simt::hook(p, unsigned(bytes), simt::Access::write, __builtin_return_address(0));
}
// Host code beside the kernels: guards of local statics, std::atomic.
#define SIMT_HOST_ATOMICS(BITS)                                                                    \
    int##BITS##_t __tsan_atomic##BITS##_load(const volatile int##BITS##_t* p, int) {               \
        return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                               \
    }                                                                                              \
    void __tsan_atomic##BITS##_store(volatile int##BITS##_t* p, int##BITS##_t v, int) {            \
        __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                                  \
    }                                                                                              \
    int##BITS##_t __tsan_atomic##BITS##_exchange(volatile int##BITS##_t* p, int##BITS##_t v,       \
                                                 int) {                                            \
        return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                        \
    }                                                                                              \
    int##BITS##_t __tsan_atomic##BITS##_fetch_add(volatile int##BITS##_t* p, int##BITS##_t v,      \
                                                  int) {                                           \
        return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);                                         \
    }
SIMT_HOST_ATOMICS(8)
SIMT_HOST_ATOMICS(32)
SIMT_HOST_ATOMICS(64)
SIMT_HOOKS(1)
SIMT_HOOKS(2)
SIMT_HOOKS(4)
SIMT_HOOKS(8)
SIMT_HOOKS(16)
}
#endif
