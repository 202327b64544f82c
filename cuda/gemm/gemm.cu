// Matrix products: which kernel serves which.
//
//   float16, bfloat16             gemm_half.cu   tensor cores
//     on compute capability 9.0   gemm_sm90.cu   where TMA can copy the operands
//   float32, highest precision    gemm_fma.cu    CUDA cores
//   float32, high or medium       gemm_tf32.cu   tensor cores: three TF32 products, or one
//   float64                       gemm_fma.cu    CUDA cores
#include "gemm/gemm.h"

#include <algorithm>

#include "gemm/plan.cuh"

namespace fastnn::cuda {

// Few tiles and a long sum: parts of the sum side by side until there are some 128 blocks, none
// shorter than 256 elements. The result depends on the shape alone, not on the device.
int splits_of(const Gemm& p) {
    if (p.splits > 0)
        return p.splits;
    const int64_t blocks = ceil_div(p.m, 64) * ceil_div(p.n, 64) * p.batch;
    if (blocks == 0 || blocks > 64)
        return 1;
    return int(std::max<int64_t>(1, std::min<int64_t>(p.k / 256, 128 / blocks)));
}

size_t gemm_workspace(const Gemm& p) {
    const int splits = splits_of(p);
    const size_t sum = p.dtype == DType::float64 ? 8 : 4;
    return splits > 1 ? size_t(splits) * size_t(p.batch * p.m * p.n) * sum : 0;
}

cudaError_t gemm(const Gemm& product, cudaStream_t stream) {
    constexpr int64_t max_batch = 65535, max_tiles = int64_t(1) << 31;
    if (product.m == 0 || product.n == 0 || product.batch == 0)
        return cudaSuccess;
    if (ceil_div(product.m, 64) * ceil_div(product.n, 64) >= max_tiles || !is_float(product.dtype))
        return cudaErrorInvalidValue;
    const int splits = product.workspace == nullptr ? 1 : splits_of(product);
    const auto item = int64_t(size_of(product.dtype));
    for (int64_t first = 0; first < product.batch; first += max_batch) {
        Gemm p = product;
        p.batch = std::min(max_batch, product.batch - first);
        if (first > 0) {
            p.a.data = static_cast<const char*>(p.a.data) + first * p.a.batch_stride * item;
            p.b.data = static_cast<const char*>(p.b.data) + first * p.b.batch_stride * item;
            p.c = static_cast<char*>(p.c) + first * p.c_batch_stride * item;
        }
        cudaError_t error;
        if (p.dtype == DType::float16 || p.dtype == DType::bfloat16)
            error = gemm_half(p, splits, stream);
        else if (p.dtype == DType::float32 && p.precision != Precision::highest)
            error = gemm_tf32(p, splits, stream);
        else
            error = gemm_fma(p, splits, stream);
        if (error != cudaSuccess)
            return error;
    }
    return cudaSuccess;
}

} // namespace fastnn::cuda
