// Optimizer steps over many tensors in few launches; parameters and state are updated in place.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/dtype.h"
#include "core/runtime.h"

namespace fastnn::cuda {

// A parameter, its gradient and its state, each `size` elements in the same order of memory.
constexpr int max_arrays = 5;
struct OptimizerTensor {
    int64_t size;
    std::array<void*, max_arrays> at;
};
using OptimizerTensors = std::vector<OptimizerTensor>;

// State beside p and g:
enum class Optimizer {
    sgd,      // the momentum buffer, or none
    adam,     // m, v and, or none, the largest v
    adagrad,  // the sum of squares
    adadelta, // v, u
    adamax,   // m, u
    nadam,    // m, v
    radam,    // m, v
    rmsprop,  // v, the mean gradient where centered, and, or none, the momentum buffer
    rprop,    // the gradient before, the step sizes
    asgd,     // the mean parameter
};

// Named as in fastnn.backends.protocol; an optimizer reads its own.
struct OptimizerOptions {
    double lr = 0, weight_decay = 0, eps = 0, step = 1, momentum = 0, dampening = 0, beta1 = 0,
           beta2 = 0, lr_decay = 0, rho = 0, alpha = 0, mu = 0, mu_next = 0, mu_product = 0,
           eta_minus = 0, eta_plus = 0, step_size_min = 0, step_size_max = 0, eta = 0, lambd = 0;
    bool maximize = false, nesterov = false, first = false, decoupled = false, centered = false;
};

// The fewest and the most arrays of a parameter, p and g among them.
struct ArrayCount {
    size_t least, most;
};
ArrayCount optimizer_arrays(Optimizer kind, const OptimizerOptions& options);

// `arrays` of every tensor.
cudaError_t optimizer_step(Optimizer kind, DType dtype, size_t arrays,
                           const OptimizerTensors& tensors, const OptimizerOptions& options,
                           cudaStream_t stream);

} // namespace fastnn::cuda
