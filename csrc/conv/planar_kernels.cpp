// Convolution of few input channels, for images stored as planes (NCHW), for one ISA level.
//
// conv_kernels.cpp puts output channels on the lanes, and would have to turn each result around.
// Here pixels of a row are on the lanes and output channels are the rows of a tile: for one tap,
// neighbouring results read neighbouring pixels, so that the rows of the micro-kernel's B are the
// source rows themselves, one element further for each tap. Neither patches nor weights are packed;
// the planes are copied once with their padding, which is little for few channels. Floor: writing
// the result, 4 N O PY PX bytes.
// For 1 to 32 channels on 28 x 28: 9.3 us an image with output channels on the lanes, 7.3 with
// pixels there and row ends as overlapping whole vectors. In large batches memory is the limit.
#include "conv/planar.h"

#include "conv/patch.h"
#include "core/buffer_pool.h"
#include "core/parallel.h"
#include "gemm/micro_kernel.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kChunks = 16;        // chunks wanted of a large convolution
constexpr double kChunkWork = 1 << 18; // multiplications that are worth a chunk

constexpr int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}
constexpr int64_t max64(int64_t a, int64_t b) {
    return a > b ? a : b;
}
constexpr int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

// The planes under some rows of the result: [c][h][w], beginning at pixel (y, x) of the image.
struct Planes {
    int64_t y, x, h, w;
};

template <class T>
void copy_planes(T* to, const Image<const T>& image, int64_t n, int64_t channel, int64_t c,
                 const Planes& planes) {
    for (int64_t i = 0; i < c; ++i)
        copy_window(to + i * planes.h * planes.w, image, n, channel + i, 1,
                    Window{planes.y, planes.x, planes.h, planes.w, 1});
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
    const int64_t size = in * height(most_rows) * width;
    const int64_t grain =
        max64(1, static_cast<int64_t>(kChunkWork * static_cast<double>(row_blocks) / (work + 1)));
    const int64_t tiles = ceil_div(out, kTileRows);
    parallel_range(items * row_blocks, grain, [&](int64_t begin, int64_t end) {
        // A tile reads up to two whole vectors at the end of a row; what it reads there counts for
        // nothing.
        const Scratch planes(static_cast<size_t>(size + kTileColumns<T>) * sizeof(T));
        const Scratch offsets(static_cast<size_t>(2 * in * c.taps_y) * sizeof(int64_t));
        zero(planes.as<T>() + size, kTileColumns<T>);
        int64_t* const weight_offset = offsets.as<int64_t>();
        int64_t* const plane_offset = weight_offset + in * c.taps_y;
        TileIn<T> a{};
        a.k = c.taps_x;
        a.a_row = c.weight_o;
        a.a_col = c.taps_x > 1 ? c.weight_x[1] - c.weight_x[0] : 1;
        a.b_row = 1;
        a.segments = in * c.taps_y;
        a.a_offset = weight_offset;
        a.b_offset = plane_offset;
        for (int64_t item = begin; item < end; ++item) {
            const int64_t image = item / row_blocks, block = item % row_blocks;
            const int64_t n = image / c.groups, group = image % c.groups;
            const int64_t first = block * d.h / row_blocks, last = (block + 1) * d.h / row_blocks;
            const Planes at = {first * c.step_y + min_dy, c.dx[0], height(last - first), width};
            copy_planes(planes.as<T>(), c.source, n, group * in, in, at);
            for (int64_t i = 0; i < in; ++i)
                for (int64_t tap = 0; tap < c.taps_y; ++tap) {
                    weight_offset[i * c.taps_y + tap] = i * c.weight_c + c.weight_y[tap];
                    plane_offset[i * c.taps_y + tap] = (i * at.h + c.dy[tap] - min_dy) * width;
                }
            for (int64_t y = first; y < last; ++y)
                for (int64_t x = 0; x < d.w; x += kTileColumns<T>) {
                    const int64_t columns = min64(kTileColumns<T>, d.w - x);
                    a.b = planes.as<T>() + (y - first) * c.step_y * width + x;
                    for (int64_t tile = 0; tile < tiles; ++tile) {
                        const int64_t o = tile * out / tiles;
                        const int64_t rows = (tile + 1) * out / tiles - o;
                        const int64_t channel = group * out + o;
                        a.a = c.weight + group * c.weight_group + o * c.weight_o + c.weight_x[0];
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

void planar_f32(const TapConv<float>& conv) {
    compute(conv);
}
void planar_f64(const TapConv<double>& conv) {
    compute(conv);
}

} // namespace

const PlanarKernels planar_kernels = {planar_f32, planar_f64};

} // namespace fastnn::FASTNN_ISA
