// What both passes of attention share: products of a block by the micro-kernels, and the scores.
//
// A block of scores is held transposed, a row for each key, so that the lanes of a vector are
// queries: maxima, sums and all that belongs to a query are whole vectors, with no reductions
// across lanes. Then K, V and their transposes are the operand whose elements the micro-kernels
// broadcast, which they read where it lies. Only q (and g) are transposed, once a block of queries.
#pragma once

#include "attention/attention.h"
#include "core/integers.h"
#include "gemm/micro_kernel.h"
#include "gemm/pack.h"
#include "random/random.h"
#include "simd/loops.h"
#include "simd/math.h"

namespace fastnn::FASTNN_ISA::attention_detail {

// Queries in a panel, the columns of one tile.
template <class T>
inline constexpr int64_t kPanel = kTileColumns<T>;
static_assert(kAttentionQueries % kPanel<float> == 0);

template <class T>
inline constexpr T kNever = -static_cast<T>(__builtin_inf());

// Rows cut into tiles of nearly equal height.
struct Tiles {
    int64_t rows, count;

    FASTNN_INLINE int64_t begin(int64_t tile) const { return tile * rows / count; }
    // How many tiles cover the first n rows.
    FASTNN_INLINE int64_t cover(int64_t n) const {
        int64_t tiles = 0;
        while (tiles < count && begin(tiles) < n)
            ++tiles;
        return tiles;
    }
};
FASTNN_INLINE Tiles tiles_of(int64_t rows) {
    return {rows, ceil_div(rows, kTileRows)};
}

// Tiles [first, last) of one panel of C (+)= A B; B and C have whole vectors of columns.
template <class T>
struct PanelProduct {
    int64_t k;
    const T* a;
    int64_t a_row, a_col;
    const T* b;
    int64_t b_row;
    T* c;
    int64_t c_row;
    bool accumulate;
};
template <class T>
FASTNN_INLINE void multiply(const PanelProduct<T>& g, const Tiles& tiles, int64_t first,
                            int64_t last, int vectors) {
    TileIn<T> in{};
    in.k = g.k;
    in.a_row = g.a_row;
    in.a_col = g.a_col;
    in.b = g.b;
    in.b_row = g.b_row;
    TileOut<T> out{};
    out.row = g.c_row;
    out.col = 1;
    out.columns = vectors * kLanes<T>;
    out.accumulate = g.accumulate;
    for (int64_t tile = first; tile < last; ++tile) {
        const int64_t row = tiles.begin(tile), rows = tiles.begin(tile + 1) - row;
        in.a = g.a + row * g.a_row;
        out.c = g.c + row * g.c_row;
        micro_kernels<T>().of[rows - 1][vectors - 1](in, out);
    }
}

FASTNN_INLINE int vectors_of(int64_t columns, int64_t lanes) {
    return columns > lanes ? 2 : 1;
}

// to[i][j] = from[j][i] for i < rows, j < columns; from has room for whole squares of lanes.
template <class T>
FASTNN_INLINE void store_transposed(T* to, int64_t to_row, const T* from, int64_t from_row,
                                    int64_t rows, int64_t columns) {
    constexpr int lanes = kLanes<T>;
    for (int64_t i0 = 0; i0 < rows; i0 += lanes)
        for (int64_t j0 = 0; j0 < columns; j0 += lanes) {
            const int64_t width = min64(lanes, columns - j0);
            Vec<T> square[lanes];
            for (int j = 0; j < lanes; ++j)
                square[j] = j < width ? load(from + (j0 + j) * from_row + i0) : Vec<T>{};
            transpose(square);
            for (int i = 0; i < lanes && i0 + i < rows; ++i)
                put(to + (i0 + i) * to_row + j0, square[i], width);
        }
}

// Rows that products read: in place, or a copy.
template <class T>
struct Operand {
    const T* data;
    int64_t row;
};

// Rows so far apart that a block of them spreads over more pages than the TLB holds, or over few
// sets of the cache, as those of heads beside each other: they are copied before they are used
// often.
template <class T>
FASTNN_INLINE bool far_apart(int64_t row, int64_t size) {
    constexpr int64_t far = 1024 / static_cast<int64_t>(sizeof(T));
    return row != size && (row >= far || row <= -far);
}

// to[i][0:width] = from[i][0:size], zeros behind; width is whole vectors.
template <class T>
FASTNN_INLINE Operand<T> copy_rows(T* to, int64_t width, Operand<T> from, int64_t rows,
                                   int64_t size) {
    for (int64_t i = 0; i < rows; ++i)
        for_vectors<T>(size, [&](int64_t j, int64_t m) {
            store(to + i * width + j, get(from.data + i * from.row + j, m));
        });
    return {to, width};
}

// n rounded up to whole vectors.
template <class T>
FASTNN_INLINE int64_t padded(int64_t n) {
    return ceil_div(n, kLanes<T>) * kLanes<T>;
}

// The transposed panel [size][kPanel] of `count` rows, times factor.
template <class T>
FASTNN_INLINE void pack_queries(T* to, Operand<T> from, int64_t count, int64_t size, T factor) {
    pack_panel(to, from.data, size, 1, count, from.row, kPanel<T>);
    for (int64_t at = 0; at < size * kPanel<T>; at += kLanes<T>)
        store(to + at, load(to + at) * factor);
}

// A block of scores: keys [key, key + keys) of queries [query, query + count), in one panel.
struct Block {
    int64_t head;
    int64_t query, count;
    int64_t key, keys;
};

// The transposed tile [keys][kPanel] of something that is made by rows of keys: fill(row, query)
// writes `keys` elements. rows: room for kPanel * keys.
template <class T, class Fill>
FASTNN_INLINE void transposed_tile(T* tile, T* rows, const Block& b, Fill fill) {
    for (int64_t j = 0; j < b.count; ++j)
        fill(rows + j * b.keys, b.query + j);
    pack_panel(tile, rows, b.keys, 1, b.count, b.keys, kPanel<T>);
}

template <class T>
FASTNN_INLINE Vec<T> hide(Vec<T> score, Vec<T> seen) {
    return seen != T(0) ? score : broadcast(kNever<T>);
}

// Adds the mask to the scores s, of rows `row` apart. tile, rows: room for kPanel * keys each.
template <class T>
void apply_mask(const AttentionMask& mask, const Block& b, T* s, int64_t row, int vectors, T* tile,
                T* rows) {
    const int64_t at = mask.offset[b.head] + b.query * mask.query + b.key * mask.key;
    const T* const added = static_cast<const T*>(mask.data) + at;
    const bool* const seen = static_cast<const bool*>(mask.data) + at;
    if (mask.query == 0) { // the same for every query
        for (int64_t i = 0; i < b.keys; ++i)
            for (int v = 0; v < vectors; ++v) {
                T* const to = s + i * row + v * kLanes<T>;
                if (!mask.boolean)
                    store(to, load(to) + added[i * mask.key]);
                else if (!seen[i * mask.key])
                    store(to, broadcast(kNever<T>));
            }
        return;
    }
    if (!mask.boolean && mask.key == 1)
        pack_panel(tile, added, b.keys, 1, b.count, mask.query, kPanel<T>);
    else
        transposed_tile(tile, rows, b, [&](T* to, int64_t query) {
            const int64_t from = (query - b.query) * mask.query;
            for (int64_t i = 0; i < b.keys; ++i)
                to[i] = mask.boolean ? static_cast<T>(seen[from + i * mask.key])
                                     : added[from + i * mask.key];
        });
    for (int64_t i = 0; i < b.keys; ++i)
        for (int v = 0; v < vectors; ++v) {
            T* const to = s + i * row + v * kLanes<T>;
            const Vec<T> m = load(tile + i * kPanel<T> + v * kLanes<T>);
            store(to, mask.boolean ? hide<T>(load(to), m) : load(to) + m);
        }
}

// Hides the keys that come after a query.
template <class T>
FASTNN_INLINE void apply_causal(const Block& b, T* s, int64_t row, int vectors) {
    using I = typename MathConstants<T>::Int;
    for (int64_t i = max64(0, b.query + 1 - b.key); i < b.keys; ++i)
        for (int v = 0; v < vectors; ++v) {
            T* const to = s + i * row + v * kLanes<T>;
            const int64_t hidden = b.key + i - b.query - v * kLanes<T>; // so many lanes
            store(to, first_lanes<I>(min64(max64(hidden, 0), kLanes<T>)) ? broadcast(kNever<T>)
                                                                         : load(to));
        }
}

// Dropout's factors as a transposed tile. words: room for keys + 8.
template <class T>
void dropout_tile(const Attention<T>& a, const Block& b, T* tile, T* rows, uint32_t* words) {
    transposed_tile(tile, rows, b, [&](T* to, int64_t query) {
        const auto at = static_cast<uint64_t>((b.head * a.queries + query) * a.keys + b.key);
        const int64_t skip = static_cast<int64_t>(at % 4);
        random_table.philox(a.seed, a.offset + at / 4, ceil_div(skip + b.keys, 4), words);
        for (int64_t i = 0; i < b.keys; ++i)
            to[i] = words[skip + i] >> 8 >= a.threshold ? a.keep_scale : T(0);
    });
}

// exp(score - top) where top is a maximum; a query that sees nothing has -inf.
template <class T>
FASTNN_INLINE Vec<T> finite_top(Vec<T> top) {
    return top == kNever<T> ? Vec<T>{} : top;
}

} // namespace fastnn::FASTNN_ISA::attention_detail
