// C (m, n) = activation(A (m, k) B (k, n) + bias), for one ISA level.
//
// Rows of C are cut into tiles of nearly equal height, columns into panels of two vectors. The
// micro-kernel reads A by any strides at full speed, and B wherever a row of a panel is contiguous,
// so that small products copy nothing:
// - B is packed (k x panel) where its columns are not contiguous, where a panel is narrower than
//   two vectors (but for the last one of a product that passes k once, see compute_block), and
//   where it is read often and is large, or its rows meet in few sets of the first-level cache. By
//   each block for itself where blocks of rows are few, else by all threads before the product.
// - A is packed with a large B for many panels, where its rows lie a multiple of 2 KB apart and
//   would evict each other from the first-level cache, and where its columns lie so far apart that
//   each step in k would take another page.
// - A product with few columns or few rows whose operands are both contiguous along k is computed
//   as dot products (8 x 1600 by 1600 x 128 on one core with AVX2: 93 us in tiles of 4 x 4, which
//   spill, 58 in 3 x 4), one with k = 1 row by row. Threads take blocks of tiles; a long k with few
//   tiles is cut into parts that are added in order. Both partitions depend on the shape alone.
//
// Floor: 2 m n k FLOPs at the FMA peak; A, B and C through memory once. On one core of a Zen 4 with
// a peak of 117 GFLOP/s (float32, AVX-512): packing everything always 66 at 64 x 64; with A and B
// read where they are 96. The micro-kernel's loop is then limited by the FMA units (AVX2: 12 of
// them, 8 loads and 3 other instructions a step in k, 6 cycles); the rest is packing, and what each
// tile waits for. One thread of a Zen 4 with AVX2, OpenBLAS's time over this one's, at 255, 257,
// 513, 1024 and 1025:
// - A always where it is, B packed from 512 KB on: 0.93, 0.87, 0.92, 0.94, 0.88
// - both packed in that case: 0.90 at 257, 0.95 beyond (new rows of A, each in a page of its own,
//   had to be found anew for each tile)
// - tiles of C fetched while they are computed, blocks of 384 rows instead of 96: 0.98 beyond 512
// - B packed from 128 KB on (at 256 its rows share 4 sets of the cache): 1.03, 0.96, 0.97, 0.98 and
//   0.98
// - A packed without gaps, by fewer instructions: 1.03, 0.98, 1.02, 1.03, 1.00
// On two threads, panels packed by all and read from the other core's cache reach 113 to 149
// GFLOP/s at 255 to 257, panels packed by each block 147 to 153. Two threads with AVX2, time before
// over time after: one block for each thread instead of two, below kLongWork: 1.02 at 128 x 784 x
// 128, 1.08 at 256 x 784 x 128. One thread, B packed where few sets of the cache hold its rows:
// 1.10 for 16 products 128 x 64 x 128, 1.05 at 256 x 128 x 128; the last panel read where it is:
// 1.24 at 17 x 17, 1.10 at 33 x 33, 1.03 at 65 x 65.
#include "gemm/gemm.h"

#include "core/buffer_pool.h"
#include "core/integers.h"
#include "core/parallel.h"
#include "gemm/micro_kernel_impl.h"
#include "gemm/pack.h"
#include "simd/loops.h"

namespace fastnn::FASTNN_ISA {

extern const MicroKernels<float> micro_kernels_f32 =
    make_micro_kernels<float>(std::make_integer_sequence<int, kTileRows>());
extern const MicroKernels<double> micro_kernels_f64 =
    make_micro_kernels<double>(std::make_integer_sequence<int, kTileRows>());

namespace {

constexpr int64_t kBlockK = 384;         // rows of B that a tile passes over at once
constexpr int64_t kLongDot = 256;        // sums of lanes then count little
constexpr double kChunkWork = 1 << 19;   // multiplications that are worth a chunk
constexpr int64_t kThreadBlocks = 4;     // blocks of a long product for each thread
constexpr double kLongWork = 1 << 26;    // multiplications of a long product
constexpr int64_t kChunks = 16;          // chunks wanted of a large product
constexpr int64_t kSplitK = 768;         // rows of B in a part, at least, where k is cut
constexpr int64_t kCacheBytes = 1 << 17; // a larger B is packed
constexpr int64_t kCacheWay = 4096;      // bytes, of the first-level cache
constexpr int64_t kCacheWays = 8;
constexpr int64_t kPanelGroup = 8;        // panels that a block packs at once
constexpr int64_t kPackingRowBlocks = 4;  // at most so many pack the same panels
constexpr int64_t kPackingPanels = 12;    // that a packed A serves, at least
constexpr double kPackCost = 3;           // of an element, in reads
constexpr int64_t kFarBytes = 256;        // between columns of A: more pages than the TLB holds
constexpr int64_t kGroupBytes = 16 << 20; // B is packed in groups of panels of this size
// Tiles of rows in a chunk, at most: with kBlockK they fill half of the second-level cache.
template <class T>
constexpr int64_t kBlockTiles = 1536 / static_cast<int64_t>(sizeof(T)) / kTileRows;

template <class T>
GemmArgs<T> transposed(const GemmArgs<T>& g) {
    GemmArgs<T> t = g;
    t.m = g.n;
    t.n = g.m;
    t.a = g.b;
    t.a_row = g.b_col;
    t.a_col = g.b_row;
    t.b = g.a;
    t.b_row = g.a_col;
    t.b_col = g.a_row;
    t.c_row = g.c_col;
    t.c_col = g.c_row;
    t.column_bias = g.row_bias;
    t.row_bias = g.column_bias;
    return t;
}

// -- dot products -------------------------------------------------------------------------------
// Registers hold a tile's sums, a vector of each of its rows, and one of a column.
constexpr int kDotRows = kTileRows > 6 ? 4 : kTileRows > 4 ? 3 : 2, kDotColumns = 4;

template <class T, int MR, int NR>
void dot_tile(const GemmArgs<T>& g, int64_t i0, int64_t j0) {
    constexpr int lanes = kLanes<T>;
    Vec<T> acc[MR][NR] = {};
    const T* a = g.a + i0 * g.a_row;
    const T* b = g.b + j0 * g.b_col;
    int64_t p = 0;
    const auto step = [&](const auto& read) __attribute__((always_inline)) {
        Vec<T> row[MR];
#pragma GCC unroll 4
        for (int i = 0; i < MR; ++i)
            row[i] = read(a + i * g.a_row + p);
#pragma GCC unroll 4
        for (int j = 0; j < NR; ++j) {
            const Vec<T> column = read(b + j * g.b_col + p);
#pragma GCC unroll 4
            for (int i = 0; i < MR; ++i)
                acc[i][j] += row[i] * column;
        }
    };
    for (; p + lanes <= g.k; p += lanes)
        step([](const T* from) __attribute__((always_inline)) { return load(from); });
    if (p < g.k)
        step([&](const T* from)
                 __attribute__((always_inline)) { return load_partial(from, g.k - p); });
    T tile[MR * NR];
#pragma GCC unroll 4
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < NR; ++j)
            tile[i * NR + j] = sum(acc[i][j]);
    store_edge(tile, MR, NR,
               TileOut<T>{g.c + i0 * g.c_row + j0 * g.c_col, g.c_row, g.c_col, NR,
                          g.column_bias ? g.column_bias + j0 : nullptr,
                          g.row_bias ? g.row_bias + i0 : nullptr, g.accumulate, g.relu});
}

template <class T, int MR>
void dot_rows(const GemmArgs<T>& g, int64_t i, int64_t j, int64_t columns) {
    for (; columns >= kDotColumns; columns -= kDotColumns, j += kDotColumns)
        dot_tile<T, MR, kDotColumns>(g, i, j);
    for (; columns > 0; --columns, ++j)
        dot_tile<T, MR, 1>(g, i, j);
}

// For few rows: the columns are cut into chunks, and stay in the cache while the rows pass.
template <class T>
void dot_product(const GemmArgs<T>& g) {
    // (One row takes as long as to read the columns.)
    const double work = static_cast<double>(max64(g.m, 2)) * static_cast<double>(g.k);
    const int64_t worth = static_cast<int64_t>(kChunkWork / 4 / (work + 1)) + 1;
    const int64_t grain =
        ceil_div(max64(worth, ceil_div(g.n, 4 * kChunks)), kDotColumns) * kDotColumns;
    parallel_range(g.n, grain, [&](int64_t begin, int64_t end) {
        for (int64_t j = begin; j < end; j += kDotColumns) {
            const int64_t columns = min64(kDotColumns, end - j);
            int64_t i = 0;
            for (; i + kDotRows <= g.m; i += kDotRows)
                dot_rows<T, kDotRows>(g, i, j, columns);
            for (; i + 2 <= g.m; i += 2)
                dot_rows<T, 2>(g, i, j, columns);
            if (i < g.m)
                dot_rows<T, 1>(g, i, j, columns);
        }
    });
}

// -- outer product ------------------------------------------------------------------------------
// k = 1: tiles would begin and end once for each element that they hold. The weight's gradient of
// one sample, 128 x 784, on one thread of Zen 4 (AVX2): 24 to 35 us in tiles, 10 here.
template <class T>
void outer_product(const GemmArgs<T>& g) {
    const int64_t grain = max64(1, static_cast<int64_t>(kChunkWork / 8) / g.n);
    parallel_range(g.m, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const Vec<T> row = broadcast(g.a[i * g.a_row]);
            T* const c = g.c + i * g.c_row;
            for_vectors<T>(g.n,
                           [&](int64_t j, int64_t n) { put(c + j, row * get(g.b + j, n), n); });
        }
    });
}

// -- tiles --------------------------------------------------------------------------------------
// Where the panels of B are read: in B itself, or packed from some panel on: before, by all
// threads, or by each block for itself.
template <class T>
struct Panels {
    const T* packed;     // null: by each block
    int64_t packed_from; // the first panel that is packed
    int64_t step;        // from one to the next
};

template <class T>
int panel_vectors(const GemmArgs<T>& g, int64_t panel) {
    return g.n - panel * kTileColumns<T> > kLanes<T> ? 2 : 1;
}

// Rows [i0, i0 + tiles) of tiles, panels [first, last), and [k0, k0 + k) of the products.
struct Block {
    int64_t tile_begin, tile_end;
    int64_t panel_begin, panel_end;
    int64_t k_begin, k_end;
};

// From one packed panel of so many elements to the next: an odd number of cache lines, lest panels
// that are written side by side meet in one set of the first-level cache.
template <class T>
constexpr int64_t panel_step(int64_t elements) {
    constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
    return (ceil_div(elements, line) | 1) * line;
}

// Rows [k0, k0 + kc) of the panels [first, last), `step` apart.
template <class T>
void pack_some(const GemmArgs<T>& g, int64_t k0, int64_t kc, int64_t first, int64_t last, T* to,
               int64_t step) {
    const T* const from = g.b + k0 * g.b_row;
    if (g.b_col == 1) {
        int64_t start[kPanelGroup];
        for (int64_t i = 0; i < last - first; ++i)
            start[i] = (first + i) * kTileColumns<T>;
        // (The last panel may be narrower, and its rows closer.)
        const int64_t whole = panel_vectors(g, last - 1) == kTileVectors ? last : last - 1;
        pack_panels(to, step, from, kc, g.b_row, start, whole - first, g.n, kTileColumns<T>);
        if (whole < last)
            pack_panels(to + (whole - first) * step, step, from, kc, g.b_row,
                        start + (whole - first), 1, g.n, kLanes<T>);
        return;
    }
    for (int64_t panel = first; panel < last; ++panel) {
        const int64_t j0 = panel * kTileColumns<T>, width = panel_vectors(g, panel) * kLanes<T>;
        pack_panel(to + (panel - first) * step, from + j0 * g.b_col, kc, g.b_row,
                   min64(width, g.n - j0), g.b_col, width);
    }
}

// Rows of A: [k][kTileRows] for each tile.
template <class T>
void pack_tiles(const GemmArgs<T>& g, int64_t k0, int64_t kc, const int64_t* tile_row,
                int64_t tiles, T* to, int64_t step) {
    const T* const from = g.a + k0 * g.a_col;
    if (g.a_row == 1)
        return pack_panels(to, step, from, kc, g.a_col, tile_row, tiles, g.m, kTileRows);
    for (int64_t tile = 0; tile < tiles; ++tile, to += step) {
        const int64_t rows = tile_row[tile + 1] - tile_row[tile];
        const T* const tile_from = from + tile_row[tile] * g.a_row;
        if (rows == kTileRows)
            pack_panel(to, tile_from, kc, g.a_col, kTileRows, g.a_row, kTileRows);
        else
            pack_panel(to, tile_from, kc, g.a_col, rows, g.a_row, kTileRows);
    }
}

template <class T>
void compute_block(const GemmArgs<T>& g, const Panels<T>& panels, const Block& block, int64_t tiles,
                   bool pack_a) {
    constexpr int lanes = kLanes<T>;
    const int64_t k = block.k_end - block.k_begin;
    const int64_t steps = max64(1, ceil_div(k, kBlockK));
    const int64_t count = block.tile_end - block.tile_begin;
    int64_t tile_row[kBlockTiles<T> + 1];
    for (int64_t tile = 0; tile <= count; ++tile)
        tile_row[tile] = (block.tile_begin + tile) * g.m / tiles;
    const int64_t step_k = ceil_div(max64(k, 1), steps);
    const int64_t a_step = panel_step<T>(kTileRows * step_k + lanes);
    const int64_t b_step = panel_step<T>(kTileColumns<T> * step_k);
    const Scratch packed_a(pack_a ? static_cast<size_t>(count * a_step) * sizeof(T) : 0);
    // The last panel may be read where it is: a narrow one begins so far to the left that it is
    // whole (what its first columns give has been stored before, with the same bits), and of two
    // vectors the micro-kernel lets the second overlap the first.
    int64_t packed_from = panels.packed_from;
    const int64_t rest = g.n - packed_from * kTileColumns<T>;
    const bool in_place = !panels.packed && g.b_col == 1 && steps == 1 && !g.accumulate &&
                          rest < kTileColumns<T> && block.panel_end == packed_from + 1 &&
                          (rest > lanes   ? g.c_col == 1
                           : rest < lanes ? block.panel_begin < packed_from
                                          : true);
    if (in_place)
        ++packed_from;
    const int64_t before = in_place && rest < lanes ? lanes - rest : 0;
    const bool pack_b = !panels.packed && block.panel_end > packed_from;
    const int64_t packed_size = min64(kPanelGroup, block.panel_end - block.panel_begin) * b_step;
    const Scratch packed_b(pack_b ? static_cast<size_t>(packed_size) * sizeof(T) : 0);
    for (int64_t step = 0; step < steps; ++step) {
        const int64_t k0 = block.k_begin + step * k / steps;
        const int64_t kc = block.k_begin + (step + 1) * k / steps - k0;
        const bool last = step == steps - 1;
        if (pack_a)
            pack_tiles(g, k0, kc, tile_row, count, packed_a.as<T>(), a_step);
        for (int64_t panel = block.panel_begin; panel < block.panel_end; ++panel) {
            const int64_t shift = panel == block.panel_end - 1 ? before : 0;
            const int64_t j0 = panel * kTileColumns<T> - shift;
            const int vectors = panel_vectors(g, panel);
            const int64_t in_group = (panel - block.panel_begin) % kPanelGroup;
            if (pack_b && in_group == 0)
                pack_some(g, k0, kc, max64(panel, packed_from),
                          max64(packed_from, min64(panel + kPanelGroup, block.panel_end)),
                          packed_b.as<T>(), b_step);
            TileIn<T> in{};
            in.k = kc;
            if (panel < packed_from) {
                in.b_row = g.b_row;
                in.b = g.b + k0 * g.b_row + j0;
            } else if (panels.packed) {
                in.b_row = vectors * lanes;
                in.b = panels.packed + (panel - packed_from) * panels.step + k0 * in.b_row;
            } else {
                in.b_row = vectors * lanes;
                in.b = packed_b.as<T>() + (panel - max64(panel - in_group, packed_from)) * b_step;
            }
            for (int64_t tile = 0; tile < count; ++tile) {
                const int64_t i0 = tile_row[tile];
                if (pack_a) {
                    in.a = packed_a.as<T>() + tile * a_step;
                    in.a_row = 1;
                    in.a_col = kTileRows;
                } else {
                    in.a = g.a + i0 * g.a_row + k0 * g.a_col;
                    in.a_row = g.a_row;
                    in.a_col = g.a_col;
                }
                const TileOut<T> out = {g.c + i0 * g.c_row + j0 * g.c_col,
                                        g.c_row,
                                        g.c_col,
                                        min64(vectors * lanes, g.n - j0),
                                        last && g.column_bias ? g.column_bias + j0 : nullptr,
                                        last && g.row_bias ? g.row_bias + i0 : nullptr,
                                        g.accumulate || step > 0,
                                        last && g.relu};
                micro_kernels<T>().of[tile_row[tile + 1] - i0 - 1][vectors - 1](in, out);
            }
        }
    }
}

// Adds the parts [part][m][n] in order, then to C.
template <class T>
void add_parts(const GemmArgs<T>& g, const T* parts, int64_t count) {
    const Vec<T> least = broadcast(g.relu ? T{} : -static_cast<T>(__builtin_inf()));
    parallel_range(g.m, max64(1, 16384 / (g.n * count)), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const Vec<T> row_bias = broadcast(g.row_bias ? g.row_bias[i] : T{});
            for_vectors<T>(g.n, [&](int64_t j, int64_t n) {
                Vec<T> v = get(parts + i * g.n + j, n);
                for (int64_t part = 1; part < count; ++part)
                    v += get(parts + (part * g.m + i) * g.n + j, n);
                T* c = g.c + i * g.c_row + j * g.c_col;
                if (g.c_col == 1) {
                    if (g.accumulate)
                        v += get(c, n);
                    v += row_bias + (g.column_bias ? get(g.column_bias + j, n) : Vec<T>{});
                    put(c, max(least, v), n);
                    return;
                }
                for (int64_t lane = 0; lane < n; ++lane, c += g.c_col) {
                    T one = v[lane];
                    if (g.accumulate)
                        one += *c;
                    one += row_bias[0] + (g.column_bias ? g.column_bias[j + lane] : T{});
                    *c = finish(one, g.relu);
                }
            });
        }
    });
}

// Panels [first, first + count), by all threads; k is cut too, as a panel may be all there is.
template <class T>
void pack_all(const GemmArgs<T>& g, int64_t first, int64_t count, T* to, int64_t step) {
    const int64_t steps = ceil_div(g.k, kBlockK), groups = ceil_div(count, kPanelGroup);
    parallel_for(groups * steps, [&](int64_t piece) {
        const int64_t begin = piece / steps * kPanelGroup, end = min64(count, begin + kPanelGroup);
        const int64_t k0 = piece % steps * g.k / steps;
        const int64_t kc = (piece % steps + 1) * g.k / steps - k0;
        // (The panels of a group are equally wide but for the last one of all.)
        const int64_t width = kTileColumns<T>;
        const bool narrow = panel_vectors(g, first + end - 1) < kTileVectors;
        const int64_t wide = narrow ? end - 1 : end;
        if (begin < wide)
            pack_some(g, k0, kc, first + begin, first + wide, to + begin * step + k0 * width, step);
        if (narrow)
            pack_some(g, k0, kc, first + wide, first + end, to + wide * step + k0 * kLanes<T>,
                      step);
    });
}

struct Blocks {
    int64_t rows, columns;
};

// At least `wanted` blocks, if there are so many tiles, of the shape that moves least: each block
// of rows reads all of B, each block of columns all of A. A is packed for each block, and B too
// where the blocks of rows are few.
template <class T>
Blocks blocks(const GemmArgs<T>& g, int64_t tiles, int64_t panels, int64_t wanted, bool pack_a,
              bool pack_b) {
    const int64_t least = ceil_div(tiles, kBlockTiles<T>);
    Blocks best = {least, 1};
    double best_cost = -1;
    for (int64_t rows = least; rows <= max64(least, min64(tiles, wanted)); ++rows) {
        const int64_t columns = min64(panels, ceil_div(wanted, rows));
        const double pack =
            !pack_b ? 0 : kPackCost * static_cast<double>(rows <= kPackingRowBlocks ? rows : 1);
        const double cost = (static_cast<double>(rows) + pack) * static_cast<double>(g.n) +
                            (pack_a ? 1 + kPackCost : 1.0) * static_cast<double>(columns * g.m);
        if (rows * columns >= min64(wanted, tiles * panels) &&
            (best_cost < 0 || cost <= best_cost)) {
            best = {rows, columns};
            best_cost = cost;
        }
    }
    return best;
}

// Whether rows of a panel of B, where they lie, would fill more than half of the ways of the sets
// of the first-level cache that they meet in.
template <class T>
bool rows_meet(const GemmArgs<T>& g) {
    const int64_t row_bytes = (g.b_row < 0 ? -g.b_row : g.b_row) * static_cast<int64_t>(sizeof(T));
    const int64_t sets = max64(1, kCacheWay / max64(64, row_bytes & -row_bytes));
    return min64(g.k, kBlockK) > sets * kCacheWays / 2;
}

template <class T>
void tiled_product(const GemmArgs<T>& g) {
    const int64_t tiles = ceil_div(g.m, kTileRows);
    const int64_t all_panels = ceil_div(g.n, kTileColumns<T>);
    const double work =
        static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(max64(g.k, 1));
    const int64_t wanted =
        work / kChunkWork >= kChunks ? kChunks : max64(1, static_cast<int64_t>(work / kChunkWork));

    const int64_t whole = g.n / kTileColumns<T>; // panels of full width
    const bool large = g.k * g.n * static_cast<int64_t>(sizeof(T)) > kCacheBytes && tiles >= 8;
    const bool packs = large || (rows_meet(g) && tiles >= 16);
    const int64_t packed_from = g.b_col != 1 || packs ? 0 : whole;
    const int64_t row_bytes = (g.a_row < 0 ? -g.a_row : g.a_row) * static_cast<int64_t>(sizeof(T));
    const int64_t column_bytes =
        (g.a_col < 0 ? -g.a_col : g.a_col) * static_cast<int64_t>(sizeof(T));
    const bool scattered = g.a_row != 1 ? row_bytes % 2048 == 0 && row_bytes > 0
                                        : column_bytes >= kFarBytes && g.k >= kBlockK / 2;
    const bool pack_a = (large && all_panels >= kPackingPanels) ||
                        (scattered && g.n >= (g.a_row == 1 ? 2 : 4) * kTileColumns<T>);

    // Where there are too few tiles to share, k is cut into parts, by the shape alone, as they are
    // added. (For a k much longer than the rest, parts of k first: they pack no row of A twice.)
    const bool packs_b = packed_from < all_panels;
    const int64_t most_parts = max64(1, min64(wanted, g.k / kSplitK));
    const int64_t long_k = g.k >= 8 * (g.m + g.n) ? most_parts : 1;
    const int64_t parts = max64(long_k, min64(ceil_div(wanted, tiles * all_panels), most_parts));
    // The cut into blocks changes no sum: few for few threads, which then pack little twice.
    const int64_t threads = num_threads();
    const int64_t thread_blocks = work < kLongWork ? 1 : kThreadBlocks;
    const int64_t shared =
        ceil_div(min64(wanted, threads == 1 ? 1 : thread_blocks * threads), parts);
    // Few blocks of rows pack each panel for themselves: that takes less time than panels from
    // another core's cache.
    const bool pack_in_blocks =
        blocks(g, tiles, all_panels, shared, pack_a, packs_b).rows <= kPackingRowBlocks;
    const int64_t step = panel_step<T>(kTileColumns<T> * max64(g.k, 1));
    const int64_t group =
        pack_in_blocks ? all_panels
                       : max64(kPanelGroup, kGroupBytes / (step * static_cast<int64_t>(sizeof(T))));
    for (int64_t group_begin = 0; group_begin < all_panels; group_begin += group) {
        const int64_t group_end = min64(all_panels, group_begin + group);
        const int64_t panels = group_end - group_begin;
        const int64_t pack_begin = max64(group_begin, packed_from);
        const int64_t to_pack = pack_in_blocks ? 0 : max64(0, group_end - pack_begin);
        const Scratch packed_b(static_cast<size_t>(to_pack * step) * sizeof(T));
        pack_all(g, pack_begin, to_pack, packed_b.as<T>(), step);
        const Panels<T> source = {pack_in_blocks ? nullptr : packed_b.as<T>(),
                                  pack_in_blocks || to_pack > 0 ? pack_begin : group_end, step};

        const auto [row_blocks, column_blocks] = blocks(g, tiles, panels, shared, pack_a, packs_b);
        const auto block = [&](int64_t chunk, int64_t part) {
            const int64_t r = chunk / column_blocks, c = chunk % column_blocks;
            return Block{r * tiles / row_blocks,
                         (r + 1) * tiles / row_blocks,
                         group_begin + c * panels / column_blocks,
                         group_begin + (c + 1) * panels / column_blocks,
                         part * g.k / parts,
                         (part + 1) * g.k / parts};
        };
        const int64_t chunks = row_blocks * column_blocks;
        if (parts == 1) {
            parallel_for(chunks, [&](int64_t chunk) {
                compute_block(g, source, block(chunk, 0), tiles, pack_a);
            });
            continue;
        }
        // (A k this long with so few tiles means one group.)
        const Scratch sums(static_cast<size_t>(parts * g.m * g.n) * sizeof(T));
        parallel_for(chunks * parts, [&](int64_t chunk) {
            const int64_t part = chunk % parts;
            GemmArgs<T> partial = g;
            partial.c = sums.as<T>() + part * g.m * g.n;
            partial.c_row = g.n;
            partial.c_col = 1;
            partial.column_bias = partial.row_bias = nullptr;
            partial.relu = partial.accumulate = false;
            compute_block(partial, source, block(chunk / parts, part), tiles, pack_a);
        });
        add_parts(g, sums.as<T>(), parts);
    }
}

// What a product costs beside its FLOPs, and what lanes of the last panel waste, in elements
// copied.
template <class T>
double overhead(const GemmArgs<T>& g) {
    const double m = static_cast<double>(g.m), n = static_cast<double>(g.n),
                 k = static_cast<double>(g.k);
    const double vectors = static_cast<double>(ceil_div(g.n, kLanes<T>));
    return (g.b_col != 1 ? n * k : 0) + (g.c_col != 1 ? 3 * m * n * (1 + k / kBlockK) : 0) +
           2.5 * m * vectors * k;
}

template <class T>
void compute(GemmArgs<T> g) {
    if (g.m <= 0 || g.n <= 0)
        return;
    // The stride of an axis of length 1 is never used: the handy one.
    if (g.m == 1)
        g.a_row = g.c_row = 1;
    if (g.n == 1)
        g.b_col = g.c_col = 1;
    if (g.k <= 1)
        g.a_col = g.b_row = 1;
    if (g.k == 1 && !g.accumulate && !g.column_bias && !g.row_bias && !g.relu) {
        if (g.c_col == 1 && g.b_col == 1)
            return outer_product(g);
        if (g.c_row == 1 && g.a_row == 1)
            return outer_product(transposed(g));
    }
    const int64_t few = g.k >= kLongDot ? 12 : 8;
    if (g.a_col == 1 && g.b_row == 1 && g.k >= 4 * kLanes<T>) {
        if (g.m <= few)
            return dot_product(g);
        if (g.n <= few)
            return dot_product(transposed(g));
    }
    const GemmArgs<T> t = transposed(g);
    tiled_product(overhead(t) < overhead(g) ? t : g);
}

void gemm_f32(const GemmArgs<float>& args) {
    compute(args);
}
void gemm_f64(const GemmArgs<double>& args) {
    compute(args);
}

} // namespace

const GemmKernels gemm_kernels = {gemm_f32, gemm_f64};

} // namespace fastnn::FASTNN_ISA
