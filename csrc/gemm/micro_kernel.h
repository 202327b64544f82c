// The GEMM micro-kernel: a tile of C of MR rows and NV vectors of columns, held in registers over
// the loop in k.
//
// A is packed as [k][MR], B as [k][NV * lanes]. One step in k loads NV vectors of B and multiplies
// them with MR broadcast elements of A: 2 * MR * NV * lanes FLOPs for MR + NV loads. Tiles are 14 x
// 2 vectors on AVX-512 (28 of 32 registers accumulate), 6 x 2 on AVX2 (12 of 16), 4 x 2 on SSE.
#pragma once

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

#if defined(__AVX512F__)
inline constexpr int kTileRows = 14;
#elif defined(__AVX2__)
inline constexpr int kTileRows = 6;
#elif defined(__aarch64__)
inline constexpr int kTileRows = 12;
#else
inline constexpr int kTileRows = 4;
#endif
inline constexpr int kTileVectors = 2;
template <class T>
inline constexpr int kTileColumns = kTileVectors * kLanes<T>;

// Where a tile goes and what is done to it on the way. Biases may be null.
template <class T>
struct TileOut {
    T* c;
    int64_t row, col;     // strides of C
    int64_t columns;      // columns of the tile that exist
    const T* column_bias; // one for each column of the tile
    const T* row_bias;    // one for each row of the tile
    bool accumulate;      // add to what C holds
    bool relu;
};

template <class T, int MR, int NV>
FASTNN_INLINE void store_tile(Vec<T> (&acc)[MR][NV], const TileOut<T>& out) {
    constexpr int lanes = kLanes<T>;
    Vec<T> bias[NV];
    for (int j = 0; j < NV; ++j) {
        const int64_t left = out.columns - j * lanes;
        bias[j] = Vec<T>{};
        if (out.column_bias && left > 0)
            bias[j] = load_partial(out.column_bias + j * lanes, left < lanes ? left : lanes);
    }
    const bool in_rows = out.col == 1;
    const bool full = in_rows && out.columns == NV * lanes;
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
        T* row = out.c + i * out.row;
        const Vec<T> row_bias = broadcast(out.row_bias ? out.row_bias[i] : T{});
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) {
            Vec<T> v = acc[i][j];
            if (full) {
                if (out.accumulate)
                    v += load(row + j * lanes);
                v = v + bias[j] + row_bias;
                if (out.relu)
                    v = v < Vec<T>{} ? Vec<T>{} : v; // NaN stays
                store(row + j * lanes, v);
                continue;
            }
            const int64_t left = out.columns - j * lanes;
            const int64_t count = left < 0 ? 0 : left < lanes ? left : lanes;
            if (out.accumulate) {
                Vec<T> before = {};
                if (in_rows)
                    before = load_partial(row + j * lanes, count);
                else
                    for (int64_t x = 0; x < count; ++x)
                        before[x] = row[(j * lanes + x) * out.col];
                v += before;
            }
            v = v + bias[j] + row_bias;
            if (out.relu)
                v = v < Vec<T>{} ? Vec<T>{} : v;
            if (in_rows)
                store_partial(row + j * lanes, v, count);
            else
                for (int64_t x = 0; x < count; ++x)
                    row[(j * lanes + x) * out.col] = v[x];
        }
    }
}

template <class T, int MR, int NV>
__attribute__((noinline)) void micro_kernel(int64_t k, const T* a, const T* b,
                                            const TileOut<T>& out) {
    constexpr int lanes = kLanes<T>;
    Vec<T> acc[MR][NV];
    for (int i = 0; i < MR; ++i)
        for (int j = 0; j < NV; ++j)
            acc[i][j] = Vec<T>{};
    for (int64_t p = 0; p < k; ++p) {
        Vec<T> columns[NV];
        for (int j = 0; j < NV; ++j)
            columns[j] = load(b + p * NV * lanes + j * lanes);
        __builtin_prefetch(b + (p + 8) * NV * lanes);
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i) {
            const T x = a[p * MR + i];
#pragma GCC unroll 4
            for (int j = 0; j < NV; ++j)
                acc[i][j] += x * columns[j];
        }
    }
    store_tile<T, MR, NV>(acc, out);
}

// micro_kernel for a number of rows and vectors known at run time only.
template <class T, int MR = kTileRows>
FASTNN_INLINE void run_tile(int64_t rows, int vectors, int64_t k, const T* a, const T* b,
                            const TileOut<T>& out) {
    if constexpr (MR == 1) {
        vectors == 1 ? micro_kernel<T, 1, 1>(k, a, b, out) : micro_kernel<T, 1, 2>(k, a, b, out);
    } else {
        if (rows == MR)
            vectors == 1 ? micro_kernel<T, MR, 1>(k, a, b, out)
                         : micro_kernel<T, MR, 2>(k, a, b, out);
        else
            run_tile<T, MR - 1>(rows, vectors, k, a, b, out);
    }
}

} // namespace fastnn::FASTNN_ISA
