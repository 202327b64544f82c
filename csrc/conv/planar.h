// Convolution of few input channels, for images stored as planes.
#pragma once

#include "conv/conv.h"

namespace fastnn {

struct PlanarKernels {
    void (*f32)(const TapConv<float>&);
    void (*f64)(const TapConv<double>&);
};
FASTNN_KERNEL_TABLE(PlanarKernels, planar_kernels)

// More channels than these are worth a copy with the channels last.
inline constexpr int64_t kPlanarChannels = 4;

// Rows of the source and of the result are contiguous, and neighbouring results read neighbouring
// pixels.
template <class T>
bool planar_suits(const TapConv<T>& c) {
    bool suits = c.source.c / c.groups <= kPlanarChannels && c.source.w_stride == 1 &&
                 c.dest.w_stride == 1 && c.step_x == 1 && c.taps_y > 0 && c.taps_x > 0 &&
                 c.dest.w >= 8 && (c.dest.c_stride != 1 || c.dest.c == 1);
    for (int64_t j = 1; suits && j < c.taps_x; ++j)
        suits = c.dx[j] == c.dx[j - 1] + 1 &&
                c.weight_x[j] - c.weight_x[j - 1] == c.weight_x[1] - c.weight_x[0];
    return suits;
}

} // namespace fastnn
