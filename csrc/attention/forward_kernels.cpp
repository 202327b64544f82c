// Attention's forward pass: see attention.h and scores.h.
#include "attention/scores.h"
#include "core/buffer_pool.h"

namespace fastnn::FASTNN_ISA {
namespace {

using namespace attention_detail;

constexpr int64_t kKeys = 128; // of a block

// What a panel of queries keeps from one block of keys to the next.
template <class T>
struct Panel {
    T* query;  // [size][kPanel], q' * scale
    T* result; // [value_size][kPanel], y' before the division
    T* top;    // [kPanel]
    T* total;
};

// The largest of each query's scores, and of `least`.
template <class T, int NV>
FASTNN_INLINE void maxima(const T* s, int64_t keys, Vec<T> (&top)[NV]) {
    constexpr int lanes = kLanes<T>;
    constexpr int64_t width = kPanel<T>;
    Vec<T> other[NV];
    for (int v = 0; v < NV; ++v)
        other[v] = top[v];
    int64_t i = 0;
    for (; i + 2 <= keys; i += 2)
        for (int v = 0; v < NV; ++v) { // NaN is passed over
            top[v] = max(load(s + i * width + v * lanes), top[v]);
            other[v] = max(load(s + (i + 1) * width + v * lanes), other[v]);
        }
    for (int v = 0; v < NV; ++v) {
        if (i < keys)
            top[v] = max(load(s + i * width + v * lanes), top[v]);
        top[v] = max(top[v], other[v]);
    }
}

// `Rows` rows of scores become exp(score - base), times dropout's factors where there are any.
template <int Rows, bool Dropped, class T, int NV>
FASTNN_INLINE void exponentials(T* s, const T* factors, const Vec<T> (&base)[NV],
                                Vec<T> (&total)[NV]) {
    constexpr int lanes = kLanes<T>;
    constexpr int64_t width = kPanel<T>;
    Vec<T> e[Rows * NV];
#pragma GCC unroll 8
    for (int i = 0; i < Rows * NV; ++i)
        e[i] = load(s + i / NV * width + i % NV * lanes) - base[i % NV];
    exp_flushed<T>(e);
#pragma GCC unroll 8
    for (int i = 0; i < Rows * NV; ++i) {
        const int64_t at = i / NV * width + i % NV * lanes;
        total[i % NV] += e[i];
        store(s + at, Dropped ? e[i] * load(factors + at) : e[i]);
    }
}

template <bool Dropped, class T, int NV>
FASTNN_INLINE void all_exponentials(T* s, int64_t keys, const T* factors, const Vec<T> (&base)[NV],
                                    Vec<T> (&total)[NV]) {
    constexpr int64_t width = kPanel<T>;
    constexpr int rows = 4 / NV; // four vectors at a time
    int64_t i = 0;
    for (; i + rows <= keys; i += rows)
        exponentials<rows, Dropped>(s + i * width, Dropped ? factors + i * width : nullptr, base,
                                    total);
    for (; i < keys; ++i)
        exponentials<1, Dropped>(s + i * width, Dropped ? factors + i * width : nullptr, base,
                                 total);
}

// Scores become exp(score - top), times dropout's factors; the panel's sums are brought to the new
// maximum.
template <class T, int NV>
void softmax_block(T* s, int64_t keys, const Panel<T>& panel, int64_t value_size, bool first,
                   const T* factors) {
    constexpr int lanes = kLanes<T>;
    constexpr int64_t width = kPanel<T>;
    Vec<T> top[NV], total[NV], base[NV], scale[NV];
    for (int v = 0; v < NV; ++v)
        scale[v] = top[v] = first ? broadcast(kNever<T>) : load(panel.top + v * lanes);
    maxima(s, keys, top);
    for (int v = 0; v < NV; ++v) {
        base[v] = finite_top<T>(top[v]);
        scale[v] -= base[v];
    }
    exp_flushed<T>(scale);
    for (int v = 0; v < NV; ++v)
        total[v] = first ? Vec<T>{} : load(panel.total + v * lanes) * scale[v];
    if (factors)
        all_exponentials<true>(s, keys, factors, base, total);
    else
        all_exponentials<false>(s, keys, factors, base, total);
    for (int v = 0; v < NV; ++v) {
        store(panel.top + v * lanes, top[v]);
        store(panel.total + v * lanes, total[v]);
    }
    if (first)
        return;
    for (int64_t d = 0; d < value_size; ++d)
        for (int v = 0; v < NV; ++v) {
            T* const at = panel.result + d * width + v * lanes;
            store(at, load(at) * scale[v]);
        }
}

template <class T>
struct Workspace {
    T *scores, *tile, *rows; // [keys][kPanel] each
    uint32_t* words;
    Operand<T> key, value; // of the block of keys
};

template <class T>
void panel_block(const Attention<T>& a, const Panel<T>& panel, const Block& b, bool first,
                 const Workspace<T>& w) {
    constexpr int64_t width = kPanel<T>;
    const int vectors = vectors_of(b.count, kLanes<T>);
    const Tiles keys = tiles_of(b.keys), elements = tiles_of(a.value_size);
    multiply<T>({a.size, w.key.data, w.key.row, 1, panel.query, width, w.scores, width, false},
                keys, 0, keys.count, vectors);
    if (a.mask.data)
        apply_mask(a.mask, b, w.scores, width, vectors, w.tile, w.rows);
    if (a.causal)
        apply_causal(b, w.scores, width, vectors);
    if (a.dropout)
        dropout_tile(a, b, w.tile, w.rows, w.words);
    const T* const factors = a.dropout ? w.tile : nullptr;
    if (vectors == 2)
        softmax_block<T, 2>(w.scores, b.keys, panel, a.value_size, first, factors);
    else
        softmax_block<T, 1>(w.scores, b.keys, panel, a.value_size, first, factors);
    multiply<T>(
        {b.keys, w.value.data, 1, w.value.row, w.scores, width, panel.result, width, !first},
        elements, 0, elements.count, vectors);
}

// y = result / total, zeros where nothing was seen.
template <class T>
void finish_panel(const Attention<T>& a, const AttentionResults<T>& out, const Panel<T>& panel,
                  int64_t head, int64_t query, int64_t count) {
    constexpr int lanes = kLanes<T>;
    constexpr int64_t width = kPanel<T>;
    for (int v = 0; v < vectors_of(count, lanes); ++v) {
        const Vec<T> total = load(panel.total + v * lanes);
        const Vec<T> inverse = total == T(0) ? Vec<T>{} : T(1) / total;
        for (int64_t d = 0; d < a.value_size; ++d) {
            T* const at = panel.result + d * width + v * lanes;
            store(at, load(at) * inverse);
        }
        const int64_t n = min64(lanes, count - v * lanes);
        const int64_t at = head * a.queries + query + v * lanes;
        put(out.top + at, load(panel.top + v * lanes), n);
        put(out.total + at, total, n);
    }
    store_transposed(out.y.at(head, query), out.y.row, panel.result, width, count, a.value_size);
}

template <class T>
void forward(const Attention<T>& a, const AttentionResults<T>& out, int64_t head, int64_t begin,
             int64_t end) {
    constexpr int64_t width = kPanel<T>, most = kAttentionQueries / width;
    const int64_t panels = ceil_div(end - begin, width);
    const int64_t last = a.causal ? min64(a.keys, end) : a.keys; // keys beyond it nobody sees
    const int64_t blocks = ceil_div(last, kKeys), block = blocks ? ceil_div(last, blocks) : 0;
    const bool tiles = a.mask.data || a.dropout;
    const int64_t size = padded<T>(a.size), value_size = padded<T>(a.value_size);
    // Copies pay from the second panel on.
    const bool copy_key = panels > 1 && far_apart<T>(a.key.row, a.size);
    const bool copy_value = panels > 1 && far_apart<T>(a.value.row, a.value_size);
    const int64_t copied = (copy_key ? size : 0) + (copy_value ? value_size : 0);
    const int64_t per_panel = (a.size + a.value_size + 2) * width;
    const Scratch scratch(static_cast<std::size_t>(panels * per_panel +
                                                   (tiles ? 3 : 1) * block * width +
                                                   copied * block) *
                              sizeof(T) +
                          static_cast<std::size_t>(block + 8) * sizeof(uint32_t));
    Panel<T> panel[most];
    T* next = scratch.as<T>();
    const auto take = [&](int64_t n) {
        T* const from = next;
        next += n;
        return from;
    };
    const auto query_of = [&](int64_t i) { return begin + i * width; };
    const auto count_of = [&](int64_t i) { return min64(width, end - query_of(i)); };
    Workspace<T> w{};
    w.scores = take(block * width);
    if (tiles) {
        w.tile = take(block * width);
        w.rows = take(block * width);
    }
    for (int64_t i = 0; i < panels; ++i) {
        panel[i] = {take(a.size * width), take(a.value_size * width), take(width), take(width)};
        pack_queries<T>(panel[i].query, {a.query.at(head, query_of(i)), a.query.row}, count_of(i),
                        a.size, a.scale);
        if (a.keys == 0) {
            __builtin_memset(panel[i].result, 0,
                             static_cast<std::size_t>(a.value_size * width) * sizeof(T));
            for (int64_t at = 0; at < width; at += kLanes<T>) {
                store(panel[i].top + at, broadcast(kNever<T>));
                store(panel[i].total + at, Vec<T>{});
            }
        }
    }
    T* const key_copy = take(copy_key ? block * size : 0);
    T* const value_copy = take(copy_value ? block * value_size : 0);
    w.words = reinterpret_cast<uint32_t*>(next);
    const int64_t key_head = head / a.group;
    for (int64_t key = 0; key < last; key += block) {
        const int64_t keys = min64(block, last - key);
        w.key = {a.key.at(key_head, key), a.key.row};
        w.value = {a.value.at(key_head, key), a.value.row};
        if (copy_key)
            w.key = copy_rows(key_copy, size, w.key, keys, a.size);
        if (copy_value)
            w.value = copy_rows(value_copy, value_size, w.value, keys, a.value_size);
        for (int64_t i = 0; i < panels; ++i) {
            const int64_t seen = a.causal ? min64(last, query_of(i) + count_of(i)) : last;
            if (key < seen)
                panel_block<T>(a, panel[i],
                               {head, query_of(i), count_of(i), key, min64(block, seen - key)},
                               key == 0, w);
        }
    }
    for (int64_t i = 0; i < panels; ++i)
        finish_panel(a, out, panel[i], head, query_of(i), count_of(i));
}

} // namespace

const AttentionForward attention_forward = {forward<float>, forward<double>};

} // namespace fastnn::FASTNN_ISA
