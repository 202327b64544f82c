// 2-d convolution (cross-correlation) and its two gradients; NCHW and NHWC by strides.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastnn {

// Logical shape (N, C, H, W); strides in elements.
template <class T>
struct Image {
    T* data;
    int64_t n, c, h, w;
    int64_t n_stride, c_stride, h_stride, w_stride;
};

struct ConvShape {
    int64_t kernel_h, kernel_w;
    int64_t stride_h, stride_w;
    int64_t padding_h, padding_w;
    int64_t dilation_h, dilation_w;
    int64_t groups;
    bool weight_last; // weights lie with their input channels last, (O, KH, KW, C / groups)
};

// x (N, C, H, W), weight (O, C / groups, KH, KW), contiguous or with its channels last, bias (O,)
// or null, y (N, O, OH, OW).
template <class T>
void conv2d(const Image<const T>& x, const T* weight, const T* bias, bool relu,
            const ConvShape& shape, const Image<T>& y);

// gx (N, C, H, W) from g (N, O, OH, OW).
template <class T>
void conv2d_input_grad(const Image<const T>& g, const T* weight, const ConvShape& shape,
                       const Image<T>& gx);

// gweight (O, C / groups, KH, KW), contiguous.
template <class T>
void conv2d_weight_grad(const Image<const T>& g, const Image<const T>& x, const ConvShape& shape,
                        T* gweight);

// -- what the kernels compute -------------------------------------------------------------------

// dest[n, o, y, x] = activation(bias[o] + sum over taps (i, j), over c of
//                    weight(o, c, i, j) * source[n, c, y * step_y + dy[i], x * step_x + dx[j]])
// for each group of channels; source pixels outside of the image are 0. A convolution is that with
// dy[i] = i * dilation - padding; its input gradient, for each residue of the pixel modulo the
// stride, too.
template <class T>
struct TapConv {
    Image<const T> source;
    Image<T> dest;
    int64_t groups;
    int64_t step_y, step_x;
    int64_t taps_y, taps_x;
    const int64_t *dy, *dx; // dx ascending
    // weight(o, c, i, j) of a group is weight[o * weight_o + c * weight_c + weight_y[i] +
    // weight_x[j]]
    const T* weight;
    int64_t weight_group, weight_o, weight_c;
    const int64_t *weight_y, *weight_x;
    const T* bias;
    bool relu;
};

template <class T>
struct WeightGrad {
    Image<const T> g, x;
    ConvShape shape;
    T* gweight;
};

struct ConvKernels {
    void (*taps_f32)(const TapConv<float>&);
    void (*taps_f64)(const TapConv<double>&);
    // Images from (N, H, W, C), contiguous.
    void (*turn_f32)(const float* from, const Image<float>& to);
    void (*turn_f64)(const double* from, const Image<double>& to);
};
FASTNN_KERNEL_TABLE(ConvKernels, conv_kernels)

struct WeightGradKernels {
    void (*f32)(const WeightGrad<float>&);
    void (*f64)(const WeightGrad<double>&);
};
FASTNN_KERNEL_TABLE(WeightGradKernels, weight_grad_kernels)

} // namespace fastnn
