// Max pooling kernels: see pool.h. A NaN wins over everything, the last one if there are more;
// otherwise the first maximum in row-major order. Without `Indices` only values are found, and the
// pointers to indices are null.
#pragma once

#include "pool/pool.h"
#include "simd/strided.h"

namespace fastnn::FASTNN_ISA {

template <class T>
FASTNN_INLINE void store_indices(int32_t* p, IntVec<T> v, int64_t n, const int32_t* limit) {
    if constexpr (sizeof(T) == 4) {
        store_before(p, v, n, limit);
    } else {
        for (int64_t i = 0; i < n; ++i)
            p[i] = static_cast<int32_t>(v[i]);
    }
}

template <class T>
FASTNN_INLINE IntVec<T> iota() {
    IntVec<T> v;
    for (int i = 0; i < kLanes<T>; ++i)
        v[i] = i;
    return v;
}

template <bool Indices>
FASTNN_INLINE int32_t* index_at(int32_t* indices, int64_t offset) {
    if constexpr (Indices)
        return indices + offset;
    else
        return nullptr;
}

// The greater of two, or NaN where one is NaN.
template <class T>
FASTNN_INLINE Vec<T> greater(Vec<T> best, Vec<T> v) {
    const Vec<T> most = v > best ? v : best;
    return v != v ? v : most;
}

// Rows (or columns) i of a window, i in [first, last), lie inside the image.
struct TapRange {
    int64_t first, last;
};
FASTNN_INLINE TapRange inside(int64_t start, int64_t kernel, int64_t dilation, int64_t size) {
    if (start >= 0 && start + (kernel - 1) * dilation < size) // without a division
        return {0, kernel};
    const int64_t first = start < 0 ? (-start + dilation - 1) / dilation : 0;
    int64_t last = start < size ? (size - 1 - start) / dilation + 1 : 0;
    if (last > kernel)
        last = kernel;
    return {first, last < first ? first : last};
}

template <bool Indices, class T>
FASTNN_INLINE void max_one(const PoolShape& s, const T* plane, int64_t oy, int64_t ox, T* y,
                           int32_t* index) {
    const int64_t top = oy * s.stride[0] - s.padding[0], left = ox * s.stride[1] - s.padding[1];
    const TapRange rows = inside(top, s.kernel[0], s.dilation[0], s.h);
    const TapRange cols = inside(left, s.kernel[1], s.dilation[1], s.w);
    T best = -static_cast<T>(__builtin_inf());
    int64_t at = -1;
    for (int64_t i = rows.first; i < rows.last; ++i)
        for (int64_t j = cols.first; j < cols.last; ++j) {
            const int64_t here = (top + i * s.dilation[0]) * s.w + left + j * s.dilation[1];
            const T v = plane[here];
            if (v > best || v != v || at < 0) {
                best = v;
                at = here;
            }
        }
    *y = best;
    if constexpr (Indices)
        *index = static_cast<int32_t>(at);
}

// Where the outputs of this call end.
template <class T>
struct OutputEnd {
    const T* y;
    const int32_t* indices;
};

// n output columns from ox on, all of whose windows lie inside the image's columns.
template <bool Indices, class T, int Stride>
FASTNN_INLINE void max_vector(const PoolShape& s, const T* plane, const T* limit, int64_t top,
                              TapRange rows, int64_t ox, int64_t n, T* y, int32_t* indices,
                              const OutputEnd<T>& end) {
    using I = typename MathConstants<T>::Int;
    const int64_t stride = Stride ? Stride : s.stride[1];
    const int64_t left = ox * stride - s.padding[1];
    const IntVec<T> columns = iota<T>() * static_cast<I>(stride);
    Vec<T> best = {};
    IntVec<T> at = {};
    bool first = true;
    for (int64_t i = rows.first; i < rows.last; ++i) {
        const int64_t row = (top + i * s.dilation[0]) * s.w + left;
        for (int64_t j = 0; j < s.kernel[1]; ++j) {
            const int64_t here = row + j * s.dilation[1];
            const Vec<T> v = load_strided<Stride>(plane + here, stride, n, limit);
            const IntVec<T> v_at = columns + static_cast<I>(here);
            if (first) {
                best = v;
                at = v_at;
                first = false;
            } else if constexpr (!Indices) {
                best = greater<T>(best, v);
            } else {
                const auto take = (v > best) | (v != v);
                best = take ? v : best;
                at = take ? v_at : at;
            }
        }
    }
    store_before(y, best, n, end.y);
    if constexpr (Indices)
        store_indices<T>(indices, at, n, end.indices);
}

template <bool Indices, class T, int Stride>
FASTNN_INLINE void max_plane_rows(const PoolShape& s, const T* plane, const T* limit, int64_t begin,
                                  int64_t end, T* y, int32_t* indices,
                                  const OutputEnd<T>& outputs) {
    constexpr int lanes = kLanes<T>;
    const int64_t reach = (s.kernel[1] - 1) * s.dilation[1];
    int64_t low = (s.padding[1] + s.stride[1] - 1) / s.stride[1];
    int64_t high =
        s.w - 1 - reach + s.padding[1] < 0 ? 0 : (s.w - 1 - reach + s.padding[1]) / s.stride[1] + 1;
    low = low < s.ow ? low : s.ow;
    high = high < s.ow ? high : s.ow;
    if (high < low)
        high = low;
    for (int64_t oy = begin; oy < end; ++oy) {
        T* y_row = y + oy * s.ow;
        int32_t* index_row = index_at<Indices>(indices, oy * s.ow);
        const int64_t top = oy * s.stride[0] - s.padding[0];
        const TapRange rows = inside(top, s.kernel[0], s.dilation[0], s.h);
        const int64_t stop = rows.first == rows.last ? low : high; // no row: -infinity, by max_one
        for (int64_t ox = 0; ox < low; ++ox)
            max_one<Indices>(s, plane, oy, ox, y_row + ox, index_at<Indices>(index_row, ox));
        int64_t ox = low;
        for (; ox + lanes <= stop; ox += lanes)
            max_vector<Indices, T, Stride>(s, plane, limit, top, rows, ox, lanes, y_row + ox,
                                           index_at<Indices>(index_row, ox), outputs);
        if (ox < stop && stop - low >= lanes) { // the last whole vector, some of it again
            ox = stop - lanes;
            max_vector<Indices, T, Stride>(s, plane, limit, top, rows, ox, lanes, y_row + ox,
                                           index_at<Indices>(index_row, ox), outputs);
        } else if (ox < stop) {
            max_vector<Indices, T, Stride>(s, plane, limit, top, rows, ox, stop - ox, y_row + ox,
                                           index_at<Indices>(index_row, ox), outputs);
        }
        for (ox = stop; ox < s.ow; ++ox)
            max_one<Indices>(s, plane, oy, ox, y_row + ox, index_at<Indices>(index_row, ox));
    }
}

// Windows of 2 x 2, 2 apart, none of which leaves the plane: a vector of them reads two of each
// row. Values alone: the greater of two rows first, then of two columns.
template <bool Indices, class T>
FASTNN_INLINE void max_pairs(const PoolShape& s, const T* plane, const T* limit, int64_t begin,
                             int64_t end, T* y, int32_t* indices, const OutputEnd<T>& outputs) {
    using I = typename MathConstants<T>::Int;
    constexpr int lanes = kLanes<T>;
    constexpr Pairs<T> pairs;
    IntVec<T> columns; // of the windows' left inputs, in the order of pairs.evens()
    for (int i = 0; i < lanes; ++i)
        columns[i] = pairs.even[i];
    const auto vector = [&](int64_t from, int64_t n, int64_t to) {
        const T *top = plane + from, *low = top + s.w;
        const bool whole = n == lanes || low + 2 * lanes <= limit;
        const int64_t first_count = 2 * n < lanes ? 2 * n : lanes, rest = 2 * n - lanes;
        const auto half = [&](const T* row, int64_t count) {
            return whole ? load(row) : count > 0 ? load_partial(row, count) : Vec<T>{};
        };
        const Vec<T> top_left = half(top, first_count), top_right = half(top + lanes, rest);
        const Vec<T> low_left = half(low, first_count), low_right = half(low + lanes, rest);
        if constexpr (Indices) {
            Vec<T> best = pairs.evens(top_left, top_right);
            IntVec<T> at = columns + static_cast<I>(from);
            const auto take = [&](Vec<T> v, int64_t tap) {
                const auto better = (v > best) | (v != v);
                best = better ? v : best;
                at = better ? columns + static_cast<I>(from + tap) : at;
            };
            take(pairs.odds(top_left, top_right), 1);
            take(pairs.evens(low_left, low_right), s.w);
            take(pairs.odds(low_left, low_right), s.w + 1);
            store_before(y + to, pairs.mended(best), n, outputs.y);
            store_indices<T>(indices + to, (IntVec<T>)pairs.mended((Vec<T>)at), n, outputs.indices);
        } else {
            const Vec<T> left = greater<T>(top_left, low_left);
            const Vec<T> right = greater<T>(top_right, low_right);
            store_before(y + to, combine_pairs<T>(left, right, greater<T>), n, outputs.y);
        }
    };
    for (int64_t oy = begin; oy < end; ++oy) {
        const int64_t from = 2 * oy * s.w, to = oy * s.ow;
        int64_t ox = 0;
        for (; ox + lanes <= s.ow; ox += lanes)
            vector(from + 2 * ox, lanes, to + ox);
        if (ox < s.ow && s.ow >= lanes) // the last whole vector, some of it again
            vector(from + 2 * (s.ow - lanes), lanes, to + s.ow - lanes);
        else if (ox < s.ow)
            vector(from + 2 * ox, s.ow - ox, to + ox);
    }
}

template <bool Indices, class T>
void max_nchw(const PoolShape& s, const void* x, int64_t planes, int64_t begin, int64_t end,
              void* y, int32_t* indices) {
    const int64_t stop = ((planes - 1) * s.oh + end) * s.ow;
    const OutputEnd<T> outputs = {static_cast<T*>(y) + stop, index_at<Indices>(indices, stop)};
    const bool pairs = s.kernel[0] == 2 && s.kernel[1] == 2 && s.stride[0] == 2 &&
                       s.stride[1] == 2 && s.padding[0] == 0 && s.padding[1] == 0 &&
                       s.dilation[0] == 1 && s.dilation[1] == 1 && 2 * s.oh <= s.h &&
                       2 * s.ow <= s.w;
    for (int64_t p = 0; p < planes; ++p) {
        const T* plane = static_cast<const T*>(x) + p * s.h * s.w;
        const T* limit = plane + (planes - p) * s.h * s.w;
        T* out = static_cast<T*>(y) + p * s.oh * s.ow;
        int32_t* at = index_at<Indices>(indices, p * s.oh * s.ow);
        if (pairs)
            max_pairs<Indices>(s, plane, limit, begin, end, out, at, outputs);
        else if (s.stride[1] == 1)
            max_plane_rows<Indices, T, 1>(s, plane, limit, begin, end, out, at, outputs);
        else if (s.stride[1] == 2)
            max_plane_rows<Indices, T, 2>(s, plane, limit, begin, end, out, at, outputs);
        else
            max_plane_rows<Indices, T, 0>(s, plane, limit, begin, end, out, at, outputs);
    }
}

// One output pixel of an NHWC image: the window's first pixel, and the taps that lie inside.
struct PixelWindow {
    int64_t top, left;
    TapRange rows, cols;
};

// n channels; x points to the first of them in pixel 0. Taps: the whole window if > 0, which then
// has that many rows and columns and no dilation.
template <bool Indices, int Taps, class T>
FASTNN_INLINE void max_channels(const PoolShape& s, const T* x, const PixelWindow& win, int64_t n,
                                T* y, int32_t* indices) {
    using I = typename MathConstants<T>::Int;
    const bool whole = n == kLanes<T>;
    const auto get = [&](int64_t pixel) {
        return whole ? load(x + pixel * s.c) : load_partial(x + pixel * s.c, n);
    };
    Vec<T> best;
    IntVec<T> at;
    const auto take = [&](int64_t pixel) {
        const Vec<T> v = get(pixel);
        if constexpr (!Indices) {
            best = greater<T>(best, v);
            return;
        }
        const auto better = (v > best) | (v != v);
        best = better ? v : best;
        at = better ? broadcast(static_cast<I>(pixel)) : at;
    };
    if constexpr (Taps > 0) {
        const int64_t corner = win.top * s.w + win.left;
        best = get(corner);
        at = broadcast(static_cast<I>(corner));
#pragma GCC unroll 3
        for (int i = 0; i < Taps; ++i)
#pragma GCC unroll 3
            for (int j = i == 0; j < Taps; ++j)
                take(corner + i * s.w + j);
    } else {
        const bool none = win.rows.first == win.rows.last || win.cols.first == win.cols.last;
        const int64_t corner = (win.top + win.rows.first * s.dilation[0]) * s.w + win.left +
                               win.cols.first * s.dilation[1];
        best = none ? broadcast(-static_cast<T>(__builtin_inf())) : get(corner);
        at = broadcast(static_cast<I>(none ? -1 : corner));
        for (int64_t i = win.rows.first; i < win.rows.last; ++i)
            for (int64_t j = win.cols.first + (i == win.rows.first); j < win.cols.last; ++j)
                take((win.top + i * s.dilation[0]) * s.w + win.left + j * s.dilation[1]);
    }
    if (whole)
        store(y, best);
    else
        store_partial(y, best, n);
    if constexpr (Indices)
        store_indices<T>(indices, at, n, indices);
}

template <bool Indices, int Taps, class T>
FASTNN_INLINE void max_pixel(const PoolShape& s, const T* x, const PixelWindow& win, T* y,
                             int32_t* indices) {
    constexpr int lanes = kLanes<T>;
    int64_t c = 0;
    for (; c + lanes <= s.c; c += lanes)
        max_channels<Indices, Taps>(s, x + c, win, lanes, y + c, index_at<Indices>(indices, c));
    if (c < s.c && s.c >= lanes) { // the last whole vector, some of it again
        c = s.c - lanes;
        max_channels<Indices, Taps>(s, x + c, win, lanes, y + c, index_at<Indices>(indices, c));
    } else if (c < s.c) {
        max_channels<Indices, Taps>(s, x + c, win, s.c - c, y + c, index_at<Indices>(indices, c));
    }
}

template <bool Indices, class T>
void max_nhwc(const PoolShape& s, const void* data, int64_t, int64_t begin, int64_t end, void* y,
              int32_t* indices) {
    const T* x = static_cast<const T*>(data);
    const bool square = s.kernel[0] == s.kernel[1] && s.dilation[0] == 1 && s.dilation[1] == 1;
    for (int64_t oy = begin; oy < end; ++oy) {
        PixelWindow win;
        win.top = oy * s.stride[0] - s.padding[0];
        win.rows = inside(win.top, s.kernel[0], s.dilation[0], s.h);
        for (int64_t ox = 0; ox < s.ow; ++ox) {
            win.left = ox * s.stride[1] - s.padding[1];
            win.cols = inside(win.left, s.kernel[1], s.dilation[1], s.w);
            const bool whole = square && win.rows.last - win.rows.first == s.kernel[0] &&
                               win.cols.last - win.cols.first == s.kernel[1];
            T* out = static_cast<T*>(y) + (oy * s.ow + ox) * s.c;
            int32_t* at = index_at<Indices>(indices, (oy * s.ow + ox) * s.c);
            if (whole && s.kernel[0] == 2)
                max_pixel<Indices, 2>(s, x, win, out, at);
            else if (whole && s.kernel[0] == 3)
                max_pixel<Indices, 3>(s, x, win, out, at);
            else
                max_pixel<Indices, 0>(s, x, win, out, at);
        }
    }
}

} // namespace fastnn::FASTNN_ISA
