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

inline constexpr int64_t kRowsAhead = 8; // that are fetched while one is copied

// Several panels whose columns lie side by side in rows of `columns` elements; panel i begins at
// column start[i]. Row by row, because a row is a page of its own where its stride is large. A
// panel narrower than `width` is filled up with what follows in the row, or with 0 at its end.
template <class T>
FASTNN_INLINE void pack_panels(T* to, int64_t panel_step, const T* from, int64_t k,
                               int64_t k_stride, const int64_t* start, int64_t panels,
                               int64_t columns, int64_t width) {
    constexpr int lanes = kLanes<T>;
    for (int64_t p = 0; p < k; ++p, from += k_stride, to += width)
        for (int64_t panel = 0; panel < panels; ++panel)
            for (int64_t j = 0; j < width; j += lanes) {
                const int64_t left = columns - start[panel] - j;
                const T* source = from + start[panel] + j;
                __builtin_prefetch(source + kRowsAhead * k_stride);
                store(to + panel * panel_step + j, left >= lanes ? load(source)
                                                   : left > 0    ? load_partial(source, left)
                                                                 : Vec<T>{});
            }
}

} // namespace fastnn::FASTNN_ISA
