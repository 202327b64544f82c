// Reductions of a group of threads, always in the same order: the result has the same bits in every
// run.
#pragma once

#include "core/device.cuh"

namespace fastnn::cuda {

template <class T>
__device__ __forceinline__ T shuffle_xor(T value, int lanes) {
    return __shfl_xor_sync(~0u, value, lanes);
}

struct Sum {
    template <class T>
    static __device__ __forceinline__ T identity() {
        return T(0);
    }
    template <class T>
    static __device__ __forceinline__ T merge(T a, T b) {
        return a + b;
    }
};

// NaN wins, as in PyTorch.
struct Max {
    template <class T>
    static __device__ __forceinline__ T identity() {
        return T(-INFINITY);
    }
    template <class T>
    static __device__ __forceinline__ T merge(T a, T b) {
        return a > b || a != a ? a : b;
    }
};
struct Min {
    template <class T>
    static __device__ __forceinline__ T identity() {
        return T(INFINITY);
    }
    template <class T>
    static __device__ __forceinline__ T merge(T a, T b) {
        return a < b || a != a ? a : b;
    }
};

// The functions below give every thread of the group the result; all threads of the block must call
// them. Op is Sum, or any type with merge (and shuffle_xor for its values).

// Reduces over `lanes` consecutive threads, a power of two up to a warp.
template <class Op, class T>
__device__ __forceinline__ T warp_reduce(T value, int lanes = 32) {
#pragma unroll
    for (int offset = 16; offset; offset /= 2)
        if (offset < lanes)
            value = Op::merge(value, shuffle_xor(value, offset));
    return value;
}

// Reduces over the warps of a block of `threads` threads, which hold the results of their warps.
template <int threads, class Op, class T>
__device__ __forceinline__ T merge_warps(T value) {
    static_assert(threads % 32 == 0 && threads <= 1024);
    T(&of_warp)[threads / 32] = simt::smem_static<T[threads / 32]>();
    __syncthreads(); // a reduction before this one may still be read
    if (threadIdx.x % 32 == 0)
        of_warp[threadIdx.x / 32] = value;
    __syncthreads();
    value = of_warp[0];
    for (int i = 1; i < threads / 32; i++)
        value = Op::merge(value, of_warp[i]);
    return value;
}

// Reduces over `lanes` consecutive threads: a warp, or the whole block of `lanes` threads.
template <int lanes, class Op, class T>
__device__ __forceinline__ T group_reduce(T value) {
    value = warp_reduce<Op>(value);
    if constexpr (lanes > 32)
        value = merge_warps<lanes, Op>(value);
    return value;
}

} // namespace fastnn::cuda
