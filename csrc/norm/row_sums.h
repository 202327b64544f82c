// Sums over long rows, for the normalisations.
#pragma once

#include "simd/loops.h"
#include "simd/math.h"

namespace fastnn::FASTNN_ISA {

inline constexpr int64_t kSumBlock = 4096; // elements of a row that are summed in T

// The sum of f(vector at i) over a row: blocks in T, their sums in double.
template <class T, class F>
FASTNN_INLINE double sum_row(int64_t n, F f) {
    double total = 0;
    for (int64_t at = 0; at < n; at += kSumBlock)
        total += sum_vectors<T>(n - at < kSumBlock ? n - at : kSumBlock,
                                [&](int64_t i, int64_t k) { return f(at + i, k); });
    return total;
}

template <class T>
FASTNN_INLINE double square_root(double x) {
    return sqrt(broadcast(x))[0];
}

} // namespace fastnn::FASTNN_ISA
