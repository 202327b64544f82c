// Counter-based random numbers: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011). The stream of fastnn.backends.numpy.random: word j is
// lane j % 4 of the block with counter offset + j / 4; counter (low, high, 0, 0), key (seed's low
// and high 32 bits).
#pragma once

#include <cstdint>

#include "core/device.cuh"

namespace fastnn::cuda {

struct PhiloxBlock {
    uint32_t word[4];

    // word[lane], by selection: an index that is no constant would put the words into local memory.
    __host__ __device__ __forceinline__ uint32_t at(unsigned lane) const {
        const uint32_t even = lane & 2 ? word[2] : word[0];
        const uint32_t odd = lane & 2 ? word[3] : word[1];
        return lane & 1 ? odd : even;
    }
};

__host__ __device__ __forceinline__ PhiloxBlock philox_block(uint64_t seed, uint64_t counter) {
    uint32_t c0 = uint32_t(counter), c1 = uint32_t(counter >> 32), c2 = 0, c3 = 0;
    uint32_t k0 = uint32_t(seed), k1 = uint32_t(seed >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = uint64_t(0xD2511F53u) * c0;
        const uint64_t p1 = uint64_t(0xCD9E8D57u) * c2;
        c0 = uint32_t(p1 >> 32) ^ c1 ^ k0;
        c1 = uint32_t(p1);
        c2 = uint32_t(p0 >> 32) ^ c3 ^ k1;
        c3 = uint32_t(p0);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

// Word j of the stream.
__host__ __device__ __forceinline__ uint32_t philox_word(uint64_t seed, uint64_t offset,
                                                         uint64_t j) {
    return philox_block(seed, offset + j / 4).at(unsigned(j % 4));
}

// A float32 uniform number, (word >> 8) * 2**-24, is >= p where word >> 8 is >= this.
inline uint32_t dropout_threshold(double p) {
    const double scaled = double(float(p)) * 16777216.0;
    const auto floor = uint32_t(scaled);
    return floor + (double(floor) < scaled);
}

} // namespace fastnn::cuda
