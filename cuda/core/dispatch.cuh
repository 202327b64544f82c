// From a DType to the element type of a kernel, and the types that kernels compute in.
#pragma once

#include "core/device.cuh"
#include "core/dtype.h"

namespace fastnn::cuda {

using float16 = __half;
using bfloat16 = __nv_bfloat16;

// The type in which elements of T are summed and functions evaluated.
template <class T>
struct AccumulatorOf {
    using type = float;
};
template <>
struct AccumulatorOf<double> {
    using type = double;
};
template <class T>
using Accumulator = typename AccumulatorOf<T>::type;

template <class T>
__host__ __device__ __forceinline__ Accumulator<T> to_accumulator(T x) {
    return static_cast<Accumulator<T>>(x);
}
template <class T>
__host__ __device__ __forceinline__ T from_accumulator(Accumulator<T> x) {
    return T(x);
}

template <class T>
struct Type {
    using type = T;
};

// f(Type<T>{}) for the floating type T; cudaErrorInvalidValue for the others.
template <class F>
cudaError_t dispatch_float(DType type, F&& f) {
    switch (type) {
    case DType::float32:
        return f(Type<float>{});
    case DType::float64:
        return f(Type<double>{});
    case DType::float16:
        return f(Type<float16>{});
    case DType::bfloat16:
        return f(Type<bfloat16>{});
    default:
        return cudaErrorInvalidValue;
    }
}

} // namespace fastnn::cuda
