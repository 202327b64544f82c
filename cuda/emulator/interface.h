// What the device-side headers call in the emulator's runtime, and the built-in variables.
#pragma once

#include "emulator/language.h"

namespace simt {

constexpr bool emulated = true;

struct Site {
    const char* file;
    int line;
};
// As last parameters of a function: the place that calls it.
#define SIMT_HERE const char *site_file = __builtin_FILE(), int site_line = __builtin_LINE()
#define SIMT_SITE                                                                                  \
    ::simt::Site {                                                                                 \
        site_file, site_line                                                                       \
    }

struct Context { // what a kernel can read of its running thread
    uint3 thread_index, block_index;
    dim3 block_dim, grid_dim;
    unsigned lane;
};
extern Context* context;            // of the fiber that runs now
extern unsigned char* dynamic_smem; // of the block that runs now
extern unsigned char* shared_memory;

// Stops the launch, which returns an error with this text. On the host it throws
// std::runtime_error.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));
const char* last_error();

// A warp collective. It is complete when the last lane of the mask arrives, which runs `done` over
// the slots of all lanes. `aligned`: all lanes must call it from the same line. `fence`: it orders
// memory accesses of its lanes.
using Done = void (*)(unsigned mask, void** slots);
void warp_collective(const char* operation, unsigned mask, void* slot, Done done, bool aligned,
                     bool fence, Site site);

// Barrier `id` of the block (0 is __syncthreads) for `count` threads, 0 for all; returns how many
// had a true predicate.
int barrier_sync(unsigned id, unsigned count, int predicate, Site site);
void barrier_arrive(unsigned id, unsigned count, Site site);
void thread_fence();
void sleep(); // lets other threads run

void* static_smem(const void* key, size_t size, size_t align);

// A load or store that the compiler's instrumentation does not see; `pc` is its return address.
enum class Access : unsigned char { read, write, atomic };
void access(const void* p, unsigned bytes, Access kind, const void* pc);

void cp_async(void* dst, const void* src, unsigned bytes, unsigned src_bytes, Site site,
              const void* pc);
void cp_async_commit();
void cp_async_wait(unsigned groups_left);

int run(dim3 grid, dim3 block, size_t smem_bytes, const void* kernel, void (*call)(void*),
        void* argument);

} // namespace simt

#define threadIdx (::simt::context->thread_index)
#define blockIdx (::simt::context->block_index)
#define blockDim (::simt::context->block_dim)
#define gridDim (::simt::context->grid_dim)
constexpr int warpSize = 32;

SIMT_INL void __syncthreads(SIMT_HERE) {
    simt::barrier_sync(0, 0, 0, SIMT_SITE);
}
SIMT_INL int __syncthreads_count(int p, SIMT_HERE) {
    return simt::barrier_sync(0, 0, p != 0, SIMT_SITE);
}
SIMT_INL int __syncthreads_or(int p, SIMT_HERE) {
    return simt::barrier_sync(0, 0, p != 0, SIMT_SITE) > 0;
}
SIMT_INL int __syncthreads_and(int p, SIMT_HERE) {
    return simt::barrier_sync(0, 0, p == 0, SIMT_SITE) == 0;
}
inline void __threadfence() {
    simt::thread_fence();
}
inline void __threadfence_block() {}
inline void __threadfence_system() {
    simt::thread_fence();
}
inline void __nanosleep(unsigned) {
    simt::sleep();
}
inline long long clock64() {
    return 0;
}
#define __trap() ::simt::fail("__trap()")
