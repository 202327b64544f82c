// Attention's gradients: see attention.h and scores.h.
//
// With P = exp(S - top) / total, gP = g v' and delta = sum(g * y) of a query:
// gS = P * (gP - delta), gq = gS k * scale, gk = gS' q * scale, gv = P' g.
#include "attention/scores.h"
#include "core/buffer_pool.h"

namespace fastnn::FASTNN_ISA {
namespace {

using namespace attention_detail;

constexpr int64_t kQueries = kAttentionQueries; // of a block
constexpr int64_t kKeys = 64;                   // of a block

// A block of queries of one head.
template <class T>
struct Queries {
    Operand<T> query, g; // rows of whole vectors
    T *query_t, *g_t;    // [panel][size][kPanel]: q' * scale, g'
    T* gquery_t;         // [panel][size][kPanel]: q's gradient, without scale
    T top[kQueries], inverse[kQueries], delta[kQueries];
};

template <class T>
struct Workspace {
    T *weights, *gscores; // [keys][kQueries]: P', gS'
    T *tile, *rows;       // [keys][kPanel] each, for mask and dropout
    uint32_t* words;
    T *gkey, *gvalue;         // [keys of the task][padded size]; gkey without scale
    Operand<T> key, value;    // of the task
    T *query_copy, *g_copy;   // [kQueries][padded size]; null where the arrays serve
    int64_t size, value_size; // padded to whole vectors
};

template <class T>
void load_queries(const Attention<T>& a, const AttentionGradients<T>& out, const Workspace<T>& w,
                  int64_t head, int64_t begin, int64_t n, Queries<T>& q) {
    constexpr int64_t width = kPanel<T>;
    q.query = {a.query.at(head, begin), a.query.row};
    q.g = {out.g.at(head, begin), out.g.row};
    if (w.query_copy)
        q.query = copy_rows(w.query_copy, w.size, q.query, n, a.size);
    if (w.g_copy)
        q.g = copy_rows(w.g_copy, w.value_size, q.g, n, a.value_size);
    for (int64_t i = 0; i < n; i += width) {
        const int64_t count = min64(width, n - i);
        pack_queries<T>(q.query_t + i * a.size, {q.query.data + i * q.query.row, q.query.row},
                        count, a.size, a.scale);
        pack_panel(q.g_t + i * a.value_size, q.g.data + i * q.g.row, a.value_size, 1, count,
                   q.g.row, width);
    }
    for (int64_t i = 0; i < kQueries; ++i) {
        if (i >= n) { // lanes that are no queries
            q.top[i] = q.inverse[i] = q.delta[i] = T(0);
            continue;
        }
        const int64_t at = head * a.queries + begin + i;
        const T* const y = out.y.at(head, begin + i);
        const T* const g = q.g.data + i * q.g.row;
        Vec<T> dot = {};
        for_vectors<T>(a.value_size,
                       [&](int64_t j, int64_t m) { dot += get(g + j, m) * get(y + j, m); });
        q.delta[i] = sum(dot);
        q.top[i] = out.top[at] == kNever<T> ? T(0) : out.top[at];
        q.inverse[i] = out.total[at] == T(0) ? T(0) : T(1) / out.total[at];
    }
}

// Lanes of queries: what the softmax's gradient takes of them.
template <class T, int NV>
struct Lanes {
    Vec<T> top[NV], inverse[NV], delta[NV];
};

template <int Rows, bool Dropped, class T, int NV>
FASTNN_INLINE void gradient_rows(T* s, T* gp, const T* factors, const Lanes<T, NV>& q) {
    constexpr int lanes = kLanes<T>;
    Vec<T> p[Rows * NV];
#pragma GCC unroll 8
    for (int i = 0; i < Rows * NV; ++i)
        p[i] = load(s + i / NV * kQueries + i % NV * lanes) - q.top[i % NV];
    exp_flushed<T>(p);
#pragma GCC unroll 8
    for (int i = 0; i < Rows * NV; ++i) {
        const int64_t at = i / NV * kQueries + i % NV * lanes;
        p[i] *= q.inverse[i % NV];
        Vec<T> g = load(gp + at), weight = p[i];
        if constexpr (Dropped) {
            const Vec<T> f = load(factors + i / NV * kPanel<T> + i % NV * lanes);
            g *= f;
            weight *= f;
        }
        store(s + at, weight);
        store(gp + at, p[i] * (g - q.delta[i % NV]));
    }
}

// Scores S' and gP' of a panel become P' (times dropout's factors) and gS'.
template <bool Dropped, class T, int NV>
void softmax_gradient(T* s, T* gp, int64_t keys, const T* top, const T* inverse, const T* delta,
                      const T* factors) {
    constexpr int lanes = kLanes<T>, rows = 4 / NV; // four vectors at a time
    Lanes<T, NV> q;
    for (int v = 0; v < NV; ++v)
        q.top[v] = load(top + v * lanes), q.inverse[v] = load(inverse + v * lanes),
        q.delta[v] = load(delta + v * lanes);
    int64_t i = 0;
    const auto factors_at = [&](int64_t row) {
        return Dropped ? factors + row * kPanel<T> : nullptr;
    };
    for (; i + rows <= keys; i += rows)
        gradient_rows<rows, Dropped>(s + i * kQueries, gp + i * kQueries, factors_at(i), q);
    for (; i < keys; ++i)
        gradient_rows<1, Dropped>(s + i * kQueries, gp + i * kQueries, factors_at(i), q);
}

template <class T>
using SoftmaxGradient = void (*)(T*, T*, int64_t, const T*, const T*, const T*, const T*);
template <class T>
constexpr SoftmaxGradient<T> kSoftmaxGradient[2][2] = {
    // [dropout][vectors - 1]
    {softmax_gradient<false, T, 1>, softmax_gradient<false, T, 2>},
    {softmax_gradient<true, T, 1>, softmax_gradient<true, T, 2>}};

// All panels of a block of `queries` queries from `begin` and `keys` keys from `key` on, which lies
// `local` behind the task's first.
template <class T>
void block(const Attention<T>& a, const AttentionGradients<T>& out, const Workspace<T>& w,
           const Queries<T>& q, int64_t head, int64_t begin, int64_t queries, int64_t key,
           int64_t keys, int64_t local) {
    constexpr int64_t width = kPanel<T>, most = kQueries / width;
    constexpr int lanes = kLanes<T>;
    const int64_t panels = ceil_div(queries, width);
    const Tiles tiles = tiles_of(keys), elements = tiles_of(a.size);
    const T* const k = w.key.data + local * w.key.row;
    const T* const v = w.value.data + local * w.value.row;
    int64_t cover[most]; // tiles of keys that a panel sees
    for (int64_t i = 0; i < panels; ++i) {
        const Block b{head, begin + i * width, min64(width, queries - i * width), key, keys};
        const int64_t seen = a.causal ? min64(keys, max64(0, b.query + b.count - key)) : keys;
        cover[i] = seen == keys ? tiles.count : tiles.cover(seen);
        if (cover[i] == 0)
            continue;
        const Block part{head, b.query, b.count, key, tiles.begin(cover[i])};
        const int vectors = vectors_of(b.count, lanes);
        T* const s = w.weights + i * width;
        T* const gs = w.gscores + i * width;
        multiply<T>(
            {a.size, k, w.key.row, 1, q.query_t + i * width * a.size, width, s, kQueries, false},
            tiles, 0, cover[i], vectors);
        multiply<T>({a.value_size, v, w.value.row, 1, q.g_t + i * width * a.value_size, width, gs,
                     kQueries, false},
                    tiles, 0, cover[i], vectors);
        if (a.mask.data)
            apply_mask(a.mask, part, s, kQueries, vectors, w.tile, w.rows);
        if (a.causal)
            apply_causal(part, s, kQueries, vectors);
        if (a.dropout)
            dropout_tile(a, part, w.tile, w.rows, w.words);
        kSoftmaxGradient<T>[a.dropout][vectors - 1](s, gs, part.keys, q.top + i* width,
                                                    q.inverse + i* width, q.delta + i* width,
                                                    a.dropout ? w.tile : nullptr);
        if (out.mask)
            store_transposed(out.mask + (head * a.queries + b.query) * a.keys + key, a.keys, gs,
                             kQueries, b.count, part.keys);
        multiply<T>({part.keys, k, 1, w.key.row, gs, kQueries, q.gquery_t + i * width * a.size,
                     width, true},
                    elements, 0, elements.count, vectors);
    }
    // A tile of keys takes the queries from the first panel on that sees it.
    int64_t panel = 0;
    for (int64_t tile = 0; tile < tiles.count; ++tile) {
        while (panel < panels && cover[panel] <= tile)
            ++panel;
        if (panel == panels)
            break;
        const int64_t from = panel * width;
        const auto add = [&](const T* weights, const Operand<T>& rows, T* to, int64_t size) {
            for (int64_t d = 0; d < size; d += width)
                multiply<T>({queries - from, weights + from, kQueries, 1,
                             rows.data + from * rows.row + d, rows.row, to + local * size + d, size,
                             true},
                            tiles, tile, tile + 1, vectors_of(size - d, lanes));
        };
        add(w.weights, q.g, w.gvalue, w.value_size);
        add(w.gscores, q.query, w.gkey, w.size);
    }
}

template <class T>
void backward(const Attention<T>& a, const AttentionGradients<T>& out, int64_t key_head,
              int64_t key_begin, int64_t key_end, int64_t part) {
    constexpr int64_t width = kPanel<T>;
    const int64_t all = key_end - key_begin;
    const int64_t blocks = max64(1, ceil_div(all, kKeys));
    const int64_t most = ceil_div(all, blocks); // keys of a block
    Workspace<T> w{};
    w.size = padded<T>(a.size);
    w.value_size = padded<T>(a.value_size);
    const bool tiles = a.mask.data || a.dropout;
    const int64_t sums = all * (w.size + w.value_size);
    // The products read whole vectors of q's and g's rows.
    const bool copy_query = w.size != a.size || far_apart<T>(a.query.row, a.size);
    const bool copy_g = w.value_size != a.value_size || far_apart<T>(out.g.row, a.value_size);
    const bool copy_key = far_apart<T>(a.key.row, a.size);
    const bool copy_value = far_apart<T>(a.value.row, a.value_size);
    const int64_t elements = sums + kQueries * (3 * w.size + 2 * w.value_size) +
                             2 * most * kQueries + (tiles ? 2 * most * width : 0) +
                             all * ((copy_key ? w.size : 0) + (copy_value ? w.value_size : 0));
    const Scratch scratch(static_cast<std::size_t>(elements) * sizeof(T) +
                          static_cast<std::size_t>(most + 8) * sizeof(uint32_t));
    T* next = scratch.as<T>();
    const auto take = [&](int64_t n) {
        T* const from = next;
        next += n;
        return from;
    };
    Queries<T> q;
    w.gkey = take(all * w.size);
    w.gvalue = take(all * w.value_size);
    w.query_copy = copy_query ? take(kQueries * w.size) : nullptr;
    q.query_t = take(kQueries * w.size);
    q.gquery_t = take(kQueries * w.size);
    w.g_copy = copy_g ? take(kQueries * w.value_size) : nullptr;
    q.g_t = take(kQueries * w.value_size);
    w.weights = take(most * kQueries);
    w.gscores = take(most * kQueries);
    if (tiles) {
        w.tile = take(most * width);
        w.rows = take(most * width);
    }
    w.key = {a.key.at(key_head, key_begin), a.key.row};
    w.value = {a.value.at(key_head, key_begin), a.value.row};
    if (copy_key)
        w.key = copy_rows(take(all * w.size), w.size, w.key, all, a.size);
    if (copy_value)
        w.value = copy_rows(take(all * w.value_size), w.value_size, w.value, all, a.value_size);
    w.words = reinterpret_cast<uint32_t*>(next);
    __builtin_memset(w.gkey, 0, static_cast<std::size_t>(sums) * sizeof(T));

    for (int64_t head = key_head * a.group; head < (key_head + 1) * a.group; ++head)
        for (int64_t begin = 0; begin < a.queries; begin += kQueries) {
            const int64_t n = min64(kQueries, a.queries - begin);
            const int64_t end = a.causal ? min64(key_end, begin + n) : key_end;
            if (key_begin < end)
                load_queries(a, out, w, head, begin, n, q);
            __builtin_memset(q.gquery_t, 0,
                             static_cast<std::size_t>(kQueries * a.size) * sizeof(T));
            for (int64_t i = 0; i < blocks; ++i) {
                const int64_t key = key_begin + i * all / blocks;
                const int64_t keys = key_begin + (i + 1) * all / blocks - key;
                if (key < end)
                    block(a, out, w, q, head, begin, n, key, keys, key - key_begin);
            }
            for (int64_t i = 0; i < n; i += width) {
                T* const from = q.gquery_t + i * a.size;
                for (int64_t at = 0; at < a.size * width; at += kLanes<T>)
                    store(from + at, load(from + at) * a.scale);
                T* const to = out.query_parts
                                  ? out.query_parts +
                                        ((part * a.heads + head) * a.queries + begin + i) * a.size
                                  : out.query.at(head, begin + i);
                store_transposed(to, out.query_parts ? a.size : out.query.row, from, width,
                                 min64(width, n - i), a.size);
            }
        }
    const auto store_rows = [&](const Rows<T>& to, const T* from, int64_t row, int64_t n,
                                T factor) {
        for (int64_t i = 0; i < all; ++i)
            for_vectors<T>(n, [&](int64_t j, int64_t m) {
                put(to.at(key_head, key_begin + i) + j, load(from + i * row + j) * factor, m);
            });
    };
    store_rows(out.key, w.gkey, w.size, a.size, a.scale);
    store_rows(out.value, w.gvalue, w.value_size, a.value_size, T(1));
}

} // namespace

const AttentionBackward attention_backward = {backward<float>, backward<double>};

} // namespace fastnn::FASTNN_ISA
