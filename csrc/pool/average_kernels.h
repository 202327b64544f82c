// Average pooling kernels: see pool.h.
#pragma once

#include "pool/windows_2x2.h"
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

// The sums of 2 x 2 windows: of two rows first, then of two columns.
template <class T>
FASTNN_INLINE Vec<T> sum_2x2(const T* top, const T* low) {
    constexpr int lanes = kLanes<T>;
    return combine_pairs<T>(load(top) + load(low), load(top + lanes) + load(low + lanes),
                            [](auto a, auto b) { return a + b; });
}

// One output row of such windows.
template <class T>
FASTNN_INLINE void sum_pairs(const PoolShape& s, const PoolWindows& win, Vec<T> factor,
                             const T* plane, const T* limit, int64_t oy, T* out,
                             const T* out_limit) {
    constexpr int lanes = kLanes<T>;
    const T *top = plane + 2 * oy * s.w, *low = top + s.w;
    for (int64_t ox = 0; ox < s.ow; ox += lanes) {
        if (low + 2 * (ox + lanes) > limit)
            return sum_windows<T, 2>(s, win, plane, limit, oy, ox, s.ow, out, out_limit);
        store_before(out + ox, sum_2x2(top + 2 * ox, low + 2 * ox) * factor,
                     s.ow - ox < lanes ? s.ow - ox : lanes, out_limit);
    }
}

// scratch: w + kPoolScratchTail elements
template <class T>
void average_nchw(const PoolShape& s, const PoolWindows& win, const void* x, int64_t planes,
                  int64_t begin, int64_t end, void* y, void* scratch) {
    constexpr int lanes = kLanes<T>;
    T* column = static_cast<T*>(scratch);
    const T* limit = column + s.w + kPoolScratchTail;
    const std::size_t row_bytes = static_cast<std::size_t>(s.w) * sizeof(T);
    const T* x_end = static_cast<const T*>(x) + planes * s.h * s.w;
    const T* y_end = static_cast<const T*>(y) + ((planes - 1) * s.oh + end) * s.ow;
    const bool direct = win.uniform && s.kernel[0] * s.kernel[1] <= 9 && win.stride <= 2;
    const bool pairs = is_2x2(s, win);
    const Vec<T> factor = broadcast(pairs ? scale<T>(win, 0, 0) : T{});
    int64_t p = 0;
    if (pairs && begin == 0 && end == s.oh)
        for (; p < planes - careful_planes<T>(s, planes); ++p) {
            const T* row = static_cast<const T*>(x) + p * s.h * s.w;
            T* out = static_cast<T*>(y) + p * s.oh * s.ow;
            for (int64_t oy = 0; oy < s.oh; ++oy, row += 2 * s.w, out += s.ow)
                for (int64_t ox = 0; ox < s.ow; ox += lanes)
                    store(out + ox, sum_2x2(row + 2 * ox, row + s.w + 2 * ox) * factor);
        }
    for (; p < planes; ++p) {
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

// Channels of one output pixel of NHWC: the sum of rows x cols pixels from `corner` on, times
// factor.
template <class T, class Rows, class Cols>
FASTNN_INLINE void average_pixel(const PoolShape& s, const T* corner, Rows rows, Cols cols,
                                 T factor, T* out) {
    for_vectors<T>(s.c, [&](int64_t c, int64_t n) {
        Vec<T> acc = {};
        for (int64_t i = 0; i < rows; ++i)
            for (int64_t j = 0; j < cols; ++j)
                acc += get(corner + (i * s.w + j) * s.c + c, n);
        put(out + c, acc * factor, n);
    });
}

template <class T>
void average_nhwc(const PoolShape& s, const PoolWindows& win, const void* x, int64_t, int64_t begin,
                  int64_t end, void* y, void*) {
    constexpr std::integral_constant<int64_t, 2> two;
    constexpr std::integral_constant<int64_t, 3> three;
    for (int64_t oy = begin; oy < end; ++oy)
        for (int64_t ox = 0; ox < s.ow; ++ox) {
            const int64_t rows = win.row_end[oy] - win.row_start[oy];
            const int64_t cols = win.col_end[ox] - win.col_start[ox];
            const T* corner =
                static_cast<const T*>(x) + (win.row_start[oy] * s.w + win.col_start[ox]) * s.c;
            T* out = static_cast<T*>(y) + (oy * s.ow + ox) * s.c;
            const T factor = scale<T>(win, oy, ox);
            if (rows == two && cols == two)
                average_pixel(s, corner, two, two, factor, out);
            else if (rows == three && cols == three)
                average_pixel(s, corner, three, three, factor, out);
            else
                average_pixel(s, corner, rows, cols, factor, out);
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

// The same of planes before the careful ones, the zeros of an odd column among the vectors.
template <class T>
FASTNN_INLINE void spread_whole_2x2(const PoolShape& s, const PoolWindows& win, const T* g,
                                    int64_t planes, T* gx) {
    constexpr int lanes = kLanes<T>;
    const Vec<T> factor = broadcast(scale<T>(win, 0, 0));
    const int64_t tail = s.ow / lanes * lanes; // the first window that has no vector of its own
    const auto used = first_lanes<typename MathConstants<T>::Int>(s.ow - tail);
    for (int64_t p = 0; p < planes; ++p) {
        for (int64_t oy = 0; oy < s.oh; ++oy, g += s.ow)
            for (int row = 0; row < 2; ++row, gx += s.w) {
                for (int64_t ox = 0; ox < tail; ox += lanes) {
                    const Vec<T> share = load(g + ox) * factor;
                    store_interleaved<T>(gx + 2 * ox, share, share, lanes, gx + 2 * (ox + lanes));
                }
                if (2 * tail >= s.w)
                    continue;
                const Vec<T> share = (Vec<T>)((IntVec<T>)(load(g + tail) * factor) & used);
                const int64_t n = s.w - 2 * tail > lanes ? lanes : lanes / 2;
                store_interleaved<T>(gx + 2 * tail, share, share, n, gx + 2 * (tail + lanes));
            }
        if (s.h & 1) {
            for (int64_t j = 0; j < s.w; j += lanes)
                store(gx + j, Vec<T>{});
            gx += s.w;
        }
    }
}

// Whether all windows of a row have one divisor.
FASTNN_INLINE bool one_column_scale(const PoolShape& s, const PoolWindows& win) {
    for (int64_t ox = 1; ox < s.ow; ++ox)
        if (win.col_scale[ox] != win.col_scale[0])
            return false;
    return true;
}

// spread[j] = the sum of the shares of the windows that cover column j, where windows are `Stride`
// apart: as many neighbouring shares for each vector of columns. Zeros stand beside the shares, and
// spread has room for a vector on either side.
template <class T, int Stride>
FASTNN_INLINE void spread_shares(const PoolShape& s, const T* share, T* spread) {
    constexpr int lanes = kLanes<T>;
    const int64_t kernel = s.kernel[1], padding = s.padding[1];
    const auto neighbours = [&](int64_t at, int64_t count) { // share[at - count + 1 .. at]
        Vec<T> sum = {};
        for (int64_t d = count - 1; d >= 0; --d)
            sum += load(share + at - d);
        return sum;
    };
    if constexpr (Stride == 1) {
        for (int64_t j = 0; j < s.w; j += lanes)
            store(spread + j, neighbours(j + padding, kernel));
    } else {
        for (int64_t u = padding / 2; 2 * u - padding < s.w; u += lanes) {
            const Vec<T> even = neighbours(u, (kernel + 1) / 2), odd = neighbours(u, kernel / 2);
            T* to = spread + 2 * u - padding;
            store_interleaved<T>(to, even, odd, lanes, to + 2 * lanes);
        }
    }
}

// Each output row's shares are spread over the columns once, then added to the window's rows.
// scratch: w + ow + 4 kPoolScratchTail elements.
template <class T>
void average_backward_nchw(const PoolShape& s, const PoolWindows& win, const void* g,
                           int64_t planes, int64_t, int64_t, void* gx, void* scratch) {
    if (is_2x2(s, win)) {
        const T* from = static_cast<const T*>(g);
        T* to = static_cast<T*>(gx);
        const int64_t in = s.h * s.w, out = s.oh * s.ow;
        const int64_t whole = planes - careful_planes<T>(s, planes);
        spread_whole_2x2(s, win, from, whole, to);
        for (int64_t p = whole; p < planes; ++p)
            spread_2x2(s, win, from + p * out, to + p * in, from + planes * out, to + planes * in);
        return;
    }
    T* const spread = static_cast<T*>(scratch) + kPoolScratchTail;
    T* const share = spread + s.w + 2 * kPoolScratchTail;
    const bool vectors = (win.stride == 1 || win.stride == 2) &&
                         s.kernel[1] <= kPoolScratchTail / 2 &&
                         s.padding[1] <= kPoolScratchTail / 2;
    const bool one_scale = one_column_scale(s, win);
    __builtin_memset(scratch, 0,
                     static_cast<std::size_t>(s.w + s.ow + 4 * kPoolScratchTail) * sizeof(T));
    const std::size_t row_bytes = static_cast<std::size_t>(s.w) * sizeof(T);
    for (int64_t p = 0; p < planes; ++p) {
        T* plane = static_cast<T*>(gx) + p * s.h * s.w;
        int64_t written = 0; // rows above have a value
        for (int64_t oy = 0; oy < s.oh; ++oy) {
            const T* from = static_cast<const T*>(g) + (p * s.oh + oy) * s.ow;
            if (one_scale)
                for_vectors<T>(s.ow, [&, factor = scale<T>(win, oy, 0)](int64_t ox, int64_t n) {
                    put(share + ox, get(from + ox, n) * factor, n);
                });
            else
                for (int64_t ox = 0; ox < s.ow; ++ox)
                    share[ox] = from[ox] * scale<T>(win, oy, ox);
            if (vectors && win.stride == 1) {
                spread_shares<T, 1>(s, share, spread);
            } else if (vectors) {
                spread_shares<T, 2>(s, share, spread);
            } else {
                __builtin_memset(spread, 0, row_bytes);
                for (int64_t ox = 0; ox < s.ow; ++ox)
                    for (int64_t j = win.col_start[ox]; j < win.col_end[ox]; ++j)
                        spread[j] += share[ox];
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

// to[begin..end-1] = (add ? to : 0) + the sum of factor[t] * from[t], t < Taps, in order.
template <int Taps, class T>
FASTNN_INLINE void add_taps(T* to, int64_t begin, int64_t end, bool add, const T* const* from,
                            const T* factor) {
    for_vectors<T>(end - begin, [&](int64_t c, int64_t n) {
        Vec<T> sum = add ? get(to + begin + c, n) : Vec<T>{};
#pragma GCC unroll 4
        for (int t = 0; t < Taps; ++t)
            sum += get(from[t] + begin + c, n) * factor[t];
        put(to + begin + c, sum, n);
    });
}

// The channels [begin, end) of one image of 2 x 2 windows.
template <class T>
FASTNN_INLINE void spread_image_2x2(const PoolShape& s, const PoolWindows& win, const T* g,
                                    int64_t begin, int64_t end, T* gx) {
    const T factor = scale<T>(win, 0, 0);
    for (int64_t oy = 0; oy < s.oh; ++oy)
        for (int64_t ox = 0; ox < s.ow; ++ox) {
            const T* from = g + (oy * s.ow + ox) * s.c + begin;
            T *top = gx + (2 * oy * s.w + 2 * ox) * s.c + begin, *low = top + s.w * s.c;
            for_vectors<T>(end - begin, [&](int64_t c, int64_t n) {
                const Vec<T> share = get(from + c, n) * factor;
                put(top + c, share, n);
                put(top + s.c + c, share, n);
                put(low + c, share, n);
                put(low + s.c + c, share, n);
            });
        }
    zero_outside_2x2(s, begin, end, gx);
}

// The channels [begin, end) of one image. Each pixel gathers its windows' shares and is written
// once; the windows that cover a row (a column) follow one another.
template <class T>
void average_backward_nhwc(const PoolShape& s, const PoolWindows& win, const void* g, int64_t,
                           int64_t begin, int64_t end, void* gx, void*) {
    if (is_2x2(s, win))
        return spread_image_2x2(s, win, static_cast<const T*>(g), begin, end, static_cast<T*>(gx));
    constexpr int most = 4;   // taps at a time
    int64_t top = 0, low = 0; // the windows that cover row i
    for (int64_t i = 0; i < s.h; ++i) {
        while (top < s.oh && win.row_end[top] <= i)
            ++top;
        while (low < s.oh && win.row_start[low] <= i)
            ++low;
        int64_t left = 0, right = 0;
        for (int64_t j = 0; j < s.w; ++j) {
            while (left < s.ow && win.col_end[left] <= j)
                ++left;
            while (right < s.ow && win.col_start[right] <= j)
                ++right;
            T* to = static_cast<T*>(gx) + (i * s.w + j) * s.c;
            const T* from[most];
            T factor[most];
            int taps = 0;
            bool add = false;
            const auto flush = [&] {
                if (taps == 1)
                    add_taps<1>(to, begin, end, add, from, factor);
                else if (taps == 2)
                    add_taps<2>(to, begin, end, add, from, factor);
                else if (taps == 3)
                    add_taps<3>(to, begin, end, add, from, factor);
                else
                    add_taps<most>(to, begin, end, add, from, factor);
                add = true;
                taps = 0;
            };
            for (int64_t oy = top; oy < low; ++oy)
                for (int64_t ox = left; ox < right; ++ox) {
                    from[taps] = static_cast<const T*>(g) + (oy * s.ow + ox) * s.c;
                    factor[taps] = scale<T>(win, oy, ox);
                    if (++taps == most)
                        flush();
                }
            if (taps > 0)
                flush();
            else if (!add)
                __builtin_memset(to + begin, 0, static_cast<std::size_t>(end - begin) * sizeof(T));
        }
    }
}

} // namespace fastnn::FASTNN_ISA
