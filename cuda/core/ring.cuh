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

} // namespace fastnn::cuda
