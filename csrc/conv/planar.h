// Convolution of few input or output channels, for images stored as planes.
#pragma once

#include "conv/conv.h"

namespace fastnn {

struct PlanarKernels {
    void (*f32)(const TapConv<float>&);
    void (*f64)(const TapConv<double>&);
    // Whether these serve the layout, and are estimated to be faster than the others.
    bool (*suit_f32)(const TapConv<float>&);
    bool (*suit_f64)(const TapConv<double>&);
};
FASTNN_KERNEL_TABLE(PlanarKernels, planar_kernels)

} // namespace fastnn
