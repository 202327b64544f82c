// The gradient of a convolution with respect to its weights, for one ISA level:
//     gw[o, c, i, j] = sum over n, y, x of g[n, o, y, x] * image[n, c, y * stride + i * dilation -
//     padding, ...]
//
// For one image and one tap row i this is a product of g, (O, pixels), with the runs of (tap
// columns, channels) that begin at each pixel of the image, channels last. The micro-kernel reads g
// where it is and the runs from a copy of the image as in
// conv_kernels.cpp; a row of output pixels is one segment of its loop. Where a run is shorter than
// a vector (few input channels), the roles change: (run, pixels) times (pixels, O), with g's
// channels last. A gradient with its channels last is turned to planes where it outgrows the
// first-level cache and is read often: each step of a tile would read lines of its own.
//
// The images are cut into parts by the shape alone; each part has its own sum, and the sums are
// added in order, so that the number of threads does not change a bit. Floor: as the convolution's.
// Rows of a sum are padded to whole vectors, so that each tile is added by whole vectors: 6 to 16
// channels, 5 x 5 on 14 x 14, took 8.9 us an image on one core of Zen 4 (AVX2) with partial ones,
// 6.9 so (float32, NCHW; 5.3 at the peak).
// Turned to planes: 3 to 64, 7 x 7 with stride 2 on 112 x 112, NHWC, 1.36 ms an image, 1.04 so.
// Pixels of the copy at any distance: 128 to 128, 3 x 3 with stride 2 on 28 x 28, 0.93 ms, 0.88 so.
#include "conv/conv.h"

#include "conv/patch.h"
#include "core/buffer_pool.h"
#include "core/integers.h"
#include "core/parallel.h"
#include "gemm/micro_kernel.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kParts = 16; // sums of parts of the batch, at most
// A gradient of so many bytes that is read so often is turned to planes.
constexpr int64_t kTurnedBytes = 32 << 10, kReadings = 12;

template <class T>
struct Plan {
    const WeightGrad<T>& grad;
    int64_t in, out; // channels of a group
    int64_t pitch;   // from pixel to pixel of a copied image
    int64_t run;     // columns of a run: the channels of one tap, or of a row of taps
    int64_t runs;    // in all: rows of taps, or taps
    int64_t runs_x;  // in a row of taps
    int64_t rows_used, columns_used; // of the image, padding included
    int64_t sum_row;                 // of the sum: runs or output channels, padded to whole vectors
    int64_t sum_size;                // of one group
    bool short_runs;                 // the runs are the rows of the product, not its columns
    bool copy_g;                     // with its channels last
    bool turn_g;                     // to planes
    int64_t plane;                   // of those

    explicit Plan(const WeightGrad<T>& w) : grad(w) {
        const ConvShape& s = w.shape;
        in = w.x.c / s.groups;
        out = w.g.c / s.groups;
        // Pixels a multiple of 512 bytes apart would evict each other from the first-level cache.
        const bool crowded = s.stride_w * in * static_cast<int64_t>(sizeof(T)) % 512 == 0;
        const bool joined = s.dilation_w == 1 && !crowded;
        pitch = crowded ? in + 64 / static_cast<int64_t>(sizeof(T)) : in;
        run = joined ? s.kernel_w * in : in;
        runs_x = joined ? 1 : s.kernel_w;
        runs = s.kernel_h * runs_x;
        rows_used = (w.g.h - 1) * s.stride_h + (s.kernel_h - 1) * s.dilation_h + 1;
        columns_used = (w.g.w - 1) * s.stride_w + (s.kernel_w - 1) * s.dilation_w + 1;
        short_runs = run < kLanes<T> && run <= kTileRows && out > run;
        sum_row = ceil_div(short_runs ? out : run, kLanes<T>) * kLanes<T>;
        sum_size = sum_row * runs * (short_runs ? run : out);
        copy_g = short_runs && (w.g.c_stride != 1 || out % kLanes<T> != 0);
        const int64_t readings = runs * ceil_div(sum_row, kTileColumns<T>);
        turn_g = !short_runs && w.g.c_stride == 1 && w.g.w_stride != 1 && readings >= kReadings &&
                 w.g.h * w.g.w * out * static_cast<int64_t>(sizeof(T)) > kTurnedBytes;
        plane = w.g.h * w.g.w + kLanes<T>;
    }

    // Where a sum holds the weight of output channel o, run r, and column c of the run.
    int64_t place(int64_t o, int64_t r, int64_t c) const {
        return short_runs ? (r * run + c) * sum_row + o : (o * runs + r) * sum_row + c;
    }
    // A tile reads up to two whole vectors at the end of a window.
    int64_t window_size() const { return rows_used * columns_used * pitch + kTileColumns<T>; }
    int64_t g_window_size() const {
        return copy_g ? grad.g.h * grad.g.w * out + kTileColumns<T> : turn_g ? out * plane : 0;
    }
};

// Adds image n's part of one group to sum, or begins the sum with it.
template <class T>
void add_image(const Plan<T>& plan, int64_t n, int64_t group, T* window, T* g_window,
               int64_t* offsets, T* sum, bool first) {
    const ConvShape& s = plan.grad.shape;
    const Image<const T>& x = plan.grad.x;
    Image<const T> g = plan.grad.g;
    g.data += n * g.n_stride + group * plan.out * g.c_stride;
    const Window at = {-s.padding_h, -s.padding_w, plan.rows_used, plan.columns_used, plan.pitch};
    copy_window(window, x, n, group * plan.in, plan.in, at);
    const int64_t row = at.w * plan.pitch;
    if (plan.copy_g) {
        copy_window(g_window, g, 0, 0, plan.out, Window{0, 0, g.h, g.w, plan.out});
        g = {g_window, 1, plan.out, g.h, g.w, 0, 1, g.w * plan.out, plan.out};
    }

    if (plan.turn_g) {
        for (int64_t y = 0; y < g.h; ++y)
            write_pixels(g_window + y * g.w, g.data + y * g.h_stride, g.w, plan.out, 1, plan.plane,
                         g.w_stride);
        g = {g_window, 1, plan.out, g.h, g.w, 0, plan.plane, g.w, 1};
    }

    // A product of (rows, pixels) with (pixels, columns): g's channels and a run's, either way
    // around.
    int64_t* const g_offset = offsets;
    int64_t* const x_offset = offsets + g.h;
    for (int64_t y = 0; y < g.h; ++y) {
        g_offset[y] = y * g.h_stride;
        x_offset[y] = y * s.stride_h * row;
    }
    const int64_t rows = plan.short_runs ? plan.run : plan.out;
    TileIn<T> in{};
    in.k = g.w;
    in.segments = g.h;
    in.a_row = plan.short_runs ? 1 : g.c_stride;
    in.a_col = plan.short_runs ? s.stride_w * plan.pitch : g.w_stride;
    in.a_offset = plan.short_runs ? x_offset : g_offset;
    in.b_row = plan.short_runs ? g.w_stride : s.stride_w * plan.pitch;
    in.b_offset = plan.short_runs ? g_offset : x_offset;
    const int64_t tiles = ceil_div(rows, kTileRows);
    const int64_t sum_row = plan.short_runs ? plan.sum_row : plan.runs * plan.sum_row;
    for (int64_t r = 0; r < plan.runs; ++r) {
        const T* runs = window + r / plan.runs_x * s.dilation_h * row +
                        r % plan.runs_x * s.dilation_w * plan.pitch;
        for (int64_t column = 0; column < plan.sum_row; column += kTileColumns<T>) {
            const int64_t count = min64(kTileColumns<T>, plan.sum_row - column);
            in.b = (plan.short_runs ? g.data : runs) + column;
            for (int64_t tile = 0; tile < tiles; ++tile) {
                const int64_t i = tile * rows / tiles;
                const int64_t height = (tile + 1) * rows / tiles - i;
                in.a = plan.short_runs ? runs + i : g.data + i * g.c_stride;
                const int64_t o = plan.short_runs ? column : i, c = plan.short_runs ? i : column;
                const TileOut<T> to = {
                    sum + plan.place(o, r, c), sum_row, 1, count, nullptr, nullptr, !first, false};
                micro_kernels<T>().of[height - 1][count > kLanes<T> ? 1 : 0](in, to);
            }
        }
    }
}

template <class T>
void compute(const WeightGrad<T>& w) {
    const Plan<T> plan(w);
    const ConvShape& s = w.shape;
    const int64_t taps = s.kernel_h * s.kernel_w;
    const int64_t size = s.groups * plan.sum_size;
    if (size == 0)
        return;
    if (w.x.n == 0 || w.g.h <= 0 || w.g.w <= 0) {
        zero(w.gweight, w.g.c * plan.in * taps);
        return;
    }
    const int64_t parts = min64(kParts, w.x.n);
    const Scratch sums(static_cast<size_t>(parts * size) * sizeof(T));
    const int64_t window = plan.window_size(), g_window = plan.g_window_size();
    parallel_for(parts * s.groups, [&](int64_t chunk) {
        const int64_t part = chunk / s.groups, group = chunk % s.groups;
        const Scratch pixels(static_cast<size_t>(window) * sizeof(T));
        const Scratch g_pixels(static_cast<size_t>(g_window) * sizeof(T));
        const Scratch offsets(static_cast<size_t>(2 * w.g.h) * sizeof(int64_t));
        // What a tile reads beyond a window counts for nothing, but has to be something.
        zero(pixels.as<T>() + window - kTileColumns<T>, kTileColumns<T>);
        if (plan.copy_g)
            zero(g_pixels.as<T>() + g_window - kTileColumns<T>, kTileColumns<T>);
        const int64_t begin = part * w.x.n / parts, end = (part + 1) * w.x.n / parts;
        for (int64_t n = begin; n < end; ++n)
            add_image(plan, n, group, pixels.as<T>(), g_pixels.as<T>(), offsets.as<int64_t>(),
                      sums.as<T>() + part * size + group * plan.sum_size, n == begin);
    });
    parallel_range(size, max64(1, 65536 / parts), [&](int64_t begin, int64_t end) {
        for (int64_t part = 1; part < parts; ++part) {
            const T* from = sums.as<T>() + part * size;
            for (int64_t i = begin; i < end; ++i)
                sums.as<T>()[i] += from[i];
        }
    });
    // Run (i, j) holds [tap column][c] where a row of taps is one run, and [c] where it is not.
    parallel_range(w.g.c, max64(1, 16384 / (plan.in * taps)), [&](int64_t begin, int64_t end) {
        for (int64_t o = begin; o < end; ++o) {
            const T* sum = sums.as<T>() + o / plan.out * plan.sum_size;
            T* to = w.gweight + o * plan.in * taps;
            for (int64_t c = 0; c < plan.in; ++c)
                for (int64_t tap = 0; tap < taps; ++tap) {
                    const int64_t column = tap * plan.in + c;
                    *to++ = sum[plan.place(o % plan.out, column / plan.run, column % plan.run)];
                }
        }
    });
}

void weight_grad_f32(const WeightGrad<float>& w) {
    compute(w);
}
void weight_grad_f64(const WeightGrad<double>& w) {
    compute(w);
}

} // namespace

const WeightGradKernels weight_grad_kernels = {weight_grad_f32, weight_grad_f64};

} // namespace fastnn::FASTNN_ISA
