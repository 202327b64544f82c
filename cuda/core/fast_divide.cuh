// Division by a number that is known at the launch: a multiplication and a shift.
#pragma once

#include <cstdint>

#include "core/device.cuh"

namespace fastnn::cuda {

// For divisors from 1 and numbers from 0, both below 2^31: with 2^(l - 1) < d <= 2^l and
// m = ceil(2^(31 + l) / d), n m / 2^(31 + l) exceeds n / d by less than 1 / d.
struct FastDivide {
    uint32_t divisor = 1, multiplier = 0, shift = 0;

    FastDivide() = default;
    explicit FastDivide(int64_t d) : divisor(uint32_t(d)) {
        int l = 0;
        while (int64_t(1) << l < d)
            l++;
        if (l == 0)
            return;
        multiplier = uint32_t(((uint64_t(1) << (31 + l)) + uint64_t(d) - 1) / uint64_t(d));
        shift = uint32_t(l - 1);
    }
    __device__ __forceinline__ uint32_t divide(uint32_t n) const {
        return divisor == 1 ? n : __umulhi(n, multiplier) >> shift;
    }
    // The quotient; n becomes the remainder.
    __device__ __forceinline__ uint32_t split(uint32_t& n) const {
        const uint32_t quotient = divide(n);
        n -= quotient * divisor;
        return quotient;
    }
};

} // namespace fastnn::cuda
