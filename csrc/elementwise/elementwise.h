// Elementwise functions of one or two arrays, with broadcasting.
//
// A kernel works on a block of rows x cols. The output is dense; an operand's column stride is 1 or
// 0 (one value for the whole row), its row stride anything. Broadcasting of a row, of a channel and
// of a scalar are all such blocks; the driver collapses the shapes to them. Floor: the bytes of the
// arrays.
//
// Reached on one thread of a Zen 4 with AVX-512, float, (128, 32, 26, 26), ms (PyTorch 2.13 beside
// it in brackets): add 0.46 (0.60), times a channel 0.73 (0.94), relu 0.41 (0.36), its gradient
// 0.41 (0.54), exp 0.90 (3.2), log 1.3 (25), tanh 0.83 (7.9), sigmoid 1.2 (1.2). A call on a 4 x 4
// array: 90 ns (NumPy's add 270, where(y > 0, g, 0) 1400).
// GELU on one core of Zen 4, AVX2: 6.2 ns for 8 floats (8.7 with one more term of each polynomial,
// and with comparisons and selections for minima and maxima, which GCC does not see in a > b ? a :
// b).
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastnn {

enum class Elementwise {
    add,
    subtract,
    multiply,
    divide,
    maximum,
    minimum,
    tanh_backward,       // (g, y): g (1 - y^2)
    sigmoid_backward,    // (g, y): g y (1 - y)
    relu_backward,       // (g, y): y > 0 ? g : 0
    leaky_relu_backward, // (g, x): x > 0 ? g : parameter * g
    silu_backward,       // (g, x), as the next two
    gelu_backward,
    gelu_tanh_backward,
    last_binary = gelu_tanh_backward,
    negative,
    absolute,
    square,
    sqrt,
    exp,
    log,
    tanh,
    sigmoid,
    relu,
    leaky_relu, // x > 0 ? x : parameter * x
    erf,
    silu,      // x sigmoid(x)
    gelu,      // x P(X <= x), X standard normal
    gelu_tanh, // with Hendrycks and Gimpel's approximation of P
    count
};

// Strides in elements. Unary functions do not look at b.
using ElementwiseKernel = void (*)(int64_t rows, int64_t cols, const void* a, int64_t a_row,
                                   int64_t a_col, const void* b, int64_t b_row, int64_t b_col,
                                   void* y, double parameter);

struct ElementwiseTable {
    ElementwiseKernel of_float[static_cast<int>(Elementwise::count)];
    ElementwiseKernel of_double[static_cast<int>(Elementwise::count)];
};
FASTNN_KERNEL_TABLE(ElementwiseTable, elementwise_table)

// y = f(a, b) on `ndim` collapsed axes, outermost first; y is dense in this order, the last strides
// are 0 or 1.
struct ElementwiseCall {
    Elementwise function;
    bool is_double;
    int ndim;
    int64_t shape[64];
    int64_t a_stride[64];
    int64_t b_stride[64];
    const void* a;
    const void* b;
    void* y;
    double parameter;
};
void elementwise(const ElementwiseCall& call);

} // namespace fastnn
