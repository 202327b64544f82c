// Convolution to few output channels, in any layout.
#pragma once

#include "conv/conv.h"

namespace fastnn {

// Beyond so many the tiles of the other kernels are full enough.
inline constexpr int64_t kFewOutputs = 4;

struct FewOutputsKernels {
    void (*f32)(const TapConv<float>&);
    void (*f64)(const TapConv<double>&);
    // Whether these serve the taps, and are estimated to be faster than the others.
    bool (*suit_f32)(const TapConv<float>&);
    bool (*suit_f64)(const TapConv<double>&);
};
FASTNN_KERNEL_TABLE(FewOutputsKernels, few_outputs_kernels)

} // namespace fastnn
