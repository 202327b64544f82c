// The gradient of a convolution with respect to its weights, for one ISA level:
//     gw[o, c, i, j] = sum over n, y, x of g[n, o, y, x] * image[n, c, y * stride + i * dilation -
//     padding, ...]
//
// For one image and one tap row i this is a product of g, (O, pixels), with the runs of (tap
// columns, channels) that begin at each pixel of the image, channels last. The micro-kernel reads g
// where it is, in either layout, and the runs from the image or a copy of it as in
// conv_kernels.cpp; a row of output pixels is one segment of its loop.
//
// The images are cut into parts by the shape alone; each part has its own sum, and the sums are
// added in order, so that the number of threads does not change a bit. Floor: as the convolution's.
#include "conv/conv.h"

#include "conv/patch.h"
#include "core/buffer_pool.h"
#include "core/parallel.h"
#include "gemm/micro_kernel.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kParts = 16; // sums of parts of the batch, at most

constexpr int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}
constexpr int64_t max64(int64_t a, int64_t b) {
    return a > b ? a : b;
}
constexpr int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

template <class T>
struct Plan {
    const WeightGrad<T>& grad;
    int64_t in, out; // channels of a group
    int64_t run;     // columns of a product: the channels of one tap, or of a row of taps
    int64_t runs_x;  // runs in a row of taps
    int64_t rows_used, columns_used; // of the image, padding included
    int64_t sum_size;                // of one group: [out][tap row][tap column][in]

    explicit Plan(const WeightGrad<T>& w) : grad(w) {
        const ConvShape& s = w.shape;
        in = w.x.c / s.groups;
        out = w.g.c / s.groups;
        const bool joined = s.dilation_w == 1;
        run = joined ? s.kernel_w * in : in;
        runs_x = joined ? 1 : s.kernel_w;
        rows_used = (w.g.h - 1) * s.stride_h + (s.kernel_h - 1) * s.dilation_h + 1;
        columns_used = (w.g.w - 1) * s.stride_w + (s.kernel_w - 1) * s.dilation_w + 1;
        sum_size = out * s.kernel_h * s.kernel_w * in;
    }
};

// Adds image n's part of one group to sum, or begins the sum with it.
template <class T>
void add_image(const Plan<T>& plan, int64_t n, int64_t group, T* window, int64_t* offsets, T* sum,
               bool first) {
    const ConvShape& s = plan.grad.shape;
    const Image<const T>& g = plan.grad.g;
    const Image<const T>& x = plan.grad.x;
    const Window at = {-s.padding_h, -s.padding_w, plan.rows_used, plan.columns_used, plan.in};
    copy_window(window, x, n, group * plan.in, plan.in, at);
    const int64_t row = at.w * plan.in;

    int64_t* const a_offset = offsets;
    int64_t* const b_offset = offsets + g.h;
    for (int64_t y = 0; y < g.h; ++y) {
        a_offset[y] = y * g.h_stride;
        b_offset[y] = y * s.stride_h * row;
    }
    TileIn<T> in{};
    in.k = g.w;
    in.segments = g.h;
    in.a_offset = a_offset;
    in.b_offset = b_offset;
    in.a_row = g.c_stride;
    in.a_col = g.w_stride;
    in.b_row = s.stride_w * plan.in;
    const int64_t tiles = ceil_div(plan.out, kTileRows);
    const int64_t sum_row = s.kernel_h * s.kernel_w * plan.in;
    for (int64_t i = 0; i < s.kernel_h; ++i)
        for (int64_t j = 0; j < plan.runs_x; ++j)
            for (int64_t column = 0; column < plan.run; column += kTileColumns<T>) {
                const int64_t columns = min64(kTileColumns<T>, plan.run - column);
                in.b = window + i * s.dilation_h * row + j * s.dilation_w * plan.in + column;
                for (int64_t tile = 0; tile < tiles; ++tile) {
                    const int64_t o = tile * plan.out / tiles;
                    const int64_t rows = (tile + 1) * plan.out / tiles - o;
                    in.a = g.data + n * g.n_stride + (group * plan.out + o) * g.c_stride;
                    const TileOut<T> to = {sum + o * sum_row + (i * s.kernel_w + j) * plan.in +
                                               column,
                                           sum_row,
                                           1,
                                           columns,
                                           nullptr,
                                           nullptr,
                                           !first,
                                           false};
                    micro_kernels<T>().of[rows - 1][columns > kLanes<T> ? 1 : 0](in, to);
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
        zero(w.gweight, size);
        return;
    }
    const int64_t parts = min64(kParts, w.x.n);
    const Scratch sums(static_cast<size_t>(parts * size) * sizeof(T));
    // A tile reads up to two whole vectors at the end of the window.
    const size_t window =
        static_cast<size_t>(plan.rows_used * plan.columns_used * plan.in + kTileColumns<T>);
    parallel_for(parts * s.groups, [&](int64_t chunk) {
        const int64_t part = chunk / s.groups, group = chunk % s.groups;
        const Scratch pixels(window * sizeof(T));
        const Scratch offsets(static_cast<size_t>(2 * w.g.h) * sizeof(int64_t));
        zero(pixels.as<T>() + window - kTileColumns<T>, kTileColumns<T>);
        const int64_t begin = part * w.x.n / parts, end = (part + 1) * w.x.n / parts;
        for (int64_t n = begin; n < end; ++n)
            add_image(plan, n, group, pixels.as<T>(), offsets.as<int64_t>(),
                      sums.as<T>() + part * size + group * plan.sum_size, n == begin);
    });
    // [o][i][j][c] becomes [o][c][i][j]; the groups' output channels follow each other in both.
    parallel_range(
        w.g.c, max64(1, 16384 / (plan.in * taps * parts)), [&](int64_t begin, int64_t end) {
            for (int64_t o = begin; o < end; ++o) {
                T* const first = sums.as<T>() + o * taps * plan.in;
                for (int64_t part = 1; part < parts; ++part)
                    for (int64_t i = 0; i < taps * plan.in; ++i)
                        first[i] += first[part * size + i];
                for (int64_t c = 0; c < plan.in; ++c)
                    for (int64_t tap = 0; tap < taps; ++tap)
                        w.gweight[(o * plan.in + c) * taps + tap] = first[tap * plan.in + c];
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
