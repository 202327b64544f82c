// What the kernels share about windows of 2 x 2 with stride 2.
#pragma once

#include "pool/pool.h"
#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

// Of `planes` planes (NCHW), the last ones, whose rows may not be read or written in whole vectors,
// since memory may end behind them. In the others what the last vector of a row writes too much is
// written over by the next row.
template <class T>
FASTNN_INLINE int64_t careful_planes(const PoolShape& s, int64_t planes) {
    const int64_t last = 1 + 2 * kLanes<T> / (s.oh * s.ow);
    return last < planes ? last : planes;
}

// The pixels of an NHWC image that no window covers: zeros in channels [begin, end).
template <class T>
FASTNN_INLINE void zero_outside_2x2(const PoolShape& s, int64_t begin, int64_t end, T* image) {
    const auto zero = [&](int64_t pixel) {
        __builtin_memset(image + pixel * s.c + begin, 0,
                         static_cast<std::size_t>(end - begin) * sizeof(T));
    };
    if (s.w & 1)
        for (int64_t y = 0; y < s.h; ++y)
            zero(y * s.w + s.w - 1);
    if (s.h & 1)
        for (int64_t x = 0; x < s.w; ++x)
            zero((s.h - 1) * s.w + x);
}

} // namespace fastnn::FASTNN_ISA
