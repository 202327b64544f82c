// Copies of matrix blocks into the panels that micro-kernels read: `width` elements of each k side
// by side.
#pragma once

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

// to[p * width + j] = from[p * k_stride + j * stride] for j < count, 0 for count <= j < width.
// width is at least count. Vectors are stored whole: where width is no multiple of their lanes, up
// to lanes - 1 elements behind the panel are written too.
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
            // (The last vector of a row first, for what it writes behind the row.)
            for (int64_t j = (width - 1) / lanes * lanes; j >= 0; j -= lanes) {
                Vec<T> rows[lanes];
#pragma GCC unroll 16
                for (int i = 0; i < lanes; ++i)
                    rows[i] = j + i < count ? load(from + (j + i) * stride + p) : Vec<T>{};
                transpose(rows);
#pragma GCC unroll 16
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
// column start[i], no panel before the last one's start. Row by row, because a row is a page of its
// own where its stride is large. A panel narrower than `width` is filled up with what follows in
// the row, or with 0 at its end. Vectors are stored whole, as by pack_panel.
template <class T>
FASTNN_INLINE void pack_panels(T* to, int64_t panel_step, const T* from, int64_t k,
                               int64_t k_stride, const int64_t* start, int64_t panels,
                               int64_t columns, int64_t width) {
    constexpr int lanes = kLanes<T>;
    constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
    if (panels <= 0)
        return;
    // Panels that are read in whole vectors.
    int64_t whole = panels;
    while (whole > 0 && start[whole - 1] + (width + lanes - 1) / lanes * lanes > columns)
        --whole;
    const int64_t end = start[panels - 1] + width < columns ? start[panels - 1] + width : columns;
    for (int64_t p = 0; p < k; ++p, from += k_stride, to += width) {
        for (int64_t j = start[0]; j < end; j += line)
            __builtin_prefetch(from + j + kRowsAhead * k_stride);
        for (int64_t panel = 0; panel < whole; ++panel)
            for (int64_t j = 0; j < width; j += lanes)
                store(to + panel * panel_step + j, load(from + start[panel] + j));
        for (int64_t panel = whole; panel < panels; ++panel)
            for (int64_t j = 0; j < width; j += lanes) {
                const int64_t left = columns - start[panel] - j;
                const T* source = from + start[panel] + j;
                store(to + panel * panel_step + j, left >= lanes ? load(source)
                                                   : left > 0    ? load_partial(source, left)
                                                                 : Vec<T>{});
            }
    }
}

} // namespace fastnn::FASTNN_ISA
