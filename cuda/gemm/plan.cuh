// How a matrix product is divided into blocks, and its arguments as kernels take them.
#pragma once

#include <algorithm>

#include "gemm/gemm.h"
#include "gemm/output.cuh"
#include "gemm/shared_tile.cuh"

namespace fastnn::cuda {

constexpr int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

inline bool wants_large(const Gemm& p) {
    if (p.tile != Tile::automatic)
        return p.tile == Tile::large;
    return ceil_div(p.m, 128) * ceil_div(p.n, 128) * p.batch >= 96;
}

// Splits and tiles of a grid of blocks bm x bn, whose steps along the sum are bk.
inline Extent extent_of(int64_t m, int64_t n, int64_t k, int bm, int bn, int bk, int& splits) {
    Extent e{m, n, k, 0, int(ceil_div(m, bm)), int(ceil_div(n, bn))};
    e.k_per_split = std::max<int64_t>(1, ceil_div(ceil_div(k, bk), splits)) * bk;
    splits = int(std::max<int64_t>(1, ceil_div(k, e.k_per_split)));
    return e;
}

template <class T>
Strided<T> operand_a(const Gemm& p) {
    return {static_cast<const T*>(p.a.data),
            p.a.row_stride,
            p.a.col_stride,
            p.a.batch_stride,
            p.m,
            p.k};
}
template <class T>
Strided<T> operand_b(const Gemm& p) {
    return {static_cast<const T*>(p.b.data),
            p.b.col_stride,
            p.b.row_stride,
            p.b.batch_stride,
            p.n,
            p.k};
}

// Whether 16 bytes can be taken at a time along `major`.
template <class T>
bool has_vectors(const Strided<T>& x, Major major) {
    constexpr int64_t width = 16 / int64_t(sizeof(T));
    const bool inner = major == Major::inner;
    const int64_t along = inner ? x.inner_stride : x.outer_stride;
    const int64_t across = inner ? x.outer_stride : x.inner_stride;
    const int64_t length = inner ? x.inner_size : x.outer_size;
    const int64_t lines = inner ? x.outer_size : x.inner_size;
    return along == 1 && length % width == 0 && (lines == 1 || across % width == 0) &&
           x.batch_stride % width == 0 && reinterpret_cast<uintptr_t>(x.data) % 16 == 0;
}

template <class T>
using GemmOutput = Output<T, DenseRows<T>>;

template <class T>
GemmOutput<T> output_of(const Gemm& p, int splits) {
    constexpr int64_t width = 16 / int64_t(sizeof(T));
    GemmOutput<T> out{};
    out.rows = {static_cast<T*>(p.c), p.ldc, p.c_batch_stride};
    out.bias = static_cast<const T*>(p.bias);
    out.relu = p.activation == Activation::relu;
    out.accumulate = p.accumulate;
    out.vectors =
        p.n % width == 0 && (p.m == 1 || p.ldc % width == 0) &&
        (p.batch == 1 || p.c_batch_stride % width == 0) &&
        (reinterpret_cast<uintptr_t>(p.c) | reinterpret_cast<uintptr_t>(p.bias)) % 16 == 0;
    out.partial = splits > 1 ? static_cast<Accumulator<T>*>(p.workspace) : nullptr;
    return out;
}

// The second pass of a split product.
template <class Out>
cudaError_t launch_finish(const Out& out, const Extent& e, int splits, int batch,
                          cudaStream_t stream) {
    const auto blocks = unsigned(std::min<int64_t>(ceil_div(e.m * e.n, 256), 4096));
    return simt::launch(finish_splits<Out>, dim3(blocks, 1, unsigned(batch)), dim3(256), 0, stream,
                        out, e, splits);
}

// One file each; `splits` as splits_of() has it, with a workspace where it is more than 1.
cudaError_t gemm_half(const Gemm& p, int splits, cudaStream_t stream);
// cudaErrorNotSupported where it does not serve this product or device.
cudaError_t gemm_sm90(const Gemm& p, int splits, cudaStream_t stream);
cudaError_t gemm_tf32(const Gemm& p, int splits, cudaStream_t stream);
cudaError_t gemm_fma(const Gemm& p, int splits, cudaStream_t stream);

} // namespace fastnn::cuda
