// Layer and RMS normalisation: each row by its own statistics, and the gradients.
//
// Floor: a read and a write forward, two reads and a write backward; a row that fits the L1 cache
// meets it, since its passes (mean, deviations, result; backward two) read memory once. Several
// short rows go together, so that the latencies of their sums overlap and weights are read once for
// all. The gradients of weight and bias are summed beside it: in T over at most kRowNormRows rows,
// then in double. How rows are cut into parts depends on the shape alone.
//
// Reached on one core of Zen 4, AVX2, for 8 floats in the L2 cache, ns forward / backward: rows of
// 64 2.4 / 3.0 (3.9 / 3.9 one by one), of 256 1.6 / 2.5 (2.5 / 3.7), of 1024 1.7 / 3.1 (1.7 / 4.0
// with three passes backward). Layer norm of (4096, 256) on 2 cores: 0.13 and 0.18 ms (PyTorch 2.13
// 0.25 and 0.28).
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastnn {

inline constexpr int64_t kRowNormRows = 64;

// y = (x - mean) * scale * weight + bias with scale = 1 / sqrt(mean of (x - mean)^2 + eps). Without
// `mean` (RMS norm) it is 0. Weight and bias may be null.
struct RowNorm {
    int64_t rows, n;
    bool is_double;
    double eps;
    const void *x, *weight, *bias;
    void *mean, *scale, *y; // (rows,), (rows,), (rows, n)
};
void row_norm(const RowNorm& call);

// With xhat = (x - mean) * scale and h = g * weight:
//     gx = scale * (h - mean of h - xhat * mean of h * xhat), without the second term for RMS norm
//     gweight = sum of g * xhat, gbias = sum of g over the rows
struct RowNormBackward {
    int64_t rows, n;
    bool is_double;
    const void *g, *x, *weight, *mean, *scale;
    void *gx, *gweight, *gbias; // (rows, n), (n,), (n,)
};
void row_norm_backward(const RowNormBackward& call);

// Of some rows; the pointers of the call are moved to the first of them. gweight and gbias are
// added to.
struct RowNormTable {
    void (*forward[2])(const RowNorm& call); // float, double
    void (*backward[2])(const RowNormBackward& call);
};
FASTNN_KERNEL_TABLE(RowNormTable, row_norm_table)

} // namespace fastnn
