// Dot products of narrow types, lane by lane: a lane of 32 bits holds two bfloat16, two int16 or
// four int8, and the product of two lanes is added to a float or an int32.
//
// The instructions are those of AVX512-BF16 (vdpbf16ps) and VNNI (vpdpbusd); FASTNN_EMULATED_*
// builds stand-ins that do what the manual says of them, for machines without. FASTNN_HAS_BF16 and
// FASTNN_HAS_VNNI tell whether the level has either.
#pragma once

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

// -- bfloat16: the upper half of a float ----------------------------------------------------------
// The bits, in the lower half of each lane.
FASTNN_INLINE Vec<float> bf16_to_float(Vec<uint32_t> bits) {
    return (Vec<float>)(bits << 16);
}

// Rounded to the nearest, ties to even; NaN stays NaN.
FASTNN_INLINE Vec<uint32_t> float_to_bf16(Vec<float> x) {
    const Vec<uint32_t> bits = (Vec<uint32_t>)x;
    const Vec<uint32_t> rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return x == x ? rounded : (bits >> 16) | 0x40;
}

// As many narrow elements of memory as a vector has lanes, widened.
template <class Narrow>
FASTNN_INLINE auto load_narrow(const Narrow* p) {
    typedef Narrow Lanes __attribute__((vector_size(sizeof(Narrow) * kLanes<uint32_t>)));
    Lanes v;
    __builtin_memcpy(&v, p, sizeof v);
    if constexpr (std::is_signed_v<Narrow>)
        return __builtin_convertvector(v, Vec<int32_t>);
    else
        return __builtin_convertvector(v, Vec<uint32_t>);
}

FASTNN_INLINE void store_bf16(uint16_t* p, Vec<float> x) {
    typedef uint16_t Lanes __attribute__((vector_size(2 * kLanes<float>)));
    const Lanes v = __builtin_convertvector(float_to_bf16(x), Lanes);
    __builtin_memcpy(p, &v, sizeof v);
}

// -- int16 pairs: any machine
// -----------------------------------------------------------------------
FASTNN_INLINE Vec<int32_t> dot_int16(Vec<int32_t> sum, Vec<uint32_t> a, Vec<uint32_t> b) {
#if defined(__AVX512BW__)
    return sum + (Vec<int32_t>)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__) && !defined(FASTNN_EMULATED_ISA)
    return sum + (Vec<int32_t>)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__) && !defined(FASTNN_EMULATED_ISA)
    return sum + (Vec<int32_t>)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
    const Vec<int32_t> a_low = (Vec<int32_t>)(a << 16) >> 16, a_high = (Vec<int32_t>)a >> 16;
    const Vec<int32_t> b_low = (Vec<int32_t>)(b << 16) >> 16, b_high = (Vec<int32_t>)b >> 16;
    return sum + a_low * b_low + a_high * b_high;
#endif
}

// -- stand-ins: operands and results below the normal range count as 0
// -----------------------------
#if defined(FASTNN_EMULATED_BF16)
inline __attribute__((always_inline)) float flushed(float x) {
    return __builtin_fabsf(x) < 0x1p-126f ? x * 0 : x;
}
// sum + a * b of the bfloat16 in the upper halves of a and b.
inline __attribute__((always_inline)) float bf16_step(float sum, uint32_t a, uint32_t b) {
    float x, y;
    const uint32_t a_bits = a & 0xffff0000u, b_bits = b & 0xffff0000u;
    __builtin_memcpy(&x, &a_bits, sizeof x);
    __builtin_memcpy(&y, &b_bits, sizeof y);
    return flushed(__builtin_fmaf(flushed(x), flushed(y), flushed(sum)));
}
#endif

// -- two bfloat16: AVX512-BF16 --------------------------------------------------------------------
#if defined(FASTNN_EMULATED_BF16)
#define FASTNN_HAS_BF16 1
FASTNN_INLINE Vec<float> dot_bf16(Vec<float> sum, Vec<uint32_t> a, Vec<uint32_t> b) {
    for (int i = 0; i < kLanes<float>; ++i)
        sum[i] = bf16_step(bf16_step(sum[i], a[i], b[i]), a[i] << 16, b[i] << 16);
    return sum;
}
#elif defined(__AVX512BF16__)
#define FASTNN_HAS_BF16 1
FASTNN_INLINE Vec<float> dot_bf16(Vec<float> sum, Vec<uint32_t> a, Vec<uint32_t> b) {
    return (Vec<float>)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}
#else
#define FASTNN_HAS_BF16 0
#endif

// -- four int8, those of a without sign: VNNI ----------------------------------------------------
#if defined(FASTNN_EMULATED_VNNI)
#define FASTNN_HAS_VNNI 1
FASTNN_INLINE Vec<int32_t> dot_uint8_int8(Vec<int32_t> sum, Vec<uint32_t> a, Vec<uint32_t> b) {
    for (int shift = 0; shift < 32; shift += 8)
        sum += (Vec<int32_t>)((a >> shift) & 0xff) * ((Vec<int32_t>)(b << (24 - shift)) >> 24);
    return sum;
}
#elif defined(__AVX512VNNI__)
#define FASTNN_HAS_VNNI 1
FASTNN_INLINE Vec<int32_t> dot_uint8_int8(Vec<int32_t> sum, Vec<uint32_t> a, Vec<uint32_t> b) {
    return (Vec<int32_t>)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
}
#else
#define FASTNN_HAS_VNNI 0
#endif

} // namespace fastnn::FASTNN_ISA
