// Loops over arrays in vectors, the last one partial.
#pragma once

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

// Calls body(position, lanes in use) for the vectors of n elements.
template <class T, class Body>
FASTNN_INLINE void for_vectors(int64_t n, Body body) {
    constexpr int lanes = kLanes<T>;
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
        body(i, int64_t{lanes});
    if (i < n)
        body(i, n - i);
}

template <class T>
FASTNN_INLINE Vec<T> get(const T* p, int64_t n) {
    return n == kLanes<T> ? load(p) : load_partial(p, n);
}

template <class T>
FASTNN_INLINE void put(T* p, Vec<T> v, int64_t n) {
    if (n == kLanes<T>)
        store(p, v);
    else
        store_partial(p, v, n);
}

inline constexpr int kSums = 4; // accumulators

// The sum of f(vector at i) over n elements, by several accumulators; f gets the lanes in use, and
// gives 0 in others.
template <class T, class F>
FASTNN_INLINE double sum_vectors(int64_t n, F f) {
    constexpr int lanes = kLanes<T>;
    Vec<T> acc[kSums] = {};
    int64_t i = 0;
    for (; i + kSums * lanes <= n; i += kSums * lanes)
#pragma GCC unroll 4
        for (int j = 0; j < kSums; ++j)
            acc[j] += f(i + j * lanes, int64_t{lanes});
    for (; i + lanes <= n; i += lanes)
        acc[0] += f(i, int64_t{lanes});
    if (i < n)
        acc[1] += f(i, n - i);
    return static_cast<double>(sum((acc[0] + acc[1]) + (acc[2] + acc[3])));
}

template <class T>
FASTNN_INLINE Vec<T> first_lanes(Vec<T> v, int64_t n) {
    if (n == kLanes<T>)
        return v;
    T lane[kLanes<T>];
    store(lane, v);
    return load_partial(lane, n);
}

} // namespace fastnn::FASTNN_ISA
