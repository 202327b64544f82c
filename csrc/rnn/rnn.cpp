#include "rnn/rnn.h"

#include <algorithm>

#include "core/buffer_pool.h"
#include "core/parallel.h"
#include "gemm/gemm.h"

namespace fastnn {
namespace {

constexpr int64_t kFewSamples = 6;    // fewer are one chunk
constexpr int64_t kChunkSamples = 12; // worth a chunk where there are many
constexpr int64_t kFewRows = 16;      // of all steps: packing weights would cost more than it saves
constexpr int64_t kMostChunks = 64;
constexpr int64_t kSmallWork = 1 << 19; // multiplications that one thread does
constexpr int64_t kPackGrain = 1 << 13; // elements copied by a task
constexpr int64_t kJoinedRows = 128;    // from which one product for both weights pays

// A power of two, so that the halves of a batch go to two threads evenly.
int64_t chunks_of(const RnnShape& s) {
    const int64_t work = s.rows * rnn_gates(s.cell) * s.hidden * (s.input + s.output);
    if (s.samples < kFewSamples || s.rows < kFewRows || work < kSmallWork)
        return 1;
    int64_t chunks = 2;
    while (chunks < kMostChunks && s.samples >= 2 * chunks * kChunkSamples)
        chunks *= 2;
    return chunks;
}

template <class T>
int64_t lanes() {
    return rnn_table().lanes[sizeof(T) == 8];
}

template <class T>
int64_t packed_panels(const RnnWeights<T>& w) {
    return rnn_padded(w.columns, lanes<T>()) / lanes<T>();
}

template <class T>
int64_t packed_size(const RnnWeights<T>& w) {
    return packed_panels(w) * rnn_panel_step(w.k, lanes<T>(), sizeof(T));
}

// Packs the matrices one behind the other into memory at `to`.
template <class T, std::size_t Count>
void pack(RnnWeights<T>* const (&matrices)[Count], T* to) {
    RnnWeights<T> plain[Count];
    int64_t first[Count + 1] = {}, place[Count + 1] = {}; // panel and element of each
    for (std::size_t i = 0; i < Count; ++i) {
        RnnWeights<T>& w = *matrices[i];
        plain[i] = w;
        first[i + 1] = first[i] + packed_panels(w);
        place[i + 1] = place[i] + packed_size(w);
        w.data = to + place[i];
        w.packed = true;
    }
    const auto kernel = rnn_table().pack[sizeof(T) == 8];
    const int64_t grain = std::max<int64_t>(1, kPackGrain * first[Count] / (place[Count] + 1));
    parallel_range(first[Count], grain, [&](int64_t begin, int64_t end) {
        for (std::size_t i = 0; i < Count; ++i) {
            const int64_t from = std::max(begin, first[i]), until = std::min(end, first[i + 1]);
            if (from < until)
                kernel(to + place[i], &plain[i], from - first[i], until - first[i]);
        }
    });
}

// The transpose of rows [begin, begin + count) of a matrix of `columns` columns.
template <class T>
RnnWeights<T> transposed_rows(const T* w, int64_t begin, int64_t count, int64_t columns) {
    return {w + begin * columns, columns, 1, count, columns, false};
}

// Sums a and b (either may be null) of n elements.
template <class T>
void add_biases(T* to, const T* a, const T* b, int64_t n) {
    for (int64_t j = 0; j < n; ++j)
        to[j] = (a ? a[j] : T{}) + (b ? b[j] : T{});
}

template <class T>
void forward(const RnnForward<T>& a) {
    const RnnShape& s = a.shape;
    const bool gru = s.cell == RnnCell::gru;
    const int64_t size = s.hidden, together = (gru ? 2 : rnn_gates(s.cell)) * size;
    const int64_t apart = gru ? size : 0; // the new gate
    RnnWeights<T> w_ih = transposed_rows(a.w_ih, 0, together, s.input),
                  new_ih = transposed_rows(a.w_ih, together, apart, s.input),
                  w_hh = transposed_rows(a.w_hh, 0, together, s.output),
                  w_hidden = transposed_rows(a.w_hh, together, apart, s.output), w_hr{};
    if (a.w_hr)
        w_hr = transposed_rows(a.w_hr, 0, s.output, size);
    const bool packed = s.rows >= kFewRows;
    const int64_t at_once = packed ? rnn_padded(together, lanes<T>()) : together;
    const int64_t biases = at_once + 2 * rnn_padded(apart, lanes<T>());
    int64_t elements = biases;
    if (packed)
        for (const RnnWeights<T>* w : {&w_ih, &new_ih, &w_hh, &w_hidden, &w_hr})
            elements += packed_size(*w);

    const Scratch scratch(static_cast<std::size_t>(elements) * sizeof(T));
    T* const bias = scratch.as<T>();
    T* const hidden_bias = bias + biases - rnn_padded(apart, lanes<T>());
    std::fill(bias, bias + biases, T{});
    add_biases(bias, a.b_ih, a.b_hh, together);
    if (gru) {
        add_biases<T>(bias + at_once, a.b_ih ? a.b_ih + together : nullptr, nullptr, size);
        add_biases<T>(hidden_bias, nullptr, a.b_hh ? a.b_hh + together : nullptr, size);
    }
    if (packed) {
        pack<T>({&w_ih, &new_ih, &w_hh, &w_hidden, &w_hr}, bias + biases);
    }
    w_ih.columns = at_once + apart; // the new gate's columns are behind the others
    const int64_t chunks = chunks_of(s);
    const auto kernel = rnn_table().forward[static_cast<int>(s.cell)][sizeof(T) == 8];
    parallel_for(chunks, [&](int64_t chunk) {
        const RnnForwardChunk<T> c = {a,    w_ih,        w_hh,  w_hidden, w_hr,
                                      bias, hidden_bias, chunk, chunks};
        kernel(&c);
    });
}

// C (m, n) = A^T B; A (k, m) and B (k, n) have rows a_row and b_row apart.
template <class T>
void transposed_product(int64_t m, int64_t n, int64_t k, const T* a, int64_t a_row, const T* b,
                        int64_t b_row, T* c) {
    gemm(GemmArgs<T>{m, n, k, a, 1, a_row, b, b_row, 1, c, n, 1});
}

// What a row's gates were made from: its input, and its state one step before in the order of
// computation, side by side.
template <class T>
struct GateInputs {
    GateInputs(const RnnShape& s, const T* x, const T* y, const T* h0)
        : shape(s), row(s.input + s.output),
          memory(static_cast<std::size_t>(s.rows * row) * sizeof(T)) {
        const int64_t grain = std::max<int64_t>(1, kPackGrain / (row * s.samples));
        parallel_range(s.steps, grain, [&](int64_t begin, int64_t end) {
            for (int64_t t = begin; t < end; ++t) {
                const int64_t earlier = s.reverse ? t + 1 : t - 1;
                const int64_t known = earlier < 0 || earlier == s.steps ? 0 : s.sizes[earlier];
                for (int64_t i = 0; i < s.sizes[t]; ++i) {
                    T* const to = memory.as<T>() + (s.offsets[t] + i) * row;
                    const T* const h =
                        i < known ? y + (s.offsets[earlier] + i) * s.output : h0 + i * s.output;
                    std::copy_n(x + (s.offsets[t] + i) * s.input, s.input, to);
                    std::copy_n(h, s.output, to + s.input);
                }
            }
        });
    }

    // gw_ih and gw_hh of `m` gates from their gradients. One product for both reads the gradients
    // once, and has columns enough for whole tiles where there are few inputs; then it is cut.
    void weight_gradients(const T* gates, int64_t gates_row, int64_t m, T* gw_ih, T* gw_hh) const {
        if (shape.rows < kJoinedRows) {
            input_gradient(gates, gates_row, m, gw_ih);
            return state_gradient(gates, gates_row, m, gw_hh);
        }
        const Scratch both(static_cast<std::size_t>(m * row) * sizeof(T));
        transposed_product(m, row, shape.rows, gates, gates_row, memory.as<T>(), row, both.as<T>());
        parallel_range(m, std::max<int64_t>(1, kPackGrain / row), [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                const T* const from = both.as<T>() + i * row;
                std::copy_n(from, shape.input, gw_ih + i * shape.input);
                std::copy_n(from + shape.input, shape.output, gw_hh + i * shape.output);
            }
        });
    }
    void input_gradient(const T* gates, int64_t gates_row, int64_t m, T* gw_ih) const {
        transposed_product(m, shape.input, shape.rows, gates, gates_row, memory.as<T>(), row,
                           gw_ih);
    }
    void state_gradient(const T* gates, int64_t gates_row, int64_t m, T* gw_hh) const {
        transposed_product(m, shape.output, shape.rows, gates, gates_row,
                           memory.as<T>() + shape.input, row, gw_hh);
    }

  private:
    const RnnShape& shape;
    int64_t row;
    Scratch memory;
};

template <class T>
void backward(const RnnBackward<T>& a) {
    const RnnShape& s = a.shape;
    const bool gru = s.cell == RnnCell::gru;
    const int64_t size = s.hidden, gates = rnn_gates(s.cell) * size;
    const int64_t columns = gru ? gates + size : gates;
    // A cache line more than needed: rows a power of two apart would evict each other.
    const int64_t gates_row = columns + 64 / static_cast<int64_t>(sizeof(T));
    const int64_t chunks = chunks_of(s);

    RnnWeights<T> w_hh{a.w_hh, gates, s.output, s.output, 1, false}, w_hr{};
    if (a.w_hr)
        w_hr = {a.w_hr, s.output, size, size, 1, false};
    const bool packed = s.rows >= kFewRows;
    const Scratch scratch(
        static_cast<std::size_t>(chunks * columns +
                                 (packed ? packed_size(w_hh) + packed_size(w_hr) : 0)) *
        sizeof(T));
    T* const biases = scratch.as<T>();
    if (packed) {
        pack<T>({&w_hh, &w_hr}, biases + chunks * columns);
    }
    const Scratch all_gates(static_cast<std::size_t>(s.rows * gates_row) * sizeof(T));
    T* const g = all_gates.as<T>();
    const Scratch projection(static_cast<std::size_t>(a.w_hr ? s.rows * (s.output + size) : 0) *
                             sizeof(T));
    T* const totals = projection.as<T>();
    T* const projected = totals + s.rows * s.output;

    const auto kernel = rnn_table().backward[static_cast<int>(s.cell)][sizeof(T) == 8];
    parallel_for(chunks, [&](int64_t chunk) {
        const RnnBackwardChunk<T> c = {
            a,      w_hh,      w_hr,  g,     gates_row, biases + chunk * columns,
            totals, projected, chunk, chunks};
        kernel(&c);
    });
    for (int64_t chunk = 1; chunk < chunks; ++chunk)
        for (int64_t j = 0; j < columns; ++j)
            biases[j] += biases[chunk * columns + j];

    std::copy_n(biases, gates, a.gb_ih);
    const GateInputs<T> inputs(s, a.x, a.y, a.h0);
    if (gru) { // the gates' gradients are r, z, n, and n times r: what weight_hh made
        std::copy_n(biases, 2 * size, a.gb_hh);
        std::copy_n(biases + 3 * size, size, a.gb_hh + 2 * size);
        inputs.weight_gradients(g, gates_row, 2 * size, a.gw_ih, a.gw_hh);
        inputs.input_gradient(g + 2 * size, gates_row, size, a.gw_ih + 2 * size * s.input);
        inputs.state_gradient(g + 3 * size, gates_row, size, a.gw_hh + 2 * size * s.output);
    } else {
        inputs.weight_gradients(g, gates_row, gates, a.gw_ih, a.gw_hh);
    }
    if (a.w_hr)
        transposed_product(s.output, size, s.rows, totals, s.output, projected, size, a.gw_hr);
    if (a.gx)
        gemm(GemmArgs<T>{s.rows, s.input, gates, g, gates_row, 1, a.w_ih, s.input, 1, a.gx, s.input,
                         1});
}

} // namespace

void rnn_forward(const RnnForward<float>& args) {
    forward(args);
}
void rnn_forward(const RnnForward<double>& args) {
    forward(args);
}
void rnn_backward(const RnnBackward<float>& args) {
    backward(args);
}
void rnn_backward(const RnnBackward<double>& args) {
    backward(args);
}

} // namespace fastnn
