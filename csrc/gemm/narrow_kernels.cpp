// C (m, n) = activation(A (m, k) B (k, n) + bias) of narrow operands: one file for the levels of
// vectors and for those that add instructions for such products.
//
// Both operands are packed whole (in groups of lines where they are large), each element once, by
// all threads; float32 operands are split into bfloat16 parts on the way. Then blocks of C are
// computed in a buffer of wide sums that stays in the second-level cache, 512 bfloat16 (1,024 int8)
// of k at a time: sums of floats start again at every block of k, so that their errors do not grow
// with k. What is computed where:
//     int8                 amx: tiles, avx512_vnni and up: vpdpbusd, else pairs of int16 (pmaddwd)
//     bfloat16             amx: tiles, avx512_bf16: vdpbf16ps, else float32's own kernels on
//                          widened copies
//     float32 by parts     amx: tiles; one part on avx512_bf16 too
//
// Parts: x = x1 + x2 + x3, each the bfloat16 nearest to what is left. One product (x1 y1) has
// bfloat16's error; three (x2 y1 + x1 y2 + x1 y1) leave out x2 y2, 2^-16 of the product; six (those
// and x3 y1, x1 y3, x2 y2) leave out 2^-24, so float32's own error is left. With two parts or more
// every row of A and column of B is scaled by the power of two that brings its largest element to
// [1, 2): else the parts of small numbers are below what the instructions, which take subnormal
// numbers for 0, can hold. A tile with a result that is not finite (an operand was infinite, NaN or
// rounded up to infinity) is computed again by float32's kernels.
//
// Floor: 2 m n k FLOPs at the units' peak, 2 KB of products in 16 cycles with AMX. No machine with
// these instructions was at hand: the levels above avx512 ran with stand-ins only, and their speed
// is not known.
#include "core/buffer_pool.h"
#include "core/integers.h"
#include "core/parallel.h"
#include "gemm/gemm.h"
#include "gemm/narrow_tile.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kBlocksOfK = 16;        // blocks of 16 units that one sum passes over
constexpr int64_t kRowLines = 128;        // lines of A in a block of C, at most
constexpr int64_t kColumnLines = 256;     // lines of B
constexpr int64_t kTasks = 8;             // blocks of C wanted
constexpr int64_t kGroupBytes = 32 << 20; // of an operand are packed at once
constexpr int64_t kPackGrain = 64;        // blocks of an operand in a chunk of packing
constexpr int64_t kWidenGrain = 32768;    // elements in a chunk of widening

// -- engines ------------------------------------------------------------------------------------
template <class FormatOf, class Dot>
struct VectorEngine {
    using Format = FormatOf;
    using Sum = typename Dot::Sum;
    static void tile(const NarrowIn& in, Sum* c, int64_t c_row, bool add) {
        vector_tile<Dot>(in, kTerms[Format::kParts - 1], c, c_row, add);
    }
};

#if FASTNN_HAS_TILES
template <class FormatOf, class SumOf>
struct TileEngine {
    using Format = FormatOf;
    using Sum = SumOf;
    static void tile(const NarrowIn& in, Sum* c, int64_t c_row, bool add) {
        amx_tile(in, kTerms[Format::kParts - 1], c, c_row, add);
    }
};
#endif

// -- scales -------------------------------------------------------------------------------------
// 2^-e and 2^e for lines whose largest element has the exponent e; 1 for a line with an element
// that is not finite.
void scale_of(uint32_t largest, float* scale, float* inverse) {
    const uint32_t exponent = largest >> 23;
    const uint32_t e = exponent == 255 ? 127 : exponent < 1 ? 1 : exponent > 253 ? 253 : exponent;
    const uint32_t scale_bits = (254 - e) << 23, inverse_bits = e << 23;
    __builtin_memcpy(scale, &scale_bits, sizeof scale_bits);
    __builtin_memcpy(inverse, &inverse_bits, sizeof inverse_bits);
}

// scales[0, lines) and, `step` further, their inverses; 1 for lines that only fill up a panel.
[[maybe_unused]] void line_scales(const float* from, int64_t lines, int64_t line_stride, int64_t k,
                                  int64_t k_stride, float* scales, int64_t step) {
    constexpr int lanes = kUnitLanes;
    const int64_t grain = max64(lanes, ceil_div(kWidenGrain / max64(k, 1), lanes) * lanes);
    parallel_range(step, grain, [&](int64_t begin, int64_t end) {
        for (int64_t line = begin; line < end; line += lanes) {
            const int64_t some = min64(lanes, lines - line);
            uint32_t largest[lanes] = {};
            const auto bits = [](Vec<float> x) { return (Units)x & 0x7fffffff; };
            if (line_stride == 1 && some == lanes) {
                Units most = {};
                for (int64_t p = 0; p < k; ++p)
                    most = max(most, bits(load(from + line + p * k_stride)));
                store(largest, most);
            } else {
                for (int64_t i = 0; i < some; ++i) {
                    const float* row = from + (line + i) * line_stride;
                    Units most = {};
                    int64_t p = 0;
                    if (k_stride == 1)
                        for (; p < k; p += lanes)
                            most = max(most, bits(load_partial(row + p, min64(lanes, k - p))));
                    for (; p < k; ++p)
                        most = max(most, bits(broadcast(row[p * k_stride])));
                    largest[i] = max_lane(most);
                }
            }
            for (int i = 0; i < lanes; ++i)
                scale_of(i < some ? largest[i] : 0x3f800000, scales + line + i,
                         scales + step + line + i);
        }
    });
}

// -- the end of a tile --------------------------------------------------------------------------
FASTNN_INLINE float widened(float x) {
    return x;
}
FASTNN_INLINE int32_t widened(int32_t x) {
    return x;
}
FASTNN_INLINE float widened(bfloat16 x) {
    const uint32_t bits = uint32_t{x.bits} << 16;
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

template <class T>
FASTNN_INLINE void put_row(T* to, Vec<T> v, int64_t n) {
    store_partial(to, v, n);
}
FASTNN_INLINE void put_row(bfloat16* to, Vec<float> v, int64_t n) {
    uint16_t bits[kLanes<float>];
    store_bf16(bits, v);
    __builtin_memcpy(to, bits, 2 * static_cast<size_t>(n));
}

// What of a product is where: tile (i, j) with its sums.
template <class Sum>
struct Tile {
    int64_t i, j, rows, columns;
    Sum* sums; // kColumnLines apart
    const float* row_scales;
    const float* column_scales;
};

// Undoes the scales; false if a result is not finite.
template <class Format>
FASTNN_INLINE bool unscale(const Tile<float>& tile) {
    constexpr int lanes = kLanes<float>;
    Vec<int32_t> finite = broadcast(int32_t{-1});
    for (int64_t i = 0; i < tile.rows; ++i)
        for (int64_t j = 0; j < tile.columns; j += lanes) {
            float* to = tile.sums + i * kColumnLines + j;
            Vec<float> v = load(to);
            if constexpr (Format::kScaled) {
                // The larger first: what overflows is computed again, what underflowed would stay.
                const Vec<float> row = broadcast(tile.row_scales[tile.i + i]);
                const Vec<float> column = load(tile.column_scales + tile.j + j);
                v = v * max(row, column) * min(row, column);
                store(to, v);
            }
            finite &= v - v == 0;
        }
    return min_lane((Vec<int32_t>)(finite + 1)) == 0 && max_lane((Vec<int32_t>)(finite + 1)) == 0;
}

// By float32's kernels.
void compute_again(const NarrowGemm<float, float>& g, const Tile<float>& tile) {
    GemmArgs<float> part{};
    part.m = tile.rows;
    part.n = tile.columns;
    part.k = g.k;
    part.a = g.a + tile.i * g.a_row;
    part.a_row = g.a_row;
    part.a_col = g.a_col;
    part.b = g.b + tile.j * g.b_col;
    part.b_row = g.b_row;
    part.b_col = g.b_col;
    part.c = g.c + tile.i * g.c_row + tile.j;
    part.c_row = g.c_row;
    part.c_col = 1;
    part.column_bias = g.column_bias ? g.column_bias + tile.j : nullptr;
    part.relu = g.relu;
    gemm(part);
}

template <class Format, class In, class Out, class Sum>
FASTNN_INLINE void finish_tile(const NarrowGemm<In, Out>& g, const Tile<Sum>& tile) {
    if constexpr (std::is_same_v<In, float>)
        if (!unscale<Format>(tile))
            return compute_again(g, tile);
    constexpr int lanes = kLanes<Sum>;
    constexpr Sum lowest =
        std::is_same_v<Sum, float> ? -static_cast<Sum>(__builtin_inff()) : Sum(-2147483647 - 1);
    Sum bias[kLines] = {};
    if (g.column_bias)
        for (int64_t j = 0; j < tile.columns; ++j)
            bias[j] = widened(g.column_bias[tile.j + j]);
    const Vec<Sum> least = broadcast(g.relu ? Sum{} : lowest);
    for (int64_t i = 0; i < tile.rows; ++i)
        for (int64_t j = 0; j < tile.columns; j += lanes) {
            const Vec<Sum> v = load(tile.sums + i * kColumnLines + j) + load(bias + j);
            put_row(g.c + (tile.i + i) * g.c_row + tile.j + j, max(least, v), // NaN stays
                    min64(lanes, tile.columns - j));
        }
}

// -- the product --------------------------------------------------------------------------------
// Some lines of an operand, packed.
struct PackedLines {
    const uint32_t* units;
    int64_t part_step; // from the units of one part to those of the next
};

template <class Format, bool by_line>
PackedLines pack_lines(const typename Format::In* from, int64_t line_stride, int64_t k_stride,
                       int64_t lines, int64_t k, int64_t blocks, const float* scales,
                       uint32_t* to) {
    constexpr int64_t width = kUnits * Format::kPerUnit;
    const int64_t panels = ceil_div(lines, kLines), part_step = panels * blocks * kBlockUnits;
    parallel_range(panels * blocks, kPackGrain, [&](int64_t begin, int64_t end) {
        for (int64_t piece = begin; piece < end; ++piece) {
            const int64_t line = piece / blocks * kLines, p = piece % blocks * width;
            pack_block<Format, by_line>(from + line * line_stride + p * k_stride, line_stride,
                                        k_stride, lines - line, k - p, scales + line,
                                        to + piece * kBlockUnits, part_step);
        }
    });
    return {to, part_step};
}

struct Extent {
    int64_t rows, columns; // lines of a block of C
};

// Smaller blocks where large ones are few: by the shape alone.
Extent block_extent(int64_t rows, int64_t columns) {
    Extent e = {kRowLines, kColumnLines};
    const auto count = [&] { return ceil_div(rows, e.rows) * ceil_div(columns, e.columns); };
    while (count() < kTasks && e.columns > 2 * kLines)
        e.columns /= 2;
    while (count() < kTasks && e.rows > kLines)
        e.rows /= 2;
    return e;
}

template <class Engine, class Out>
void product(const NarrowGemm<typename Engine::Format::In, Out>& g) {
    using Format = typename Engine::Format;
    using Sum = typename Engine::Sum;
    if (g.m <= 0 || g.n <= 0)
        return;
    const int64_t blocks = max64(1, ceil_div(g.k, kUnits * Format::kPerUnit));
    const int64_t line_bytes = blocks * kUnits * 4 * Format::kParts;
    const int64_t most =
        max64(kColumnLines, kGroupBytes / line_bytes / kColumnLines * kColumnLines);
    const int64_t group_rows = min64(most, ceil_div(g.m, kLines) * kLines);
    const int64_t group_columns = min64(most, ceil_div(g.n, kLines) * kLines);
    const Scratch packed_a(static_cast<size_t>(group_rows * line_bytes));
    const Scratch packed_b(static_cast<size_t>(group_columns * line_bytes));

    // Scales, then inverse scales, of the rows and of the columns.
    const int64_t all_rows = Format::kScaled ? ceil_div(g.m, kLines) * kLines : 0;
    const int64_t all_columns = Format::kScaled ? ceil_div(g.n, kLines) * kLines : 0;
    const Scratch scales(static_cast<size_t>(2 * (all_rows + all_columns)) * sizeof(float));
    float* const row_scales = scales.as<float>();
    float* const column_scales = row_scales + 2 * all_rows;
    if constexpr (Format::kScaled) {
        line_scales(g.a, g.m, g.a_row, g.k, g.a_col, row_scales, all_rows);
        line_scales(g.b, g.n, g.b_col, g.k, g.b_row, column_scales, all_columns);
    }

    const auto multiply = [&](int64_t first_row, int64_t rows, const PackedLines& a,
                              int64_t first_column, int64_t columns, const PackedLines& b) {
        const Extent e = block_extent(rows, columns);
        const int64_t column_blocks = ceil_div(columns, e.columns);
        parallel_for(ceil_div(rows, e.rows) * column_blocks, [&](int64_t task) {
            const int64_t i0 = task / column_blocks * e.rows, j0 = task % column_blocks * e.columns;
            const int64_t i1 = min64(i0 + e.rows, rows), j1 = min64(j0 + e.columns, columns);
            const Scratch sums(static_cast<size_t>(e.rows * kColumnLines) * sizeof(Sum));
            const Tiles tiles;
            for (int64_t block = 0; block < blocks; block += kBlocksOfK)
                for (int64_t j = j0; j < j1; j += kLines)
                    for (int64_t i = i0; i < i1; i += kLines) {
                        const NarrowIn in = {
                            a.units + (i / kLines * blocks + block) * kBlockUnits,
                            a.part_step,
                            b.units + (j / kLines * blocks + block) * kBlockUnits,
                            b.part_step,
                            min64(kBlocksOfK, blocks - block),
                            min64(kLines, i1 - i),
                            min64(kLines, j1 - j),
                        };
                        Engine::tile(in, sums.as<Sum>() + (i - i0) * kColumnLines + (j - j0),
                                     kColumnLines, block > 0);
                    }
            for (int64_t i = i0; i < i1; i += kLines)
                for (int64_t j = j0; j < j1; j += kLines)
                    finish_tile<Format>(
                        g, Tile<Sum>{first_row + i, first_column + j, min64(kLines, i1 - i),
                                     min64(kLines, j1 - j),
                                     sums.as<Sum>() + (i - i0) * kColumnLines + (j - j0),
                                     row_scales + all_rows, column_scales + all_columns});
        });
    };
    for (int64_t j = 0; j < g.n; j += group_columns) {
        const int64_t columns = min64(group_columns, g.n - j);
        const PackedLines b =
            pack_lines<Format, false>(g.b + j * g.b_col, g.b_col, g.b_row, columns, g.k, blocks,
                                      column_scales + j, packed_b.as<uint32_t>());
        for (int64_t i = 0; i < g.m; i += group_rows) {
            const int64_t rows = min64(group_rows, g.m - i);
            const PackedLines a =
                pack_lines<Format, true>(g.a + i * g.a_row, g.a_row, g.a_col, rows, g.k, blocks,
                                         row_scales + i, packed_a.as<uint32_t>());
            multiply(i, rows, a, j, columns, b);
        }
    }
}

// -- bfloat16 by float32's kernels ----------------------------------------------------------------
// Rows of contiguous floats.
void widen(const bfloat16* from, int64_t rows, int64_t row, int64_t columns, int64_t column,
           float* to) {
    parallel_range(rows, max64(1, kWidenGrain / max64(columns, 1)),
                   [&](int64_t begin, int64_t end) {
                       for (int64_t i = begin; i < end; ++i) {
                           const bfloat16* source = from + i * row;
                           float* target = to + i * columns;
                           int64_t j = 0;
                           if (column == 1)
                               for (; j + kLanes<float> <= columns; j += kLanes<float>)
                                   store(target + j, bf16_to_float(load_narrow(&source[j].bits)));
                           for (; j < columns; ++j)
                               target[j] = widened(source[j * column]);
                       }
                   });
}

[[maybe_unused]] void widened_product(const NarrowGemm<bfloat16, bfloat16>& g) {
    if (g.m <= 0 || g.n <= 0)
        return;
    const auto floats = [](int64_t n) { return static_cast<size_t>(n) * sizeof(float); };
    const Scratch a(floats(g.m * g.k)), b(floats(g.k * g.n)), c(floats(g.m * g.n)),
        bias(floats(g.column_bias ? g.n : 0));
    GemmArgs<float> f{};
    f.m = g.m;
    f.n = g.n;
    f.k = g.k;
    // Each operand keeps its order in memory.
    if (g.a_row == 1 && g.a_col != 1) {
        widen(g.a, g.k, g.a_col, g.m, 1, a.as<float>());
        f.a_row = 1;
        f.a_col = g.m;
    } else {
        widen(g.a, g.m, g.a_row, g.k, g.a_col, a.as<float>());
        f.a_row = g.k;
        f.a_col = 1;
    }
    if (g.b_row == 1 && g.b_col != 1) {
        widen(g.b, g.n, g.b_col, g.k, 1, b.as<float>());
        f.b_row = 1;
        f.b_col = g.k;
    } else {
        widen(g.b, g.k, g.b_row, g.n, g.b_col, b.as<float>());
        f.b_row = g.n;
        f.b_col = 1;
    }
    f.a = a.as<float>();
    f.b = b.as<float>();
    f.c = c.as<float>();
    f.c_row = g.n;
    f.c_col = 1;
    f.relu = g.relu;
    if (g.column_bias) {
        widen(g.column_bias, 1, 0, g.n, 1, bias.as<float>());
        f.column_bias = bias.as<float>();
    }
    gemm(f);
    parallel_range(g.m, max64(1, kWidenGrain / g.n), [&](int64_t begin, int64_t end) {
        constexpr int lanes = kLanes<float>;
        for (int64_t i = begin; i < end; ++i)
            for (int64_t j = 0; j < g.n; j += lanes) {
                const int64_t some = min64(lanes, g.n - j);
                put_row(g.c + i * g.c_row + j, load_partial(f.c + i * g.n + j, some), some);
            }
    });
}

[[maybe_unused]] void split_by_float32(const NarrowGemm<float, float>& g, int) {
    compute_again(g, Tile<float>{0, 0, g.m, g.n, nullptr, nullptr, nullptr});
}

// -- the level's choice -------------------------------------------------------------------------
#if FASTNN_HAS_TILES

void bf16_product(const NarrowGemm<bfloat16, bfloat16>& g) {
    product<TileEngine<Bf16Format, float>>(g);
}
void int8_product(const NarrowGemm<int8_t, int32_t>& g) {
    product<TileEngine<Int8Format, int32_t>>(g);
}
void split_product(const NarrowGemm<float, float>& g, int parts) {
    if (parts == 1)
        product<TileEngine<SplitFormat<1>, float>>(g);
    else if (parts == 2)
        product<TileEngine<SplitFormat<2>, float>>(g);
    else
        product<TileEngine<SplitFormat<3>, float>>(g);
}
constexpr int kParts = 3;

#else

#if FASTNN_HAS_BF16
void bf16_product(const NarrowGemm<bfloat16, bfloat16>& g) {
    product<VectorEngine<Bf16Format, DotBf16>>(g);
}
void split_product(const NarrowGemm<float, float>& g, int parts) {
    if (parts == 1)
        return product<VectorEngine<SplitFormat<1>, DotBf16>>(g);
    split_by_float32(g, parts);
}
constexpr int kParts = 1;
#else
void bf16_product(const NarrowGemm<bfloat16, bfloat16>& g) {
    widened_product(g);
}
void split_product(const NarrowGemm<float, float>& g, int parts) {
    split_by_float32(g, parts);
}
constexpr int kParts = 0;
#endif

void int8_product(const NarrowGemm<int8_t, int32_t>& g) {
#if FASTNN_HAS_VNNI
    product<VectorEngine<Int8Format, DotInt8>>(g);
#else
    product<VectorEngine<Int16Format, DotInt16>>(g);
#endif
}

#endif

} // namespace

const NarrowKernels narrow_kernels = {bf16_product, int8_product, split_product, kParts};

} // namespace fastnn::FASTNN_ISA
