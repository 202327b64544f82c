#include "rnn/rnn.h"

#include "core/buffer_pool.h"
#include "core/integers.h"
#include "core/parallel.h"
#include "gemm/gemm.h"
#include "gemm/pack.h"
#include "rnn/cells.h"
#include "rnn/packed_product.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Sums of the gates of some steps wait for their turn in the second-level cache.
constexpr int64_t kSumsBytes = 384 << 10;
// Multiplications of a part of a product that is shared, at least: microseconds. With fewer rows
// than kReadRows a product takes as long as to read its weights.
constexpr int64_t kPartWork = 1 << 18, kReadRows = 6, kMostParts = 16;
constexpr int64_t kPartUnits = 1 << 11; // of cells whose gates a thread computes, at least

// The length of a scratch row: whole panels, and a cache line more, so that rows do not lie a power
// of two apart and evict each other.
template <class T>
int64_t scratch_row(int64_t columns) {
    return rnn_padded(columns, kLanes<T>) + 64 / static_cast<int64_t>(sizeof(T));
}

// C (+)= A B (+ bias) with rows [k0, k0 + k) of the weights. Threads share the columns where there
// are so many weights that reading them takes long, if this is the only chunk.
template <class T>
void multiply(const RnnWeights<T>& w, int64_t k0, int64_t k, RowsProduct<T> p, bool shared) {
    if (p.a_step == p.rows * p.a_row && p.c_step == p.rows * p.c_row) { // steps without gaps
        p.rows *= p.steps;
        p.steps = 1;
    }
    if (w.packed) {
        const int64_t panels = rnn_padded(w.columns, kLanes<T>) / kLanes<T>;
        const int64_t work = k * w.columns * max64(kReadRows, p.steps * p.rows);
        const int64_t parts =
            shared ? max64(1, min64(min64(panels, kMostParts), work / kPartWork)) : 1;
        return parallel_for(parts, [&](int64_t part) {
            const int64_t begin = part * panels / parts, end = (part + 1) * panels / parts;
            RowsProduct<T> columns = p;
            columns.c += begin * kLanes<T>;
            if (p.bias)
                columns.bias += begin * kLanes<T>;
            packed_product(PackedWeights<T>{w.data + begin * panel_step<T>(w.k), w.k, end - begin},
                           k0, k, columns);
        });
    }
    for (int64_t step = 0; step < p.steps; ++step) {
        GemmArgs<T> g{p.rows,
                      w.columns,
                      k,
                      p.a + step * p.a_step,
                      p.a_row,
                      1,
                      w.data + k0 * w.row,
                      w.row,
                      w.column,
                      p.c + step * p.c_step,
                      p.c_row,
                      1};
        g.column_bias = p.bias;
        g.accumulate = p.accumulate;
        gemm(g);
    }
}

template <class T>
void multiply(const RnnWeights<T>& w, const RowsProduct<T>& p, bool shared) {
    multiply(w, 0, w.k, p, shared);
}

// The samples of a chunk, in the order of computation. Where all are equally long, neighbours: what
// a thread writes lies together, and no prefetcher takes lines from the others. Else chunk,
// chunk + chunks, ..., as long ones come first.
struct Samples {
    const RnnShape& shape;
    bool uniform;
    int64_t first, step;
    int64_t count; // in the longest step

    Samples(const RnnShape& s, int64_t chunk, int64_t chunks)
        : shape(s), uniform(s.rows == s.steps * s.samples) {
        first = uniform ? chunk * s.samples / chunks : chunk;
        step = uniform ? 1 : chunks;
        count = uniform ? (chunk + 1) * s.samples / chunks - first : alive(s.samples);
    }

    int64_t alive(int64_t samples) const {
        return uniform ? count : samples > first ? (samples - first + step - 1) / step : 0;
    }
    int64_t time(int64_t turn) const { return shape.reverse ? shape.steps - 1 - turn : turn; }
    int64_t at(int64_t t) const { return alive(shape.sizes[t]); }
    // The row of sample i at step t, in the packed sequence; and among the samples.
    int64_t row(int64_t t, int64_t i) const { return shape.offsets[t] + sample(i); }
    int64_t sample(int64_t i) const { return first + i * step; }
    // Whether the rows of `turns` steps from t on are evenly spaced, and how many they are then.
    bool even(int64_t t, int64_t turns) const {
        const int64_t most = shape.sizes[t];
        return !uniform && (step == 1 || (most == shape.sizes[t + turns - 1] && most % step == 0));
    }
    int64_t between(int64_t t, int64_t turns) const {
        return (shape.offsets[t + turns - 1] + shape.sizes[t + turns - 1] - shape.offsets[t]) /
               step;
    }
};

template <class T>
FASTNN_INLINE void copy_row(T* to, const T* from, int64_t size) {
    __builtin_memcpy(to, from, static_cast<size_t>(size) * sizeof(T));
}

// Scratch rows of the samples' states; null `from`: zeros.
template <class T>
void take_states(const Samples& samples, const T* from, int64_t size, T* to, int64_t to_row) {
    for (int64_t i = 0; i < samples.count; ++i) {
        for (int64_t j = from ? size : 0; j < to_row; ++j)
            to[i * to_row + j] = T{};
        if (from)
            copy_row(to + i * to_row, from + samples.sample(i) * size, size);
    }
}

template <class T>
void give_states(const Samples& samples, const T* from, int64_t from_row, T* to, int64_t size) {
    for (int64_t i = 0; i < samples.count; ++i)
        copy_row(to + samples.sample(i) * size, from + i * from_row, size);
}

template <class T, class Cell>
void forward_chunk(const void* chunk_) {
    const auto& chunk = *static_cast<const RnnForwardChunk<T>*>(chunk_);
    const RnnForward<T>& a = chunk.args;
    const RnnShape& s = a.shape;
    const Samples samples(s, chunk.chunk, chunk.chunks);
    const int64_t size = s.hidden, count = samples.count;
    const bool projected = a.w_hr != nullptr, shared = chunk.chunks == 1;

    const int64_t together = chunk.w_hh.columns_taken(kLanes<T>);
    const int64_t columns = together + chunk.w_hidden.columns_taken(kLanes<T>);
    const int64_t sums_row = scratch_row<T>(columns), state_row = scratch_row<T>(size),
                  h_row = scratch_row<T>(s.output);
    const int64_t steps_at_once =
        max64(1, min64(s.steps, kSumsBytes / (count * sums_row * static_cast<int64_t>(sizeof(T)))));
    const Scratch scratch(
        static_cast<size_t>(count * (steps_at_once * sums_row + h_row +
                                     (Cell::kHasCell + Cell::kHasHidden + projected) * state_row)) *
        sizeof(T));
    T* const sums = scratch.as<T>();
    T* const h = sums + count * steps_at_once * sums_row;
    T* const c = h + count * h_row; // or a GRU's hidden
    T* const to_project = c + (Cell::kHasCell ? count * state_row : 0);
    take_states(samples, a.h0, s.output, h, h_row);
    if (Cell::kHasCell)
        take_states(samples, a.c0, size, c, state_row);

    for (int64_t turn0 = 0; turn0 < s.steps; turn0 += steps_at_once) {
        const int64_t turns = min64(steps_at_once, s.steps - turn0);
        const int64_t t0 = min64(samples.time(turn0), samples.time(turn0 + turns - 1));
        // Rows evenly spaced, in each step or over the steps, are one product.
        const bool even = samples.even(t0, turns), each = !samples.uniform && !even;
        const auto sums_of = [&](int64_t t) {
            return sums +
                   (even ? (s.offsets[t] - s.offsets[t0]) / samples.step : (t - t0) * count) *
                       sums_row;
        };
        for (int64_t t = t0; t < t0 + (each ? turns : 1); ++t)
            multiply<T>(chunk.w_ih,
                        {a.x + samples.row(t, 0) * s.input, samples.step * s.input,
                         even ? samples.between(t0, turns) : samples.at(t), sums_of(t), sums_row,
                         chunk.bias, false, samples.uniform ? turns : 1, s.samples * s.input,
                         count * sums_row},
                        shared);
        for (int64_t turn = turn0; turn < turn0 + turns; ++turn) {
            const int64_t t = samples.time(turn), rows = samples.at(t);
            if (rows == 0)
                continue;
            T* const z = sums_of(t);
            multiply<T>(chunk.w_hh, {h, h_row, rows, z, sums_row, nullptr, true}, shared);
            if constexpr (Cell::kHasHidden)
                multiply<T>(chunk.w_hidden,
                            {h, h_row, rows, c, state_row, chunk.hidden_bias, false}, shared);
            parallel_range(rows, max64(1, kPartUnits / size), [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) {
                    const int64_t row = samples.row(t, i);
                    Cell::template forward<T>(
                        {size, z + i * sums_row, together, c + i * state_row,
                         projected ? to_project + i * state_row : h + i * h_row, c + i * state_row,
                         projected ? nullptr : a.y + row * size,
                         a.activations ? a.activations + row * Cell::kGates * size : nullptr,
                         a.extra ? a.extra + row * size : nullptr});
                }
            });
            if (projected) {
                multiply<T>(chunk.w_hr, {to_project, state_row, rows, h, h_row, nullptr, false},
                            shared);
                for (int64_t i = 0; i < rows; ++i)
                    copy_row(a.y + samples.row(t, i) * s.output, h + i * h_row, s.output);
            }
        }
    }
    give_states(samples, h, h_row, a.hn, s.output);
    if (Cell::kHasCell)
        give_states(samples, c, state_row, a.cn, size);
}

template <class T, class Cell>
void backward_chunk(const void* chunk_) {
    const auto& chunk = *static_cast<const RnnBackwardChunk<T>*>(chunk_);
    const RnnBackward<T>& a = chunk.args;
    const RnnShape& s = a.shape;
    const Samples samples(s, chunk.chunk, chunk.chunks);
    const int64_t size = s.hidden, count = samples.count;
    const bool projected = a.w_hr != nullptr, shared = chunk.chunks == 1;
    const int64_t state_row = scratch_row<T>(size), h_row = scratch_row<T>(s.output);
    const Scratch scratch(
        static_cast<size_t>(count * (h_row + (Cell::kHasCell + projected) * state_row)) *
        sizeof(T));
    T* const gh = scratch.as<T>();
    T* const gc = gh + count * h_row;
    T* const gm = gc + (Cell::kHasCell ? count * state_row : 0); // of what was projected
    take_states(samples, a.ghn, s.output, gh, h_row);
    if (Cell::kHasCell)
        take_states(samples, a.gcn, size, gc, state_row);
    constexpr int64_t out_gates = Cell::kGates + Cell::kHasHidden;
    for (int64_t j = 0; j < out_gates * size; ++j)
        chunk.bias[j] = T{};

    for (int64_t turn = s.steps - 1; turn >= 0; --turn) {
        const int64_t t = samples.time(turn), rows = samples.at(t);
        if (rows == 0)
            continue;
        const int64_t earlier = turn > 0 ? samples.time(turn - 1) : -1; // in computation
        const int64_t carried = earlier >= 0 ? min64(rows, samples.at(earlier)) : 0;
        if (projected) {
            for (int64_t i = 0; i < rows; ++i) {
                T* const total = chunk.totals + samples.row(t, i) * s.output;
                for_vectors<T>(s.output, [&](int64_t j, int64_t n) __attribute__((always_inline)) {
                    Vec<T> g = load(gh + i * h_row + j);
                    if (a.gy)
                        g += get(a.gy + samples.row(t, i) * s.output + j, n);
                    put(total + j, g, n);
                });
            }
            multiply<T>(chunk.w_hr,
                        {chunk.totals + samples.row(t, 0) * s.output, samples.step * s.output, rows,
                         gm, state_row, nullptr, false},
                        shared);
        }
        T* const gates = chunk.gates + samples.row(t, 0) * chunk.gates_row;
        const int64_t gates_step = samples.step * chunk.gates_row;
        for (int64_t i = 0; i < rows; ++i) {
            const int64_t row = samples.row(t, i);
            const T* before = nullptr;
            if constexpr (Cell::kHasCell || Cell::kHasHidden) {
                const T* const all = Cell::kHasCell ? a.extra : a.y;
                const T* const first = Cell::kHasCell ? a.c0 : a.h0;
                before = i < carried ? all + samples.row(earlier, i) * size
                                     : first + samples.sample(i) * size;
            }
            const bool plain = Cell::kGates == 1;
            Cell::template backward<T>(
                {size, projected || !a.gy ? nullptr : a.gy + row * size,
                 projected ? gm + i * state_row : gh + i * h_row, gc + i * state_row,
                 plain ? a.y + row * size : a.activations + row * Cell::kGates * size,
                 plain ? nullptr : a.extra + row * size, before, gates + i * gates_step, chunk.bias,
                 projected ? chunk.projected + row * size : nullptr});
        }
        if constexpr (Cell::kHasHidden) {
            multiply<T>(chunk.w_hh, 0, 2 * size,
                        {gates, gates_step, rows, gh, h_row, nullptr, true}, shared);
            multiply<T>(chunk.w_hh, 2 * size, size,
                        {gates + 3 * size, gates_step, rows, gh, h_row, nullptr, true}, shared);
        } else {
            multiply<T>(chunk.w_hh, {gates, gates_step, rows, gh, h_row, nullptr, false}, shared);
        }
    }
    give_states(samples, gh, h_row, a.gh0, s.output);
    if (Cell::kHasCell)
        give_states(samples, gc, state_row, a.gc0, size);
}

template <class T>
void pack(void* to, const void* weights, int64_t begin, int64_t end) {
    constexpr int64_t lanes = kLanes<T>;
    const auto& w = *static_cast<const RnnWeights<T>*>(weights);
    for (int64_t panel = begin; panel < end; ++panel)
        pack_panel(static_cast<T*>(to) + panel * panel_step<T>(w.k),
                   w.data + panel * lanes * w.column, w.k, w.row,
                   min64(lanes, w.columns - panel * lanes), w.column, lanes);
}

} // namespace

extern const RnnTable rnn_table = {
    {kLanes<float>, kLanes<double>},
    {pack<float>, pack<double>},
    {{forward_chunk<float, PlainCell<false>>, forward_chunk<double, PlainCell<false>>},
     {forward_chunk<float, PlainCell<true>>, forward_chunk<double, PlainCell<true>>},
     {forward_chunk<float, LstmCell>, forward_chunk<double, LstmCell>},
     {forward_chunk<float, GruCell>, forward_chunk<double, GruCell>}},
    {{backward_chunk<float, PlainCell<false>>, backward_chunk<double, PlainCell<false>>},
     {backward_chunk<float, PlainCell<true>>, backward_chunk<double, PlainCell<true>>},
     {backward_chunk<float, LstmCell>, backward_chunk<double, LstmCell>},
     {backward_chunk<float, GruCell>, backward_chunk<double, GruCell>}},
};

} // namespace fastnn::FASTNN_ISA
