// Depthwise convolution: each channel by weights of its own (of 3 x 3 taps on planes, several).
#pragma once

#include "conv/conv.h"

namespace fastnn {

struct DepthwiseKernels {
    void (*f32)(const TapConv<float>&);
    void (*f64)(const TapConv<double>&);
    void (*weight_f32)(const WeightGrad<float>&);
    void (*weight_f64)(const WeightGrad<double>&);
};
FASTNN_KERNEL_TABLE(DepthwiseKernels, depthwise_kernels)

// One channel in and out of each group, and both images channels last, or both planes of which
// neighbouring results read neighbouring pixels.
template <class T>
bool depthwise_suits(int64_t groups, const Image<const T>& source, int64_t dest_c,
                     int64_t dest_c_stride, int64_t dest_w_stride, int64_t step_x) {
    if (groups < 2 || groups != source.c || groups != dest_c)
        return false;
    const bool last = source.c_stride == 1 && dest_c_stride == 1;
    return last || (source.w_stride == 1 && dest_w_stride == 1 && step_x == 1);
}

} // namespace fastnn
