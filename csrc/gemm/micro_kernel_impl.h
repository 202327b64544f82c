// The code of the micro-kernels and of their table. Included by gemm_kernels.cpp alone.
#pragma once

#include "gemm/micro_kernel.h"

namespace fastnn::FASTNN_ISA {

template <class T>
FASTNN_INLINE T finish(T v, bool relu) {
    return relu && v < T{} ? T{} : v; // NaN stays
}

// A tile of a C whose columns are contiguous, not its rows: transposed in registers.
template <class T>
FASTNN_INLINE void store_columns(const T* tile, int64_t rows, int64_t width,
                                 const TileOut<T>& out) {
    constexpr int lanes = kLanes<T>;
    const Vec<T> least = broadcast(out.relu ? T{} : -static_cast<T>(__builtin_inf()));
    for (int64_t i0 = 0; i0 < rows; i0 += lanes) {
        const int64_t count = rows - i0 < lanes ? rows - i0 : lanes;
        const Vec<T> row_bias = out.row_bias ? load_partial(out.row_bias + i0, count) : Vec<T>{};
        for (int64_t j0 = 0; j0 < out.columns; j0 += lanes) {
            Vec<T> square[lanes];
#pragma GCC unroll 16
            for (int i = 0; i < lanes; ++i)
                square[i] = i < count ? load(tile + (i0 + i) * width + j0) : Vec<T>{};
            transpose(square);
            T turned[lanes * lanes];
#pragma GCC unroll 16
            for (int i = 0; i < lanes; ++i)
                store(turned + i * lanes, square[i]);
            for (int64_t j = j0; j < j0 + lanes && j < out.columns; ++j) {
                T* c = out.c + i0 + j * out.col;
                Vec<T> v = load(turned + (j - j0) * lanes);
                if (out.accumulate)
                    v += load_partial(c, count);
                v += row_bias + broadcast(out.column_bias ? out.column_bias[j] : T{});
                store_partial(c, max(least, v), count);
            }
        }
    }
}

// A tile of fewer columns than its vectors have lanes.
template <class T>
FASTNN_INLINE void store_rows(const T* tile, int64_t rows, int64_t width, const TileOut<T>& out) {
    constexpr int lanes = kLanes<T>;
    const Vec<T> least = broadcast(out.relu ? T{} : -static_cast<T>(__builtin_inf()));
    for (int64_t j = 0; j < out.columns; j += lanes) {
        const int64_t count = out.columns - j < lanes ? out.columns - j : lanes;
        const Vec<T> column_bias =
            out.column_bias ? load_partial(out.column_bias + j, count) : Vec<T>{};
        for (int64_t i = 0; i < rows; ++i) {
            T* c = out.c + i * out.row + j;
            Vec<T> v = load(tile + i * width + j);
            if (out.accumulate)
                v += load_partial(c, count);
            v += broadcast(out.row_bias ? out.row_bias[i] : T{}) + column_bias;
            store_partial(c, max(least, v), count);
        }
    }
}

// A tile at the edge of C, or of a C whose columns are not contiguous.
template <class T>
__attribute__((noinline)) void store_edge(const T* tile, int64_t rows, int64_t width,
                                          const TileOut<T>& out) {
    if (width >= kLanes<T> && out.col == 1)
        return store_rows(tile, rows, width, out);
    if (width >= kLanes<T> && out.row == 1)
        return store_columns(tile, rows, width, out);
    for (int64_t i = 0; i < rows; ++i) {
        const T row_bias = out.row_bias ? out.row_bias[i] : T{};
        for (int64_t j = 0; j < out.columns; ++j) {
            T* c = out.c + i * out.row + j * out.col;
            T v = tile[i * width + j];
            if (out.accumulate)
                v += *c;
            v += row_bias + (out.column_bias ? out.column_bias[j] : T{});
            *c = finish(v, out.relu);
        }
    }
}

// `step` is the distance of the second vector of columns from the first.
template <class T, int MR, int NV>
FASTNN_INLINE void store_tile(Vec<T> (&acc)[MR][NV], int64_t step, const TileOut<T>& out) {
    constexpr int lanes = kLanes<T>;
    if (out.col != 1 || out.columns != (NV - 1) * step + lanes) {
        alignas(64) T tile[MR * NV * lanes];
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
            for (int j = 0; j < NV; ++j)
                store(tile + (i * NV + j) * lanes, acc[i][j]);
        store_edge(tile, MR, NV * lanes, out);
        return;
    }
    if (!out.column_bias && !out.row_bias && !out.relu) {
        if (out.accumulate)
#pragma GCC unroll 16
            for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
                for (int j = 0; j < NV; ++j)
                    acc[i][j] += load(out.c + i * out.row + j * step);
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
            for (int j = 0; j < NV; ++j)
                store(out.c + i * out.row + j * step, acc[i][j]);
        return;
    }
    Vec<T> column_bias[NV] = {};
    if (out.column_bias)
        for (int j = 0; j < NV; ++j)
            column_bias[j] = load(out.column_bias + j * step);
    const Vec<T> least = broadcast(out.relu ? T{} : -static_cast<T>(__builtin_inf()));
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
        T* row = out.c + i * out.row;
        const Vec<T> row_bias = broadcast(out.row_bias ? out.row_bias[i] : T{});
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) {
            Vec<T> v = acc[i][j];
            if (out.accumulate)
                v += load(row + j * step);
            v += row_bias + column_bias[j];
            store(row + j * step, max(least, v)); // NaN stays
        }
    }
}

// Brings a tile of C into the first-level cache while its products are computed.
template <class T, int MR, int NV>
FASTNN_INLINE void fetch_tile(const TileOut<T>& out) {
    if (out.col != 1)
        return;
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
        __builtin_prefetch(out.c + i * out.row, 1);
        __builtin_prefetch(out.c + i * out.row + NV * kLanes<T> - 1, 1);
    }
}

template <class T, int MR, int NV>
void micro_kernel(const TileIn<T>& in, const TileOut<T>& out) {
    constexpr int lanes = kLanes<T>;
    fetch_tile<T, MR, NV>(out);
    Vec<T> acc[MR][NV];
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j)
            acc[i][j] = Vec<T>{};
    // Fewer columns than two vectors: the second overlaps the first, and both are stored whole.
    // (Adding to C, the columns that they share would be added to twice.)
    const bool overlap = NV == 2 && out.col == 1 && out.columns > lanes && !out.accumulate;
    const int64_t step = overlap ? out.columns - lanes : lanes;
    const T* a = in.a;
    const T* b = in.b;
    const int64_t a_row = in.a_row, a_col = in.a_col, b_row = in.b_row;
    for (int64_t segment = 0; segment < in.segments; ++segment) {
        if (in.a_offset)
            a = in.a + in.a_offset[segment];
        if (in.b_offset)
            b = in.b + in.b_offset[segment];
        for (int64_t p = in.k; p > 0; --p) {
            Vec<T> row[NV];
            for (int j = 0; j < NV; ++j)
                row[j] = load(b + j * step);
#pragma GCC unroll 16
            for (int i = 0; i < MR; ++i) {
                const T x = a[i * a_row];
#pragma GCC unroll 4
                for (int j = 0; j < NV; ++j)
                    acc[i][j] += x * row[j];
            }
            a += a_col;
            b += b_row;
        }
    }
    store_tile<T, MR, NV>(acc, step, out);
}

// The rows of A keep their pointers; the segments move the index that they share.
template <class T, int MR, int NV>
void gather_kernel(const TileIn<T>& in, const TileOut<T>& out) {
    constexpr int lanes = kLanes<T>;
    Vec<T> acc[MR][NV];
    const T* a[MR];
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
        a[i] = in.a + in.a_rows[i];
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j)
            acc[i][j] = Vec<T>{};
    }
    const T* b = in.b;
    const int64_t b_row = in.b_row;
    for (int64_t segment = 0; segment < in.segments; ++segment) {
        const int64_t begin = in.a_offset[segment];
        for (int64_t p = begin; p < begin + in.k; ++p) {
            Vec<T> row[NV];
            for (int j = 0; j < NV; ++j)
                row[j] = load(b + j * lanes);
#pragma GCC unroll 16
            for (int i = 0; i < MR; ++i) {
                const T x = a[i][p];
#pragma GCC unroll 4
                for (int j = 0; j < NV; ++j)
                    acc[i][j] += x * row[j];
            }
            b += b_row;
        }
    }
    store_tile<T, MR, NV>(acc, lanes, out);
}

template <class T, int... Row>
constexpr MicroKernels<T> make_micro_kernels(std::integer_sequence<int, Row...>) {
    return {{{micro_kernel<T, Row + 1, 1>, micro_kernel<T, Row + 1, 2>}...},
            {{gather_kernel<T, Row + 1, 1>, gather_kernel<T, Row + 1, 2>}...}};
}

} // namespace fastnn::FASTNN_ISA
