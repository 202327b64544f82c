// Depthwise convolution and its weights' gradient, for one ISA level.
//
// Channels last: channels are on the lanes, and some neighbouring pixels share each vector of
// weights and, where the columns of taps are neighbours, of the source. Planes: pixels of a row are
// on the lanes, read from a copy of the plane with its padding; some rows share the weights; a
// plane may have several output channels, so that 3 x 3 taps of one input channel are served, too.
// The weights' gradient: up to 3 x 3 taps are summed in registers at once, so that g is loaded once
// for them. There are 2 FLOPs for each tap and result; the floor is one read of the source and one
// write of the result.
//
// Reached on one thread of Zen 4 (AVX2), float32, (16, 64, 28, 28) by 3 x 3, PyTorch 2.13's time
// channels last over it, with other work on the machine: channels last 1.5, with both gradients
// 1.2; planes 1.4 and 1.5. Channels last take 0.29 ms forward, and took 0.37 with the sizes read
// anew for each vector; planes 0.38; a pass over the same memory takes 0.09. With a loop over
// single taps, and one pass over the image for each tap of the gradient, the ratios were 0.8 and
// 0.7.
#include "conv/depthwise.h"

#include "conv/patch.h"
#include "core/buffer_pool.h"
#include "core/integers.h"
#include "core/parallel.h"
#include "simd/loops.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kChunkWork = 1 << 15; // multiplications that are worth a chunk
constexpr int64_t kChunks = 64;         // chunks wanted: neighbouring rows read the same source
constexpr int64_t kParts = 16;          // sums of parts of the batch, at most
constexpr int kPixels = 4;              // that share the weights, or the chains of a sum

// Items of one chunk, each of so many multiplications.
constexpr int64_t chunk_of(int64_t items, int64_t work) {
    return max64(max64(1, kChunkWork / max64(1, work)), items / kChunks);
}

template <class T>
constexpr int64_t whole_vectors(int64_t n) {
    return (n + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

// -- channels last ------------------------------------------------------------------------------
// Results [x, x + Pixels) of row y; Inside: all their taps lie in the row.
template <class T, int Pixels, bool Inside>
FASTNN_INLINE void pixels_last(const TapConv<T>& c, const T* weights, const T* image, T* row,
                               int64_t y, int64_t x) {
    const Image<const T>& s = c.source;
    const int64_t pitch = whole_vectors<T>(s.c);
    const int64_t step = c.step_x * s.w_stride;
    const Vec<T> least = broadcast(c.relu ? T{} : -static_cast<T>(__builtin_inf()));
    for_vectors<T>(s.c, [&](int64_t channel, int64_t n) {
        const Vec<T> bias = c.bias ? get(c.bias + channel, n) : Vec<T>{};
        Vec<T> acc[Pixels];
#pragma GCC unroll 4
        for (int p = 0; p < Pixels; ++p)
            acc[p] = bias;
        const T* weight = weights + channel;
        for (int64_t i = 0; i < c.taps_y; ++i) {
            const int64_t source_y = y * c.step_y + c.dy[i];
            if (source_y < 0 || source_y >= s.h) {
                weight += c.taps_x * pitch;
                continue;
            }
            for (int64_t j = 0; j < c.taps_x; ++j, weight += pitch) {
                const int64_t source_x = x * c.step_x + c.dx[j];
                if (!Inside && (source_x < 0 || source_x >= s.w))
                    continue;
                const T* from = image + source_y * s.h_stride + source_x * s.w_stride + channel;
                const Vec<T> w = load(weight);
#pragma GCC unroll 4
                for (int p = 0; p < Pixels; ++p)
                    acc[p] += get(from + p * step, n) * w;
            }
        }
#pragma GCC unroll 4
        for (int p = 0; p < Pixels; ++p)
            put(row + (x + p) * c.dest.w_stride + channel, max(least, acc[p]), n);
    });
}

// The results [first, last) of a row have all their taps inside of it.
struct InnerColumns {
    int64_t first, last;
};

// One row of results.
template <class T>
using RowLast = void (*)(const TapConv<T>& c, const T* weights, const T* image, T* row, int64_t y,
                         InnerColumns inner);

template <class T>
void any_row_last(const TapConv<T>& c, const T* weights, const T* image, T* row, int64_t y,
                  InnerColumns inner) {
    int64_t x = 0;
    for (; x < inner.first; ++x)
        pixels_last<T, 1, false>(c, weights, image, row, y, x);
    for (; x + kPixels <= inner.last; x += kPixels)
        pixels_last<T, kPixels, true>(c, weights, image, row, y, x);
    for (; x < inner.last; ++x)
        pixels_last<T, 1, true>(c, weights, image, row, y, x);
    for (; x < c.dest.w; ++x)
        pixels_last<T, 1, false>(c, weights, image, row, y, x);
}

// The rows of taps that reach into the image, for one row of results: the weights [row][tap
// column][channel], and the source row of the first; the others follow at one distance.
template <class T>
struct TapRows {
    const T *weights, *source;
    int64_t count, step;
};

// Results by Taps neighbouring columns of taps, Step pixels from result to result: a source vector
// is loaded once for all the results that it belongs to.
template <class T, int Taps, int Step, int Pixels, bool Inside>
FASTNN_INLINE void block_last(const TapConv<T>& c, const TapRows<T>& rows, T* row, int64_t x) {
    constexpr int reach = (Pixels - 1) * Step + Taps;
    const int64_t pitch = whole_vectors<T>(c.source.c), left = x * Step + c.dx[0];
    const int64_t width = c.source.w, count = rows.count, step = rows.step;
    const int64_t pixel = c.source.w_stride, to_pixel = c.dest.w_stride;
    const T* const first = rows.source + left * pixel;
    const T* const biases = c.bias;
    T* const to = row + x * to_pixel;
    const Vec<T> least = broadcast(c.relu ? T{} : -static_cast<T>(__builtin_inf()));
    for_vectors<T>(c.source.c, [&](int64_t channel, int64_t n) __attribute__((always_inline)) {
        const Vec<T> bias = biases ? get(biases + channel, n) : Vec<T>{};
        const T* weight = rows.weights + channel;
        const T* from = first + channel;
        Vec<T> acc[Pixels];
#pragma GCC unroll 4
        for (int p = 0; p < Pixels; ++p)
            acc[p] = bias;
        for (int64_t i = count; i > 0; --i, weight += Taps * pitch, from += step) {
            Vec<T> w[Taps];
#pragma GCC unroll 8
            for (int j = 0; j < Taps; ++j)
                w[j] = load(weight + j * pitch);
#pragma GCC unroll 16
            for (int k = 0; k < reach; ++k) {
                if (!Inside && (left + k < 0 || left + k >= width))
                    continue;
                const Vec<T> v = get(from + k * pixel, n);
#pragma GCC unroll 8
                for (int j = 0; j < Taps; ++j)
                    if (k >= j && (k - j) % Step == 0 && (k - j) / Step < Pixels)
                        acc[(k - j) / Step] += v * w[j];
            }
        }
#pragma GCC unroll 4
        for (int p = 0; p < Pixels; ++p)
            put(to + p * to_pixel + channel, max(least, acc[p]), n);
    });
}

template <class T, int Taps, int Step>
void row_last(const TapConv<T>& c, const T* weights, const T* image, T* row, int64_t y,
              InnerColumns inner) {
    const auto source_y = [&](int64_t i) { return y * c.step_y + c.dy[i]; };
    int64_t first = 0, last = c.taps_y;
    while (first < last && source_y(first) < 0)
        ++first;
    while (last > first && source_y(last - 1) >= c.source.h)
        --last;
    TapRows<T> rows = {weights, image, last - first, 0};
    if (first < last) {
        rows.weights += first * Taps * whole_vectors<T>(c.source.c);
        rows.source += source_y(first) * c.source.h_stride;
        rows.step = c.taps_y > 1 ? (c.dy[1] - c.dy[0]) * c.source.h_stride : 0;
    }
    if (c.dest.w < kPixels) {
        for (int64_t x = 0; x < c.dest.w; ++x)
            block_last<T, Taps, Step, 1, false>(c, rows, row, x);
        return;
    }
    for (int64_t at = 0; at < c.dest.w; at += kPixels) {
        const int64_t x = min64(at, c.dest.w - kPixels); // the last block overlaps
        if (x >= inner.first && x + kPixels <= inner.last)
            block_last<T, Taps, Step, kPixels, true>(c, rows, row, x);
        else
            block_last<T, Taps, Step, kPixels, false>(c, rows, row, x);
    }
}

// Whether the columns of taps are neighbours, and its rows ascend in equal steps.
template <class T>
bool regular(const TapConv<T>& c) {
    bool regular = true;
    for (int64_t j = 1; j < c.taps_x; ++j)
        regular = regular && c.dx[j] == c.dx[j - 1] + 1;
    for (int64_t i = 1; i < c.taps_y; ++i)
        regular = regular && c.dy[i] > c.dy[i - 1] && c.dy[i] - c.dy[i - 1] == c.dy[1] - c.dy[0];
    return regular;
}

template <class T>
RowLast<T> choose_row(const TapConv<T>& c) {
    if (!regular(c))
        return any_row_last<T>;
    if (c.step_x == 1 && c.taps_x == 2)
        return row_last<T, 2, 1>;
    if (c.step_x == 1 && c.taps_x == 3)
        return row_last<T, 3, 1>;
    if (c.step_x == 1 && c.taps_x == 5)
        return row_last<T, 5, 1>;
    if (c.step_x == 1 && c.taps_x == 7)
        return row_last<T, 7, 1>;
    if (c.step_x == 2 && c.taps_x == 3)
        return row_last<T, 3, 2>;
    if (c.step_x == 2 && c.taps_x == 5)
        return row_last<T, 5, 2>;
    return any_row_last<T>;
}

template <class T>
void convolve_last(const TapConv<T>& c) {
    const Image<const T>& s = c.source;
    const Image<T>& d = c.dest;
    const int64_t taps = c.taps_y * c.taps_x, pitch = whole_vectors<T>(s.c);
    const Scratch packed(static_cast<size_t>(max64(1, taps) * pitch) * sizeof(T)); // [tap][channel]
    T* const weights = packed.as<T>();
    for (int64_t i = 0; i < c.taps_y; ++i)
        for (int64_t j = 0; j < c.taps_x; ++j)
            for (int64_t channel = 0; channel < pitch; ++channel)
                weights[(i * c.taps_x + j) * pitch + channel] =
                    channel < s.c
                        ? c.weight[channel * c.weight_group + c.weight_y[i] + c.weight_x[j]]
                        : T{};
    InnerColumns inner = {0, d.w};
    if (c.taps_x > 0) {
        while (inner.first < d.w && inner.first * c.step_x + c.dx[0] < 0)
            ++inner.first;
        while (inner.last > inner.first && (inner.last - 1) * c.step_x + c.dx[c.taps_x - 1] >= s.w)
            --inner.last;
    }
    const RowLast<T> compute_row = choose_row(c);
    const int64_t grain = chunk_of(d.n * d.h, d.w * s.c * taps);
    parallel_range(d.n * d.h, grain, [&](int64_t begin, int64_t end) {
        for (int64_t item = begin; item < end; ++item) {
            const int64_t n = item / d.h, y = item % d.h;
            compute_row(c, weights, s.data + n * s.n_stride,
                        d.data + n * d.n_stride + y * d.h_stride, y, inner);
        }
    });
}

// The gradients of the weights are summed for up to 3 x 3 taps at a time, in registers.
constexpr int kMostTaps = 3;

// Calls body with std::integral_constants of rows and of columns, 1 to kMostTaps each.
template <class Body>
FASTNN_INLINE void with_taps(int64_t rows, int64_t columns, Body body) {
    const auto with_columns = [&](auto r) __attribute__((always_inline)) {
        if (columns == 3)
            body(r, std::integral_constant<int, 3>());
        else if (columns == 2)
            body(r, std::integral_constant<int, 2>());
        else
            body(r, std::integral_constant<int, 1>());
    };
    if (rows == 3)
        with_columns(std::integral_constant<int, 3>());
    else if (rows == 2)
        with_columns(std::integral_constant<int, 2>());
    else
        with_columns(std::integral_constant<int, 1>());
}

// What one row of g gives to the sums of Rows by Taps taps, of which `x` is the first's row of the
// image, `left` its column for the first result, and `sums` its sum.
template <class T, int Rows, int Taps>
void add_row_last(const WeightGrad<T>& w, const T* g, const T* x, int64_t left, T* sums) {
    const ConvShape& s = w.shape;
    const int64_t pitch = whole_vectors<T>(w.x.c), sums_row = s.kernel_w * pitch;
    const int64_t x_row = s.dilation_h * w.x.h_stride, x_column = s.dilation_w * w.x.w_stride;
    int64_t first = 0, last = w.g.w; // results of which all taps lie in the row
    while (first < w.g.w && first * s.stride_w + left < 0)
        ++first;
    while (last > first && (last - 1) * s.stride_w + left + (Taps - 1) * s.dilation_w >= w.x.w)
        --last;
    for_vectors<T>(w.x.c, [&](int64_t channel, int64_t n) {
        Vec<T> acc[Rows][Taps];
#pragma GCC unroll 4
        for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
            for (int j = 0; j < Taps; ++j)
                acc[i][j] = load(sums + i * sums_row + j * pitch + channel);
        const auto add = [&](int64_t begin, int64_t end,
                             auto inside) __attribute__((always_inline)) {
            for (int64_t at = begin; at < end; ++at) {
                const Vec<T> gradient = get(g + at * w.g.w_stride + channel, n);
                const int64_t column = at * s.stride_w + left;
                const T* const from = x + column * w.x.w_stride + channel;
#pragma GCC unroll 4
                for (int j = 0; j < Taps; ++j) {
                    if (!inside.value &&
                        (column + j * s.dilation_w < 0 || column + j * s.dilation_w >= w.x.w))
                        continue;
#pragma GCC unroll 4
                    for (int i = 0; i < Rows; ++i)
                        acc[i][j] += gradient * get(from + i * x_row + j * x_column, n);
                }
            }
        };
        add(0, first, std::false_type());
        add(first, last, std::true_type());
        add(last, w.g.w, std::false_type());
#pragma GCC unroll 4
        for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
            for (int j = 0; j < Taps; ++j)
                store(sums + i * sums_row + j * pitch + channel, acc[i][j]);
    });
}

// Adds one image to sums [tap][channel].
template <class T>
void add_image_last(const WeightGrad<T>& w, int64_t n, T* sums) {
    const ConvShape& s = w.shape;
    const int64_t pitch = whole_vectors<T>(w.x.c);
    for (int64_t y = 0; y < w.g.h; ++y) {
        const T* const g = w.g.data + n * w.g.n_stride + y * w.g.h_stride;
        const int64_t top = y * s.stride_h - s.padding_h;
        int64_t first = 0, last = s.kernel_h; // the rows of taps that lie in the image
        while (first < last && top + first * s.dilation_h < 0)
            ++first;
        while (last > first && top + (last - 1) * s.dilation_h >= w.x.h)
            --last;
        for (int64_t i = first; i < last; i += kMostTaps)
            for (int64_t j = 0; j < s.kernel_w; j += kMostTaps)
                with_taps(
                    min64(kMostTaps, last - i), min64(kMostTaps, s.kernel_w - j),
                    [&](auto rows, auto columns) {
                        add_row_last<T, rows.value, columns.value>(
                            w, g,
                            w.x.data + n * w.x.n_stride + (top + i * s.dilation_h) * w.x.h_stride,
                            j * s.dilation_w - s.padding_w, sums + (i * s.kernel_w + j) * pitch);
                    });
    }
}

// -- planes -------------------------------------------------------------------------------------
// A plane with its padding, of which the rows and columns that the taps reach are kept.
struct Reach {
    int64_t top, left, h, w; // the first pixel, in the image; rows and columns

    template <class T>
    int64_t elements() const {
        return h * w + kLanes<T>; // a vector may reach beyond the end
    }
};

// A padding is zeros from the beginning, which copies of other planes leave alone.
template <class T>
void clear_plane(T* plane, const Reach& reach) {
    zero(plane, reach.elements<T>());
}

template <class T>
void copy_plane(T* to, const Image<const T>& image, int64_t n, int64_t channel,
                const Reach& reach) {
    constexpr int lanes = kLanes<T>;
    const int64_t top = max64(0, -reach.top), left = max64(0, -reach.left);
    const int64_t bottom = min64(reach.h, image.h - reach.top);
    const int64_t count = min64(reach.w, image.w - reach.left) - left;
    if (count <= 0)
        return;
    const T* from = image.data + n * image.n_stride + channel * image.c_stride +
                    (reach.top + top) * image.h_stride + reach.left + left;
    to += top * reach.w + left;
    for (int64_t y = top; y < bottom; ++y, from += image.h_stride, to += reach.w) {
        if (count < lanes) {
            store_partial(to, load_partial(from, count), count);
            continue;
        }
        for (int64_t x = 0; x + lanes <= count; x += lanes)
            store(to + x, load(from + x));
        store(to + count - lanes, load(from + count - lanes));
    }
}

// One vector of results of each of Rows rows: `from` is the first tap of the first.
template <class T, int Rows>
FASTNN_INLINE void vectors_planes(const T* from, int64_t row_step, const T* weights,
                                  const int64_t* offsets, int64_t taps, Vec<T> bias, Vec<T> least,
                                  T* to, int64_t to_step, int64_t n) {
    Vec<T> acc[Rows];
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r)
        acc[r] = bias;
    for (int64_t tap = 0; tap < taps; ++tap) {
        const T* at = from + offsets[tap];
        const Vec<T> w = broadcast(weights[tap]);
#pragma GCC unroll 4
        for (int r = 0; r < Rows; ++r)
            acc[r] += load(at + r * row_step) * w;
    }
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r)
        put(to + r * to_step, max(least, acc[r]), n);
}

// The same by 3 x 3 neighbouring taps, whose weights stay in registers; the rows follow each other.
template <class T, int Rows>
FASTNN_INLINE void vectors_3x3(const T* from, int64_t pitch, const Vec<T> (&w)[9], Vec<T> bias,
                               Vec<T> least, T* to, int64_t to_step, int64_t n) {
    Vec<T> acc[Rows];
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r)
        acc[r] = bias;
#pragma GCC unroll 8
    for (int k = 0; k < Rows + 2; ++k)
#pragma GCC unroll 4
        for (int j = 0; j < 3; ++j) {
            const Vec<T> v = load(from + k * pitch + j);
#pragma GCC unroll 4
            for (int i = 0; i < 3; ++i)
                if (k >= i && k - i < Rows)
                    acc[k - i] += v * w[3 * i + j];
        }
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r)
        put(to + r * to_step, max(least, acc[r]), n);
}

template <class T>
void convolve_planes(const TapConv<T>& c) {
    constexpr int lanes = kLanes<T>;
    const Image<T>& d = c.dest;
    const int64_t taps = c.taps_y * c.taps_x;
    Reach reach{0, 0, 0, 0};
    for (int64_t i = 0; i < c.taps_y && taps > 0; ++i) {
        reach.top = i == 0 ? c.dy[i] : min64(reach.top, c.dy[i]);
        reach.h = max64(reach.h, c.dy[i] + (d.h - 1) * c.step_y + 1);
    }
    if (taps > 0) {
        reach.left = c.dx[0];
        reach.w = c.dx[c.taps_x - 1] + d.w - reach.left;
        reach.h -= reach.top;
    }
    const Scratch offset_memory(static_cast<size_t>(taps) * sizeof(int64_t));
    int64_t* const offsets = offset_memory.as<int64_t>();
    for (int64_t tap = 0; tap < taps; ++tap)
        offsets[tap] =
            (c.dy[tap / c.taps_x] - reach.top) * reach.w + c.dx[tap % c.taps_x] - reach.left;
    const Vec<T> least = broadcast(c.relu ? T{} : -static_cast<T>(__builtin_inf()));
    const int64_t width = min64(lanes, d.w), row_step = c.step_y * reach.w;
    const int64_t multiplier = d.c / c.groups; // output channels of a plane
    const bool square =
        c.taps_y == 3 && c.taps_x == 3 && c.step_y == 1 && regular(c) && c.dy[1] == c.dy[0] + 1;
    const int64_t grain = chunk_of(d.n * d.c, d.h * d.w * taps);
    parallel_range(d.n * d.c, grain, [&](int64_t begin, int64_t end) {
        const Scratch plane(static_cast<size_t>(reach.elements<T>() + taps) * sizeof(T));
        T* const weights = plane.as<T>() + reach.elements<T>();
        clear_plane(plane.as<T>(), reach);
        for (int64_t item = begin; item < end; ++item) {
            const int64_t n = item / d.c, channel = item % d.c, source = channel / multiplier;
            if (taps > 0 && (item == begin || channel % multiplier == 0))
                copy_plane(plane.as<T>(), c.source, n, source, reach);
            const T* const weight =
                c.weight + source * c.weight_group + channel % multiplier * c.weight_o;
            for (int64_t tap = 0; tap < taps; ++tap)
                weights[tap] = weight[c.weight_y[tap / c.taps_x] + c.weight_x[tap % c.taps_x]];
            const Vec<T> bias = broadcast(c.bias ? c.bias[channel] : T{});
            T* const to = d.data + n * d.n_stride + channel * d.c_stride;
            // Vectors of results in columns; the last of a row, and the last rows, again with some
            // of those before.
            const auto columns = [&](auto rows_of) __attribute__((always_inline)) {
                for (int64_t at = 0; at < d.w; at += lanes) {
                    const int64_t x = d.w < lanes ? 0 : min64(at, d.w - lanes);
                    for (int64_t y = 0; y < d.h && d.h < kPixels; ++y)
                        rows_of(std::integral_constant<int, 1>(), y, x);
                    for (int64_t y = 0; y < d.h && d.h >= kPixels; y += kPixels)
                        rows_of(std::integral_constant<int, kPixels>(), min64(y, d.h - kPixels), x);
                }
            };
            if (square) {
                Vec<T> w[9];
#pragma GCC unroll 9
                for (int tap = 0; tap < 9; ++tap)
                    w[tap] = broadcast(weights[tap]);
                columns([&](auto rows, int64_t y, int64_t x) __attribute__((always_inline)) {
                    vectors_3x3<T, rows.value>(plane.as<T>() + y * row_step + x, reach.w, w, bias,
                                               least, to + y * d.h_stride + x, d.h_stride, width);
                });
            } else {
                columns([&](auto rows, int64_t y, int64_t x) __attribute__((always_inline)) {
                    vectors_planes<T, rows.value>(plane.as<T>() + y * row_step + x, row_step,
                                                  weights, offsets, taps, bias, least,
                                                  to + y * d.h_stride + x, d.h_stride, width);
                });
            }
        }
    });
}

// Adds to the sums of Rows by Taps taps what a plane of g gives them; x is the plane at the first.
template <class T, int Rows, int Taps>
void add_plane(const WeightGrad<T>& w, const T* g, const T* x, int64_t x_pitch, T* sums,
               int64_t sums_row, int64_t sums_column) {
    constexpr int lanes = kLanes<T>;
    const ConvShape& s = w.shape;
    Vec<T> acc[Rows][Taps] = {};
    const auto add = [&](const T* from_g, const T* from_x,
                         int64_t n) __attribute__((always_inline)) {
        const Vec<T> gradient = get(from_g, n);
#pragma GCC unroll 4
        for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
            for (int j = 0; j < Taps; ++j)
                acc[i][j] +=
                    gradient * get(from_x + i * s.dilation_h * x_pitch + j * s.dilation_w, n);
    };
    const int64_t rest = w.g.w % lanes, whole = w.g.w - rest;
    for (int64_t y = 0; y < w.g.h; ++y, g += w.g.h_stride, x += s.stride_h * x_pitch) {
        for (int64_t at = 0; at < whole; at += lanes)
            add(g + at, x + at, lanes);
        if (rest > 0)
            add(g + whole, x + whole, rest);
    }
#pragma GCC unroll 4
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < Taps; ++j)
            sums[i * sums_row + j * sums_column] += sum(acc[i][j]);
}

// Adds one image to sums [tap][channel].
template <class T>
void add_image_planes(const WeightGrad<T>& w, int64_t n, T* plane, const Reach& reach, T* sums) {
    const ConvShape& s = w.shape;
    const int64_t pitch = whole_vectors<T>(w.x.c);
    for (int64_t channel = 0; channel < w.x.c; ++channel) {
        copy_plane(plane, w.x, n, channel, reach);
        const T* const g = w.g.data + n * w.g.n_stride + channel * w.g.c_stride;
        for (int64_t i = 0; i < s.kernel_h; i += kMostTaps)
            for (int64_t j = 0; j < s.kernel_w; j += kMostTaps)
                with_taps(min64(kMostTaps, s.kernel_h - i), min64(kMostTaps, s.kernel_w - j),
                          [&](auto rows, auto columns) {
                              add_plane<T, rows.value, columns.value>(
                                  w, g, plane + i * s.dilation_h * reach.w + j * s.dilation_w,
                                  reach.w, sums + (i * s.kernel_w + j) * pitch + channel,
                                  s.kernel_w * pitch, pitch);
                          });
    }
}

// -- both ---------------------------------------------------------------------------------------
template <class T>
void convolve(const TapConv<T>& c) {
    if (c.dest.n == 0 || c.dest.h <= 0 || c.dest.w <= 0)
        return;
    if (c.source.c_stride == 1 && c.dest.c_stride == 1)
        convolve_last(c);
    else
        convolve_planes(c);
}

// The images are cut into parts by the shape alone, and the parts' sums added in order.
template <class T>
void weight_gradient(const WeightGrad<T>& w) {
    const ConvShape& s = w.shape;
    const int64_t channels = w.x.c, taps = s.kernel_h * s.kernel_w;
    const int64_t size = taps * whole_vectors<T>(channels);
    const bool last = w.x.c_stride == 1 && w.g.c_stride == 1;
    const Reach reach{-s.padding_h, -s.padding_w,
                      (w.g.h - 1) * s.stride_h + (s.kernel_h - 1) * s.dilation_h + 1,
                      w.g.w + (s.kernel_w - 1) * s.dilation_w};
    const int64_t parts = max64(1, min64(kParts, w.x.n));
    const Scratch sums(static_cast<size_t>(parts * size) * sizeof(T));
    parallel_for(parts, [&](int64_t part) {
        T* const sum = sums.as<T>() + part * size;
        zero(sum, size);
        const Scratch plane(last ? 0 : static_cast<size_t>(reach.elements<T>()) * sizeof(T));
        if (!last)
            clear_plane(plane.as<T>(), reach);
        for (int64_t n = part * w.x.n / parts; n < (part + 1) * w.x.n / parts; ++n)
            if (last)
                add_image_last(w, n, sum);
            else
                add_image_planes(w, n, plane.as<T>(), reach, sum);
    });
    for (int64_t channel = 0; channel < channels; ++channel)
        for (int64_t tap = 0; tap < taps; ++tap) {
            const T* const from = sums.as<T>() + tap * whole_vectors<T>(channels) + channel;
            T total = from[0];
            for (int64_t part = 1; part < parts; ++part)
                total += from[part * size];
            w.gweight[channel * taps + tap] = total;
        }
}

void f32(const TapConv<float>& conv) {
    convolve(conv);
}
void f64(const TapConv<double>& conv) {
    convolve(conv);
}
void weight_f32(const WeightGrad<float>& grad) {
    weight_gradient(grad);
}
void weight_f64(const WeightGrad<double>& grad) {
    weight_gradient(grad);
}

} // namespace

const DepthwiseKernels depthwise_kernels = {f32, f64, weight_f32, weight_f64};

} // namespace fastnn::FASTNN_ISA
