// Sums, extremes and their positions along one axis.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/runtime.h"

namespace fastnn::cuda {

enum class Reduce { sum, max, min, argmax, argmin };

// x (outer, reduced, inner) by strides in elements; y (outer, parts, inner), dense, whose element s
// reduces the s-th of `parts` equal parts of the reduced axis. A reduction in two passes is two
// calls.
struct Reduction {
    Reduce op;
    DType x_dtype, y_dtype; // both floating; y_dtype is x_dtype or its accumulator, or the reverse
    int64_t outer, reduced, inner, parts;
    int64_t outer_stride, reduced_stride, inner_stride;
    const void* x;
    void* y = nullptr; // sum, max, min: the results; argmax, argmin: the extremes, or null
    double divisor = 1;
    const int64_t* positions = nullptr; // argmax, argmin: of x's elements, dense; null: 0, 1, 2 ...
    int64_t* y_positions = nullptr;     // argmax, argmin: of the extremes
};

// In how many parts the first pass best goes; 1: one pass is enough. Depends on the shape alone.
int64_t reduction_parts(int64_t outer, int64_t reduced, int64_t inner);
cudaError_t reduce(const Reduction& call, cudaStream_t stream);

} // namespace fastnn::cuda
