// Vec<T>: as many T as one vector register of the ISA level holds, on GCC/Clang vector extensions.
//
// Operators work lane by lane: a + b, a * b, a < b (a mask: an integer vector of -1 and 0), mask ?
// a : b. What they do not give is here. Include it from *_kernels.cpp only; everything is inlined,
// so no symbol is shared between levels.
#pragma once

#include <cstdint>
#include <type_traits> // types alone: no code
#include <utility>     // std::integer_sequence, a type

#include "core/parallel.h" // FASTNN_INLINE

#if defined(__x86_64__)
// GCC 12 takes the undefined operands inside its own intrinsics for a mistake (GCC bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

namespace fastnn::FASTNN_ISA {

#if defined(__AVX512F__) || defined(FASTNN_EMULATED_ISA)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

template <class T>
struct VecOf {
    typedef T type __attribute__((vector_size(kVectorBytes)));
};
// T is float, double or an integer type. Vec<int32_t> has the lanes of Vec<float>, Vec<int64_t>
// those of Vec<double>.
template <class T>
using Vec = typename VecOf<T>::type;
template <class T>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

template <class V>
using LaneOf = std::remove_cvref_t<decltype(V{}[0])>;

// -- memory: no alignment is needed -------------------------------------------------------------
template <class T>
FASTNN_INLINE Vec<T> load(const T* p) {
    Vec<T> v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

template <class T>
FASTNN_INLINE void store(T* p, Vec<T> v) {
    __builtin_memcpy(p, &v, sizeof v);
}

template <class T>
FASTNN_INLINE Vec<T> broadcast(T x) {
    return x - Vec<T>{}; // x - 0 is x, for -0 and NaN too
}

// A mask of the first n lanes.
template <class Int>
FASTNN_INLINE Vec<Int> first_lanes(int64_t n) {
    Vec<Int> index;
    for (int i = 0; i < kLanes<Int>; ++i)
        index[i] = i;
    return index < broadcast(static_cast<Int>(n));
}

// The first n lanes (0 <= n <= lanes) from memory, the others zero. Memory beyond them is not
// touched.
template <class T>
FASTNN_INLINE Vec<T> load_partial(const T* p, int64_t n) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)_mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << n) - 1), p);
    else if constexpr (sizeof(T) == 8)
        return (Vec<T>)_mm512_maskz_loadu_epi64(static_cast<__mmask8>((1u << n) - 1), p);
#elif defined(__AVX2__) && !defined(FASTNN_EMULATED_ISA)
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)_mm256_maskload_epi32((const int*)p, (__m256i)first_lanes<int32_t>(n));
    else if constexpr (sizeof(T) == 8)
        return (Vec<T>)_mm256_maskload_epi64((const long long*)p, (__m256i)first_lanes<int64_t>(n));
#endif
    Vec<T> v = {};
    for (int64_t i = 0; i < n; ++i)
        v[i] = p[i];
    return v;
}

// (On AVX2 not by its masked store, which takes some 40 cycles on AMD's processors.)
template <class T>
FASTNN_INLINE void store_partial(T* p, Vec<T> v, int64_t n) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) {
        _mm512_mask_storeu_epi32(p, static_cast<__mmask16>((1u << n) - 1), (__m512i)v);
        return;
    } else if constexpr (sizeof(T) == 8) {
        _mm512_mask_storeu_epi64(p, static_cast<__mmask8>((1u << n) - 1), (__m512i)v);
        return;
    }
#elif defined(__AVX2__) && !defined(FASTNN_EMULATED_ISA)
    if constexpr (sizeof(T) == 4 || sizeof(T) == 8) {
        if (n == kLanes<T>)
            return store(p, v);
        char* to = reinterpret_cast<char*>(p);
        __m128i rest = _mm256_castsi256_si128((__m256i)v);
        const int64_t bytes = n * static_cast<int64_t>(sizeof(T));
        if (bytes & 16) {
            _mm_storeu_si128(reinterpret_cast<__m128i*>(to), rest);
            rest = _mm256_extracti128_si256((__m256i)v, 1);
            to += 16;
        }
        if (bytes & 8) {
            _mm_storel_epi64(reinterpret_cast<__m128i*>(to), rest);
            rest = _mm_unpackhi_epi64(rest, rest);
            to += 8;
        }
        if (bytes & 4)
            _mm_storeu_si32(to, rest);
        return;
    }
#endif
    for (int64_t i = 0; i < n; ++i)
        p[i] = v[i];
}

// -- arithmetic ---------------------------------------------------------------------------------
// a * b + c, rounded once where the level has FMA.
template <class V>
FASTNN_INLINE V fma(V a, V b, V c) {
    return a * b + c;
}

// a > b ? a : b, so b where either is NaN: what one instruction does, where the compiler takes two.
// (For AVX-512 the masked intrinsics, since GCC 12 warns of the plain ones; with a full mask the
// code is the same.)
template <class V>
FASTNN_INLINE V max(V a, V b) {
    [[maybe_unused]] constexpr bool is_float = std::is_same_v<LaneOf<V>, float>,
                                    is_double = std::is_same_v<LaneOf<V>, double>;
#if defined(__AVX512F__)
    if constexpr (is_float && sizeof(V) == 64)
        return (V)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b);
    if constexpr (is_double && sizeof(V) == 64)
        return (V)_mm512_maskz_max_pd(0xff, (__m512d)a, (__m512d)b);
#endif
#if defined(__AVX__)
    if constexpr (is_float && sizeof(V) == 32)
        return (V)_mm256_max_ps((__m256)a, (__m256)b);
    if constexpr (is_double && sizeof(V) == 32)
        return (V)_mm256_max_pd((__m256d)a, (__m256d)b);
#endif
#if defined(__SSE2__)
    if constexpr (is_float && sizeof(V) == 16)
        return (V)_mm_max_ps((__m128)a, (__m128)b);
    if constexpr (is_double && sizeof(V) == 16)
        return (V)_mm_max_pd((__m128d)a, (__m128d)b);
#endif
    return a > b ? a : b;
}

// a < b ? a : b, so b where either is NaN.
template <class V>
FASTNN_INLINE V min(V a, V b) {
    [[maybe_unused]] constexpr bool is_float = std::is_same_v<LaneOf<V>, float>,
                                    is_double = std::is_same_v<LaneOf<V>, double>;
#if defined(__AVX512F__)
    if constexpr (is_float && sizeof(V) == 64)
        return (V)_mm512_maskz_min_ps(0xffff, (__m512)a, (__m512)b);
    if constexpr (is_double && sizeof(V) == 64)
        return (V)_mm512_maskz_min_pd(0xff, (__m512d)a, (__m512d)b);
#endif
#if defined(__AVX__)
    if constexpr (is_float && sizeof(V) == 32)
        return (V)_mm256_min_ps((__m256)a, (__m256)b);
    if constexpr (is_double && sizeof(V) == 32)
        return (V)_mm256_min_pd((__m256d)a, (__m256d)b);
#endif
#if defined(__SSE2__)
    if constexpr (is_float && sizeof(V) == 16)
        return (V)_mm_min_ps((__m128)a, (__m128)b);
    if constexpr (is_double && sizeof(V) == 16)
        return (V)_mm_min_pd((__m128d)a, (__m128d)b);
#endif
    return a < b ? a : b;
}

template <class V>
FASTNN_INLINE V sqrt(V a) {
    for (int i = 0; i < static_cast<int>(sizeof(V) / sizeof(LaneOf<V>)); ++i)
        a[i] = sizeof(LaneOf<V>) == 4 ? (LaneOf<V>)__builtin_sqrtf((float)a[i])
                                      : (LaneOf<V>)__builtin_sqrt((double)a[i]);
    return a;
}

// -- moving lanes -------------------------------------------------------------------------------
// One step of a transpose: the off-diagonal blocks of H lanes of two rows change places.
template <int H, class V, int... I>
FASTNN_INLINE void swap_blocks(V& a, V& b, std::integer_sequence<int, I...>) {
    constexpr int lanes = sizeof...(I);
    const V top = __builtin_shufflevector(a, b, (I & H ? (I ^ H) + lanes : I)...);
    b = __builtin_shufflevector(a, b, (I & H ? I + lanes : (I ^ H))...);
    a = top;
}

// rows[i][j] becomes rows[j][i].
template <class V, int lanes, int H = lanes / 2>
FASTNN_INLINE void transpose(V (&rows)[lanes]) {
    static_assert(lanes == sizeof(V) / sizeof(LaneOf<V>));
    if constexpr (H > 0) {
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i)
            if (!(i & H))
                swap_blocks<H>(rows[i], rows[i + H], std::make_integer_sequence<int, lanes>());
        transpose<V, lanes, H / 2>(rows);
    }
}

// -- reductions of one vector, always in the same order: halves folded together -----------------
template <class V, class Combine>
FASTNN_INLINE LaneOf<V> fold(V v, Combine combine) {
    if constexpr (sizeof(V) > 16) {
        typedef LaneOf<V> Half __attribute__((vector_size(sizeof(V) / 2)));
        Half low, high;
        __builtin_memcpy(&low, &v, sizeof low);
        __builtin_memcpy(&high, reinterpret_cast<const char*>(&v) + sizeof low, sizeof high);
        return fold<Half>(combine(low, high), combine);
    } else if constexpr (sizeof(V) / sizeof(LaneOf<V>) == 4) {
        return combine(combine(v[0], v[2]), combine(v[1], v[3]));
    } else {
        static_assert(sizeof(V) / sizeof(LaneOf<V>) == 2);
        return combine(v[0], v[1]);
    }
}

template <class V>
FASTNN_INLINE auto sum(V v) {
    return fold(v, [](auto a, auto b) { return a + b; });
}

template <class V>
FASTNN_INLINE auto max_lane(V v) {
    return fold(v, [](auto a, auto b) { return a > b ? a : b; });
}

template <class V>
FASTNN_INLINE auto min_lane(V v) {
    return fold(v, [](auto a, auto b) { return a < b ? a : b; });
}

} // namespace fastnn::FASTNN_ISA
