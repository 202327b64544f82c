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

// Arrays: p, g and, where momentum is not 0, the momentum buffer.
struct Sgd {
    double lr, momentum, dampening, weight_decay;
    bool nesterov, maximize, first;
};
cudaError_t sgd_step(DType dtype, const OptimizerTensors& tensors, const Sgd& options,
                     cudaStream_t stream);

// Arrays: p, g, m, v and, with amsgrad, the largest v. step_size = lr / (1 - beta1^step),
// correction = sqrt(1 - beta2^step).
struct Adam {
    double step_size, correction, lr, beta1, beta2, eps, weight_decay;
    bool decoupled, maximize, amsgrad;
};
cudaError_t adam_step(DType dtype, const OptimizerTensors& tensors, const Adam& options,
                      cudaStream_t stream);

// Arrays: p, g, the sum of squares. rate = lr / (1 + (step - 1) * lr_decay).
struct Adagrad {
    double rate, eps, weight_decay;
    bool maximize;
};
cudaError_t adagrad_step(DType dtype, const OptimizerTensors& tensors, const Adagrad& options,
                         cudaStream_t stream);

// Arrays: p, g, v, the mean gradient where centered, the buffer where there is momentum.
struct RmsProp {
    double lr, alpha, eps, weight_decay, momentum;
    bool maximize, centered, buffered;
};
cudaError_t rmsprop_step(DType dtype, const OptimizerTensors& tensors, const RmsProp& options,
                         cudaStream_t stream);

} // namespace fastnn::cuda
