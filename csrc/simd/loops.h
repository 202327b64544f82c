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

} // namespace fastnn::FASTNN_ISA
