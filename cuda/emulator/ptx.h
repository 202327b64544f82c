// Twins of core/ptx.cuh: cp.async, named barriers, ldmatrix, stmatrix, mma.sync with the fragment
// layouts of the PTX manual.
#pragma once

#include "emulator/half.h"
#include "emulator/interface.h"
#include "emulator/intrinsics.h"

namespace ptx {

// ---- asynchronous copies
template <int N>
SIMT_NOINST void cp_async(void* dst, const void* src, bool predicate = true, SIMT_HERE) {
    static_assert(N == 4 || N == 8 || N == 16, "cp.async copies 4, 8 or 16 bytes");
    simt::cp_async(dst, src, N, predicate ? N : 0, SIMT_SITE, __builtin_return_address(0));
}
SIMT_INL void cp_async_commit() {
    simt::cp_async_commit();
}
template <int N>
SIMT_INL void cp_async_wait() {
    simt::cp_async_wait(N);
}

// ---- named barriers
SIMT_INL void bar_sync(unsigned id, unsigned threads, SIMT_HERE) {
    simt::barrier_sync(id, threads, 0, SIMT_SITE);
}
SIMT_INL void bar_arrive(unsigned id, unsigned threads, SIMT_HERE) {
    simt::barrier_arrive(id, threads, SIMT_SITE);
}

// ---- 8x8 matrices of 16-bit elements: lane l holds row l / 4, columns 2 (l % 4) and the next
struct MatrixRows {
    unsigned char* row; // of lanes 8j .. 8j + 7: the rows of matrix j
    uint32_t r[4];
};
template <int Count, bool Transposed>
SIMT_NOINST void load_matrices(unsigned mask, void** slots) {
    if (mask != ~0u)
        simt::fail("ldmatrix needs all 32 lanes");
    for (int j = 0; j < Count; j++) {
        uint16_t t[8][8];
        for (int i = 0; i < 8; i++)
            memcpy(t[i], static_cast<MatrixRows*>(slots[8 * j + i])->row, 16);
        for (int l = 0; l < 32; l++) {
            const int row = l >> 2, column = 2 * (l & 3);
            const uint32_t low = Transposed ? t[column][row] : t[row][column];
            const uint32_t high = Transposed ? t[column + 1][row] : t[row][column + 1];
            static_cast<MatrixRows*>(slots[l])->r[j] = low | high << 16;
        }
    }
}
template <int Count, bool Transposed>
SIMT_NOINST void store_matrices(unsigned mask, void** slots) {
    if (mask != ~0u)
        simt::fail("stmatrix needs all 32 lanes");
    for (int j = 0; j < Count; j++) {
        uint16_t t[8][8];
        for (int l = 0; l < 32; l++) {
            const int row = l >> 2, column = 2 * (l & 3);
            const uint32_t r = static_cast<MatrixRows*>(slots[l])->r[j];
            (Transposed ? t[column][row] : t[row][column]) = uint16_t(r);
            (Transposed ? t[column + 1][row] : t[row][column + 1]) = uint16_t(r >> 16);
        }
        for (int i = 0; i < 8; i++)
            memcpy(static_cast<MatrixRows*>(slots[8 * j + i])->row, t[i], 16);
    }
}
// The access of one lane to its row; a warp's rows are one request for the counters.
template <int Count>
SIMT_INL void matrix_access(const void* row, simt::Access kind, const void* pc) {
    if (simt::context->lane >= 8 * Count)
        return;
    simt::access(row, 16, kind, pc);
}
template <int Count, bool Transposed>
SIMT_NOINST void ldmatrix(MatrixRows& m, simt::Site site) {
    matrix_access<Count>(m.row, simt::Access::read, __builtin_return_address(0));
    simt::warp_collective(Transposed ? "ldmatrix.trans" : "ldmatrix", ~0u, &m,
                          load_matrices<Count, Transposed>, true, false, site);
}
template <int Count, bool Transposed>
SIMT_NOINST void stmatrix(MatrixRows& m, simt::Site site) {
    matrix_access<Count>(m.row, simt::Access::write, __builtin_return_address(0));
    simt::warp_collective(Transposed ? "stmatrix.trans" : "stmatrix", ~0u, &m,
                          store_matrices<Count, Transposed>, true, false, site);
}
#define SIMT_MATRICES(COUNT, SUFFIX, TRANSPOSED)                                                   \
    SIMT_INL void ldmatrix_x##COUNT##SUFFIX(uint32_t (&r)[COUNT], const void* p, SIMT_HERE) {      \
        MatrixRows m{static_cast<unsigned char*>(const_cast<void*>(p)), {}};                       \
        ldmatrix<COUNT, TRANSPOSED>(m, SIMT_SITE);                                                 \
        for (int j = 0; j < COUNT; j++)                                                            \
            r[j] = m.r[j];                                                                         \
    }                                                                                              \
    SIMT_INL void stmatrix_x##COUNT##SUFFIX(void* p, const uint32_t (&r)[COUNT], SIMT_HERE) {      \
        MatrixRows m{static_cast<unsigned char*>(p), {}};                                          \
        for (int j = 0; j < COUNT; j++)                                                            \
            m.r[j] = r[j];                                                                         \
        stmatrix<COUNT, TRANSPOSED>(m, SIMT_SITE);                                                 \
    }
SIMT_MATRICES(1, , false)
SIMT_MATRICES(2, , false)
SIMT_MATRICES(4, , false)
SIMT_MATRICES(1, _trans, true)
SIMT_MATRICES(2, _trans, true)
SIMT_MATRICES(4, _trans, true)
#undef SIMT_MATRICES

// ---- mma.sync
enum Element { bf16, f16, tf32 };
template <Element T>
SIMT_INL float element_of(uint32_t r, int e) {
    if constexpr (T == bf16)
        return __uint_as_float(e ? r & 0xffff0000u : r << 16);
    else if constexpr (T == tf32)
        return __uint_as_float(r & 0xffffe000u); // the hardware drops the low bits
    else
        return simt::half_value(uint16_t(r >> 16 * e));
}
struct MmaOperands {
    uint32_t a[4], b[2];
    float d[4];
};
// D (16 x 8) += A (16 x K) B (K x 8)
template <int K, Element T>
SIMT_NOINST void multiply_fragments(unsigned mask, void** slots) {
    constexpr int per_register = T == tf32 ? 1 : 2;
    constexpr int a_registers = K / (4 * per_register) * 2;
    constexpr int b_registers = a_registers / 2;
    if (mask != ~0u)
        simt::fail("mma.sync needs all 32 lanes");
    using Row = float __attribute__((vector_size(32)));
    float A[16][K];
    Row B[K], D[16];
    for (int l = 0; l < 32; l++) {
        const auto* f = static_cast<MmaOperands*>(slots[l]);
        const int g = l >> 2, t = l & 3; // groupID, threadID_in_group of the PTX manual
        for (int i = 0; i < a_registers; i++)
            for (int e = 0; e < per_register; e++)
                A[g + 8 * (i & 1)][(t + (i >> 1) * 4) * per_register + e] =
                    element_of<T>(f->a[i], e);
        for (int i = 0; i < b_registers; i++)
            for (int e = 0; e < per_register; e++)
                B[(t + i * 4) * per_register + e][g] = element_of<T>(f->b[i], e);
        for (int i = 0; i < 4; i++)
            D[g + 8 * (i >> 1)][2 * t + (i & 1)] = f->d[i];
    }
    for (int m = 0; m < 16; m++)
        for (int k = 0; k < K; k++)
            D[m] += A[m][k] * B[k];
    for (int l = 0; l < 32; l++)
        for (int i = 0; i < 4; i++)
            static_cast<MmaOperands*>(slots[l])->d[i] =
                D[(l >> 2) + 8 * (i >> 1)][2 * (l & 3) + (i & 1)];
}
#define SIMT_MMA(NAME, K, T, AREGS, BREGS)                                                         \
    SIMT_INL void NAME(float (&d)[4], const uint32_t (&a)[AREGS], const uint32_t (&b)[BREGS],      \
                       SIMT_HERE) {                                                                \
        MmaOperands f{{}, {}, {d[0], d[1], d[2], d[3]}};                                           \
        for (int i = 0; i < AREGS; i++)                                                            \
            f.a[i] = a[i];                                                                         \
        for (int i = 0; i < BREGS; i++)                                                            \
            f.b[i] = b[i];                                                                         \
        simt::warp_collective(#NAME, ~0u, &f, multiply_fragments<K, T>, true, false, SIMT_SITE);   \
        for (int i = 0; i < 4; i++)                                                                \
            d[i] = f.d[i];                                                                         \
    }
SIMT_MMA(mma_m16n8k16_bf16, 16, bf16, 4, 2)
SIMT_MMA(mma_m16n8k16_f16, 16, f16, 4, 2)
SIMT_MMA(mma_m16n8k8_bf16, 8, bf16, 2, 1)
SIMT_MMA(mma_m16n8k8_f16, 8, f16, 2, 1)
SIMT_MMA(mma_m16n8k8_tf32, 8, tf32, 4, 2)
SIMT_MMA(mma_m16n8k4_tf32, 4, tf32, 2, 1)
#undef SIMT_MMA

struct MmaDoubles {
    double a, b, d[2];
};
SIMT_NOINST inline void multiply_doubles(unsigned mask, void** slots) {
    if (mask != ~0u)
        simt::fail("mma.sync needs all 32 lanes");
    const auto lane = [slots](int l) { return static_cast<MmaDoubles*>(slots[l]); };
    for (int l = 0; l < 32; l++)
        for (int i = 0; i < 2; i++)
            for (int k = 0; k < 4; k++) // A: row l / 4, column l % 4; B: row l % 4, column l / 4
                lane(l)->d[i] = std::fma(lane((l >> 2) * 4 + k)->a,
                                         lane((2 * (l & 3) + i) * 4 + k)->b, lane(l)->d[i]);
}
// D (8 x 8) += A (8 x 4) B (4 x 8) in float64
SIMT_INL void mma_m8n8k4_f64(double (&d)[2], double a, double b, SIMT_HERE) {
    MmaDoubles f{a, b, {d[0], d[1]}};
    simt::warp_collective("mma_m8n8k4_f64", ~0u, &f, multiply_doubles, true, false, SIMT_SITE);
    d[0] = f.d[0];
    d[1] = f.d[1];
}

// ---- conversions and approximations
SIMT_INL uint32_t cvt_tf32(float x) { // cvt.rna.tf32.f32: ties away from zero
    const uint32_t u = __float_as_uint(x);
    return (u & 0x7f800000u) == 0x7f800000u ? u : (u + 0x1000u) & 0xffffe000u;
}
SIMT_INL float ex2(float x) {
    return exp2f(x);
}

} // namespace ptx
