// Products of few rows with packed weights: what every step of a recurrent layer does.
//
// The weights (k, columns) are packed in panels of one vector of columns, [k][lanes]. A tile of
// rows and panels is held in registers over the loop in k: as many panels as the rows leave
// registers for, since a step has as many rows as a batch has samples, and a tile of few rows and
// two vectors (as in gemm/) would leave the FMA units waiting for their own results. Panels are
// outside, rows inside: some panels stay in the first-level cache while all rows pass.
//
// Meanwhile each tile fetches a part of the next panels.
//
// Floor: rows * columns * k / (2 * lanes) cycles; one load of each weight from the second-level
// cache.
#pragma once

#include "rnn/rnn.h"
#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

#if defined(__AVX512F__) || defined(FASTNN_EMULATED_ISA) || defined(__aarch64__)
inline constexpr int kAccumulators = 24; // of 32 registers
inline constexpr int kMostRows = 8;      // of a tile
#else
inline constexpr int kAccumulators = 12; // of 16
inline constexpr int kMostRows = 6;
#endif
inline constexpr int kMostPanels = 8;

constexpr int panels_for(int rows) {
    return kAccumulators / rows < kMostPanels ? kAccumulators / rows : kMostPanels;
}

template <class T>
struct PackedWeights {
    const T* data;
    int64_t k, panels;
};

template <class T>
FASTNN_INLINE int64_t panel_step(int64_t k) {
    return rnn_panel_step(k, kLanes<T>, sizeof(T));
}

// C = A B + bias, or C += A B (then without a bias), for `rows` rows of each of `steps` steps; C's
// rows hold whole vectors.
template <class T>
struct RowsProduct {
    const T* a;
    int64_t a_row;
    int64_t rows;
    T* c;
    int64_t c_row;
    const T* bias; // of the columns, or null
    bool accumulate;
    int64_t steps = 1, a_step = 0, c_step = 0;
};

// The memory that a tile fetches while it computes: `step` bytes further at each k.
struct Ahead {
    const char* at;
    int64_t step;
};

template <class T, int Rows, int Panels>
void product_tile(const T* b, int64_t panel_step, int64_t k, const RowsProduct<T>& p, Ahead ahead) {
    constexpr int lanes = kLanes<T>;
    Vec<T> acc[Rows][Panels];
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < Panels; ++j)
            acc[i][j] = Vec<T>{};
    const T* a = p.a;
    const int64_t a_row = p.a_row;
    for (; k > 0; --k) {
        Vec<T> row[Panels];
#pragma GCC unroll 8
        for (int j = 0; j < Panels; ++j)
            row[j] = load(b + j * panel_step);
#pragma GCC unroll 8
        for (int i = 0; i < Rows; ++i) {
            const T x = a[i * a_row];
#pragma GCC unroll 8
            for (int j = 0; j < Panels; ++j)
                acc[i][j] += x * row[j];
        }
        ++a;
        b += lanes;
        __builtin_prefetch(ahead.at);
        ahead.at += ahead.step;
    }
    T* const c = p.c;
    const int64_t c_row = p.c_row;
    const auto finish = [&](const auto& value) __attribute__((always_inline)) {
#pragma GCC unroll 8
        for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
            for (int j = 0; j < Panels; ++j) {
                T* const to = c + i * c_row + j * lanes;
                store(to, value(acc[i][j], to, j));
            }
    };
    if (p.accumulate) {
        finish([](Vec<T> v, const T* to, int)
                   __attribute__((always_inline)) { return v + load(to); });
    } else if (p.bias) {
        Vec<T> bias[Panels];
#pragma GCC unroll 8
        for (int j = 0; j < Panels; ++j)
            bias[j] = load(p.bias + j * lanes);
        finish([&](Vec<T> v, const T*, int j)
                   __attribute__((always_inline)) { return v + bias[j]; });
    } else {
        finish([](Vec<T> v, const T*, int) __attribute__((always_inline)) { return v; });
    }
}

template <class T>
using ProductTile = void (*)(const T* b, int64_t panel_step, int64_t k, const RowsProduct<T>& p,
                             Ahead ahead);

// of[rows - 1][panels - 1], null where registers do not suffice.
template <class T>
struct ProductTiles {
    ProductTile<T> of[kMostRows][kMostPanels];
};

template <class T, int Rows, int Panels>
constexpr ProductTile<T> product_tile_or_null() {
    if constexpr (Panels <= panels_for(Rows))
        return product_tile<T, Rows, Panels>;
    else
        return nullptr;
}

template <class T, int Rows, int... Panel>
constexpr void set_product_tiles(ProductTiles<T>& tiles, std::integer_sequence<int, Panel...>) {
    ((tiles.of[Rows - 1][Panel] = product_tile_or_null<T, Rows, Panel + 1>()), ...);
}

template <class T, int... Row>
constexpr ProductTiles<T> make_product_tiles(std::integer_sequence<int, Row...>) {
    ProductTiles<T> tiles{};
    (set_product_tiles<T, Row + 1>(tiles, std::make_integer_sequence<int, kMostPanels>()), ...);
    return tiles;
}

template <class T>
inline constexpr ProductTiles<T> kProductTiles =
    make_product_tiles<T>(std::make_integer_sequence<int, kMostRows>());

// Rows [k0, k0 + k) of the weights.
template <class T>
void packed_product(const PackedWeights<T>& w, int64_t k0, int64_t k, RowsProduct<T> p) {
    constexpr int lanes = kLanes<T>;
    constexpr int64_t most_depth = 320; // of three panels at once: most of a first-level cache
    if (p.rows == 0)
        return;
    // Four rows are the best height where they come out even.
    const int64_t height = p.rows % 4 == 0 ? 4 : kMostRows;
    const int64_t tiles = (p.rows + height - 1) / height, highest = (p.rows + tiles - 1) / tiles;
    const int64_t most_panels = panels_for(static_cast<int>(highest));
    // Evenly: a last panel by itself would keep the FMA units waiting.
    const int64_t groups = (w.panels + most_panels - 1) / most_panels;
    const int64_t step = panel_step<T>(w.k), pieces = (k + most_depth - 1) / most_depth;
    const int64_t all_tiles = tiles * p.steps;
    for (int64_t piece = 0; piece < pieces; ++piece) {
        const int64_t begin = piece * k / pieces, depth = (piece + 1) * k / pieces - begin;
        for (int64_t group = 0; group < groups; ++group) {
            const int64_t panel = group * w.panels / groups, column = panel * lanes;
            const int64_t panels = (group + 1) * w.panels / groups - panel;
            const T* const b = w.data + panel * step + (k0 + begin) * lanes;
            const int64_t share = panels * depth * lanes * int64_t{sizeof(T)} / all_tiles;
            const bool more = all_tiles > 1 && group + 1 < groups;
            const char* next = reinterpret_cast<const char*>(b + (more ? panels * step : 0));
            for (int64_t s = 0; s < p.steps; ++s) {
                for (int64_t tile = 0; tile < tiles; ++tile) {
                    const int64_t i0 = tile * p.rows / tiles,
                                  rows = (tile + 1) * p.rows / tiles - i0;
                    kProductTiles<T>.of[rows - 1][panels - 1](
                        b, step, depth,
                        {p.a + s * p.a_step + i0 * p.a_row + begin, p.a_row, rows,
                         p.c + s * p.c_step + i0 * p.c_row + column, p.c_row,
                         p.bias && piece == 0 ? p.bias + column : nullptr,
                         p.accumulate || piece > 0},
                        {next, (share + depth - 1) / depth});
                    next += share;
                }
            }
        }
    }
}

} // namespace fastnn::FASTNN_ISA
