// The forward pass and the input's gradient as one kind of sum, described for each axis.
//
// Along an axis, result q gathers the source at  q * step + start + j * delta  for its taps j.
// Forward that is the stride, minus the padding and the dilation. The gradient of input i sums the
// outputs o with  o * stride = i + padding - k * dilation: for the inputs of one remainder modulo
// the stride (a phase) these are every t-th tap k and outputs of step 1, so that each phase is such
// a sum, and no tap is tried that hits nothing. A convolution of stride s has s phases an axis.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "conv/conv.h"

namespace fastnn::cuda {

struct Axis {
    int results, size; // of this pass, and of the source
    int step, start;
    int taps, delta;               // delta > 0
    int first_tap, tap_step;       // among the weight's
    int first_result, result_step; // among the image's
};

inline Axis forward_axis(int64_t size, int64_t results, int64_t kernel, int stride, int padding,
                         int dilation) {
    return {int(results), int(size), stride, -padding, int(kernel), dilation, 0, 1, 0, 1};
}

// std::gcd comes out wrong where GCC 12 inlines it here under -fsanitize=thread.
inline int common_divisor(int a, int b) {
    while (b != 0) {
        const int rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

inline std::vector<Axis> gradient_axes(int64_t size, int64_t results, int64_t kernel, int stride,
                                       int padding, int dilation) {
    std::vector<Axis> phases;
    const int common = common_divisor(stride, dilation);
    const int tap_step = stride / common, delta = dilation / common;
    for (int phase = 0; phase < std::min<int64_t>(stride, results); phase++) {
        Axis a{int((results - phase + stride - 1) / stride),
               int(size),
               1,
               0,
               0,
               delta,
               0,
               -tap_step,
               phase,
               stride};
        const int64_t at = int64_t(phase) + padding;
        int first = 0;
        while (first < std::min<int64_t>(tap_step, kernel) &&
               (at - int64_t(first) * dilation) % stride != 0)
            first++;
        if (first < tap_step && first < kernel) {
            a.taps = int((kernel - 1 - first) / tap_step + 1);
            a.first_tap = first + (a.taps - 1) * tap_step; // last tap first: delta is positive
            a.start = int((at - int64_t(a.first_tap) * dilation) / stride);
        }
        phases.push_back(a);
    }
    return phases;
}

struct Pass {
    DType dtype;
    Axis axis[3];
    Volume source, result;
    Weight weight;                    // its stride_o and stride_c, by role:
    int64_t row_stride, along_stride; // between channels of the result, and of the source
    int64_t group_stride;
    int64_t groups, rows, channels; // result and source channels of a group
    const void* bias;
    bool relu;
    Precision precision;
    Tile tile;
    ConvMethod method;
    int splits;

    int64_t taps() const { return int64_t(axis[0].taps) * axis[1].taps * axis[2].taps; }
    int64_t pixels() const {
        return result.n * axis[0].results * axis[1].results * axis[2].results;
    }
};

inline std::vector<Pass> passes_of(const Convolution& call, ConvKind kind) {
    const bool forward = kind == ConvKind::forward;
    const Volume &source = forward ? call.x : call.y, &result = forward ? call.y : call.x;
    const int64_t o = call.y.c / call.groups, c = call.x.c / call.groups;
    const Weight& w = call.weight;
    Pass pass{call.dtype,
              {},
              source,
              result,
              w,
              forward ? w.stride_o : w.stride_c,
              forward ? w.stride_c : w.stride_o,
              o * w.stride_o,
              call.groups,
              forward ? o : c,
              forward ? c : o,
              forward ? call.bias : nullptr,
              forward && call.activation == Activation::relu,
              call.precision,
              call.tile,
              call.method,
              call.splits};
    std::vector<Axis> axes[3];
    for (int i = 0; i < 3; i++) {
        if (forward)
            axes[i] = {forward_axis(source.size[i], result.size[i], w.size[i], call.stride[i],
                                    call.padding[i], call.dilation[i])};
        else
            axes[i] = gradient_axes(source.size[i], result.size[i], w.size[i], call.stride[i],
                                    call.padding[i], call.dilation[i]);
    }
    std::vector<Pass> passes;
    for (const Axis& d : axes[0])
        for (const Axis& h : axes[1])
            for (const Axis& w_axis : axes[2]) {
                pass.axis[0] = d, pass.axis[1] = h, pass.axis[2] = w_axis;
                passes.push_back(pass);
            }
    return passes;
}

} // namespace fastnn::cuda
