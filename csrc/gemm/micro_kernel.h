// The GEMM micro-kernel: a tile of C of some rows and one or two vectors of columns, held in
// registers over the loop in k.
//
// One step in k loads NV vectors of B and multiplies them with MR broadcast elements of A: 2 * MR *
// NV * lanes FLOPs for MR + NV loads, so that the FMA units are the limit, not the loads. A tile is
// at most 14 x 2 vectors on AVX-512 (28 of 32 registers accumulate), 6 x 2 on AVX2 (12 of 16), 4 x
// 2 on SSE, 12 x 2 on NEON (GCC 12's code for it, cross-compiled and read, not run: 24 fmla in 43
// instructions). A and B may be packed or lie in a matrix.
#pragma once

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

#if defined(__AVX512F__) || defined(FASTNN_EMULATED_ISA)
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

// The loop in k runs over `segments` segments of `k` steps. Segment s begins a_offset[s] after a
// and b_offset[s] after b (null: where the last one ended). In it, element (i, p) of A is a[i *
// a_row + p * a_col], and vector j of row p of B is at b + p * b_row + j * lanes.
template <class T>
struct TileIn {
    int64_t k;
    const T* a;
    int64_t a_row, a_col;
    const T* b;
    int64_t b_row;
    int64_t segments = 1;
    const int64_t* a_offset = nullptr;
    const int64_t* b_offset = nullptr;
    // For the kernels `gather`: row i of A begins a_rows[i] after a, and its elements lie side by
    // side (a_row and a_col count for nothing); a_offset is needed, b_offset is not read.
    const int64_t* a_rows = nullptr;
};

// Where a tile goes and what is done to it on the way. Biases may be null.
template <class T>
struct TileOut {
    T* c;
    int64_t row, col;     // strides of C
    int64_t columns;      // how many columns of the tile exist
    const T* column_bias; // one for each column of the tile
    const T* row_bias;    // one for each row of the tile
    bool accumulate;      // add to what C holds
    bool relu;
};

template <class T>
using MicroKernel = void (*)(const TileIn<T>&, const TileOut<T>&);

// [rows - 1][vectors - 1]; defined in gemm_kernels.cpp, for every family that multiplies.
template <class T>
struct MicroKernels {
    MicroKernel<T> of[kTileRows][kTileVectors];
    MicroKernel<T> gather[kTileRows][kTileVectors]; // rows of A at any distance from each other
};
extern const MicroKernels<float> micro_kernels_f32;
extern const MicroKernels<double> micro_kernels_f64;

template <class T>
FASTNN_INLINE const MicroKernels<T>& micro_kernels() {
    if constexpr (sizeof(T) == 4)
        return micro_kernels_f32;
    else
        return micro_kernels_f64;
}

} // namespace fastnn::FASTNN_ISA
