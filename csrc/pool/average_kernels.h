// Average pooling kernels: see pool.h.
#pragma once

#include "pool/pool.h"
#include "simd/strided.h"

namespace fastnn::FASTNN_ISA {

// a[i] += b[i]
template <class T>
FASTNN_INLINE void add_to(T* a, const T* b, int64_t n) {
    constexpr int lanes = kLanes<T>;
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
        store(a + i, load(a + i) + load(b + i));
    for (; i < n; ++i)
        a[i] += b[i];
}

template <class T>
FASTNN_INLINE T sum_of(const T* x, int64_t n) {
    constexpr int lanes = kLanes<T>;
    T total = 0;
    int64_t i = 0;
    if (n >= 2 * lanes) {
        Vec<T> acc = load(x);
        for (i = lanes; i + lanes <= n; i += lanes)
            acc += load(x + i);
        total = sum(acc);
    }
    for (; i < n; ++i)
        total += x[i];
    return total;
}

template <class T>
FASTNN_INLINE T scale(const PoolWindows& win, int64_t oy, int64_t ox) {
    return static_cast<T>(win.row_scale[oy] * win.col_scale[ox]);
}

// out[ox] = the sum of columns start[ox]..end[ox]-1. Windows of one size and stride 1 or 2 go in
// vectors.
template <class T, int Stride>
FASTNN_INLINE void sum_columns(const PoolShape& s, const PoolWindows& win, const T* column,
                               const T* limit, T* out) {
    constexpr int lanes = kLanes<T>;
    int64_t ox = 0;
    if constexpr (Stride > 0) {
        const auto whole = [&](int64_t at) { // its window is not cut by the border
            return win.col_end[at] - win.col_start[at] == s.kernel[1];
        };
        for (; ox < s.ow && !whole(ox); ++ox)
            out[ox] = sum_of(column + win.col_start[ox], win.col_end[ox] - win.col_start[ox]);
        int64_t stop = s.ow;
        while (stop > ox && !whole(stop - 1))
            --stop;
        for (; ox < stop; ox += lanes) {
            const int64_t n = stop - ox < lanes ? stop - ox : lanes;
            Vec<T> acc = {};
            for (int64_t j = 0; j < s.kernel[1]; ++j)
                acc += load_strided<Stride>(column + win.col_start[ox] + j, Stride, n, limit);
            if (n == lanes)
                store(out + ox, acc);
            else
                store_partial(out + ox, acc, n);
        }
        ox = stop;
    }
    for (; ox < s.ow; ++ox)
        out[ox] = sum_of(column + win.col_start[ox], win.col_end[ox] - win.col_start[ox]);
}

// scratch: w + kPoolScratchTail elements
template <class T>
void average_nchw(const PoolShape& s, const PoolWindows& win, const void* x, int64_t planes,
                  int64_t begin, int64_t end, void* y, void* scratch) {
    T* column = static_cast<T*>(scratch);
    const T* limit = column + s.w + kPoolScratchTail;
    const std::size_t row_bytes = static_cast<std::size_t>(s.w) * sizeof(T);
    for (int64_t p = 0; p < planes; ++p) {
        const T* plane = static_cast<const T*>(x) + p * s.h * s.w;
        for (int64_t oy = begin; oy < end; ++oy) {
            T* out = static_cast<T*>(y) + (p * s.oh + oy) * s.ow;
            const int64_t first = win.row_start[oy], last = win.row_end[oy];
            if (first < last)
                __builtin_memcpy(column, plane + first * s.w, row_bytes);
            else
                __builtin_memset(column, 0, row_bytes);
            for (int64_t i = first + 1; i < last; ++i)
                add_to(column, plane + i * s.w, s.w);
            if (win.stride == 1)
                sum_columns<T, 1>(s, win, column, limit, out);
            else if (win.stride == 2)
                sum_columns<T, 2>(s, win, column, limit, out);
            else
                sum_columns<T, 0>(s, win, column, limit, out);
            for (int64_t ox = 0; ox < s.ow; ++ox)
                out[ox] *= scale<T>(win, oy, ox);
        }
    }
}

template <class T>
void average_nhwc(const PoolShape& s, const PoolWindows& win, const void* x, int64_t, int64_t begin,
                  int64_t end, void* y, void*) {
    constexpr int lanes = kLanes<T>;
    for (int64_t oy = begin; oy < end; ++oy)
        for (int64_t ox = 0; ox < s.ow; ++ox) {
            T* out = static_cast<T*>(y) + (oy * s.ow + ox) * s.c;
            const T factor = scale<T>(win, oy, ox);
            for (int64_t c = 0; c < s.c; c += lanes) {
                const int64_t n = s.c - c < lanes ? s.c - c : lanes;
                Vec<T> acc = {};
                for (int64_t i = win.row_start[oy]; i < win.row_end[oy]; ++i)
                    for (int64_t j = win.col_start[ox]; j < win.col_end[ox]; ++j) {
                        const T* p = static_cast<const T*>(x) + (i * s.w + j) * s.c + c;
                        acc += n == lanes ? load(p) : load_partial(p, n);
                    }
                if (n == lanes)
                    store(out + c, acc * factor);
                else
                    store_partial(out + c, acc * factor, n);
            }
        }
}

// scratch: w elements. Each output row's shares are spread over the columns once, then added to the
// window's rows.
template <class T>
void average_backward_nchw(const PoolShape& s, const PoolWindows& win, const void* g,
                           int64_t planes, int64_t, int64_t, void* gx, void* scratch) {
    T* spread = static_cast<T*>(scratch);
    const std::size_t row_bytes = static_cast<std::size_t>(s.w) * sizeof(T);
    for (int64_t p = 0; p < planes; ++p) {
        T* plane = static_cast<T*>(gx) + p * s.h * s.w;
        int64_t written = 0; // rows above have a value
        for (int64_t oy = 0; oy < s.oh; ++oy) {
            const T* from = static_cast<const T*>(g) + (p * s.oh + oy) * s.ow;
            __builtin_memset(spread, 0, row_bytes);
            for (int64_t ox = 0; ox < s.ow; ++ox) {
                const T share = from[ox] * scale<T>(win, oy, ox);
                for (int64_t j = win.col_start[ox]; j < win.col_end[ox]; ++j)
                    spread[j] += share;
            }
            for (; written < win.row_start[oy]; ++written)
                __builtin_memset(plane + written * s.w, 0, row_bytes);
            for (int64_t i = win.row_start[oy]; i < win.row_end[oy]; ++i) {
                if (i < written)
                    add_to(plane + i * s.w, spread, s.w);
                else
                    __builtin_memcpy(plane + i * s.w, spread, row_bytes);
            }
            if (written < win.row_end[oy])
                written = win.row_end[oy];
        }
        for (; written < s.h; ++written)
            __builtin_memset(plane + written * s.w, 0, row_bytes);
    }
}

// The channels [begin, end) of one image.
template <class T>
void average_backward_nhwc(const PoolShape& s, const PoolWindows& win, const void* g, int64_t,
                           int64_t begin, int64_t end, void* gx, void*) {
    constexpr int lanes = kLanes<T>;
    T* image = static_cast<T*>(gx);
    for (int64_t i = 0; i < s.h * s.w; ++i)
        __builtin_memset(image + i * s.c + begin, 0,
                         static_cast<std::size_t>(end - begin) * sizeof(T));
    for (int64_t oy = 0; oy < s.oh; ++oy)
        for (int64_t ox = 0; ox < s.ow; ++ox) {
            const T* from = static_cast<const T*>(g) + (oy * s.ow + ox) * s.c;
            const T factor = scale<T>(win, oy, ox);
            for (int64_t c = begin; c < end; c += lanes) {
                const int64_t n = end - c < lanes ? end - c : lanes;
                const Vec<T> share =
                    (n == lanes ? load(from + c) : load_partial(from + c, n)) * factor;
                for (int64_t i = win.row_start[oy]; i < win.row_end[oy]; ++i)
                    for (int64_t j = win.col_start[ox]; j < win.col_end[ox]; ++j) {
                        T* p = image + (i * s.w + j) * s.c + c;
                        if (n == lanes)
                            store(p, load(p) + share);
                        else
                            store_partial(p, load_partial(p, n) + share, n);
                    }
            }
        }
}

} // namespace fastnn::FASTNN_ISA
