// One row (a sample at a step) of a cell: from the sums of its gates to its state, and back.
//
// Sums, states and their gradients lie in scratch rows that are padded to whole vectors; what goes
// to or comes from results has `size` elements.
#pragma once

#include "rnn/gates.h"
#include "simd/loops.h"

namespace fastnn::FASTNN_ISA {

// Where a row's parts are. Null: there is none, or it is not kept.
template <class T>
struct CellRow {
    int64_t size;
    const T* sums;    // of all gates; a GRU's new gate begins at new_gate
    int64_t new_gate; //
    const T* hidden;  // a GRU's h @ weight_n.T + bias_n
    T* h;             // the state (an LSTM's before its projection)
    T* c;             // an LSTM's cell, old and then new
    T* y;             // results
    T* activations;   //
    T* extra;         //
};

template <class T>
struct CellGradientRow {
    int64_t size;
    const T* gy;          // of the result, or null
    T* gh;                // of the state
    T* gc;                // of an LSTM's cell
    const T* activations; // (an RNN's: its result)
    const T* extra;       //
    const T* before;      // an LSTM's cell, a GRU's state before
    T* gates;             // out: the gates' gradients
    T* bias;              // += them
    T* projected;         // out: what an LSTM projected
};

template <class T>
FASTNN_INLINE void keep(T* to, int64_t at, Vec<T> v, int64_t n) {
    if (to)
        put(to + at, v, n);
}

// Stores a gate's gradient and adds it to the bias's.
template <class T>
FASTNN_INLINE void give(const CellGradientRow<T>& r, int64_t at, Vec<T> v, int64_t n) {
    put(r.gates + at, v, n);
    put(r.bias + at, get(r.bias + at, n) + v, n);
}

template <class T>
FASTNN_INLINE Vec<T> incoming(const CellGradientRow<T>& r, int64_t j, int64_t n) {
    const Vec<T> gh = load(r.gh + j);
    return r.gy ? gh + get(r.gy + j, n) : gh;
}

template <bool Relu>
struct PlainCell {
    static constexpr int kGates = 1, kTogether = 1;
    static constexpr bool kHasCell = false, kHasHidden = false;

    template <class T>
    static FASTNN_INLINE void forward(const CellRow<T>& r) {
        for_vectors<T>(r.size, [&](int64_t j, int64_t n) __attribute__((always_inline)) {
            const Vec<T> sum = load(r.sums + j);
            // NaN stays
            const Vec<T> h = Relu ? (sum < T{} ? Vec<T>{} : sum) : gate_tanh<T>(sum);
            store(r.h + j, h);
            keep(r.y, j, h, n);
        });
    }

    template <class T>
    static FASTNN_INLINE void backward(const CellGradientRow<T>& r) {
        for_vectors<T>(r.size, [&](int64_t j, int64_t n) __attribute__((always_inline)) {
            const Vec<T> y = get(r.activations + j, n), g = incoming(r, j, n);
            // (a product, as the slope 0 gives NaN for an infinite gradient)
            give(r, j, g * (Relu ? (y > T{} ? broadcast(T(1)) : Vec<T>{}) : T(1) - y * y), n);
        });
    }
};

struct LstmCell {
    static constexpr int kGates = 4, kTogether = 4;
    static constexpr bool kHasCell = true, kHasHidden = false;

    template <class T>
    static FASTNN_INLINE void forward(const CellRow<T>& r) {
        const int64_t size = r.size;
        for_vectors<T>(size, [&](int64_t j, int64_t n) __attribute__((always_inline)) {
            const Vec<T> i = gate_sigmoid<T>(load(r.sums + j));
            const Vec<T> f = gate_sigmoid<T>(load(r.sums + size + j));
            const Vec<T> g = gate_tanh<T>(load(r.sums + 2 * size + j));
            const Vec<T> o = gate_sigmoid<T>(load(r.sums + 3 * size + j));
            const Vec<T> c = f * load(r.c + j) + i * g;
            const Vec<T> h = o * gate_tanh<T>(c);
            store(r.c + j, c);
            store(r.h + j, h);
            keep(r.y, j, h, n);
            if (r.activations) {
                put(r.activations + j, i, n);
                put(r.activations + size + j, f, n);
                put(r.activations + 2 * size + j, g, n);
                put(r.activations + 3 * size + j, o, n);
                put(r.extra + j, c, n);
            }
        });
    }

    template <class T>
    static FASTNN_INLINE void backward(const CellGradientRow<T>& r) {
        const int64_t size = r.size;
        for_vectors<T>(size, [&](int64_t j, int64_t n) __attribute__((always_inline)) {
            const Vec<T> i = get(r.activations + j, n), f = get(r.activations + size + j, n),
                         g = get(r.activations + 2 * size + j, n),
                         o = get(r.activations + 3 * size + j, n);
            const Vec<T> t = gate_tanh<T>(get(r.extra + j, n)), gm = incoming(r, j, n);
            const Vec<T> gcell = load(r.gc + j) + gm * o * (T(1) - t * t);
            give(r, j, gcell * g * i * (T(1) - i), n);
            give(r, size + j, gcell * get(r.before + j, n) * f * (T(1) - f), n);
            give(r, 2 * size + j, gcell * i * (T(1) - g * g), n);
            give(r, 3 * size + j, gm * t * o * (T(1) - o), n);
            store(r.gc + j, gcell * f);
            keep(r.projected, j, o * t, n);
        });
    }
};

struct GruCell {
    static constexpr int kGates = 3, kTogether = 2; // the new gate's product stays apart
    static constexpr bool kHasCell = false, kHasHidden = true;

    template <class T>
    static FASTNN_INLINE void forward(const CellRow<T>& r) {
        const int64_t size = r.size;
        for_vectors<T>(size, [&](int64_t j, int64_t n) __attribute__((always_inline)) {
            const Vec<T> hidden = load(r.hidden + j), before = load(r.h + j);
            const Vec<T> reset = gate_sigmoid<T>(load(r.sums + j));
            const Vec<T> update = gate_sigmoid<T>(load(r.sums + size + j));
            const Vec<T> fresh = gate_tanh<T>(load(r.sums + r.new_gate + j) + reset * hidden);
            const Vec<T> h = fresh + update * (before - fresh);
            store(r.h + j, h);
            keep(r.y, j, h, n);
            if (r.activations) {
                put(r.activations + j, reset, n);
                put(r.activations + size + j, update, n);
                put(r.activations + 2 * size + j, fresh, n);
                put(r.extra + j, hidden, n);
            }
        });
    }

    // gh becomes what reaches the state before past the gates.
    template <class T>
    static FASTNN_INLINE void backward(const CellGradientRow<T>& r) {
        const int64_t size = r.size;
        for_vectors<T>(size, [&](int64_t j, int64_t n) __attribute__((always_inline)) {
            const Vec<T> reset = get(r.activations + j, n),
                         update = get(r.activations + size + j, n),
                         fresh = get(r.activations + 2 * size + j, n);
            const Vec<T> g = incoming(r, j, n);
            const Vec<T> gfresh = g * (T(1) - update) * (T(1) - fresh * fresh);
            give(r, j, gfresh * get(r.extra + j, n) * reset * (T(1) - reset), n);
            give(r, size + j, g * (get(r.before + j, n) - fresh) * update * (T(1) - update), n);
            give(r, 2 * size + j, gfresh, n);
            give(r, 3 * size + j, gfresh * reset, n);
            store(r.gh + j, g * update);
        });
    }
};

} // namespace fastnn::FASTNN_ISA
