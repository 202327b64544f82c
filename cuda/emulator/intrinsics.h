// Math and bit intrinsics. The fast ones (__expf, ptx::ex2 ...) are more exact here than on a GPU.
#pragma once

#include "emulator/half.h"

#define SIMT_UNARY(NAME, EXPRESSION)                                                               \
    SIMT_INL float NAME(float x) {                                                                 \
        return EXPRESSION;                                                                         \
    }
SIMT_UNARY(__expf, exp2f(x * 1.44269504f))
SIMT_UNARY(__exp10f, exp2f(x * 3.32192809f))
SIMT_UNARY(__logf, log2f(x) * 0.69314718f)
SIMT_UNARY(__log2f, log2f(x))
SIMT_UNARY(__log10f, log2f(x) * 0.30103f)
SIMT_UNARY(__sinf, sinf(x))
SIMT_UNARY(__cosf, cosf(x))
SIMT_UNARY(__tanf, tanf(x))
SIMT_UNARY(__frcp_rn, 1.f / x)
SIMT_UNARY(__fsqrt_rn, sqrtf(x))
SIMT_UNARY(__frsqrt_rn, float(1. / std::sqrt(double(x))))
SIMT_UNARY(rsqrtf, 1.f / sqrtf(x))
SIMT_UNARY(__saturatef, x > 0.f ? (x < 1.f ? x : 1.f) : 0.f)
#undef SIMT_UNARY
SIMT_INL double rsqrt(double x) {
    return 1. / std::sqrt(x);
}
SIMT_INL float rsqrt(float x) {
    return rsqrtf(x);
}
SIMT_INL void __sincosf(float x, float* s, float* c) {
    *s = sinf(x);
    *c = cosf(x);
}
SIMT_INL float __fdividef(float a, float b) {
    return a / b;
}
SIMT_INL float __powf(float a, float b) {
    return exp2f(b * log2f(a));
}
// Separate roundings, which a compiler may not contract into a multiply-add.
SIMT_INL float __fadd_rn(float a, float b) {
    return a + b;
}
SIMT_INL float __fsub_rn(float a, float b) {
    return a - b;
}
SIMT_INL float __fmul_rn(float a, float b) {
    volatile float product = a * b;
    return product;
}
SIMT_INL float __fdiv_rn(float a, float b) {
    return a / b;
}
SIMT_INL float __fmaf_rn(float a, float b, float c) {
    return fmaf(a, b, c);
}
SIMT_INL double __dadd_rn(double a, double b) {
    return a + b;
}
SIMT_INL double __dmul_rn(double a, double b) {
    volatile double product = a * b;
    return product;
}
SIMT_INL double __fma_rn(double a, double b, double c) {
    return std::fma(a, b, c);
}

namespace simt {
template <class To, class From>
SIMT_INL To bits_as(From x) {
    static_assert(sizeof(To) == sizeof(From), "as many bits");
    To y;
    memcpy(&y, &x, sizeof y);
    return y;
}
} // namespace simt
SIMT_INL int __float_as_int(float x) {
    return simt::bits_as<int>(x);
}
SIMT_INL unsigned __float_as_uint(float x) {
    return simt::bits_as<unsigned>(x);
}
SIMT_INL float __int_as_float(int x) {
    return simt::bits_as<float>(x);
}
SIMT_INL float __uint_as_float(unsigned x) {
    return simt::bits_as<float>(x);
}
SIMT_INL long long __double_as_longlong(double x) {
    return simt::bits_as<long long>(x);
}
SIMT_INL double __longlong_as_double(long long x) {
    return simt::bits_as<double>(x);
}
SIMT_INL int __float2int_rn(float x) {
    return int(nearbyintf(x));
}
SIMT_INL int __float2int_rz(float x) {
    return int(x);
}
SIMT_INL int __float2int_rd(float x) {
    return int(floorf(x));
}
SIMT_INL int __float2int_ru(float x) {
    return int(ceilf(x));
}
SIMT_INL float __int2float_rn(int x) {
    return float(x);
}
SIMT_INL float __uint2float_rn(unsigned x) {
    return float(x);
}

SIMT_INL int __popc(unsigned x) {
    return __builtin_popcount(x);
}
SIMT_INL int __popcll(unsigned long long x) {
    return __builtin_popcountll(x);
}
SIMT_INL int __clz(int x) {
    return x ? __builtin_clz(unsigned(x)) : 32;
}
SIMT_INL int __clzll(long long x) {
    return x ? __builtin_clzll((unsigned long long)(x)) : 64;
}
SIMT_INL int __ffs(int x) {
    return __builtin_ffs(x);
}
SIMT_INL int __ffsll(long long x) {
    return __builtin_ffsll(x);
}
SIMT_INL unsigned __brev(unsigned x) {
    unsigned y = 0;
    for (int i = 0; i < 32; i++)
        y |= (x >> i & 1) << (31 - i);
    return y;
}
SIMT_INL unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
    const uint64_t both = uint64_t(y) << 32 | x;
    unsigned r = 0;
    for (int i = 0; i < 4; i++) {
        const unsigned s = selector >> (4 * i) & 15;
        const unsigned byte = unsigned(both >> (8 * (s & 7))) & 255;
        r |= (s & 8 ? (byte & 128 ? 255u : 0u) : byte) << (8 * i);
    }
    return r;
}
SIMT_INL unsigned __funnelshift_l(unsigned low, unsigned high, unsigned n) {
    return unsigned((uint64_t(high) << 32 | low) << (n & 31) >> 32);
}
SIMT_INL unsigned __funnelshift_r(unsigned low, unsigned high, unsigned n) {
    return unsigned((uint64_t(high) << 32 | low) >> (n & 31));
}
SIMT_INL unsigned __umulhi(unsigned a, unsigned b) {
    return unsigned(uint64_t(a) * b >> 32);
}
SIMT_INL int __mulhi(int a, int b) {
    return int(int64_t(a) * b >> 32);
}
SIMT_INL unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)(__extension__(unsigned __int128)(a) * b >> 64);
}
SIMT_INL int __dp4a(int a, int b, int c) {
    for (int i = 0; i < 4; i++)
        c += int(int8_t(a >> 8 * i)) * int(int8_t(b >> 8 * i));
    return c;
}
template <class A, class B>
SIMT_INL std::common_type_t<A, B> min(A a, B b) {
    return b < a ? b : a;
}
template <class A, class B>
SIMT_INL std::common_type_t<A, B> max(A a, B b) {
    return a < b ? b : a;
}
