// Convolution to few output channels, for one ISA level: input gradients of first layers, mostly.
//
// The micro-kernels of products would leave most of a tile empty. Here a tile is some rows by two
// vectors of pixels of one output channel. For one input channel and column of taps it holds the
// column's weights in registers, and each row of the source that it loads serves all results of
// the rows that reach it: taps times as many FMAs as loads. (On the source's planes, copied with
// their padding as in planar_kernels.cpp: [row][channel][pixel].) Floor: 2 N O PY PX C T FLOPs at
// the FMA peak.
// Reached on one core of Zen 4 (AVX2, float32), an image, in brackets by the other kernels:
//                                                NCHW              NHWC
//     32 to 1 channels, 3 x 3, 26 x 26           17 us (29)        16 us (58)
//     32 to 3, 3 x 3, 32 x 32                    36 us (39)        36 us (84)
//     64 to 3, 7 x 7 with stride 2, 112 x 112    1.5 ms (2.9)      1.3 ms (2.8)
// Of the first the sums, at the peak, take two fifths, the copy of the planes the rest. Some input
// channels at a time for all outputs, and copies without memcpy, changed nothing.
#include "conv/few_outputs.h"

#include "conv/planes.h"
#include "core/buffer_pool.h"
#include "core/parallel.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kChunks = 16;        // chunks wanted of a large convolution
constexpr double kChunkWork = 1 << 16; // multiplications that are worth a chunk
// The sums of a tile, the weights of a column and a row of the source fill the registers.
constexpr int kRows = kTileRows >= 12 ? 8 : 4;
constexpr int kMostTaps = 5;

template <class T>
struct TileSource {
    const T* pixels;
    int64_t h_stride, c_stride;
    int64_t in, taps_x;
    const T* weights; // [input channel][tap column][tap row]
};

// The sums of kRows rows, [row][pixel].
template <class T, int taps_y>
void sum_tile(const TileSource<T>& from, T* to) {
    constexpr int lanes = kLanes<T>;
    Vec<T> sum[kRows][2] = {};
    const T* weight = from.weights;
    const T* plane = from.pixels;
    for (int64_t c = 0; c < from.in; ++c, plane += from.c_stride)
        for (int64_t j = 0; j < from.taps_x; ++j, weight += taps_y) {
            Vec<T> w[taps_y];
#pragma GCC unroll 8
            for (int i = 0; i < taps_y; ++i)
                w[i] = broadcast(weight[i]);
            const T* pixels = plane + j;
#pragma GCC unroll 16
            for (int s = 0; s < kRows + taps_y - 1; ++s, pixels += from.h_stride) {
                const Vec<T> first = load(pixels), second = load(pixels + lanes);
#pragma GCC unroll 16
                for (int r = 0; r < kRows; ++r)
                    if (s - r >= 0 && s - r < taps_y) {
                        sum[r][0] = fma(w[s - r], first, sum[r][0]);
                        sum[r][1] = fma(w[s - r], second, sum[r][1]);
                    }
            }
        }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
        store(to + r * 2 * lanes, sum[r][0]);
        store(to + r * 2 * lanes + lanes, sum[r][1]);
    }
}

template <class T>
using SumTile = void (*)(const TileSource<T>&, T*);
template <class T>
constexpr SumTile<T> kSumTile[kMostTaps] = {sum_tile<T, 1>, sum_tile<T, 2>, sum_tile<T, 3>,
                                            sum_tile<T, 4>, sum_tile<T, 5>};

// [output channel][input channel][tap column][tap row]
template <class T>
void pack_weights(T* to, const TapConv<T>& c) {
    const int64_t in = c.source.c / c.groups, out = c.dest.c / c.groups;
    for (int64_t o = 0; o < c.dest.c; ++o) {
        const T* from = c.weight + o / out * c.weight_group + o % out * c.weight_o;
        for (int64_t channel = 0; channel < in; ++channel)
            for (int64_t j = 0; j < c.taps_x; ++j)
                for (int64_t i = 0; i < c.taps_y; ++i)
                    *to++ = from[channel * c.weight_c + c.weight_y[i] + c.weight_x[j]];
    }
}

// `rows` x `columns` results of a tile, with a bias.
template <class T>
void write_tile(T* to, int64_t h_stride, int64_t w_stride, const T* from, int64_t rows,
                int64_t columns, T bias, bool relu) {
    constexpr int lanes = kLanes<T>;
    const Vec<T> least = broadcast(relu ? T{} : -static_cast<T>(__builtin_inf()));
    for (int64_t r = 0; r < rows; ++r, from += 2 * lanes, to += h_stride)
        for (int64_t x = 0; x < columns; x += lanes) {
            const Vec<T> v = max(least, load(from + x) + broadcast(bias)); // NaN stays
            const int64_t count = min64(lanes, columns - x);
            if (w_stride == 1 && count == lanes) {
                store(to + x, v);
                continue;
            }
            T lane[lanes];
            store(lane, v);
            for (int64_t i = 0; i < count; ++i)
                to[(x + i) * w_stride] = lane[i];
        }
}

template <class T>
void compute(const TapConv<T>& c) {
    constexpr int64_t width = 2 * kLanes<T>; // of a tile
    const Image<T>& d = c.dest;
    const int64_t in = c.source.c / c.groups, out = d.c / c.groups;
    const int64_t k = in * c.taps_y * c.taps_x, items = d.n * c.groups;
    const double work = static_cast<double>(d.h * d.w * out * k);
    const int64_t row_blocks = max64(1, min64(min64(ceil_div(d.h, kRows), ceil_div(kChunks, items)),
                                              static_cast<int64_t>(work / kChunkWork)));
    const int64_t most_rows = max64(kRows, ceil_div(d.h, row_blocks));
    const int64_t pitch = plane_pitch<T>(max64(d.w, width) + c.taps_x - 1);
    const int64_t size = (most_rows + c.taps_y - 1) * in * pitch;
    const Scratch packed(static_cast<size_t>(d.c * k) * sizeof(T));
    pack_weights(packed.as<T>(), c);
    const int64_t grain =
        max64(1, static_cast<int64_t>(kChunkWork * static_cast<double>(row_blocks) / (work + 1)));
    parallel_range(items * row_blocks, grain, [&](int64_t begin, int64_t end) {
        const Scratch planes(static_cast<size_t>(size) * sizeof(T));
        TileSource<T> source{};
        source.h_stride = in * pitch;
        source.c_stride = pitch;
        source.in = in;
        source.taps_x = c.taps_x;
        for (int64_t item = begin; item < end; ++item) {
            const int64_t image = item / row_blocks, block = item % row_blocks;
            const int64_t n = image / c.groups, group = image % c.groups;
            const int64_t first = block * d.h / row_blocks, last = (block + 1) * d.h / row_blocks;
            // (Fewer rows than a tile has are computed, and not written.)
            const int64_t rows = max64(kRows, last - first);
            copy_planes(
                planes.as<T>(), c.source, n, group * in, in,
                Planes{first + c.dy[0], c.dx[0], rows + c.taps_y - 1, d.w + c.taps_x - 1, pitch});
            for (int64_t next = 0; next < last - first; next += kRows)
                for (int64_t column = 0; column < d.w; column += width)
                    for (int64_t o = 0; o < out; ++o) {
                        // The last tiles overlap those before.
                        const int64_t y = min64(next, rows - kRows);
                        const int64_t x = max64(0, min64(column, d.w - width));
                        const int64_t channel = group * out + o;
                        T sums[kRows * width];
                        source.pixels = planes.as<T>() + y * source.h_stride + x;
                        source.weights = packed.as<T>() + channel * k;
                        kSumTile<T>[c.taps_y - 1](source, sums);
                        write_tile(d.data + n * d.n_stride + channel * d.c_stride +
                                       (first + y) * d.h_stride + x * d.w_stride,
                                   d.h_stride, d.w_stride, sums, min64(kRows, last - first - y),
                                   min64(width, d.w - x), c.bias ? c.bias[channel] : T{}, c.relu);
                    }
        }
    });
}

template <class T>
double cycles(const TapConv<T>& c) {
    const int64_t in = c.source.c / c.groups, out = c.dest.c / c.groups;
    const int64_t loads = 2 * (kRows + c.taps_y - 1) + c.taps_y; // many of two cache lines
    const double fmas = static_cast<double>(kRows * c.taps_y);
    const double loaded = 0.7 * static_cast<double>(loads);
    const double step = fmas > loaded ? fmas : loaded;
    const int64_t tiles = ceil_div(c.dest.h, kRows) * ceil_div(c.dest.w, 2 * kLanes<T>) * out;
    const double copied = c.source.c_stride == 1 ? kTurnedCycles : kCopiedCycles;
    return static_cast<double>(tiles) * (static_cast<double>(in * c.taps_x) * step + kTileCycles) +
           copied * source_elements(c);
}

// (planar_kernels.cpp needs a full tile of rows to be faster.)
template <class T>
bool suit(const TapConv<T>& c) {
    return c.dest.n > 0 && c.dest.h > 0 && c.dest.w > 0 && c.source.c > 0 &&
           c.dest.c / c.groups <= kFewOutputs && c.step_y == 1 && c.taps_y <= kMostTaps &&
           columns_joined(c) && rows_joined(c) && cycles(c) < taps_cycles(c);
}

bool suit_f32(const TapConv<float>& conv) {
    return suit(conv);
}
bool suit_f64(const TapConv<double>& conv) {
    return suit(conv);
}
void few_outputs_f32(const TapConv<float>& conv) {
    compute(conv);
}
void few_outputs_f64(const TapConv<double>& conv) {
    compute(conv);
}

} // namespace

const FewOutputsKernels few_outputs_kernels = {few_outputs_f32, few_outputs_f64, suit_f32,
                                               suit_f64};

} // namespace fastnn::FASTNN_ISA
