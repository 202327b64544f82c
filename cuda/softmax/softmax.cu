// Softmax, log-softmax and their gradients.
//
// Floor: one read and one write of the array (the gradient: two reads). Rows of at most 4096
// elements are held in registers between the passes for maximum, sum and result, so that memory is
// read once: about 10 FLOPs for 4 to 8 bytes, limited by memory (2.0 TB/s on an A100, 3.35 TB/s on
// an H100). Longer rows are read three times, mostly from the L2 cache. A short row is a warp's, so
// that no barrier is needed; a long one a block's. Along an axis that is not the last, a thread
// goes down its column, and neighbouring threads read neighbouring columns.
// Never run on hardware: executed under the emulator only.
#include "softmax/softmax.h"

#include "core/dispatch.cuh"
#include "core/reduce.cuh"

namespace fastnn::cuda {
namespace {

constexpr int threads = 256;

// Elements lane, lane + lanes, ... of a row: in registers for items > 0, read again from memory
// otherwise.
template <int lanes, int items, class T>
struct Row {
    using A = Accumulator<T>;
    static constexpr int kept = items ? items : 1;
    const T* data;
    int64_t n;
    int lane;
    A at[kept];

    __device__ __forceinline__ Row(const T* row, int64_t count, int lane_)
        : data(row), n(count), lane(lane_) {
        if constexpr (items > 0) {
#pragma unroll
            for (int i = 0; i < items; i++)
                at[i] = lane + i * lanes < n ? to_accumulator(data[lane + i * lanes]) : A(0);
        }
    }

    // f(index, value) for each element of this thread.
    template <class F>
    __device__ __forceinline__ void each(F f) const {
        if constexpr (items > 0) {
#pragma unroll
            for (int i = 0; i < items; i++)
                if (lane + i * lanes < n)
                    f(lane + i * lanes, at[i]);
        } else {
            for (int64_t i = lane; i < n; i += lanes)
                f(i, to_accumulator(data[i]));
        }
    }
};

// Kept rows need more registers than what most blocks on a multiprocessor leave.
template <bool log_form, int lanes, int items, class T>
__global__ void __launch_bounds__(threads, sizeof(T) == 8 ? 2 : 4)
    softmax_rows(const T* __restrict__ x, T* __restrict__ y, int64_t rows, int64_t n) {
    using A = Accumulator<T>;
    constexpr int rows_per_block = threads / lanes;
    const int lane = threadIdx.x % lanes;
    const int64_t row = int64_t(blockIdx.x) * rows_per_block + threadIdx.x / lanes;
    const bool inside = row < rows; // all threads take part in the reductions
    const Row<lanes, items, T> r(x + (inside ? row * n : 0), inside ? n : 0, lane);
    A top = -INFINITY;
    r.each([&](int64_t, A v) { top = Max::merge(v, top); });
    top = group_reduce<lanes, Max>(top);
    A total = 0;
    r.each([&](int64_t, A v) { total += exp(v - top); });
    total = group_reduce<lanes, Sum>(total);
    T* out = y + row * n;
    if constexpr (log_form) {
        const A log_total = log(total);
        r.each([&](int64_t i, A v) { out[i] = from_accumulator<T>(v - top - log_total); });
    } else {
        r.each([&](int64_t i, A v) { out[i] = from_accumulator<T>(exp(v - top) / total); });
    }
}

template <bool log_form, int lanes, class T>
__global__ void __launch_bounds__(threads)
    softmax_rows_backward(const T* __restrict__ g, const T* __restrict__ y, T* __restrict__ gx,
                          int64_t rows, int64_t n) {
    using A = Accumulator<T>;
    constexpr int rows_per_block = threads / lanes;
    const int lane = threadIdx.x % lanes;
    const int64_t row = int64_t(blockIdx.x) * rows_per_block + threadIdx.x / lanes;
    const int64_t first = row < rows ? row * n : 0;
    const int64_t count = row < rows ? n : 0;
    A total = 0;
    for (int64_t i = lane; i < count; i += lanes) {
        const A gradient = to_accumulator(g[first + i]);
        total += log_form ? gradient : gradient * to_accumulator(y[first + i]);
    }
    total = group_reduce<lanes, Sum>(total);
    for (int64_t i = lane; i < count; i += lanes) {
        const A gradient = to_accumulator(g[first + i]);
        const A value = to_accumulator(y[first + i]);
        gx[first + i] = from_accumulator<T>(log_form ? gradient - exp(value) * total
                                                     : value * (gradient - total));
    }
}

template <bool log_form, class T>
__global__ void __launch_bounds__(threads)
    softmax_columns(const T* __restrict__ x, T* __restrict__ y, int64_t outer, int64_t n,
                    int64_t inner) {
    using A = Accumulator<T>;
    const int64_t column = int64_t(blockIdx.x) * threads + threadIdx.x;
    if (column >= outer * inner)
        return;
    const int64_t first = column / inner * n * inner + column % inner;
    A top = -INFINITY;
    for (int64_t i = 0; i < n; i++)
        top = Max::merge(to_accumulator(x[first + i * inner]), top);
    A total = 0;
    for (int64_t i = 0; i < n; i++)
        total += exp(to_accumulator(x[first + i * inner]) - top);
    const A log_total = log(total);
    for (int64_t i = 0; i < n; i++) {
        const A shifted = to_accumulator(x[first + i * inner]) - top;
        y[first + i * inner] =
            from_accumulator<T>(log_form ? shifted - log_total : exp(shifted) / total);
    }
}

template <bool log_form, class T>
__global__ void __launch_bounds__(threads)
    softmax_columns_backward(const T* __restrict__ g, const T* __restrict__ y, T* __restrict__ gx,
                             int64_t outer, int64_t n, int64_t inner) {
    using A = Accumulator<T>;
    const int64_t column = int64_t(blockIdx.x) * threads + threadIdx.x;
    if (column >= outer * inner)
        return;
    const int64_t first = column / inner * n * inner + column % inner;
    A total = 0;
    for (int64_t i = 0; i < n; i++) {
        const A gradient = to_accumulator(g[first + i * inner]);
        total += log_form ? gradient : gradient * to_accumulator(y[first + i * inner]);
    }
    for (int64_t i = 0; i < n; i++) {
        const A gradient = to_accumulator(g[first + i * inner]);
        const A value = to_accumulator(y[first + i * inner]);
        gx[first + i * inner] = from_accumulator<T>(log_form ? gradient - exp(value) * total
                                                             : value * (gradient - total));
    }
}

unsigned blocks_for(int64_t items, int per_block) {
    return unsigned((items + per_block - 1) / per_block);
}

template <bool log_form, class T>
cudaError_t launch_rows(const T* x, T* y, int64_t rows, int64_t n, cudaStream_t stream) {
    const auto run = [&](auto kernel, int lanes) {
        return simt::launch(kernel, dim3(blocks_for(rows, threads / lanes)), dim3(threads), 0,
                            stream, x, y, rows, n);
    };
    if (n <= 32)
        return run(softmax_rows<log_form, 32, 1, T>, 32);
    if (n <= 128)
        return run(softmax_rows<log_form, 32, 4, T>, 32);
    if (n <= 512)
        return run(softmax_rows<log_form, 32, 16, T>, 32);
    if (n <= threads * 16)
        return run(softmax_rows<log_form, threads, 16, T>, threads);
    return run(softmax_rows<log_form, threads, 0, T>, threads);
}

template <bool log_form, class T>
cudaError_t launch_rows_backward(const T* g, const T* y, T* gx, int64_t rows, int64_t n,
                                 cudaStream_t stream) {
    if (n <= 512)
        return simt::launch(softmax_rows_backward<log_form, 32, T>,
                            dim3(blocks_for(rows, threads / 32)), dim3(threads), 0, stream, g, y,
                            gx, rows, n);
    return simt::launch(softmax_rows_backward<log_form, threads, T>, dim3(unsigned(rows)),
                        dim3(threads), 0, stream, g, y, gx, rows, n);
}

template <bool log_form>
cudaError_t forward(DType dtype, const void* x, void* y, int64_t outer, int64_t n, int64_t inner,
                    cudaStream_t stream) {
    return dispatch_float(dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        const auto* in = static_cast<const T*>(x);
        auto* out = static_cast<T*>(y);
        if (inner == 1)
            return launch_rows<log_form, T>(in, out, outer, n, stream);
        return simt::launch(softmax_columns<log_form, T>, dim3(blocks_for(outer * inner, threads)),
                            dim3(threads), 0, stream, in, out, outer, n, inner);
    });
}

template <bool log_form>
cudaError_t backward(DType dtype, const void* g, const void* y, void* gx, int64_t outer, int64_t n,
                     int64_t inner, cudaStream_t stream) {
    return dispatch_float(dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        const auto* gradient = static_cast<const T*>(g);
        const auto* result = static_cast<const T*>(y);
        auto* out = static_cast<T*>(gx);
        if (inner == 1)
            return launch_rows_backward<log_form, T>(gradient, result, out, outer, n, stream);
        return simt::launch(softmax_columns_backward<log_form, T>,
                            dim3(blocks_for(outer * inner, threads)), dim3(threads), 0, stream,
                            gradient, result, out, outer, n, inner);
    });
}

} // namespace

cudaError_t softmax(bool log, DType dtype, const void* x, void* y, int64_t outer, int64_t n,
                    int64_t inner, cudaStream_t stream) {
    if (outer * n * inner == 0)
        return cudaSuccess;
    return log ? forward<true>(dtype, x, y, outer, n, inner, stream)
               : forward<false>(dtype, x, y, outer, n, inner, stream);
}

cudaError_t softmax_backward(bool log, DType dtype, const void* g, const void* y, void* gx,
                             int64_t outer, int64_t n, int64_t inner, cudaStream_t stream) {
    if (outer * n * inner == 0)
        return cudaSuccess;
    return log ? backward<true>(dtype, g, y, gx, outer, n, inner, stream)
               : backward<false>(dtype, g, y, gx, outer, n, inner, stream);
}

} // namespace fastnn::cuda
