// Sigmoid and tanh of gates: the functions of simd/math.h without what gates do not need.
//
// Arguments are clamped to where the result has rounded to its limit (sigmoid's lower one: to where
// it is 1e-38), so that one power of two scales the exponential, and no sign is taken apart. NaN
// stays. Largest errors: sigmoid 3 ulp for x >= -87, tanh 3 ulp (tests/backends/test_rnn.py
// measures them).
#pragma once

#include "simd/math.h"

namespace fastnn::FASTNN_ISA {

template <class T>
struct GateConstants;
template <>
struct GateConstants<float> {
    static constexpr float kSigmoidEnd = 87.0f; // exp(-x) is a normal number to here
};
template <>
struct GateConstants<double> {
    static constexpr double kSigmoidEnd = 708.0;
};

template <class T>
FASTNN_INLINE Vec<T> gate_sigmoid(Vec<T> x) {
    constexpr T end = GateConstants<T>::kSigmoidEnd;
    x = min(broadcast(end), max(broadcast(-end), x));
    IntVec<T> k;
    const Vec<T> p = exp_reduced<T>(-x, &k);
    return T(1) / (T(1) + (p + T(1)) * power_of_two<T>(k));
}

// expm1(2x) / (expm1(2x) + 2)
template <class T>
FASTNN_INLINE Vec<T> gate_tanh(Vec<T> x) {
    constexpr T end = MathConstants<T>::kTanhOne;
    x = min(broadcast(end), max(broadcast(-end), x));
    IntVec<T> k;
    const Vec<T> p = exp_reduced<T>(x + x, &k);
    const Vec<T> power = power_of_two<T>(k);
    const Vec<T> em1 = power * p + (power - T(1));
    return em1 / (em1 + T(2));
}

} // namespace fastnn::FASTNN_ISA
