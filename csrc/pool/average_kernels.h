// Average pooling kernels: see pool.h.
#pragma once

#include "pool/pool.h"
#include "simd/loops.h"
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

// The whole windows [first, last) of one output row, without a scratch row.
template <class T, int Stride>
FASTNN_INLINE void sum_windows(const PoolShape& s, const PoolWindows& win, const T* plane,
                               const T* limit, int64_t oy, int64_t first, int64_t last, T* out,
                               const T* out_limit) {
    constexpr int lanes = kLanes<T>;
    for (int64_t ox = first; ox < last; ox += lanes) {
        const int64_t n = last - ox < lanes ? last - ox : lanes;
        Vec<T> acc = {};
        for (int64_t i = win.row_start[oy]; i < win.row_end[oy]; ++i)
            for (int64_t j = 0; j < s.kernel[1]; ++j)
                acc +=
                    load_strided<Stride>(plane + i * s.w + win.col_start[ox] + j, Stride, n, limit);
        store_before(out + ox, acc * scale<T>(win, oy, ox), n, out_limit);
    }
}

// 2 x 2 windows with stride 2, no padding: every input is in one window at most.
FASTNN_INLINE bool is_2x2(const PoolShape& s, const PoolWindows& win) {
    return win.uniform && s.kernel[0] == 2 && s.kernel[1] == 2 && s.stride[0] == 2 &&
           win.stride == 2 && s.oh == s.h / 2 && s.ow == s.w / 2;
}

// The same windows of one output row: sums of two rows first, then of two columns.
template <class T>
FASTNN_INLINE void sum_pairs(const PoolShape& s, const PoolWindows& win, Vec<T> factor,
                             const T* plane, const T* limit, int64_t oy, T* out,
                             const T* out_limit) {
    using I = typename MathConstants<T>::Int;
    constexpr int lanes = kLanes<T>;
    I even[lanes], odd[lanes];
    for (int i = 0; i < lanes; ++i) {
        even[i] = 2 * i;
        odd[i] = 2 * i + 1;
    }
    const T *top = plane + 2 * oy * s.w, *low = top + s.w;
    for (int64_t ox = 0; ox < s.ow; ox += lanes) {
        if (low + 2 * (ox + lanes) > limit)
            return sum_windows<T, 2>(s, win, plane, limit, oy, ox, s.ow, out, out_limit);
        const Vec<T> left = load(top + 2 * ox) + load(low + 2 * ox);
        const Vec<T> right = load(top + 2 * ox + lanes) + load(low + 2 * ox + lanes);
        const Vec<T> total = shuffle<T>(left, right, even) + shuffle<T>(left, right, odd);
        store_before(out + ox, total * factor, s.ow - ox < lanes ? s.ow - ox : lanes, out_limit);
    }
}

// scratch: w + kPoolScratchTail elements
template <class T>
void average_nchw(const PoolShape& s, const PoolWindows& win, const void* x, int64_t planes,
                  int64_t begin, int64_t end, void* y, void* scratch) {
    T* column = static_cast<T*>(scratch);
    const T* limit = column + s.w + kPoolScratchTail;
    const std::size_t row_bytes = static_cast<std::size_t>(s.w) * sizeof(T);
    const T* x_end = static_cast<const T*>(x) + planes * s.h * s.w;
    const T* y_end = static_cast<const T*>(y) + ((planes - 1) * s.oh + end) * s.ow;
    const bool direct = win.uniform && s.kernel[0] * s.kernel[1] <= 9 && win.stride <= 2;
    const bool pairs = is_2x2(s, win);
    const Vec<T> factor = broadcast(pairs ? scale<T>(win, 0, 0) : T{});
    for (int64_t p = 0; p < planes; ++p) {
        const T* plane = static_cast<const T*>(x) + p * s.h * s.w;
        for (int64_t oy = begin; oy < end; ++oy) {
            T* out = static_cast<T*>(y) + (p * s.oh + oy) * s.ow;
            if (pairs) {
                sum_pairs(s, win, factor, plane, x_end, oy, out, y_end);
                continue;
            }
            if (direct) {
                if (win.stride == 1)
                    sum_windows<T, 1>(s, win, plane, x_end, oy, 0, s.ow, out, y_end);
                else
                    sum_windows<T, 2>(s, win, plane, x_end, oy, 0, s.ow, out, y_end);
                continue;
            }
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

template <class T>
FASTNN_INLINE void spread_2x2(const PoolShape& s, const PoolWindows& win, const T* g, T* plane,
                              const T* g_end, const T* gx_end) {
    constexpr int lanes = kLanes<T>;
    const Vec<T> factor = broadcast(scale<T>(win, 0, 0));
    for (int64_t oy = 0; oy < s.oh; ++oy) {
        T* row = plane + 2 * oy * s.w;
        // A store may run over into the row below if that is written later.
        const T* row_end = s.ow <= lanes ? gx_end : row + s.w;
        for (int64_t ox = 0; ox < s.ow; ox += lanes) {
            const int64_t n = s.ow - ox < lanes ? s.ow - ox : lanes;
            const Vec<T> share = load_before(g + oy * s.ow + ox, n, g_end) * factor;
            store_interleaved<T>(row + 2 * ox, share, share, n, row_end);
            store_interleaved<T>(row + s.w + 2 * ox, share, share, n, gx_end);
        }
        if (s.w & 1)
            row[s.w - 1] = row[2 * s.w - 1] = T(0);
    }
    if (s.h & 1)
        __builtin_memset(plane + (s.h - 1) * s.w, 0, static_cast<std::size_t>(s.w) * sizeof(T));
}

// scratch: w elements. Each output row's shares are spread over the columns once, then added to the
// window's rows.
template <class T>
void average_backward_nchw(const PoolShape& s, const PoolWindows& win, const void* g,
                           int64_t planes, int64_t, int64_t, void* gx, void* scratch) {
    if (is_2x2(s, win)) {
        const T* from = static_cast<const T*>(g);
        T* to = static_cast<T*>(gx);
        const int64_t in = s.h * s.w, out = s.oh * s.ow;
        for (int64_t p = 0; p < planes; ++p)
            spread_2x2(s, win, from + p * out, to + p * in, from + planes * out, to + planes * in);
        return;
    }
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
    const bool apart = is_2x2(s, win); // then the windows' pixels are written, not added to
    for (int64_t i = 0; i < s.h; ++i)
        for (int64_t j = apart && i < 2 * s.oh ? 2 * s.ow : 0; j < s.w; ++j)
            __builtin_memset(image + (i * s.w + j) * s.c + begin, 0,
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
                        const Vec<T> before = apart ? Vec<T>{} : get(p, n);
                        put(p, before + share, n);
                    }
            }
        }
}

} // namespace fastnn::FASTNN_ISA
