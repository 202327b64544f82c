// Depthwise convolution and its weights' gradient, for one ISA level.
//
// Channels last: channels are on the lanes, and some neighbouring pixels share each vector of
// weights. Planes: pixels of a row are on the lanes, read from a copy of the plane with its
// padding. There are 2 FLOPs for each tap and result, and about as many loads as FMAs, so that a 3
// x 3 kernel is bound by the first-level cache; the floor is one read of the source and one write
// of the result.
//
// Reached on 2 cores of Zen 4 (AVX2), float32, (16, 64, 28, 28) by 3 x 3, in ms, in brackets as 64
// groups of a general convolution: channels last 0.5 (7.8), with both gradients 1.9 (20.4); planes
// 0.5 (1.1), with gradients 2.0 (4.3). PyTorch 2.13 takes 0.4 and 1.4 channels last. Planes
// took 2.0 with one row of results at a time.
#include "conv/depthwise.h"

#include "conv/patch.h"
#include "core/buffer_pool.h"
#include "core/parallel.h"
#include "simd/loops.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kChunkWork = 1 << 15; // multiplications that are worth a chunk
constexpr int64_t kParts = 16;          // sums of parts of the batch, at most
constexpr int kPixels = 4;              // that share the weights, or the chains of a sum

constexpr int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}
constexpr int64_t max64(int64_t a, int64_t b) {
    return a > b ? a : b;
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
    // Results whose taps all lie in the row.
    int64_t first = 0, last = d.w;
    if (c.taps_x > 0) {
        while (first < d.w && first * c.step_x + c.dx[0] < 0)
            ++first;
        while (last > first && (last - 1) * c.step_x + c.dx[c.taps_x - 1] >= s.w)
            --last;
    }
    const int64_t grain = max64(1, kChunkWork / max64(1, d.w * s.c * taps));
    parallel_range(d.n * d.h, grain, [&](int64_t begin, int64_t end) {
        for (int64_t item = begin; item < end; ++item) {
            const int64_t n = item / d.h, y = item % d.h;
            const T* image = s.data + n * s.n_stride;
            T* row = d.data + n * d.n_stride + y * d.h_stride;
            int64_t x = 0;
            for (; x < first; ++x)
                pixels_last<T, 1, false>(c, weights, image, row, y, x);
            for (; x + kPixels <= last; x += kPixels)
                pixels_last<T, kPixels, true>(c, weights, image, row, y, x);
            for (; x < last; ++x)
                pixels_last<T, 1, true>(c, weights, image, row, y, x);
            for (; x < d.w; ++x)
                pixels_last<T, 1, false>(c, weights, image, row, y, x);
        }
    });
}

// Adds one image to sums [tap][channel].
template <class T>
void add_image_last(const WeightGrad<T>& w, int64_t n, T* sums) {
    const ConvShape& s = w.shape;
    const T* g_image = w.g.data + n * w.g.n_stride;
    const T* x_image = w.x.data + n * w.x.n_stride;
    const int64_t pitch = whole_vectors<T>(w.x.c);
    const int64_t step = s.stride_w * w.x.w_stride;
    for (int64_t i = 0; i < s.kernel_h; ++i)
        for (int64_t j = 0; j < s.kernel_w; ++j, sums += pitch) {
            const int64_t dx = j * s.dilation_w - s.padding_w;
            int64_t first = 0, last = w.g.w;
            while (first < w.g.w && first * s.stride_w + dx < 0)
                ++first;
            while (last > first && (last - 1) * s.stride_w + dx >= w.x.w)
                --last;
            for_vectors<T>(w.x.c, [&](int64_t channel, int64_t count) {
                Vec<T> acc[kPixels] = {};
                for (int64_t y = 0; y < w.g.h; ++y) {
                    const int64_t source_y = y * s.stride_h + i * s.dilation_h - s.padding_h;
                    if (source_y < 0 || source_y >= w.x.h)
                        continue;
                    const T* g = g_image + y * w.g.h_stride + first * w.g.w_stride + channel;
                    const T* x = x_image + source_y * w.x.h_stride +
                                 (first * s.stride_w + dx) * w.x.w_stride + channel;
                    int64_t left = last - first;
                    for (; left >= kPixels; left -= kPixels) {
#pragma GCC unroll 4
                        for (int p = 0; p < kPixels; ++p)
                            acc[p] += get(g + p * w.g.w_stride, count) * get(x + p * step, count);
                        g += kPixels * w.g.w_stride;
                        x += kPixels * step;
                    }
                    for (; left > 0; --left, g += w.g.w_stride, x += step)
                        acc[0] += get(g, count) * get(x, count);
                }
                store(sums + channel,
                      load(sums + channel) + ((acc[0] + acc[1]) + (acc[2] + acc[3])));
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

template <class T>
FASTNN_INLINE void copy_plane(T* to, const Image<const T>& image, int64_t n, int64_t channel,
                              const Reach& reach) {
    copy_window(to, image, n, channel, 1, Window{reach.top, reach.left, reach.h, reach.w, 1});
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
    const int64_t grain = max64(1, kChunkWork / max64(1, d.h * d.w * taps));
    parallel_range(d.n * d.c, grain, [&](int64_t begin, int64_t end) {
        const Scratch plane(static_cast<size_t>(reach.elements<T>() + taps) * sizeof(T));
        T* const weights = plane.as<T>() + reach.elements<T>();
        zero(plane.as<T>() + reach.h * reach.w, lanes);
        for (int64_t item = begin; item < end; ++item) {
            const int64_t n = item / d.c, channel = item % d.c;
            if (taps > 0)
                copy_plane(plane.as<T>(), c.source, n, channel, reach);
            for (int64_t tap = 0; tap < taps; ++tap)
                weights[tap] = c.weight[channel * c.weight_group + c.weight_y[tap / c.taps_x] +
                                        c.weight_x[tap % c.taps_x]];
            const Vec<T> bias = broadcast(c.bias ? c.bias[channel] : T{});
            T* const to = d.data + n * d.n_stride + channel * d.c_stride;
            for (int64_t at = 0; at < d.w; at += lanes) {
                // the last vector of a row again with some of the one before
                const int64_t x = d.w < lanes ? 0 : min64(at, d.w - lanes);
                int64_t y = 0;
                for (; y + kPixels <= d.h; y += kPixels)
                    vectors_planes<T, kPixels>(plane.as<T>() + y * row_step + x, row_step, weights,
                                               offsets, taps, bias, least, to + y * d.h_stride + x,
                                               d.h_stride, width);
                for (; y < d.h; ++y)
                    vectors_planes<T, 1>(plane.as<T>() + y * row_step + x, row_step, weights,
                                         offsets, taps, bias, least, to + y * d.h_stride + x,
                                         d.h_stride, width);
            }
        }
    });
}

// Adds one image to sums [tap][channel].
template <class T>
void add_image_planes(const WeightGrad<T>& w, int64_t n, T* plane, const Reach& reach, T* sums) {
    const ConvShape& s = w.shape;
    const int64_t pitch = whole_vectors<T>(w.x.c);
    for (int64_t channel = 0; channel < w.x.c; ++channel) {
        copy_plane(plane, w.x, n, channel, reach);
        const T* const g_plane = w.g.data + n * w.g.n_stride + channel * w.g.c_stride;
        for (int64_t i = 0; i < s.kernel_h; ++i)
            for (int64_t j = 0; j < s.kernel_w; ++j) {
                const T* const from = plane + i * s.dilation_h * reach.w + j * s.dilation_w;
                Vec<T> acc[kPixels] = {};
                const auto row = [&](int64_t y, Vec<T>& sum) __attribute__((always_inline)) {
                    const T* const g = g_plane + y * w.g.h_stride;
                    const T* const x = from + y * s.stride_h * reach.w;
                    for_vectors<T>(w.g.w, [&](int64_t at, int64_t count) {
                        sum += get(g + at, count) * get(x + at, count);
                    });
                };
                int64_t y = 0;
                for (; y + kPixels <= w.g.h; y += kPixels)
#pragma GCC unroll 4
                    for (int p = 0; p < kPixels; ++p)
                        row(y + p, acc[p]);
                for (; y < w.g.h; ++y)
                    row(y, acc[0]);
                sums[(i * s.kernel_w + j) * pitch + channel] +=
                    sum((acc[0] + acc[1]) + (acc[2] + acc[3]));
            }
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
            zero(plane.as<T>() + reach.h * reach.w, kLanes<T>);
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
