// The micro-kernels of narrow products: 32 x 32 sums of units of 32 bits, on AMX tiles or on
// vectors.
//
// A step of the tiles multiplies 32 x 16 units of A with 16 x 32 of B by four instructions, which
// take 16 cycles each, and loads four tiles for it: 2 x 2 tiles of C keep two loads for two
// products of 1 KB each, which the first-level cache gives. Vectors take one broadcast of A and two
// vectors of B, as gemm/micro_kernel.h does.
#pragma once

#include "gemm/narrow_pack.h"
#include "simd/tiles.h"

namespace fastnn::FASTNN_ISA {

// Which parts of A and B are multiplied, the smallest products first.
struct Terms {
    int count;
    int a[6], b[6];
};
inline constexpr Terms kTerms[kMostParts] = {
    {1, {0}, {0}},
    {3, {1, 0, 0}, {0, 1, 0}},
    {6, {2, 0, 1, 1, 0, 0}, {0, 2, 1, 0, 1, 0}},
};

// Blocks of A and of B along k, those of part p p * part_step units further.
struct NarrowIn {
    const uint32_t* a;
    int64_t a_part_step;
    const uint32_t* b;
    int64_t b_part_step;
    int64_t blocks;
    int64_t rows, columns; // that exist
};

template <class Sum>
FASTNN_INLINE void add_row(Sum* c, const Sum* row, bool add) {
    for (int j = 0; j < kLines; j += kLanes<Sum>)
        store(c + j, add ? load(c + j) + load(row + j) : load(row + j));
}

// C (32 x 32, rows c_row apart) = A B, or C + A B where `add`.
template <class Dot, int MR, int NV>
FASTNN_INLINE void vector_rows(const NarrowIn& in, const Terms& terms, int row, int column,
                               typename Dot::Sum* c, int64_t c_row, bool add) {
    using Sum = typename Dot::Sum;
    constexpr int lanes = kUnitLanes;
    Vec<Sum> sums[MR][NV] = {};
    Vec<Sum> offset[NV] = {}; // what the shift of A to unsigned values adds
    for (int term = 0; term < terms.count; ++term) {
        const uint32_t* a = in.a + terms.a[term] * in.a_part_step + row * kUnits;
        const uint32_t* b = in.b + terms.b[term] * in.b_part_step + column;
        for (int64_t block = 0; block < in.blocks; ++block, a += kBlockUnits, b += kBlockUnits)
            for (int unit = 0; unit < kUnits; ++unit) {
                Units right[NV];
#pragma GCC unroll 4
                for (int j = 0; j < NV; ++j)
                    right[j] = load(b + unit * kLines + j * lanes);
#pragma GCC unroll 16
                for (int i = 0; i < MR; ++i) {
                    const Units left = broadcast(a[i * kUnits + unit] ^ Dot::kFlip);
#pragma GCC unroll 4
                    for (int j = 0; j < NV; ++j)
                        sums[i][j] = Dot::step(sums[i][j], left, right[j]);
                }
                if constexpr (Dot::kFlip != 0)
#pragma GCC unroll 4
                    for (int j = 0; j < NV; ++j)
                        offset[j] = Dot::step(offset[j], broadcast(uint32_t{Dot::kFlip}), right[j]);
            }
    }
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) {
            Sum* to = c + (row + i) * c_row + column + j * lanes;
            Vec<Sum> sum = sums[i][j];
            if constexpr (Dot::kFlip != 0)
                sum -= offset[j];
            store(to, add ? load(to) + sum : sum);
        }
}

template <class Dot>
void vector_tile(const NarrowIn& in, const Terms& terms, typename Dot::Sum* c, int64_t c_row,
                 bool add) {
    constexpr int rows = kVectorBytes == 64 ? 8 : 4, vectors = 2;
    for (int column = 0; column < in.columns; column += vectors * kUnitLanes)
        for (int row = 0; row < in.rows; row += rows)
            vector_rows<Dot, rows, vectors>(in, terms, row, column, c, c_row, add);
}

struct DotInt16 {
    using Sum = int32_t;
    static constexpr uint32_t kFlip = 0;
    static FASTNN_INLINE Vec<Sum> step(Vec<Sum> sum, Units a, Units b) {
        return dot_int16(sum, a, b);
    }
};

#if FASTNN_HAS_BF16
struct DotBf16 {
    using Sum = float;
    static constexpr uint32_t kFlip = 0;
    static FASTNN_INLINE Vec<Sum> step(Vec<Sum> sum, Units a, Units b) {
        return dot_bf16(sum, a, b);
    }
};
#endif

#if FASTNN_HAS_VNNI
struct DotInt8 { // a + 128 has no sign
    using Sum = int32_t;
    static constexpr uint32_t kFlip = 0x80808080u;
    static FASTNN_INLINE Vec<Sum> step(Vec<Sum> sum, Units a, Units b) {
        return dot_uint8_int8(sum, a, b);
    }
};
#endif

#if FASTNN_HAS_TILES
template <class Sum>
FASTNN_INLINE void multiply_tiles(bool lower, bool right) {
    if constexpr (std::is_same_v<Sum, float>) {
        _tile_dpbf16ps(0, 4, 6);
        if (right)
            _tile_dpbf16ps(1, 4, 7);
        if (lower)
            _tile_dpbf16ps(2, 5, 6);
        if (lower && right)
            _tile_dpbf16ps(3, 5, 7);
    } else {
        _tile_dpbssd(0, 4, 6);
        if (right)
            _tile_dpbssd(1, 4, 7);
        if (lower)
            _tile_dpbssd(2, 5, 6);
        if (lower && right)
            _tile_dpbssd(3, 5, 7);
    }
}

template <class Sum, bool lower, bool right>
FASTNN_INLINE void amx_blocks(const NarrowIn& in, const Terms& terms) {
    for (int term = 0; term < terms.count; ++term) {
        const uint32_t* a = in.a + terms.a[term] * in.a_part_step;
        const uint32_t* b = in.b + terms.b[term] * in.b_part_step;
        for (int64_t block = 0; block < in.blocks; ++block, a += kBlockUnits, b += kBlockUnits) {
            _tile_loadd(4, a, 4 * kUnits);
            _tile_loadd(6, b, 4 * kLines);
            if (lower)
                _tile_loadd(5, a + 16 * kUnits, 4 * kUnits);
            if (right)
                _tile_loadd(7, b + 16, 4 * kLines);
            multiply_tiles<Sum>(lower, right);
        }
    }
}

// (Tiles of rows and columns that do not exist are left out.)
template <class Sum>
void amx_tile(const NarrowIn& in, const Terms& terms, Sum* c, int64_t c_row, bool add) {
    const bool lower = in.rows > 16, right = in.columns > 16;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    if (lower && right)
        amx_blocks<Sum, true, true>(in, terms);
    else if (lower)
        amx_blocks<Sum, true, false>(in, terms);
    else if (right)
        amx_blocks<Sum, false, true>(in, terms);
    else
        amx_blocks<Sum, false, false>(in, terms);
    alignas(64) Sum sums[kLines * kLines];
    _tile_stored(0, sums, 4 * kLines);
    _tile_stored(1, sums + 16, 4 * kLines);
    _tile_stored(2, sums + 16 * kLines, 4 * kLines);
    _tile_stored(3, sums + 16 * kLines + 16, 4 * kLines);
    for (int i = 0; i < in.rows; ++i)
        add_row(c + i * c_row, sums + i * kLines, add);
}
#endif

} // namespace fastnn::FASTNN_ISA
