// Softmax and cross-entropy.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/runtime.h"

namespace fastnn::cuda {

// Over the middle axis of dense arrays (outer, n, inner); `log`: the logarithm of the softmax.
cudaError_t softmax(bool log, DType dtype, const void* x, void* y, int64_t outer, int64_t n,
                    int64_t inner, cudaStream_t stream);
cudaError_t softmax_backward(bool log, DType dtype, const void* g, const void* y, void* gx,
                             int64_t outer, int64_t n, int64_t inner, cudaStream_t stream);

struct CrossEntropy {
    DType dtype;
    int64_t rows, classes;
    const void* logits;    // (rows, classes)
    const int64_t* target; // (rows,)
    const void* weight;    // (classes,), or null
    int64_t ignore_index;
    double label_smoothing;
};

// loss and lse are (rows,), lse in the type that sums are kept in (float32, or float64 of float64).
// A target that is no class sets *wrong to its row + 1 (any one of them).
cudaError_t cross_entropy(const CrossEntropy& call, void* loss, void* lse, int32_t* wrong,
                          cudaStream_t stream);
// g and lse are (rows,), gx (rows, classes). Targets have been checked by the forward pass.
cudaError_t cross_entropy_backward(const CrossEntropy& call, const void* g, const void* lse,
                                   void* gx, cudaStream_t stream);

} // namespace fastnn::cuda
