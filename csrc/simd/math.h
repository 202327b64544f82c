// Vector exp, log, tanh and sigmoid for float and double.
//
// Each follows the same plan: reduce the argument, evaluate a polynomial of the reduced one (fitted
// at Chebyshev nodes for a relative error below a tenth of an ulp), undo the reduction. NaN,
// infinities and subnormal numbers are right. Largest errors in ulp, with FMA and without
// (tests/backends/test_elementwise.py measures them over all magnitudes):
//     exp 1   log 1   tanh 3   sigmoid 3
#pragma once

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

// ln 2 is split in two: n * kLn2Hi is exact for every exponent n.
template <class T>
struct MathConstants;

template <>
struct MathConstants<float> {
    using Int = int32_t;
    using Unsigned = uint32_t;
    static constexpr float kRound = 12582912.0f; // 1.5 * 2^23: adding it rounds to an integer
    static constexpr float kLn2Hi = 0x1.62e4p-1f;
    static constexpr float kLn2Lo = 1.4286068203094172321e-6f;
    static constexpr float kExpLow = -104.0f; // exp is 0 below and infinite above
    static constexpr float kExpHigh = 89.0f;
    static constexpr float kExpFlush = -87.0f; // exp is a normal number from here
    static constexpr float kTanhOne = 10.0f;   // tanh rounds to 1 from here
    static constexpr float kMinNormal = 0x1p-126f;
    static constexpr float kSubnormalScale = 0x1p24f;
    static constexpr int kSubnormalShift = 24;
    static constexpr int kMantissaBits = 23;
    static constexpr Int kBias = 127;
    static constexpr Unsigned kOne = 0x3f800000;
    static constexpr Unsigned kSqrtHalf = 0x3f3504f3;
    static constexpr Unsigned kMantissaMask = 0x007fffff;
    static constexpr Unsigned kSignMask = 0x80000000;
    // (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2, lowest term first
    static constexpr float kExp[] = {0.50000000134658092001f,  0.16666666681623231402f,
                                     0.041666464925285905408f, 0.0083333109254809008349f,
                                     0.001393364999630925043f, 0.00019890990824673653848f};
    // (log((1 + s) / (1 - s)) - 2 s) / s^3 in powers of s^2
    static constexpr float kLog[] = {0.6666666655404201243f, 0.40000122211810649396f,
                                     0.28550778633191965434f, 0.23331614471843499235f};
};

template <>
struct MathConstants<double> {
    using Int = int64_t;
    using Unsigned = uint64_t;
    static constexpr double kRound = 6755399441055744.0; // 1.5 * 2^52
    static constexpr double kLn2Hi = 0x1.62e42fefa3800p-1;
    static constexpr double kLn2Lo = 5.497923018708371174712472e-14;
    static constexpr double kExpLow = -746.0;
    static constexpr double kExpHigh = 710.0;
    static constexpr double kExpFlush = -708.0;
    static constexpr double kTanhOne = 20.0;
    static constexpr double kMinNormal = 0x1p-1022;
    static constexpr double kSubnormalScale = 0x1p54;
    static constexpr int kSubnormalShift = 54;
    static constexpr int kMantissaBits = 52;
    static constexpr Int kBias = 1023;
    static constexpr Unsigned kOne = 0x3ff0000000000000;
    static constexpr Unsigned kSqrtHalf = 0x3fe6a09e667f3bcd;
    static constexpr Unsigned kMantissaMask = 0x000fffffffffffff;
    static constexpr Unsigned kSignMask = 0x8000000000000000;
    static constexpr double kExp[] = {0.5,
                                      0.16666666666666670991,
                                      0.041666666666666669755,
                                      0.0083333333333261351258,
                                      0.0013888888888883748305,
                                      0.00019841269874820625271,
                                      0.000024801587325547741216,
                                      2.755725540020642443e-6,
                                      2.7557273643110295328e-7,
                                      2.5105217004720745164e-8,
                                      2.0914686968086877233e-9};
    static constexpr double kLog[] = {0.66666666666666666463, 0.40000000000000883236,
                                      0.28571428570799785031, 0.22222222392581045097,
                                      0.18181795547521136235, 0.15386244737621666606,
                                      0.13268638369266823879, 0.1308803485092755383};
};

template <class T>
using IntVec = Vec<typename MathConstants<T>::Int>;
template <class T>
using UnsignedVec = Vec<typename MathConstants<T>::Unsigned>;

template <class T, int Terms>
FASTNN_INLINE Vec<T> polynomial(const T (&c)[Terms], Vec<T> x) {
    Vec<T> y = broadcast(c[Terms - 1]);
#pragma GCC unroll 16
    for (int i = Terms - 2; i >= 0; --i)
        y = y * x + c[i];
    return y;
}

template <class T>
FASTNN_INLINE Vec<T> abs(Vec<T> x) {
    return (Vec<T>)((UnsignedVec<T>)x & ~MathConstants<T>::kSignMask);
}

// 2^k for k in the range of normal exponents.
template <class T>
FASTNN_INLINE Vec<T> power_of_two(IntVec<T> k) {
    using C = MathConstants<T>;
    return (Vec<T>)((k + C::kBias) << C::kMantissaBits);
}

// x = k ln 2 + r with |r| <= ln(2) / 2; returns exp(r) - 1.
template <class T>
FASTNN_INLINE Vec<T> exp_reduced(Vec<T> x, IntVec<T>* k) {
    using C = MathConstants<T>;
    const Vec<T> shifted = x * T(1.4426950408889634074) + C::kRound;
    *k = (IntVec<T>)shifted - (IntVec<T>)broadcast(C::kRound);
    const Vec<T> n = shifted - C::kRound;
    const Vec<T> r = (x - n * C::kLn2Hi) - n * C::kLn2Lo;
    return r * r * polynomial(C::kExp, r) + r;
}

template <class T>
FASTNN_INLINE Vec<T> exp(Vec<T> x) {
    using C = MathConstants<T>;
    x = min(broadcast(C::kExpHigh), max(broadcast(C::kExpLow), x)); // NaN stays
    IntVec<T> k;
    const Vec<T> y = exp_reduced<T>(x, &k) + T(1);
    const IntVec<T> half = k >> 1; // in two steps, since 2^k alone may be out of range
    return y * power_of_two<T>(half) * power_of_two<T>(k - half);
}

// exp for x below kExpHigh - 1, with 0 in place of results about as small as the least normal
// number: what a softmax wants, in four instructions less. Each step is taken for all N vectors
// before the next, so that their latencies overlap.
template <class T, int N>
FASTNN_INLINE void exp_flushed(Vec<T> (&x)[N]) {
    using C = MathConstants<T>;
    constexpr int terms = sizeof(C::kExp) / sizeof(T);
    IntVec<T> k[N];
    Vec<T> r[N], y[N];
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) {
        const Vec<T> shifted = x[i] * T(1.4426950408889634074) + C::kRound;
        k[i] = (IntVec<T>)shifted - (IntVec<T>)broadcast(C::kRound);
        r[i] = shifted - C::kRound;
    }
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i)
        r[i] = (x[i] - r[i] * C::kLn2Hi) - r[i] * C::kLn2Lo;
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i)
        y[i] = r[i] * C::kExp[terms - 1] + C::kExp[terms - 2];
#pragma GCC unroll 16
    for (int term = terms - 3; term >= 0; --term)
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i)
            y[i] = y[i] * r[i] + C::kExp[term];
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) {
        y[i] = (r[i] * r[i] * y[i] + r[i]) + T(1);
        x[i] = x[i] < C::kExpFlush ? Vec<T>{} : y[i] * power_of_two<T>(k[i]); // NaN stays
    }
}

template <class T>
FASTNN_INLINE Vec<T> log(Vec<T> x) {
    using C = MathConstants<T>;
    const IntVec<T> small = x < C::kMinNormal;
    const Vec<T> normal = small ? x * C::kSubnormalScale : x;
    // x = 2^k m with m in [sqrt(1/2), sqrt(2))
    const UnsignedVec<T> bits = (UnsignedVec<T>)normal + (C::kOne - C::kSqrtHalf);
    IntVec<T> k = (IntVec<T>)(bits >> C::kMantissaBits) - C::kBias;
    k -= small & C::kSubnormalShift;
    const Vec<T> m = (Vec<T>)((bits & C::kMantissaMask) + C::kSqrtHalf);
    // the conversion of k to T, by its place in the mantissa of kRound
    const Vec<T> n = (Vec<T>)(k + (IntVec<T>)broadcast(C::kRound)) - C::kRound;
    const Vec<T> f = m - T(1);
    const Vec<T> s = f / (m + T(1));
    const Vec<T> z = s * s;
    const Vec<T> half_square = T(0.5) * f * f;
    const Vec<T> tail = s * (half_square + z * polynomial(C::kLog, z)) + n * C::kLn2Lo;
    Vec<T> y = n * C::kLn2Hi - ((half_square - tail) - f);
    y = x < __builtin_inf() ? y : x; // infinity and NaN
    y = x == T(0) ? broadcast(T(-__builtin_inf())) : y;
    return x < T(0) ? broadcast(T(__builtin_nan(""))) : y;
}

// expm1(2|x|) / (expm1(2|x|) + 2) with x's sign
template <class T>
FASTNN_INLINE Vec<T> tanh(Vec<T> x) {
    using C = MathConstants<T>;
    IntVec<T> k;
    const Vec<T> clamped = min(broadcast(C::kTanhOne), abs<T>(x));
    const Vec<T> p = exp_reduced<T>(clamped + clamped, &k);
    const Vec<T> scale = power_of_two<T>(k);
    const Vec<T> em1 = scale * p + (scale - T(1));
    const Vec<T> y = em1 / (em1 + T(2));
    return (Vec<T>)((UnsignedVec<T>)y | ((UnsignedVec<T>)x & C::kSignMask));
}

// With exp(-|x|), which cannot overflow: small results keep their digits.
template <class T>
FASTNN_INLINE Vec<T> sigmoid(Vec<T> x) {
    const Vec<T> e = exp<T>((Vec<T>)((UnsignedVec<T>)x | MathConstants<T>::kSignMask));
    return (x >= T(0) ? broadcast(T(1)) : e) / (e + T(1));
}

} // namespace fastnn::FASTNN_ISA
