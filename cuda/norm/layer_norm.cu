// Layer norm and root-mean-square norm of rows, and their gradients.
//
// Floor: one read and one write of the matrix forward; backward two reads, one write, and the
// weights' gradients. The second look at a row comes from the cache. Limited by memory (2.0 TB/s on
// an A100, 3.35 TB/s on an H100). Rows of up to 1024 elements are a warp's, longer ones a block's.
// The weights' gradients are sums down the columns: blocks take 32 columns and a share of the rows
// and leave partial sums, which are added in a fixed order. Never run on hardware: executed under
// the emulator only.
#include <algorithm>

#include "core/dispatch.cuh"
#include "core/reduce.cuh"
#include "norm/norm.h"

namespace fastnn::cuda {
namespace {

constexpr int threads = 256;
constexpr int warp_row = 1024; // the longest row of a warp

template <int lanes, bool centred, class T>
__global__ void __launch_bounds__(threads)
    row_norm_kernel(const T* __restrict__ x, const T* __restrict__ weight,
                    const T* __restrict__ bias, int64_t rows, int64_t n, Accumulator<T> eps,
                    T* __restrict__ y, Accumulator<T>* __restrict__ mean,
                    Accumulator<T>* __restrict__ scale) {
    using A = Accumulator<T>;
    const int lane = threadIdx.x % lanes;
    const int64_t row = int64_t(blockIdx.x) * (threads / lanes) + threadIdx.x / lanes;
    const bool inside = row < rows;
    const int64_t count = inside ? n : 0;
    const T* in = x + (inside ? row * n : 0);
    A centre = 0;
    if constexpr (centred) {
        A sum = 0;
        for (int64_t i = lane; i < count; i += lanes)
            sum += to_accumulator(in[i]);
        centre = group_reduce<lanes, Sum>(sum) / A(n);
    }
    A squares = 0;
    for (int64_t i = lane; i < count; i += lanes) {
        const A d = to_accumulator(in[i]) - centre;
        squares += d * d;
    }
    const A factor = A(1) / sqrt(group_reduce<lanes, Sum>(squares) / A(n) + eps);
    if (!inside)
        return;
    for (int64_t i = lane; i < count; i += lanes) {
        A v = (to_accumulator(in[i]) - centre) * factor;
        if (weight)
            v *= to_accumulator(weight[i]);
        if (bias)
            v += to_accumulator(bias[i]);
        y[row * n + i] = from_accumulator<T>(v);
    }
    if (lane == 0) {
        if constexpr (centred)
            mean[row] = centre;
        scale[row] = factor;
    }
}

template <int lanes, bool centred, class T>
__global__ void __launch_bounds__(threads)
    row_norm_input_gradient(const T* __restrict__ g, const T* __restrict__ x,
                            const T* __restrict__ weight, int64_t rows, int64_t n,
                            const Accumulator<T>* __restrict__ mean,
                            const Accumulator<T>* __restrict__ scale, T* __restrict__ gx) {
    using A = Accumulator<T>;
    const int lane = threadIdx.x % lanes;
    const int64_t row = int64_t(blockIdx.x) * (threads / lanes) + threadIdx.x / lanes;
    const bool inside = row < rows;
    const int64_t count = inside ? n : 0;
    const int64_t first = inside ? row * n : 0;
    A centre = 0, factor = 0;
    if (inside) {
        if constexpr (centred)
            centre = mean[row];
        factor = scale[row];
    }
    A sum = 0, product = 0;
    for (int64_t i = lane; i < count; i += lanes) {
        A h = to_accumulator(g[first + i]);
        if (weight)
            h *= to_accumulator(weight[i]);
        sum += h;
        product += h * ((to_accumulator(x[first + i]) - centre) * factor);
    }
    const A share = group_reduce<lanes, Sum>(product) / A(n);
    A offset = 0;
    if constexpr (centred)
        offset = group_reduce<lanes, Sum>(sum) / A(n);
    for (int64_t i = lane; i < count; i += lanes) {
        A h = to_accumulator(g[first + i]);
        if (weight)
            h *= to_accumulator(weight[i]);
        const A xhat = (to_accumulator(x[first + i]) - centre) * factor;
        gx[first + i] = from_accumulator<T>(factor * (h - offset - xhat * share));
    }
}

// Partial sums over rows of g * xhat and of g, for 32 columns a block: (splits, n) each.
template <bool centred, class T>
__global__ void __launch_bounds__(threads)
    weight_gradient_kernel(const T* __restrict__ g, const T* __restrict__ x, int64_t rows,
                           int64_t n, const Accumulator<T>* __restrict__ mean,
                           const Accumulator<T>* __restrict__ scale,
                           Accumulator<T>* __restrict__ weight_part,
                           Accumulator<T>* __restrict__ bias_part) {
    using A = Accumulator<T>;
    constexpr int warps = threads / 32;
    const int lane = threadIdx.x % 32;
    const int warp = threadIdx.x / 32;
    const int64_t column = int64_t(blockIdx.x) * 32 + lane;
    const int64_t chunk = (rows + gridDim.y - 1) / gridDim.y;
    const int64_t first = blockIdx.y * chunk;
    const int64_t last = first + chunk < rows ? first + chunk : rows;
    A by_weight = 0, by_bias = 0;
    if (column < n)
        for (int64_t row = first + warp; row < last; row += warps) {
            const A gradient = to_accumulator(g[row * n + column]);
            A centre = 0;
            if constexpr (centred)
                centre = mean[row];
            by_weight += gradient * ((to_accumulator(x[row * n + column]) - centre) * scale[row]);
            by_bias += gradient;
        }
    A(&of_warp)[2][warps][32] = simt::smem_static<A[2][warps][32]>();
    of_warp[0][warp][lane] = by_weight;
    of_warp[1][warp][lane] = by_bias;
    __syncthreads();
    if (warp != 0 || column >= n)
        return;
    for (int w = 1; w < warps; w++) {
        by_weight += of_warp[0][w][lane];
        by_bias += of_warp[1][w][lane];
    }
    weight_part[blockIdx.y * n + column] = by_weight;
    bias_part[blockIdx.y * n + column] = by_bias;
}

template <class A>
__global__ void __launch_bounds__(threads)
    add_parts(const A* __restrict__ part, int64_t n, int splits, A* __restrict__ sum) {
    const int64_t column = int64_t(blockIdx.x) * threads + threadIdx.x;
    if (column >= n)
        return;
    A total = 0;
    for (int s = 0; s < splits; s++)
        total += part[s * n + column];
    sum[column] = total;
}

int splits_of(const RowNorm& call) {
    const int64_t by_blocks = 512 / std::max<int64_t>((call.n + 31) / 32, 1);
    return int(std::clamp<int64_t>(std::min(call.rows / 32, by_blocks), 1, 64));
}

template <bool centred, class T>
cudaError_t forward(const RowNorm& call, const void* bias, double eps, void* y,
                    cudaStream_t stream) {
    using A = Accumulator<T>;
    const auto run = [&](auto kernel, int lanes) {
        const int per_block = threads / lanes;
        return simt::launch(kernel, dim3(unsigned((call.rows + per_block - 1) / per_block)),
                            dim3(threads), 0, stream, static_cast<const T*>(call.x),
                            static_cast<const T*>(call.weight), static_cast<const T*>(bias),
                            call.rows, call.n, A(eps), static_cast<T*>(y),
                            static_cast<A*>(call.mean), static_cast<A*>(call.scale));
    };
    return call.n <= warp_row ? run(row_norm_kernel<32, centred, T>, 32)
                              : run(row_norm_kernel<threads, centred, T>, threads);
}

template <bool centred, class T>
cudaError_t backward(const RowNorm& call, const void* g, void* gx, void* gweight, void* gbias,
                     void* workspace, cudaStream_t stream) {
    using A = Accumulator<T>;
    const auto* gradient = static_cast<const T*>(g);
    const auto* x = static_cast<const T*>(call.x);
    const auto* mean = static_cast<const A*>(call.mean);
    const auto* scale = static_cast<const A*>(call.scale);
    const auto run = [&](auto kernel, int lanes) {
        const int per_block = threads / lanes;
        return simt::launch(kernel, dim3(unsigned((call.rows + per_block - 1) / per_block)),
                            dim3(threads), 0, stream, gradient, x,
                            static_cast<const T*>(call.weight), call.rows, call.n, mean, scale,
                            static_cast<T*>(gx));
    };
    cudaError_t error = call.n <= warp_row
                            ? run(row_norm_input_gradient<32, centred, T>, 32)
                            : run(row_norm_input_gradient<threads, centred, T>, threads);
    if (error != cudaSuccess)
        return error;
    const int splits = splits_of(call);
    auto* weight_part = static_cast<A*>(workspace);
    A* bias_part = weight_part + splits * call.n;
    error =
        simt::launch(weight_gradient_kernel<centred, T>,
                     dim3(unsigned((call.n + 31) / 32), unsigned(splits)), dim3(threads), 0, stream,
                     gradient, x, call.rows, call.n, mean, scale, weight_part, bias_part);
    const dim3 columns(unsigned((call.n + threads - 1) / threads));
    if (error == cudaSuccess)
        error = simt::launch(add_parts<A>, columns, dim3(threads), 0, stream,
                             static_cast<const A*>(weight_part), call.n, splits,
                             static_cast<A*>(gweight));
    if (error == cudaSuccess && gbias)
        error =
            simt::launch(add_parts<A>, columns, dim3(threads), 0, stream,
                         static_cast<const A*>(bias_part), call.n, splits, static_cast<A*>(gbias));
    return error;
}

} // namespace

cudaError_t row_norm(const RowNorm& call, const void* bias, double eps, void* y,
                     cudaStream_t stream) {
    if (call.rows == 0 || call.n == 0)
        return cudaSuccess;
    return dispatch_float(call.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        return call.mean ? forward<true, T>(call, bias, eps, y, stream)
                         : forward<false, T>(call, bias, eps, y, stream);
    });
}

size_t row_norm_workspace(const RowNorm& call) {
    return size_t(2 * call.n) * splits_of(call) * size_of(accumulator_of(call.dtype));
}

cudaError_t row_norm_backward(const RowNorm& call, const void* g, void* gx, void* gweight,
                              void* gbias, void* workspace, cudaStream_t stream) {
    if (call.rows == 0 || call.n == 0)
        return cudaSuccess;
    return dispatch_float(call.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        return call.mean ? backward<true, T>(call, g, gx, gweight, gbias, workspace, stream)
                         : backward<false, T>(call, g, gx, gweight, gbias, workspace, stream);
    });
}

} // namespace fastnn::cuda
