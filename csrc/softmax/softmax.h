// Softmax, log-softmax and cross-entropy, with their gradients.
//
// The array is seen as x[outer][n][inner], the softmax along n. inner == 1 (the last axis): a row
// stays in the L1 cache through its passes (maximum; exp and sum; scale). inner > 1: a vector of
// inner positions at a time goes through the same passes with stride `inner`, in a copy of some
// cache lines of each row where rows are few. Sums of exp have at
// most n / lanes additions per lane. Floor: one read, one write.
//
// Reached on one thread of a Zen 4 with AVX-512, float, ms (PyTorch 2.13 beside it in brackets):
// softmax (4096, 1000) 1.7 (2.6), of the channels of (16, 21, 128, 128) 4.8 (6.8), cross-entropy
// with gradient (4096, 1000) 2.8 (5.7). With one accumulator for the maximum, one that kept NaN,
// softmax took 2.9. Of those channels on two threads with AVX2, time before over time after copies
// of eight lines, the gradients' of four, instead of two: 1.24 and 1.19.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastnn {

enum class Softmax { forward, log_forward, backward, log_backward, count };

// Rows of classes: the loss of (1 - smoothing) * onehot + smoothing / classes, both weighted.
struct CrossEntropy {
    int64_t classes;
    const void* logits;    // (rows, classes)
    const int64_t* target; // (rows,)
    const void* weight;    // (classes,) or null
    int64_t ignore_index;
    double smoothing;
};

struct SoftmaxTable {
    // forward: a = x; backward: a = g, b = y. `outer` times n * inner elements.
    using Kernel = void (*)(const void* a, const void* b, int64_t outer, int64_t n, int64_t inner,
                            void* out);
    // Rows [begin, end). False: a target is no class.
    using Loss = bool (*)(const CrossEntropy& call, int64_t begin, int64_t end, void* loss,
                          void* lse);
    using LossBackward = bool (*)(const CrossEntropy& call, const void* g, int64_t g_stride,
                                  double scale, const void* lse, int64_t begin, int64_t end,
                                  void* gx);
    Kernel kernels[2][static_cast<int>(Softmax::count)];
    Loss loss[2];
    LossBackward loss_backward[2];
};
FASTNN_KERNEL_TABLE(SoftmaxTable, softmax_table)

void softmax(Softmax function, bool is_double, const void* a, const void* b, int64_t outer,
             int64_t n, int64_t inner, void* out);
enum class LossReduction { none, sum, mean };
// These throw std::out_of_range for a target outside 0..classes-1 that is not ignore_index.
// The first returns what each row's loss counts in `loss`: one over the sum of the targets' weights
// for the mean, else 1.
double cross_entropy(const CrossEntropy& call, bool is_double, int64_t rows, LossReduction,
                     void* loss, void* lse);
// g of stride 0 is one for all rows; scale times it is the gradient of a row's loss.
void cross_entropy_backward(const CrossEntropy& call, bool is_double, int64_t rows, const void* g,
                            int64_t g_stride, double scale, const void* lse, void* gx);

} // namespace fastnn
