// Convolution of few input or output channels, for images stored as planes (NCHW), for one ISA
// level.
//
// conv_kernels.cpp puts output channels on the lanes, and would have to turn each result around.
// Here pixels of a row are on the lanes and output channels are the rows of a tile: for one tap,
// neighbouring results read neighbouring pixels, so that the rows of the micro-kernel's B are the
// source rows themselves, one element further for each tap. No patches are made; the planes are
// copied once with their padding, which is little for few channels, as [row][channel][pixel]: the
// rows that a column of taps reads in all channels are then one run of equal distances, one segment
// of the micro-kernel's loop. Floor: writing the result, 4 N O PY PX bytes.
// A segment for each row of taps and channel instead, the copy as [channel][row][pixel]: 3 to 16
// channels, 3 x 3 on 32 x 32, 18.0 us an image, 13.4 so; 16 to 6, 5 x 5 on 14 x 14, 15.0 and 14.0.
//
// Few output channels leave lanes of conv_kernels.cpp's tiles empty, too: `suit` estimates the
// cycles of both (planes.h). Of 216 shapes (1 to 32 channels either way, 8 to 28 pixels, 3 x 3 and
// 5 x 5) it missed the faster by more than 7 % in 12, most of them of 8 pixels. 16 to 6 channels, 5
// x 5 on 10 x 10 with all borders: 31 us an image with output channels on the lanes, 14 us here.
#include "conv/planar.h"

#include "conv/planes.h"
#include "core/buffer_pool.h"
#include "core/integers.h"
#include "core/parallel.h"
#include "gemm/micro_kernel.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kChunks = 16;        // chunks wanted of a large convolution
constexpr double kChunkWork = 1 << 16; // multiplications that are worth a chunk

// [output channel][tap column][tap row][input channel]
template <class T>
void pack_weights(T* to, const TapConv<T>& c) {
    const int64_t in = c.source.c / c.groups, out = c.dest.c / c.groups;
    for (int64_t o = 0; o < c.dest.c; ++o) {
        const T* from = c.weight + o / out * c.weight_group + o % out * c.weight_o;
        for (int64_t j = 0; j < c.taps_x; ++j)
            for (int64_t i = 0; i < c.taps_y; ++i)
                for (int64_t channel = 0; channel < in; ++channel)
                    *to++ = from[channel * c.weight_c + c.weight_y[i] + c.weight_x[j]];
    }
}

template <class T>
void compute(const TapConv<T>& c) {
    const Image<T>& d = c.dest;
    if (d.n == 0 || d.c == 0 || d.h <= 0 || d.w <= 0)
        return;
    const int64_t in = c.source.c / c.groups, out = d.c / c.groups;
    int64_t min_dy = c.dy[0], max_dy = c.dy[0];
    for (int64_t i = 1; i < c.taps_y; ++i) {
        min_dy = min64(min_dy, c.dy[i]);
        max_dy = max64(max_dy, c.dy[i]);
    }
    const double work =
        static_cast<double>(d.h * d.w * out) * static_cast<double>(in * c.taps_y * c.taps_x);
    const int64_t items = d.n * c.groups;
    const int64_t row_blocks = max64(
        1, min64(min64(d.h, ceil_div(kChunks, items)), static_cast<int64_t>(work / kChunkWork)));
    const int64_t most_rows = ceil_div(d.h, row_blocks);
    const int64_t width = d.w + c.taps_x - 1;
    const auto height = [&](int64_t rows) { return (rows - 1) * c.step_y + max_dy - min_dy + 1; };
    const int64_t pitch = plane_pitch<T>(width);
    const int64_t size = in * height(most_rows) * pitch;
    const int64_t k = in * c.taps_y * c.taps_x;
    const int64_t columns_taps = rows_joined(c) ? 1 : c.taps_y; // segments of a tap column
    const Scratch packed(static_cast<size_t>(d.c * k) * sizeof(T));
    pack_weights(packed.as<T>(), c);
    const int64_t grain =
        max64(1, static_cast<int64_t>(kChunkWork * static_cast<double>(row_blocks) / (work + 1)));
    const int64_t tiles = ceil_div(out, kTileRows);
    parallel_range(items * row_blocks, grain, [&](int64_t begin, int64_t end) {
        // A tile reads up to two whole vectors at the end of a row; what it reads there counts for
        // nothing.
        const Scratch planes(static_cast<size_t>(size + kTileColumns<T>) * sizeof(T));
        const Scratch offsets(static_cast<size_t>(c.taps_x * c.taps_y) * sizeof(int64_t));
        zero(planes.as<T>() + size, kTileColumns<T>);
        for (int64_t j = 0; j < c.taps_x; ++j)
            for (int64_t i = 0; i < columns_taps; ++i)
                offsets.as<int64_t>()[j * columns_taps + i] = (c.dy[i] - min_dy) * in * pitch + j;
        TileIn<T> a{};
        a.k = in * c.taps_y / columns_taps;
        a.a_row = k;
        a.a_col = 1;
        a.b_row = pitch;
        a.segments = c.taps_x * columns_taps;
        a.b_offset = offsets.as<int64_t>();
        for (int64_t item = begin; item < end; ++item) {
            const int64_t image = item / row_blocks, block = item % row_blocks;
            const int64_t n = image / c.groups, group = image % c.groups;
            const int64_t first = block * d.h / row_blocks, last = (block + 1) * d.h / row_blocks;
            const Planes at = {first * c.step_y + min_dy, c.dx[0], height(last - first), width,
                               pitch};
            copy_planes(planes.as<T>(), c.source, n, group * in, in, at);
            // Results are written some planes at a time: a few streams.
            for (int64_t tile = 0; tile < tiles; ++tile) {
                const int64_t o = tile * out / tiles;
                const int64_t rows = (tile + 1) * out / tiles - o;
                const int64_t channel = group * out + o;
                a.a = packed.as<T>() + channel * k;
                for (int64_t y = first; y < last; ++y)
                    for (int64_t x = 0; x < d.w; x += kTileColumns<T>) {
                        const int64_t columns = min64(kTileColumns<T>, d.w - x);
                        a.b = planes.as<T>() + (y - first) * c.step_y * in * pitch + x;
                        const TileOut<T> to = {d.data + n * d.n_stride + channel * d.c_stride +
                                                   y * d.h_stride + x,
                                               d.c_stride,
                                               1,
                                               columns,
                                               nullptr,
                                               c.bias ? c.bias + channel : nullptr,
                                               false,
                                               c.relu};
                        micro_kernels<T>().of[rows - 1][columns > kLanes<T> ? 1 : 0](a, to);
                    }
            }
        }
    });
}

// Rows of the source and of the result are contiguous, and neighbouring results read neighbouring
// pixels.
template <class T>
bool serves(const TapConv<T>& c) {
    return c.source.w_stride == 1 && c.dest.w_stride == 1 && columns_joined(c) &&
           (c.dest.c_stride != 1 || c.dest.c == 1);
}

template <class T>
double cycles(const TapConv<T>& c) {
    constexpr double kSegment = 6; // new pointers
    const int64_t out = c.dest.c / c.groups;
    const double steps = static_cast<double>(c.source.c / c.groups * c.taps_y * c.taps_x);
    const int64_t tiles = ceil_div(out, kTileRows), rows = ceil_div(out, tiles);
    const double overhead = kTileCycles + kSegment * static_cast<double>(c.taps_x);
    const int64_t whole = c.dest.w / kTileColumns<T>, rest = c.dest.w % kTileColumns<T>;
    double row = static_cast<double>(whole) * (steps * step_cycles(rows, kTileVectors) + overhead);
    if (rest > 0)
        row += steps * step_cycles(rows, rest > kLanes<T> ? 2 : 1) + overhead;
    return row * static_cast<double>(c.dest.h * tiles) + kCopiedCycles * source_elements(c);
}

template <class T>
bool suit(const TapConv<T>& c) {
    return serves(c) && cycles(c) < taps_cycles(c);
}

bool suit_f32(const TapConv<float>& conv) {
    return suit(conv);
}
bool suit_f64(const TapConv<double>& conv) {
    return suit(conv);
}
void planar_f32(const TapConv<float>& conv) {
    compute(conv);
}
void planar_f64(const TapConv<double>& conv) {
    compute(conv);
}

} // namespace

const PlanarKernels planar_kernels = {planar_f32, planar_f64, suit_f32, suit_f64};

} // namespace fastnn::FASTNN_ISA
