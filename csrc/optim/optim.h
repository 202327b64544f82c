// Optimizer steps over all parameters in one call.
//
// The parameters' elements are seen as one sequence, cut into chunks of about kChunk elements, so
// that many small parameters share one task and a large one is divided. One pass: parameter,
// gradient and state are read once, parameter and state written once (SGD 3 or 5 arrays, Adam 7),
// which is the floor. All optimizers share the loop; each has a small formula for a vector.
//
// Reached on one thread of a Zen 4 with AVX-512, float, us (PyTorch 2.13's fused optimizers beside
// it in brackets): the MNIST CNN's 225,000 parameters SGD 33 (87), Adam 73 (165); 200 parameters of
// 64 elements 9 (245), 11 (689); one of 4 million 1460 (1620), 2120 (2560).
// On one thread with AVX2, PyTorch's time, by lists of parameters where it has no fused optimizer,
// over this one: the CNN's parameters 1.3 to 1.9 (SGD, Adam, Adagrad) and 3 to 26 (the others), the
// 200 small ones 3 to 60, one of 4 million 1.0 to 1.2 and 2.5 to 13.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/isa.h"

namespace fastnn {

enum class Optimizer { sgd, adam, adagrad, adadelta, adamax, nadam, radam, rmsprop, rprop, asgd };
inline constexpr int kOptimizers = 10;

// The numbers of a step; each optimizer reads some.
struct OptimStep {
    double rate;         // what the direction is multiplied by (ASGD: lambd)
    double beta1, beta2; // how much of the means of gradients (SGD: momentum) and of squares stays
    double take;         // SGD: how much of the gradient its momentum takes; RMSprop: its momentum
    double eps;
    double correction;   // Adam: 1 / sqrt(1 - beta2^step); NAdam: 1 / (1 - beta2^step)
    double low, high;    // Rprop: the least and the largest step size; beta1 and beta2 change it
    double weight_decay; // added to the gradient
    double shrink;       // the parameter is multiplied by this first: decoupled weight decay
    bool maximize;
    bool first;     // SGD: the momentum begins
    bool nesterov;  // SGD
    bool rectified; // RAdam: the variance is known well enough to divide by it
};

// One parameter; state[] is what its optimizer keeps (null where it keeps nothing there).
struct Parameter {
    void* data;
    const void* grad;
    // SGD: momentum. Adam, RAdam, NAdam: means of g and g^2; Adam: the largest of the latter.
    // Adamax: mean, maximum. Adagrad: sum of squares. Adadelta: means of g^2, of steps^2.
    // RMSprop: means of g^2, of g, momentum. Rprop: gradient, step size. ASGD: mean.
    void* state[3];
    int64_t size;
    bool is_double;
    double own[2] =
        {}; // NAdam: factors of the gradient and of its mean; ASGD: rate, weight of the mean
};

struct OptimTable {
    // Elements [begin, end) of one parameter; [optimizer][is_double].
    void (*step[kOptimizers][2])(const OptimStep& step, const Parameter& p, int64_t begin,
                                 int64_t end);
};
FASTNN_KERNEL_TABLE(OptimTable, optim_table)

void optimizer_step(Optimizer optimizer, const OptimStep& step, const Parameter* parameters,
                    std::size_t count);

} // namespace fastnn
