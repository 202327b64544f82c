// Copies of matrix blocks into the panels that micro-kernels read: `width` elements of each k side
// by side.
#pragma once

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

// to[p * width + j] = from[p * k_stride + j * stride] for j < count, 0 for count <= j < width.
// width is at least count and a multiple of the vector's lanes.
template <class T>
FASTNN_INLINE void pack_panel(T* to, const T* from, int64_t k, int64_t k_stride, int64_t count,
                              int64_t stride, int64_t width) {
    constexpr int lanes = kLanes<T>;
    if (stride == 1) {
        for (int64_t p = 0; p < k; ++p)
            for (int64_t j = 0; j < width; j += lanes) {
                const int64_t left = count - j;
                const T* source = from + p * k_stride + j;
                store(to + p * width + j, left >= lanes ? load(source)
                                          : left > 0    ? load_partial(source, left)
                                                        : Vec<T>{});
            }
        return;
    }
    int64_t p = 0;
    if (k_stride == 1) { // k is contiguous: transpose squares of lanes x lanes
        for (; p + lanes <= k; p += lanes)
            for (int64_t j = 0; j < width; j += lanes) {
                Vec<T> rows[lanes];
                for (int i = 0; i < lanes; ++i)
                    rows[i] = j + i < count ? load(from + (j + i) * stride + p) : Vec<T>{};
                transpose(rows);
                for (int i = 0; i < lanes; ++i)
                    store(to + (p + i) * width + j, rows[i]);
            }
    }
    for (; p < k; ++p) {
        for (int64_t j = 0; j < count; ++j)
            to[p * width + j] = from[p * k_stride + j * stride];
        for (int64_t j = count; j < width; ++j)
            to[p * width + j] = T{};
    }
}

} // namespace fastnn::FASTNN_ISA
