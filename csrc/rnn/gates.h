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
FASTNN_INLINE Vec<T> clamp(Vec<T> x, T end) {
    return min(broadcast(end), max(broadcast(-end), x));
}

// What exp_reduced takes for a gate, and the gate from what it gives.
template <class T>
FASTNN_INLINE Vec<T> before_sigmoid(Vec<T> x) {
    return -clamp<T>(x, GateConstants<T>::kSigmoidEnd);
}
template <class T>
FASTNN_INLINE Vec<T> sigmoid_of(Vec<T> p, Vec<T> power) {
    return T(1) / (T(1) + (p + T(1)) * power);
}
template <class T>
FASTNN_INLINE Vec<T> before_tanh(Vec<T> x) {
    x = clamp<T>(x, MathConstants<T>::kTanhOne);
    return x + x;
}
// expm1(2x) / (expm1(2x) + 2)
template <class T>
FASTNN_INLINE Vec<T> tanh_of(Vec<T> p, Vec<T> power) {
    const Vec<T> em1 = power * p + (power - T(1));
    return em1 / (em1 + T(2));
}

template <class T, int N>
FASTNN_INLINE void gate_sigmoid(Vec<T> (&x)[N]) {
    Vec<T> p[N], power[N];
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i)
        x[i] = before_sigmoid<T>(x[i]);
    exp_reduced<T, N>(x, p, power);
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i)
        x[i] = sigmoid_of<T>(p[i], power[i]);
}

template <class T, int N>
FASTNN_INLINE void gate_tanh(Vec<T> (&x)[N]) {
    Vec<T> p[N], power[N];
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i)
        x[i] = before_tanh<T>(x[i]);
    exp_reduced<T, N>(x, p, power);
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i)
        x[i] = tanh_of<T>(p[i], power[i]);
}

// The gates i, f, g and o of an LSTM.
template <class T>
FASTNN_INLINE void gate_lstm(Vec<T> (&x)[4]) {
    Vec<T> p[4], power[4];
    x[0] = before_sigmoid<T>(x[0]);
    x[1] = before_sigmoid<T>(x[1]);
    x[2] = before_tanh<T>(x[2]);
    x[3] = before_sigmoid<T>(x[3]);
    exp_reduced<T, 4>(x, p, power);
    x[0] = sigmoid_of<T>(p[0], power[0]);
    x[1] = sigmoid_of<T>(p[1], power[1]);
    x[2] = tanh_of<T>(p[2], power[2]);
    x[3] = sigmoid_of<T>(p[3], power[3]);
}

} // namespace fastnn::FASTNN_ISA
