// Vector exp, log, tanh, sigmoid, erf and the normal distribution for float and double.
//
// Each follows the same plan: reduce the argument, evaluate a polynomial of the reduced one (fitted
// at Chebyshev nodes for a relative error below a tenth of an ulp), undo the reduction. NaN,
// infinities and subnormal numbers are right. Largest errors in ulp, with FMA and without
// (tests/backends/test_elementwise.py measures them over all magnitudes):
//     exp 1   log 1   tanh 3   sigmoid 3   erf 3
// The normal distribution keeps its digits in the lower tail but for those of the rounded x^2: x^2
// / 2 ulp.
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
    static constexpr float kExp[] = {0.49999993447767f, 0.16666520631512f, 0.04166838805114f,
                                     0.00836871689806f, 0.00138145983647f};
    // (log((1 + s) / (1 - s)) - 2 s) / s^3 in powers of s^2
    static constexpr float kLog[] = {0.6666666655404201243f, 0.40000122211810649396f,
                                     0.28550778633191965434f, 0.23331614471843499235f};
    // erf(z) / z in powers of z^2 for |z| <= 1
    static constexpr float kErf[] = {1.12837916585f,    -0.376126266667f,  0.112835947152f,
                                     -0.0268542120106f, 0.00518908742343f, -0.000801686428717f,
                                     7.87587506269e-5f};
    // erfc(z) exp(z^2) (z + shift) in powers of (z - shift) / (z + shift) for 0 <= z <= kErfcZero
    static constexpr float kErfcShift = 2.65625f;
    static constexpr float kErfcZero = 10.5f; // exp(-z^2) is 0 from here
    // (rounded so that half of erfc(0) is 1/2 with FMA and without)
    static constexpr float kErfc[] = {
        1.0612746477127075f,     -0.8325985074043274f,   0.50044846534729f,
        -0.21558281779289246f,   0.05382172018289566f,   0.0014343714574351907f,
        -0.0059106177650392056f, 0.0007627091254107654f, 0.0006318483501672745f};
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
    static constexpr double kErf[] = {
        1.1283791670955125665,     -0.37612638903183540438,     0.11283791670945006266,
        -0.02686617064323777036,   0.0052239776071164227321,    -0.00085483259753896920806,
        0.00012055294904839707917, -0.000014924736907419660338, 1.644742470331736241e-6,
        -1.6208483801871705902e-7, 1.3720064546777685604e-8,    -7.7958988270021422416e-10};
    static constexpr double kErfcShift = 3.0;
    static constexpr double kErfcZero = 28.0;
    static constexpr double kErfc[] = {
        1.0740069070883397057,       -0.8833944531698837635,    0.59022835710410036362,
        -0.31046726190055267512,     0.11952776128738794438,    -0.026827234624950196007,
        -0.0012124166297047624387,   0.0030340620079733291521,  -0.00054830965957788496866,
        -0.0002767778983471239352,   0.00010756124911146757533, 0.000030398391001005667489,
        -0.000017469493531903411468, -4.7497832458252700394e-6, 2.7623356535497896972e-6,
        9.9950120886311850571e-7,    -4.0247942021736004363e-7, -2.3318719338409497121e-7,
        4.0092594103050527308e-8,    4.8813017932609655367e-8,  2.482956226530574567e-9,
        -6.3843044682344380164e-9,   -1.613184900032559734e-9};
};

template <class T>
using IntVec = Vec<typename MathConstants<T>::Int>;
template <class T>
using UnsignedVec = Vec<typename MathConstants<T>::Unsigned>;

template <class T, int Terms>
FASTNN_INLINE Vec<T> polynomial(const T (&c)[Terms], Vec<T> x) {
    Vec<T> y = broadcast(c[Terms - 1]);
#pragma GCC unroll 32
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

// x = k ln 2 + r with |r| <= ln(2) / 2; returns r, and 2^(k + shift), whose exponent must be
// normal: k comes to stand where it belongs by the constant that rounds it to an integer.
template <class T>
FASTNN_INLINE Vec<T> exp_argument(Vec<T> x, typename MathConstants<T>::Int shift, Vec<T>* power) {
    using C = MathConstants<T>;
    const T round = C::kRound + static_cast<T>(C::kBias + shift);
    const Vec<T> shifted = x * T(1.4426950408889634074) + round;
    const Vec<T> n = shifted - round;
    *power = (Vec<T>)((IntVec<T>)shifted << C::kMantissaBits);
    return (x - n * C::kLn2Hi) - n * C::kLn2Lo;
}

// exp(x) / kExpScale for kExpLow * 17 / 16 <= x <= 0 or NaN: a normal number.
template <class T>
inline constexpr T kExpScale = static_cast<T>(sizeof(T) == 4 ? 0x1p-63 : 0x1p-511);
template <class T>
FASTNN_INLINE Vec<T> exp_of_negative_scaled(Vec<T> x) {
    using C = MathConstants<T>;
    Vec<T> power;
    const Vec<T> r = exp_argument<T>(x, C::kBias / 2, &power);
    return ((polynomial(C::kExp, r) * r + T(1)) * r + T(1)) * power;
}

// exp(x) = (p + 1) power of N vectors, where 2^k is a normal number. An exponential is one chain of
// dependent instructions, of which a processor holds hardly two in its window: each step is taken
// for all vectors before the next, so that their latencies overlap.
template <class T, int N>
FASTNN_INLINE void exp_reduced(const Vec<T> (&x)[N], Vec<T> (&p)[N], Vec<T> (&power)[N]) {
    using C = MathConstants<T>;
    constexpr int terms = sizeof(C::kExp) / sizeof(T);
    Vec<T> r[N];
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i)
        r[i] = exp_argument<T>(x[i], 0, &power[i]);
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i)
        p[i] = r[i] * C::kExp[terms - 1] + C::kExp[terms - 2];
#pragma GCC unroll 16
    for (int term = terms - 3; term >= 0; --term)
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i)
            p[i] = p[i] * r[i] + C::kExp[term];
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i)
        p[i] = r[i] * r[i] * p[i] + r[i];
}

// exp for x below kExpHigh - 1, with 0 in place of results about as small as the least normal
// number: what a softmax wants, in six instructions less.
template <class T, int N>
FASTNN_INLINE void exp_flushed(Vec<T> (&x)[N]) {
    using C = MathConstants<T>;
    Vec<T> p[N], power[N];
    exp_reduced<T, N>(x, p, power);
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i)
        x[i] = x[i] < C::kExpFlush ? Vec<T>{} : (p[i] + T(1)) * power[i]; // NaN stays
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
    using C = MathConstants<T>;
    const Vec<T> below = (Vec<T>)((UnsignedVec<T>)x | C::kSignMask);
    const Vec<T> e = exp_of_negative_scaled<T>(max(broadcast(C::kExpLow), below)) * kExpScale<T>;
    return (x >= T(0) ? broadcast(T(1)) : e) / (e + T(1));
}

// kErfc times a factor.
template <class T>
struct ErfcTerms {
    T of[sizeof(MathConstants<T>::kErfc) / sizeof(T)];
    constexpr explicit ErfcTerms(T factor) : of() {
        for (unsigned i = 0; i < sizeof of / sizeof(T); ++i)
            of[i] = MathConstants<T>::kErfc[i] * factor;
    }
};
template <class T>
inline constexpr ErfcTerms<T> kErfcTerms{kExpScale<T>};
template <class T>
inline constexpr ErfcTerms<T> kNormalTerms{T(0.70710678118654752440) * kExpScale<T>};

// f erfc(u z) for u z = 0 .. kErfcZero, where `square` is -(u z)^2, `shift` kErfcShift / u, and
// `terms` are those of f / u times kExpScale; and exp(square) / kExpScale on the way.
template <class T>
FASTNN_INLINE Vec<T> erfc_tail(Vec<T> z, Vec<T> square, T shift, const ErfcTerms<T>& terms,
                               Vec<T>* gauss) {
    *gauss = exp_of_negative_scaled<T>(square);
    const Vec<T> inverse = T(1) / (z + shift);
    return *gauss * inverse * polynomial(terms.of, (z - shift) * inverse);
}

template <class T>
FASTNN_INLINE Vec<T> erf(Vec<T> x) {
    using C = MathConstants<T>;
    const Vec<T> z = abs<T>(x);
    const Vec<T> clamped = min(broadcast(C::kErfcZero), z); // NaN stays
    Vec<T> gauss;
    const Vec<T> tail =
        T(1) - erfc_tail<T>(clamped, -(clamped * clamped), C::kErfcShift, kErfcTerms<T>, &gauss);
    const Vec<T> y = z < T(1) ? z * polynomial(C::kErf, z * z) : tail;
    return (Vec<T>)((UnsignedVec<T>)y | ((UnsignedVec<T>)x & C::kSignMask));
}

// P(X > z), X standard normal, for z >= 0, and exp(-z^2 / 2) / kExpScale. NaN stays; z has to be
// clamped to kNormalZero.
template <class T>
inline constexpr T kNormalZero = static_cast<T>(1.41421356 * MathConstants<T>::kErfcZero);
template <class T>
FASTNN_INLINE Vec<T> normal_tail(Vec<T> z, Vec<T>* gauss) {
    constexpr T sqrt2 = T(1.41421356237309504880);
    return erfc_tail<T>(z, z * z * T(-0.5), sqrt2 * MathConstants<T>::kErfcShift, kNormalTerms<T>,
                        gauss);
}

} // namespace fastnn::FASTNN_ISA
