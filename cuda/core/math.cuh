// Functions that several families evaluate.
#pragma once

#include "core/device.cuh"

namespace fastnn::cuda {

template <class A>
__device__ __forceinline__ A logistic(A x) {
    // exp of a number that is never positive: no overflow
    const A e = exp(-fabs(x));
    return (x >= A(0) ? A(1) : e) / (A(1) + e);
}

} // namespace fastnn::cuda
