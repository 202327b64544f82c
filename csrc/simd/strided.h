// Vectors with a stride: every second element of memory, and two vectors interleaved.
#pragma once

#include "simd/math.h"

namespace fastnn::FASTNN_ISA {

// The lanes of low and high (numbered on from low's) that `pick` names.
template <class T>
FASTNN_INLINE Vec<T> shuffle(Vec<T> low, Vec<T> high,
                             const typename MathConstants<T>::Int (&pick)[kLanes<T>]) {
#if defined(__clang__)
    Vec<T> v;
    for (int i = 0; i < kLanes<T>; ++i)
        v[i] = pick[i] < kLanes<T> ? low[pick[i]] : high[pick[i] - kLanes<T>];
    return v;
#else
    IntVec<T> mask;
    __builtin_memcpy(&mask, pick, sizeof mask);
    return __builtin_shuffle(low, high, mask);
#endif
}

// Elements 0, 2, 4, ... of p[0 .. 2 * lanes - 2].
template <class T>
FASTNN_INLINE Vec<T> load_every_second(const T* p) {
    constexpr int lanes = kLanes<T>;
    typename MathConstants<T>::Int pick[lanes];
    for (int i = 0; i < lanes / 2; ++i) {
        pick[i] = 2 * i;
        pick[lanes / 2 + i] = lanes + 2 * i + 1;
    }
    // The second load ends with the last element that is needed.
    return shuffle<T>(load(p), load(p + lanes - 1), pick);
}

// The even and the odd lanes of two vectors in a row, both in an order of their own, and what
// brings them (or a function of both) in the right one. Where registers have two halves that only
// slow instructions cross, the pairs are found within the halves, and the order is mended once.
template <class T>
struct Pairs {
    static constexpr int lanes = kLanes<T>, half = kVectorBytes == 32 ? lanes / 2 : lanes;
    typename MathConstants<T>::Int even[lanes], odd[lanes], order[lanes];

    constexpr Pairs() : even(), odd(), order() {
        for (int i = 0; i < lanes; ++i) {
            const int at = i / half * half + i % half * 2 % half;
            even[i] = half == lanes ? 2 * i : i % half < half / 2 ? at : lanes + at;
            odd[i] = even[i] + 1;
            order[i] = i / (half / 2) % 2 * half + i / half * (half / 2) + i % (half / 2);
        }
    }
    FASTNN_INLINE Vec<T> evens(Vec<T> left, Vec<T> right) const {
        return shuffle<T>(left, right, even);
    }
    FASTNN_INLINE Vec<T> odds(Vec<T> left, Vec<T> right) const {
        return shuffle<T>(left, right, odd);
    }
    FASTNN_INLINE Vec<T> mended(Vec<T> v) const {
        if constexpr (half == lanes)
            return v;
        else
            return shuffle<T>(v, v, order);
    }
};

// combine(0, 1), combine(2, 3), ... of the lanes of left and right in a row.
template <class T, class Combine>
FASTNN_INLINE Vec<T> combine_pairs(Vec<T> left, Vec<T> right, Combine combine) {
    constexpr Pairs<T> pairs;
    return pairs.mended(combine(pairs.evens(left, right), pairs.odds(left, right)));
}

// Elements 0, stride, 2 * stride, ... : the first n lanes. The other lanes may hold anything that
// lies before `limit`.
template <int Stride, class T>
FASTNN_INLINE Vec<T> load_strided(const T* p, int64_t stride, int64_t n, const T* limit) {
    constexpr int lanes = kLanes<T>;
    if constexpr (Stride == 1) {
        return n == lanes || p + lanes <= limit ? load(p) : load_partial(p, n);
    } else {
        if constexpr (Stride == 2)
            if (n == lanes || p + 2 * lanes - 1 <= limit)
                return load_every_second(p);
        T lane[lanes] = {};
        for (int64_t i = 0; i < n; ++i)
            lane[i] = p[i * stride];
        return load(lane);
    }
}

// The first n lanes from p. Masked loads and stores of few lanes are slow on some CPUs, and loops
// on others: where a whole vector ends before `limit` it is moved whole. The lanes beyond n then
// hold what lies there.
template <class T>
FASTNN_INLINE Vec<T> load_before(const T* p, int64_t n, const T* limit) {
    return n == kLanes<T> || p + kLanes<T> <= limit ? load(p) : load_partial(p, n);
}

// The same for stores: what lies behind p[n - 1] is overwritten, and has to be written later.
template <class T>
FASTNN_INLINE void store_before(T* p, Vec<T> v, int64_t n, const T* limit) {
    if (n == kLanes<T> || p + kLanes<T> <= limit)
        store(p, v);
    else
        store_partial(p, v, n);
}

// p[0 .. 2 n - 1] = even[0], odd[0], even[1], odd[1], ... by store_before.
template <class T>
FASTNN_INLINE void store_interleaved(T* p, Vec<T> even, Vec<T> odd, int64_t n, const T* limit) {
    constexpr int lanes = kLanes<T>;
    typename MathConstants<T>::Int low[lanes], high[lanes];
    for (int i = 0; i < lanes / 2; ++i) {
        low[2 * i] = i;
        low[2 * i + 1] = lanes + i;
        high[2 * i] = lanes / 2 + i;
        high[2 * i + 1] = lanes + lanes / 2 + i;
    }
    store_before(p, shuffle<T>(even, odd, low), 2 * n < lanes ? 2 * n : lanes, limit);
    if (2 * n > lanes)
        store_before(p + lanes, shuffle<T>(even, odd, high), 2 * n - lanes, limit);
}

} // namespace fastnn::FASTNN_ISA
