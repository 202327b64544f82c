// Random number kernels: see random.h.
#include "random/random.h"

#include "simd/loops.h"
#include "simd/strided.h"

namespace fastnn::FASTNN_ISA {
namespace {

using Words = Vec<uint64_t>;
constexpr int kBlocks = kLanes<uint64_t>; // of one vector
constexpr int kChains = 2;                // vectors at a time: their latencies overlap
constexpr uint64_t kLow = 0xffffffff;

// The product of the low halves of the lanes.
FASTNN_INLINE Words multiply(Words a, uint64_t b) {
#if defined(__AVX512F__)
    return (Words)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)broadcast(b));
#elif defined(FASTNN_EMULATED_ISA)
    return (a & kLow) * b;
#elif defined(__AVX2__)
    return (Words)_mm256_mul_epu32((__m256i)a, (__m256i)broadcast(b));
#elif defined(__x86_64__)
    return (Words)_mm_mul_epu32((__m128i)a, (__m128i)broadcast(b));
#else
    return (a & kLow) * b;
#endif
}

// 4 * kBlocks * kChains words from block `offset` on.
FASTNN_INLINE void philox_group(uint64_t seed, uint64_t offset, uint32_t* out) {
    Words c0[kChains], c1[kChains], c2[kChains], c3[kChains];
    for (int v = 0; v < kChains; ++v) {
        Words counter;
        for (int i = 0; i < kBlocks; ++i)
            counter[i] = offset + static_cast<uint64_t>(v * kBlocks + i);
        c0[v] = counter & kLow;
        c1[v] = counter >> 32;
        c2[v] = c3[v] = Words{};
    }
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
#pragma GCC unroll 2
        for (int v = 0; v < kChains;
             ++v) { // the upper halves of the lanes hold rubbish until the end
            const Words p0 = multiply(c0[v], 0xd2511f53), p1 = multiply(c2[v], 0xcd9e8d57);
            c0[v] = (p1 >> 32) ^ c1[v] ^ uint64_t { k0 };
            c1[v] = p1;
            c2[v] = (p0 >> 32) ^ c3[v] ^ uint64_t { k1 };
            c3[v] = p0;
        }
        k0 += 0x9e3779b9;
        k1 += 0xbb67ae85;
    }
    for (int v = 0; v < kChains; ++v) {
        const Words first = (c0[v] & kLow) | (c1[v] << 32), second = (c2[v] & kLow) | (c3[v] << 32);
        double words[2 * kBlocks]; // moved, not computed with
        store_interleaved<double>(words, (Vec<double>)first, (Vec<double>)second, kBlocks, words);
        __builtin_memcpy(out + 4 * kBlocks * v, words, sizeof words);
    }
}

constexpr int64_t kGroupWords = 4 * kBlocks * kChains;

// Calls body(position, words, count) for pieces of `total` words from block `offset` on.
template <class Body>
FASTNN_INLINE void for_words(uint64_t seed, uint64_t offset, int64_t total, Body body) {
    alignas(64) uint32_t words[kGroupWords];
    for (int64_t at = 0; at < total; at += kGroupWords) {
        philox_group(seed, offset + static_cast<uint64_t>(at / 4), words);
        body(at, words, total - at < kGroupWords ? total - at : kGroupWords);
    }
}

void philox(uint64_t seed, uint64_t offset, int64_t n, uint32_t* out) {
    for_words(seed, offset, 4 * n, [&](int64_t at, const uint32_t* words, int64_t count) {
        __builtin_memcpy(out + at, words, static_cast<std::size_t>(count) * sizeof(uint32_t));
    });
}

void uniform_float(uint64_t seed, uint64_t offset, int64_t n, void* out) {
    float* u = static_cast<float*>(out);
    for_words(seed, offset, n, [&](int64_t at, const uint32_t* words, int64_t count) {
        for_vectors<float>(count, [&](int64_t i, int64_t k) {
            const Vec<int32_t> bits = (Vec<int32_t>)(get(words + i, k) >> 8);
            put(u + at + i, __builtin_convertvector(bits, Vec<float>) * 0x1p-24f, k);
        });
    });
}

void uniform_double(uint64_t seed, uint64_t offset, int64_t n, void* out) {
    double* u = static_cast<double*>(out);
    for_words(seed, offset, 2 * n, [&](int64_t at, const uint32_t* words, int64_t count) {
        for (int64_t i = 0; i < count; i += 2) {
            const int64_t bits = static_cast<int64_t>(words[i] >> 5) << 26 | words[i + 1] >> 6;
            u[(at + i) / 2] = static_cast<double>(bits) * 0x1p-53;
        }
    });
}

template <class T>
void dropout(uint64_t seed, uint64_t offset, uint32_t threshold, double scale, int64_t n,
             const void* x_data, void* y_data, bool* mask) {
    const T* x = static_cast<const T*>(x_data);
    T* y = static_cast<T*>(y_data);
    const T factor = static_cast<T>(scale);
    for_words(seed, offset, n, [&](int64_t at, const uint32_t* words, int64_t count) {
        for (int64_t i = 0; i < count; ++i) {
            const bool keep = words[i] >> 8 >= threshold;
            mask[at + i] = keep;
            y[at + i] = x[at + i] * (keep ? factor : T(0));
        }
    });
}

template <class T>
void dropout_backward(double scale, int64_t n, const void* g_data, const bool* mask,
                      void* gx_data) {
    const T* g = static_cast<const T*>(g_data);
    T* gx = static_cast<T*>(gx_data);
    const T factor = static_cast<T>(scale);
    for (int64_t i = 0; i < n; ++i)
        gx[i] = g[i] * (mask[i] ? factor : T(0));
}

} // namespace

const RandomTable random_table = {
    philox,
    {uniform_float, uniform_double},
    {dropout<float>, dropout<double>},
    {dropout_backward<float>, dropout_backward<double>},
};

} // namespace fastnn::FASTNN_ISA
