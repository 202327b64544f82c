// Stages of shared memory that are filled and emptied in turn.
#pragma once

#include "core/device.cuh"

namespace fastnn::cuda {

// A place in the ring of stages, and the parity of its present round.
template <int stages>
struct Ring {
    int stage = 0;
    unsigned parity = 0;
    __device__ __forceinline__ void advance() {
        if (++stage == stages) {
            stage = 0;
            parity ^= 1;
        }
    }
};

// By one thread, before the block's first barrier: one thread fills a stage, by tensor copies, and
// the eight warps of two warpgroups read it.
template <int stages>
__device__ __forceinline__ void init_ring(const void* shared, uint64_t (&full)[stages],
                                          uint64_t (&empty)[stages]) {
    if (ptx::saddr(shared) % 1024 != 0)
        __trap(); // the swizzle goes by the address
    for (int s = 0; s < stages; s++) {
        ptx::mbarrier_init(&full[s], 1);
        ptx::mbarrier_init(&empty[s], 8);
    }
    ptx::fence_mbarrier_init();
}

} // namespace fastnn::cuda
