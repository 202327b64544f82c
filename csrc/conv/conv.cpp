// Turns a convolution and its input gradient into sums over taps, which the kernels compute.
#include "conv/conv.h"

#include <vector>

#include "conv/depthwise.h"
#include "conv/few_outputs.h"
#include "conv/planar.h"
#include "conv/winograd.h"
#include "core/buffer_pool.h"
#include "gemm/gemm.h"

namespace fastnn {
namespace {

constexpr int64_t kTurnedBytes = 4 << 20; // of images in channels-last order, at a time
constexpr int64_t kProductPixels = 64;    // of a plane, for a matrix product of planes

bool consecutive(const int64_t* offsets) {
    return offsets[1] == offsets[0] + 1 && offsets[2] == offsets[0] + 2;
}

// 3 x 3 neighbouring taps.
template <class T>
bool is_square(const TapConv<T>& c, int64_t stride = 1) {
    return c.taps_y == 3 && c.taps_x == 3 && c.step_y == stride && c.step_x == stride &&
           consecutive(c.dy) && consecutive(c.dx) && c.dest.n > 0;
}

template <class T>
bool is_depthwise(const TapConv<T>& c) {
    if (depthwise_suits(c.groups, c.source, c.dest.c, c.dest.c_stride, c.dest.w_stride, c.step_x))
        return true;
    return c.groups == c.source.c && is_square(c) && c.source.w_stride == 1 &&
           c.dest.w_stride == 1 && c.dest.c_stride != 1;
}
template <class T>
bool is_depthwise(const WeightGrad<T>& w) {
    return w.x.n > 0 && w.g.h > 0 && w.g.w > 0 &&
           depthwise_suits(w.shape.groups, w.x, w.g.c, w.g.c_stride, w.g.w_stride,
                           w.shape.stride_w);
}

// Of each pixel alone, on planes: the product of the weights with the planes of an image.
template <class T>
bool is_product(const TapConv<T>& c) {
    const auto planes = [](const auto& image) {
        return image.w_stride == 1 && (image.h_stride == image.w || image.h == 1) &&
               image.c_stride != 1;
    };
    return c.groups == 1 && c.taps_y == 1 && c.taps_x == 1 && c.step_y == 1 && c.step_x == 1 &&
           c.dy[0] == 0 && c.dx[0] == 0 && c.source.h == c.dest.h && c.source.w == c.dest.w &&
           planes(c.source) && planes(c.dest) && c.dest.h * c.dest.w >= kProductPixels;
}

template <class T>
void product(const TapConv<T>& c) {
    std::vector<int64_t> none(static_cast<size_t>(c.dest.n)), source, dest;
    for (int64_t n = 0; n < c.dest.n; ++n) {
        source.push_back(n * c.source.n_stride);
        dest.push_back(n * c.dest.n_stride);
    }
    GemmArgs<T> item{};
    item.m = c.dest.c;
    item.n = c.dest.h * c.dest.w;
    item.k = c.source.c;
    item.a = c.weight + c.weight_y[0] + c.weight_x[0];
    item.a_row = c.weight_o;
    item.a_col = c.weight_c;
    item.b = c.source.data;
    item.b_row = c.source.c_stride;
    item.b_col = 1;
    item.c = c.dest.data;
    item.c_row = c.dest.c_stride;
    item.c_col = 1;
    item.row_bias = c.bias;
    item.relu = c.relu;
    gemm_batch(GemmBatch<T>{item, c.dest.n, none.data(), source.data(), dest.data()});
}

void run(const TapConv<double>& conv) {
    if (is_depthwise(conv))
        depthwise_kernels().f64(conv);
    else if (is_product(conv))
        product(conv);
    else if (few_outputs_kernels().suit_f64(conv))
        few_outputs_kernels().f64(conv);
    else if (planar_kernels().suit_f64(conv))
        planar_kernels().f64(conv);
    else
        conv_kernels().taps_f64(conv);
}

void run(const TapConv<float>& conv) {
    if (is_depthwise(conv))
        depthwise_kernels().f32(conv);
    else if (is_square(conv) && conv.groups == 1 &&
             winograd_suits(conv.source.c, conv.dest.c, conv.dest.h, conv.dest.w))
        winograd_kernels().convolve(conv);
    else if (is_square(conv, 2) && conv.groups == 1 &&
             winograd_strided_suits(conv.source.c, conv.dest.c, conv.dest.h, conv.dest.w))
        winograd_strided_kernels().convolve(conv);
    else if (is_product(conv))
        product(conv);
    else if (few_outputs_kernels().suit_f32(conv))
        few_outputs_kernels().f32(conv);
    else if (planar_kernels().suit_f32(conv))
        planar_kernels().f32(conv);
    else
        conv_kernels().taps_f32(conv);
}

void run(const WeightGrad<double>& grad) {
    if (is_depthwise(grad))
        depthwise_kernels().weight_f64(grad);
    else
        weight_grad_kernels().f64(grad);
}
void run(const WeightGrad<float>& grad) {
    const ConvShape& s = grad.shape;
    const bool square = s.kernel_h == 3 && s.kernel_w == 3 && s.groups == 1 &&
                        s.stride_h == s.stride_w && s.dilation_h == 1 && s.dilation_w == 1;
    // Few terms in a sum would not hide the transforms' rounding errors.
    const bool many = grad.g.n * grad.g.h * grad.g.w >= kWinogradTerms;
    if (is_depthwise(grad))
        depthwise_kernels().weight_f32(grad);
    else if (square && many && s.stride_h == 1 &&
             winograd_suits(grad.x.c, grad.g.c, grad.g.h, grad.g.w))
        winograd_kernels().weight_gradient(grad);
    else if (square && many && s.stride_h == 2 &&
             winograd_strided_suits(grad.x.c, grad.g.c, grad.g.h, grad.g.w))
        winograd_strided_kernels().weight_gradient(grad);
    else
        weight_grad_kernels().f32(grad);
}

void turn(const float* from, const Image<float>& to) {
    conv_kernels().turn_f32(from, to);
}
void turn(const double* from, const Image<double>& to) {
    conv_kernels().turn_f64(from, to);
}

// The taps of one axis that reach an output pixel, their source offsets ascending.
struct AxisTaps {
    std::vector<int64_t> offset; // of the source pixel
    std::vector<int64_t> weight; // of the weight
};

AxisTaps forward_taps(int64_t kernel, int64_t dilation, int64_t padding, int64_t weight_stride) {
    AxisTaps taps;
    for (int64_t i = 0; i < kernel; ++i) {
        taps.offset.push_back(i * dilation - padding);
        taps.weight.push_back(i * weight_stride);
    }
    return taps;
}

// Input pixel q = residue + stride * p received g[(q + padding - i * dilation) / stride] through
// tap i, where that is a whole number: g[p + offset].
AxisTaps gradient_taps(int64_t kernel, int64_t dilation, int64_t padding, int64_t stride,
                       int64_t residue, int64_t weight_stride) {
    AxisTaps taps;
    for (int64_t i = kernel - 1; i >= 0; --i) {
        const int64_t distance = residue + padding - i * dilation;
        if (distance % stride == 0) {
            taps.offset.push_back(distance / stride);
            taps.weight.push_back(i * weight_stride);
        }
    }
    return taps;
}

template <class T>
void set_taps(TapConv<T>& conv, const AxisTaps& y, const AxisTaps& x) {
    conv.taps_y = static_cast<int64_t>(y.offset.size());
    conv.taps_x = static_cast<int64_t>(x.offset.size());
    conv.dy = y.offset.data();
    conv.dx = x.offset.data();
    conv.weight_y = y.weight.data();
    conv.weight_x = x.weight.data();
}

} // namespace

template <class T>
void conv2d(const Image<const T>& x, const T* weight, const T* bias, bool relu,
            const ConvShape& shape, const Image<T>& y) {
    const int64_t taps = shape.kernel_h * shape.kernel_w;
    const int64_t channels = x.c / shape.groups;
    const int64_t tap = shape.weight_last ? channels : 1; // from tap to tap
    const AxisTaps rows =
        forward_taps(shape.kernel_h, shape.dilation_h, shape.padding_h, shape.kernel_w * tap);
    const AxisTaps columns = forward_taps(shape.kernel_w, shape.dilation_w, shape.padding_w, tap);
    TapConv<T> conv{};
    conv.source = x;
    conv.dest = y;
    conv.groups = shape.groups;
    conv.step_y = shape.stride_h;
    conv.step_x = shape.stride_w;
    set_taps(conv, rows, columns);
    conv.weight = weight;
    conv.weight_group = y.c / shape.groups * channels * taps;
    conv.weight_o = channels * taps;
    conv.weight_c = shape.weight_last ? 1 : taps;
    conv.bias = bias;
    conv.relu = relu;
    run(conv);
}

// One convolution for each residue of the pixel modulo the stride.
template <class T>
void run_residues(const Image<const T>& g, const T* weight, const ConvShape& shape,
                  const Image<T>& gx) {
    const int64_t taps = shape.kernel_h * shape.kernel_w;
    const int64_t channels = gx.c / shape.groups;
    TapConv<T> conv{};
    conv.source = g;
    conv.groups = shape.groups;
    conv.step_y = conv.step_x = 1;
    conv.weight = weight;
    conv.weight_group = g.c / shape.groups * channels * taps;
    // An output channel of the gradient is an input channel of the convolution.
    conv.weight_o = shape.weight_last ? 1 : taps;
    conv.weight_c = channels * taps;
    const int64_t tap = shape.weight_last ? channels : 1; // from tap to tap
    for (int64_t ry = 0; ry < shape.stride_h && ry < gx.h; ++ry) {
        const AxisTaps rows = gradient_taps(shape.kernel_h, shape.dilation_h, shape.padding_h,
                                            shape.stride_h, ry, shape.kernel_w * tap);
        for (int64_t rx = 0; rx < shape.stride_w && rx < gx.w; ++rx) {
            const AxisTaps columns = gradient_taps(shape.kernel_w, shape.dilation_w,
                                                   shape.padding_w, shape.stride_w, rx, tap);
            set_taps(conv, rows, columns);
            conv.dest = gx;
            conv.dest.data += ry * gx.h_stride + rx * gx.w_stride;
            conv.dest.h = (gx.h - ry + shape.stride_h - 1) / shape.stride_h;
            conv.dest.w = (gx.w - rx + shape.stride_w - 1) / shape.stride_w;
            conv.dest.h_stride *= shape.stride_h;
            conv.dest.w_stride *= shape.stride_w;
            run(conv);
        }
    }
}

// Residues of planes would be written one element at a time, which counts where channels are many:
// some images at once are computed with their channels last, and then turned.
template <class T>
void conv2d_input_grad(const Image<const T>& g, const T* weight, const ConvShape& shape,
                       const Image<T>& gx) {
    const int64_t size = gx.c * gx.h * gx.w;
    if ((shape.stride_h == 1 && shape.stride_w == 1) || gx.c_stride == 1 || gx.c <= kFewOutputs ||
        size == 0)
        return run_residues(g, weight, shape, gx);
    const int64_t fitting = kTurnedBytes / (size * static_cast<int64_t>(sizeof(T)));
    const int64_t most = fitting < 1 ? 1 : fitting < gx.n ? fitting : gx.n;
    const Scratch scratch(static_cast<size_t>(most * size) * sizeof(T));
    Image<const T> g_part = g;
    Image<T> to = gx;
    for (int64_t n = 0; n < gx.n; n += most) {
        to.n = g_part.n = gx.n - n < most ? gx.n - n : most;
        g_part.data = g.data + n * g.n_stride;
        to.data = gx.data + n * gx.n_stride;
        run_residues(g_part, weight, shape,
                     Image<T>{scratch.as<T>(), to.n, gx.c, gx.h, gx.w, size, 1, gx.w * gx.c, gx.c});
        turn(scratch.as<T>(), to);
    }
}

template <class T>
void conv2d_weight_grad(const Image<const T>& g, const Image<const T>& x, const ConvShape& shape,
                        T* gweight) {
    run(WeightGrad<T>{g, x, shape, gweight});
}

template void conv2d(const Image<const float>&, const float*, const float*, bool, const ConvShape&,
                     const Image<float>&);
template void conv2d(const Image<const double>&, const double*, const double*, bool,
                     const ConvShape&, const Image<double>&);
template void conv2d_input_grad(const Image<const float>&, const float*, const ConvShape&,
                                const Image<float>&);
template void conv2d_input_grad(const Image<const double>&, const double*, const ConvShape&,
                                const Image<double>&);
template void conv2d_weight_grad(const Image<const float>&, const Image<const float>&,
                                 const ConvShape&, float*);
template void conv2d_weight_grad(const Image<const double>&, const Image<const double>&,
                                 const ConvShape&, double*);

} // namespace fastnn
