// Activations and their gradients: what a plain array library would compute in several passes over
// memory.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/runtime.h"

namespace fastnn::cuda {

enum class Elementwise {
    relu,
    leaky_relu, // x > 0 ? x : parameter * x
    sigmoid,
    silu,
    gelu,
    gelu_tanh,
    last_unary = gelu_tanh,
    relu_backward,       // (g, y): y > 0 ? g : 0
    leaky_relu_backward, // (g, x)
    sigmoid_backward,    // (g, y): g y (1 - y)
    tanh_backward,       // (g, y): g (1 - y^2)
    silu_backward,       // (g, x)
    gelu_backward,       // (g, x)
    gelu_tanh_backward,  // (g, x)
};

// y[i] = f(a[i], b[i]) for n dense elements; unary functions do not read b.
cudaError_t elementwise(Elementwise function, DType dtype, const void* a, const void* b, void* y,
                        int64_t n, double parameter, cudaStream_t stream);

} // namespace fastnn::cuda
