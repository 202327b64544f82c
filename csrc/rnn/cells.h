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

// Calls body.operator()<N>(position, lanes in use of the last vector) for vectors of n elements,
// N = kVectorsTogether of them while there are as many.
inline constexpr int kVectorsTogether = 4;
template <class T, class Body>
FASTNN_INLINE void for_vector_groups(int64_t n, Body body) {
    constexpr int64_t lanes = kLanes<T>, group = kVectorsTogether * lanes;
    const int64_t whole = n / group * group;
    for (int64_t j = 0; j < whole; j += group)
        body.template operator()<kVectorsTogether>(j, lanes);
    for_vectors<T>(n - whole, [&](int64_t j, int64_t last) __attribute__((always_inline)) {
        body.template operator()<1>(whole + j, last);
    });
}

// Stores a gate's gradient and adds it to the bias's.
template <class T>
FASTNN_INLINE void give(const CellGradientRow<T>& r, int64_t at, Vec<T> v, int64_t n) {
    put(r.gates + at, v, n);
    put(r.bias + at, get(r.bias + at, n) + v, n);
}

// Stores N vectors of the state, and of the result if it is the state.
template <class T, int N>
FASTNN_INLINE void give_state(const CellRow<T>& r, int64_t j, const Vec<T> (&h)[N], int64_t last) {
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) {
        store(r.h + j + v * kLanes<T>, h[v]);
        keep(r.y, j + v * kLanes<T>, h[v], v == N - 1 ? last : kLanes<T>);
    }
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
        for_vector_groups<T>(r.size,
                             [&]<int N>(int64_t j, int64_t last) __attribute__((always_inline)) {
                                 Vec<T> h[N];
#pragma GCC unroll 8
                                 for (int v = 0; v < N; ++v)
                                     h[v] = load(r.sums + j + v * kLanes<T>);
                                 if constexpr (Relu) {
#pragma GCC unroll 8
                                     for (int v = 0; v < N; ++v)
                                         h[v] = h[v] < T{} ? Vec<T>{} : h[v]; // NaN stays
                                 } else {
                                     gate_tanh<T, N>(h);
                                 }
                                 give_state<T, N>(r, j, h, last);
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
            Vec<T> gates[4] = {load(r.sums + j), load(r.sums + size + j),
                               load(r.sums + 2 * size + j), load(r.sums + 3 * size + j)};
            gate_lstm<T>(gates);
            const auto [i, f, g, o] = gates;
            const Vec<T> c = f * load(r.c + j) + i * g;
            store(r.c + j, c);
            store(r.h + j, o);
            if (r.activations) {
                put(r.activations + j, i, n);
                put(r.activations + size + j, f, n);
                put(r.activations + 2 * size + j, g, n);
                put(r.activations + 3 * size + j, o, n);
                put(r.extra + j, c, n);
            }
        });
        // The state, o tanh(c), for several vectors at once too.
        for_vector_groups<T>(size,
                             [&]<int N>(int64_t j, int64_t last) __attribute__((always_inline)) {
                                 Vec<T> h[N];
#pragma GCC unroll 8
                                 for (int v = 0; v < N; ++v)
                                     h[v] = load(r.c + j + v * kLanes<T>);
                                 gate_tanh<T, N>(h);
#pragma GCC unroll 8
                                 for (int v = 0; v < N; ++v)
                                     h[v] = load(r.h + j + v * kLanes<T>) * h[v];
                                 give_state<T, N>(r, j, h, last);
                             });
    }

    template <class T>
    static FASTNN_INLINE void backward(const CellGradientRow<T>& r) {
        const int64_t size = r.size;
        for_vectors<T>(size, [&](int64_t j, int64_t n) __attribute__((always_inline)) {
            const Vec<T> i = get(r.activations + j, n), f = get(r.activations + size + j, n),
                         g = get(r.activations + 2 * size + j, n),
                         o = get(r.activations + 3 * size + j, n);
            Vec<T> tanh_c[1] = {get(r.extra + j, n)};
            gate_tanh<T, 1>(tanh_c);
            const Vec<T> t = tanh_c[0], gm = incoming(r, j, n);
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
        for_vector_groups<T>(
            size, [&]<int N>(int64_t j, int64_t last) __attribute__((always_inline)) {
                constexpr int lanes = kLanes<T>;
                Vec<T> reset[N], update[N], fresh[N];
#pragma GCC unroll 8
                for (int v = 0; v < N; ++v) {
                    reset[v] = load(r.sums + j + v * lanes);
                    update[v] = load(r.sums + size + j + v * lanes);
                }
                gate_sigmoid<T, N>(reset);
                gate_sigmoid<T, N>(update);
#pragma GCC unroll 8
                for (int v = 0; v < N; ++v)
                    fresh[v] = load(r.sums + r.new_gate + j + v * lanes) +
                               reset[v] * load(r.hidden + j + v * lanes);
                gate_tanh<T, N>(fresh);
                Vec<T> h[N];
#pragma GCC unroll 8
                for (int v = 0; v < N; ++v)
                    h[v] = fresh[v] + update[v] * (load(r.h + j + v * lanes) - fresh[v]);
                if (r.activations) {
#pragma GCC unroll 8
                    for (int v = 0; v < N; ++v) {
                        const int64_t at = j + v * lanes, n = v == N - 1 ? last : lanes;
                        put(r.activations + at, reset[v], n);
                        put(r.activations + size + at, update[v], n);
                        put(r.activations + 2 * size + at, fresh[v], n);
                        put(r.extra + at, load(r.hidden + at), n);
                    }
                }
                give_state<T, N>(r, j, h, last);
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
