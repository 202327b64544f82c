// __half and __nv_bfloat16: conversions with the bits of CUDA's (round to nearest even, NaN to
// 0x7fff), arithmetic through float with one rounding.
#pragma once

#include "emulator/language.h"

namespace simt {

SIMT_INL uint16_t half_bits(float f) {
    const _Float16 h = _Float16(f);
    uint16_t bits;
    memcpy(&bits, &h, 2);
    return f != f ? 0x7fff : bits;
}
inline uint16_t half_bits(double d) {
    const _Float16 h = _Float16(d);
    uint16_t bits;
    memcpy(&bits, &h, 2);
    return d != d ? 0x7fff : bits;
}
SIMT_INL float half_value(uint16_t bits) {
    _Float16 h;
    memcpy(&h, &bits, 2);
    return float(h);
}
SIMT_INL uint16_t bfloat16_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return f != f ? 0x7fff : uint16_t((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
inline uint16_t bfloat16_bits(double d) {
    float f = float(d);
    uint32_t u;
    memcpy(&u, &f, 4);
    // To odd instead of to nearest, so that the second rounding sees which side the double lies on.
    if (double(f) != d && d == d && (u & 0x7fffffff) != 0x7f800000) {
        if (std::fabs(double(f)) > std::fabs(d))
            u--;
        u |= 1;
        memcpy(&f, &u, 4);
    }
    return bfloat16_bits(f);
}
SIMT_INL float bfloat16_value(uint16_t bits) {
    const uint32_t u = uint32_t(bits) << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

} // namespace simt

#define SIMT_FLOAT16(H, PREFIX)                                                                    \
    struct H {                                                                                     \
        uint16_t bits;                                                                             \
        H() = default;                                                                             \
        H(float f) : bits(simt::PREFIX##_bits(f)) {}                                               \
        H(double d) : bits(simt::PREFIX##_bits(d)) {}                                              \
        template <class I, class = std::enable_if_t<std::is_integral<I>::value>>                   \
        H(I i) : bits(simt::PREFIX##_bits(double(i))) {}                                           \
        operator float() const { return simt::PREFIX##_value(bits); }                              \
    };                                                                                             \
    SIMT_INL H operator+(H a, H b) {                                                               \
        return H(float(a) + float(b));                                                             \
    }                                                                                              \
    SIMT_INL H operator-(H a, H b) {                                                               \
        return H(float(a) - float(b));                                                             \
    }                                                                                              \
    SIMT_INL H operator*(H a, H b) {                                                               \
        return H(float(a) * float(b));                                                             \
    }                                                                                              \
    SIMT_INL H operator/(H a, H b) {                                                               \
        return H(float(a) / float(b));                                                             \
    }                                                                                              \
    SIMT_INL H operator-(H a) {                                                                    \
        a.bits ^= 0x8000;                                                                          \
        return a;                                                                                  \
    }                                                                                              \
    SIMT_INL H& operator+=(H& a, H b) {                                                            \
        return a = a + b;                                                                          \
    }                                                                                              \
    SIMT_INL H& operator-=(H& a, H b) {                                                            \
        return a = a - b;                                                                          \
    }                                                                                              \
    SIMT_INL H& operator*=(H& a, H b) {                                                            \
        return a = a * b;                                                                          \
    }                                                                                              \
    SIMT_INL H& operator/=(H& a, H b) {                                                            \
        return a = a / b;                                                                          \
    }                                                                                              \
    SIMT_INL bool operator<(H a, H b) {                                                            \
        return float(a) < float(b);                                                                \
    }                                                                                              \
    SIMT_INL bool operator>(H a, H b) {                                                            \
        return float(a) > float(b);                                                                \
    }                                                                                              \
    SIMT_INL bool operator<=(H a, H b) {                                                           \
        return float(a) <= float(b);                                                               \
    }                                                                                              \
    SIMT_INL bool operator>=(H a, H b) {                                                           \
        return float(a) >= float(b);                                                               \
    }                                                                                              \
    SIMT_INL bool operator==(H a, H b) {                                                           \
        return float(a) == float(b);                                                               \
    }                                                                                              \
    SIMT_INL bool operator!=(H a, H b) {                                                           \
        return float(a) != float(b);                                                               \
    }                                                                                              \
    SIMT_INL H __hadd(H a, H b) {                                                                  \
        return a + b;                                                                              \
    }                                                                                              \
    SIMT_INL H __hsub(H a, H b) {                                                                  \
        return a - b;                                                                              \
    }                                                                                              \
    SIMT_INL H __hmul(H a, H b) {                                                                  \
        return a * b;                                                                              \
    }                                                                                              \
    SIMT_INL H __hdiv(H a, H b) {                                                                  \
        return a / b;                                                                              \
    }                                                                                              \
    SIMT_INL H __hneg(H a) {                                                                       \
        return -a;                                                                                 \
    }                                                                                              \
    SIMT_INL H __habs(H a) {                                                                       \
        a.bits &= 0x7fff;                                                                          \
        return a;                                                                                  \
    }                                                                                              \
    /* the product is exact in a double; the sum is rounded there and then to 16 bits */           \
    SIMT_INL H __hfma(H a, H b, H c) {                                                             \
        return H(std::fma(double(float(a)), double(float(b)), double(float(c))));                  \
    }                                                                                              \
    SIMT_INL bool __hisnan(H a) {                                                                  \
        return float(a) != float(a);                                                               \
    }                                                                                              \
    SIMT_INL bool __hlt(H a, H b) {                                                                \
        return a < b;                                                                              \
    }                                                                                              \
    SIMT_INL bool __hgt(H a, H b) {                                                                \
        return a > b;                                                                              \
    }                                                                                              \
    SIMT_INL bool __heq(H a, H b) {                                                                \
        return a == b;                                                                             \
    }                                                                                              \
    SIMT_INL H __hmax(H a, H b) {                                                                  \
        return H(fmaxf(float(a), float(b)));                                                       \
    }                                                                                              \
    SIMT_INL H __hmin(H a, H b) {                                                                  \
        return H(fminf(float(a), float(b)));                                                       \
    }                                                                                              \
    SIMT_INL H __hmax_nan(H a, H b) {                                                              \
        return __hisnan(a) || __hisnan(b) ? H(NAN) : __hmax(a, b);                                 \
    }                                                                                              \
    SIMT_INL H __hmin_nan(H a, H b) {                                                              \
        return __hisnan(a) || __hisnan(b) ? H(NAN) : __hmin(a, b);                                 \
    }                                                                                              \
    SIMT_INL H hexp(H a) {                                                                         \
        return H(expf(float(a)));                                                                  \
    }                                                                                              \
    SIMT_INL H hexp2(H a) {                                                                        \
        return H(exp2f(float(a)));                                                                 \
    }                                                                                              \
    SIMT_INL H hlog(H a) {                                                                         \
        return H(logf(float(a)));                                                                  \
    }                                                                                              \
    SIMT_INL H hsqrt(H a) {                                                                        \
        return H(sqrtf(float(a)));                                                                 \
    }                                                                                              \
    SIMT_INL H hrsqrt(H a) {                                                                       \
        return H(1.f / sqrtf(float(a)));                                                           \
    }                                                                                              \
    SIMT_INL H hrcp(H a) {                                                                         \
        return H(1.f / float(a));                                                                  \
    }

SIMT_FLOAT16(__half, half)
SIMT_FLOAT16(__nv_bfloat16, bfloat16)
#undef SIMT_FLOAT16

// Pairs of them, in one 32-bit register.
#define SIMT_PAIR(P, H)                                                                            \
    struct alignas(4) P {                                                                          \
        H x, y;                                                                                    \
    };                                                                                             \
    SIMT_INL P operator+(P a, P b) {                                                               \
        return {a.x + b.x, a.y + b.y};                                                             \
    }                                                                                              \
    SIMT_INL P operator-(P a, P b) {                                                               \
        return {a.x - b.x, a.y - b.y};                                                             \
    }                                                                                              \
    SIMT_INL P operator*(P a, P b) {                                                               \
        return {a.x * b.x, a.y * b.y};                                                             \
    }                                                                                              \
    SIMT_INL P operator/(P a, P b) {                                                               \
        return {a.x / b.x, a.y / b.y};                                                             \
    }                                                                                              \
    SIMT_INL P& operator+=(P& a, P b) {                                                            \
        return a = a + b;                                                                          \
    }                                                                                              \
    SIMT_INL P& operator*=(P& a, P b) {                                                            \
        return a = a * b;                                                                          \
    }                                                                                              \
    SIMT_INL P __hadd2(P a, P b) {                                                                 \
        return a + b;                                                                              \
    }                                                                                              \
    SIMT_INL P __hsub2(P a, P b) {                                                                 \
        return a - b;                                                                              \
    }                                                                                              \
    SIMT_INL P __hmul2(P a, P b) {                                                                 \
        return a * b;                                                                              \
    }                                                                                              \
    SIMT_INL P __h2div(P a, P b) {                                                                 \
        return a / b;                                                                              \
    }                                                                                              \
    SIMT_INL P __hneg2(P a) {                                                                      \
        return {-a.x, -a.y};                                                                       \
    }                                                                                              \
    SIMT_INL P __habs2(P a) {                                                                      \
        return {__habs(a.x), __habs(a.y)};                                                         \
    }                                                                                              \
    SIMT_INL P __hfma2(P a, P b, P c) {                                                            \
        return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)};                                     \
    }                                                                                              \
    SIMT_INL P __hmax2(P a, P b) {                                                                 \
        return {__hmax(a.x, b.x), __hmax(a.y, b.y)};                                               \
    }                                                                                              \
    SIMT_INL P __hmin2(P a, P b) {                                                                 \
        return {__hmin(a.x, b.x), __hmin(a.y, b.y)};                                               \
    }

SIMT_PAIR(__half2, __half)
SIMT_PAIR(__nv_bfloat162, __nv_bfloat16)
#undef SIMT_PAIR
using half = __half;
using half2 = __half2;
using nv_bfloat16 = __nv_bfloat16;
using nv_bfloat162 = __nv_bfloat162;

SIMT_INL float __half2float(__half h) {
    return h;
}
SIMT_INL __half __float2half(float f) {
    return f;
}
SIMT_INL __half __float2half_rn(float f) {
    return f;
}
SIMT_INL __half __double2half(double d) {
    return d;
}
SIMT_INL __half2 __floats2half2_rn(float a, float b) {
    return {a, b};
}
SIMT_INL __half2 __float22half2_rn(float2 v) {
    return {v.x, v.y};
}
SIMT_INL __half2 __float2half2_rn(float a) {
    return {a, a};
}
SIMT_INL __half2 __half2half2(__half a) {
    return {a, a};
}
SIMT_INL __half2 __halves2half2(__half a, __half b) {
    return {a, b};
}
SIMT_INL __half2 make_half2(__half a, __half b) {
    return {a, b};
}
SIMT_INL float2 __half22float2(__half2 h) {
    return {h.x, h.y};
}
SIMT_INL __half __low2half(__half2 h) {
    return h.x;
}
SIMT_INL __half __high2half(__half2 h) {
    return h.y;
}
SIMT_INL float __low2float(__half2 h) {
    return h.x;
}
SIMT_INL float __high2float(__half2 h) {
    return h.y;
}
SIMT_INL unsigned short __half_as_ushort(__half h) {
    return h.bits;
}
SIMT_INL __half __ushort_as_half(unsigned short bits) {
    __half h;
    h.bits = bits;
    return h;
}
SIMT_INL float __bfloat162float(__nv_bfloat16 h) {
    return h;
}
SIMT_INL __nv_bfloat16 __float2bfloat16(float f) {
    return f;
}
SIMT_INL __nv_bfloat16 __float2bfloat16_rn(float f) {
    return f;
}
SIMT_INL __nv_bfloat16 __double2bfloat16(double d) {
    return d;
}
SIMT_INL __nv_bfloat162 __floats2bfloat162_rn(float a, float b) {
    return {a, b};
}
SIMT_INL __nv_bfloat162 __float22bfloat162_rn(float2 v) {
    return {v.x, v.y};
}
SIMT_INL __nv_bfloat162 __float2bfloat162_rn(float a) {
    return {a, a};
}
SIMT_INL __nv_bfloat162 __bfloat162bfloat162(__nv_bfloat16 a) {
    return {a, a};
}
SIMT_INL __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 a, __nv_bfloat16 b) {
    return {a, b};
}
SIMT_INL __nv_bfloat162 make_bfloat162(__nv_bfloat16 a, __nv_bfloat16 b) {
    return {a, b};
}
SIMT_INL float2 __bfloat1622float2(__nv_bfloat162 h) {
    return {h.x, h.y};
}
SIMT_INL __nv_bfloat16 __low2bfloat16(__nv_bfloat162 h) {
    return h.x;
}
SIMT_INL __nv_bfloat16 __high2bfloat16(__nv_bfloat162 h) {
    return h.y;
}
SIMT_INL float __low2float(__nv_bfloat162 h) {
    return h.x;
}
SIMT_INL float __high2float(__nv_bfloat162 h) {
    return h.y;
}
SIMT_INL unsigned short __bfloat16_as_ushort(__nv_bfloat16 h) {
    return h.bits;
}
SIMT_INL __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) {
    __nv_bfloat16 h;
    h.bits = bits;
    return h;
}
