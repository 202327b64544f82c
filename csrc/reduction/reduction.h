// Sum, mean, maximum and minimum over axes; positions of the maximum and minimum.
//
// After collapsing, a reduction has one of two forms:
//     runs      x[r1][k][r2] -> y[k]        r2 contiguous: all, the last axis, (0, 2, 3) of NCHW
//     columns   x[k1][r][k2] -> y[k1][k2]   k2 contiguous: the first axis, (0, 2, 3) of NHWC, a
//     middle axis
// Floor: one read of x.
//
// Sums: a block of at most kSumSteps additions is summed in T by several vector accumulators,
// blocks are added in double. So |error| <= (kSumSteps + 8) eps sum|x| for float, however many the
// elements. The partition into blocks and chunks depends on the shape alone, and chunks are added
// in order: the bits do not depend on threads. A NaN wins every maximum and minimum.
//
// Reached on one thread of a Zen 4 with AVX-512, float, (128, 32, 26, 26), us (PyTorch 2.13 beside
// it in brackets): sum of all 136 (138), over (0, 2, 3) NCHW 141 (188), NHWC 128 (125), over the
// channels 250 (297), maximum of all 147 (121); positions in 128 rows of 1000: 20 (113).
// On 2 cores of Zen 4, AVX2: the sum of the columns of (128, 1000) in strips of columns 7.5 us, in
// parts of rows, whose sums have to be added, 9.8 (PyTorch 11.8).
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastnn {

inline constexpr int kSumSteps = 64;

enum class Reduction { sum, mean, amax, amin };

// Every accumulator is a double: it holds any float exactly.
struct ReductionTable {
    // acc[i] is combined with the runs x[j * r_stride + i * k_stride + 0..n-1] of j < r.
    using Runs = void (*)(const void* x, int64_t r, int64_t r_stride, int64_t k, int64_t k_stride,
                          int64_t n, double* acc);
    // acc[c] is combined with x[j * row_stride + c] of j < rows.
    using Columns = void (*)(const void* x, int64_t rows, int64_t row_stride, int64_t cols,
                             double* acc);
    // out[i]: position of the first largest (smallest) element of x[i * k_stride + 0..n-1], the
    // first NaN if any.
    using Position = void (*)(const void* x, int64_t k, int64_t k_stride, int64_t n, int64_t* out);
    // [0] float, [1] double; sum, max, min
    Runs runs[2][3];
    Columns columns[2][3];
    Position position[2][2]; // max, min
};
FASTNN_KERNEL_TABLE(ReductionTable, reduction_table)

// Sizes and strides in elements. runs: outer = r1, middle = k, inner = r2; columns: outer = k1,
// middle = r, inner = k2.
struct ReductionCall {
    Reduction function;
    bool is_double;
    bool columns;
    int64_t outer, middle, inner;
    int64_t outer_stride, middle_stride;
    const void* x;
    void* y;
};
void reduce(const ReductionCall& call);

// Rows of n elements, `rows` of them, row_stride apart.
void arg_reduce(bool is_double, bool minimum, const void* x, int64_t rows, int64_t row_stride,
                int64_t n, int64_t* y);

} // namespace fastnn
