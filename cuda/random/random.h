// Random numbers of the Philox stream, and dropout.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/runtime.h"

namespace fastnn::cuda {

// n words, of uint32.
cudaError_t philox(uint64_t seed, uint64_t offset, int64_t n, void* words, cudaStream_t stream);
// n numbers in [0, 1), of float32 or float64.
cudaError_t uniform(DType dtype, uint64_t seed, uint64_t offset, int64_t n, void* u,
                    cudaStream_t stream);
// mask[j] (bool) = float32 uniform j >= p;  y = x * mask * scale, where scale is a number of x's
// dtype, 1 / (1 - p).
cudaError_t dropout(DType dtype, const void* x, int64_t n, double p, double scale, uint64_t seed,
                    uint64_t offset, void* y, void* mask, cudaStream_t stream);
cudaError_t dropout_backward(DType dtype, const void* g, const void* mask, int64_t n, double scale,
                             void* gx, cudaStream_t stream);

} // namespace fastnn::cuda
