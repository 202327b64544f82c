// Optimizer steps over all parameters in one call: SGD with momentum, Adam, AdamW, AMSGrad.
//
// The parameters' elements are seen as one sequence, cut into chunks of about kChunk elements, so
// that many small parameters share one task and a large one is divided. One pass: parameter,
// gradient and state are read once, parameter and state written once (SGD 3 or 5 arrays, Adam 7),
// which is the floor.
//
// Reached on one thread of a Zen 4 with AVX-512, float, us (PyTorch 2.13's fused optimizers beside
// it in brackets): the MNIST CNN's 225,000 parameters SGD 33 (87), Adam 73 (165); 200 parameters of
// 64 elements 9 (245), 11 (689); one of 4 million 1460 (1620), 2120 (2560).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/isa.h"

namespace fastnn {

struct SgdStep {
    double lr, momentum, dampening, weight_decay;
    bool nesterov, maximize, first;
};

struct AdamStep {
    double step_size;  // lr / (1 - beta1^step)
    double correction; // sqrt(1 - beta2^step)
    double beta1, beta2, eps;
    double weight_decay; // added to the gradient
    double
        shrink; // the parameter is multiplied by this first (1 - lr * weight_decay where decoupled)
    bool maximize;
};

// One parameter; state[] is what its optimizer keeps (null where it keeps nothing there).
struct Parameter {
    void* data;
    const void* grad;
    void* state[3]; // SGD: momentum. Adam: exp_avg, exp_avg_sq, max_exp_avg_sq
    int64_t size;
    bool is_double;
};

struct OptimTable {
    // Elements [begin, end) of one parameter.
    void (*sgd[2])(const SgdStep& step, const Parameter& p, int64_t begin, int64_t end);
    void (*adam[2])(const AdamStep& step, const Parameter& p, int64_t begin, int64_t end);
};
FASTNN_KERNEL_TABLE(OptimTable, optim_table)

void sgd_step(const SgdStep& step, const Parameter* parameters, std::size_t count);
void adam_step(const AdamStep& step, const Parameter* parameters, std::size_t count);

} // namespace fastnn
