// Normalisation and its gradients.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "core/runtime.h"

namespace fastnn::cuda {

// Elements (n, c, i) of an image of N samples, C channels and `inner` positions; dense, NCHW or
// channels last. Statistics and sums are kept in accumulator_of(dtype).
struct Channels {
    DType dtype;
    int64_t n, c, inner;
    bool channels_last;
};

size_t batch_norm_workspace(const Channels& x);
// y = (x - mean) / sqrt(var + eps) * weight + bias; weight and bias (C,) of x's dtype, or null;
// mean and var (C,) are results.
cudaError_t batch_norm(const Channels& image, const void* x, const void* weight, const void* bias,
                       double eps, void* y, void* mean, void* var, void* workspace,
                       cudaStream_t stream);
// gweight and gbias are (C,), of the accumulator's type.
cudaError_t batch_norm_backward(const Channels& image, const void* g, const void* x,
                                const void* weight, const void* mean, const void* var, double eps,
                                void* gx, void* gweight, void* gbias, void* workspace,
                                cudaStream_t stream);

// Rows of a dense (rows, n) matrix; mean and scale are (rows,) of the accumulator's type, weight
// and bias (n,) or null. Without `mean` it is the root-mean-square norm: y = x * scale * weight.
struct RowNorm {
    DType dtype;
    int64_t rows, n;
    const void* x;
    const void* weight;
    void* mean;
    void* scale;
};
cudaError_t row_norm(const RowNorm& call, const void* bias, double eps, void* y,
                     cudaStream_t stream);
size_t row_norm_workspace(const RowNorm& call);
// gweight and gbias (n,) of the accumulator's type; gbias is null for the root-mean-square norm.
cudaError_t row_norm_backward(const RowNorm& call, const void* g, void* gx, void* gweight,
                              void* gbias, void* workspace, cudaStream_t stream);

} // namespace fastnn::cuda
