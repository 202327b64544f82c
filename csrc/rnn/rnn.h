// Recurrent layers: one layer and direction of an RNN, LSTM or GRU over a whole packed sequence,
// forward and backward, in one call.
//
// A packed sequence holds the rows of all steps behind each other: step t has sizes[t] rows, of the
// samples 0 .. sizes[t] - 1, and sizes never grow.
//
// Samples do not meet before the weights' gradients, so threads share samples, not steps: a chunk
// is some of the samples and runs through all steps by itself, with nothing to wait for. In a
// chunk some steps' products with weight_ih are made at once, as many as stay in the second-level
// cache; then each step adds its product with weight_hh, and the gates, the cell and the state are
// one pass over that step's rows. Both weights are packed once, for all chunks. Without gradients
// nothing but the result is written to memory. Backward, a chunk goes through its steps the other
// way: the gates' gradients (and their sums, the biases') in one pass, then their product with
// weight_hh; the gradients of weights and input are large products at the end.
//
// Few samples (less than kFewSamples) are one chunk, in which threads share the columns of large
// weights, at each step. (One sample, 64 steps, layers of 64 to 256 and 256 to 256 in two threads:
// 3.1 ms where only weights of 2^19 elements were shared, 1.4 so.) Few rows in all (less than
// kFewRows) are not worth packing for.
//
// Floor: 2 rows gates (input + output) FLOPs forward, twice that backward; the kept activations
// through memory once each way. Reached on one of 2 cores of Zen 4 with AVX2, whose FMA units give
// 89 GFLOP/s, in CPU time on a busy machine, GFLOP/s of an LSTM's inference / of forward and
// backward (PyTorch 2.13 beside it in brackets), for (steps, samples, input, hidden):
//     (28, 128, 28, 128)   63 / 61 (48 / 52)
//     (50, 64, 128, 512)   72 / 73 (61 / 64)
//     (128, 16, 256, 256)  75 / 74 (67 / 70)
// On one thread PyTorch's products leave little room above them: the rest of the gap is the gates'
// functions where the sums are short, and weights that come from behind the second-level cache
// where they are long. One product for the gradients of both weights and packing its scattered
// columns (gemm/) took backward without the input's gradient of the first shape from 21.6 to 18 ms:
// the narrow product of 28 inputs alone had taken 4. Since then, as ratios of inference / of
// forward and backward: the gates of several vectors in step, 1.05 to 1.29 / 0.99 to 1.11 (one
// thread); neighbouring samples for a thread instead of every second, 1.02 to 1.08 / 1.02 to 1.09
// (two threads); packing by all threads, 1.12 / 1.05 for (32, 16, 100, 128).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/isa.h"
#include "core/parallel.h" // FASTNN_INLINE

namespace fastnn {

enum class RnnCell { tanh, relu, lstm, gru };

// Gates of a cell, in the order of the rows of weight_ih and weight_hh.
FASTNN_INLINE constexpr int64_t rnn_gates(RnnCell cell) {
    return cell == RnnCell::lstm ? 4 : cell == RnnCell::gru ? 3 : 1;
}

struct RnnShape {
    RnnCell cell;
    int64_t steps, samples, rows;  // rows of all steps
    int64_t input, hidden, output; // output < hidden with an LSTM's projection, else equal
    const int64_t* sizes;          // (steps,)
    const int64_t* offsets;        // (steps,): rows before each step
    bool reverse;                  // from the last step to the first
};

// All arrays are C-contiguous. Null where a layer has none; kept ones where no gradient will be
// asked for.
template <class T>
struct RnnForward {
    RnnShape shape;
    const T *x, *w_ih, *w_hh, *b_ih, *b_hh, *w_hr, *h0, *c0;
    T *y, *hn, *cn;
    T* activations; // (rows, gates * hidden)
    T* extra;       // (rows, hidden): an LSTM's cells, a GRU's product with the new gate's weights
};

template <class T>
struct RnnBackward {
    RnnShape shape;
    const T *gy, *ghn, *gcn; // null: zero
    const T *x, *w_ih, *w_hh, *w_hr, *h0, *c0, *y, *activations, *extra;
    T* gx; // null: not wanted
    T *gw_ih, *gw_hh, *gb_ih, *gb_hh, *gw_hr, *gh0, *gc0;
};

void rnn_forward(const RnnForward<float>& args);
void rnn_forward(const RnnForward<double>& args);
void rnn_backward(const RnnBackward<float>& args);
void rnn_backward(const RnnBackward<double>& args);

// -- for rnn.cpp: what the kernels of a level do ------------------------------------------------
// Columns of a packed weight come in panels of one vector, [k][lanes]; gates that belong together
// begin a new one. A panel takes a cache line more than it needs: a power of two would put all of
// them into the same sets of the cache.
FASTNN_INLINE int64_t rnn_padded(int64_t columns, int64_t lanes) {
    return (columns + lanes - 1) / lanes * lanes;
}
FASTNN_INLINE int64_t rnn_panel_step(int64_t k, int64_t lanes, std::size_t item_size) {
    return k * lanes + 64 / static_cast<int64_t>(item_size);
}

// A matrix (k, columns): packed, or as it is, with these strides.
template <class T>
struct RnnWeights {
    const T* data;
    int64_t k, row, columns, column;
    bool packed;

    // Columns of a product's result.
    FASTNN_INLINE int64_t columns_taken(int64_t lanes) const {
        return packed ? rnn_padded(columns, lanes) : columns;
    }
};

// What a chunk of samples needs beside the arguments.
template <class T>
struct RnnForwardChunk {
    const RnnForward<T>& args;
    // weight_hh of the gates whose sums join those of weight_ih, and of a GRU's new gate, whose do
    // not; weight_ih of both.
    RnnWeights<T> w_ih, w_hh, w_hidden, w_hr;
    const T* bias;        // of weight_ih's columns
    const T* hidden_bias; // of w_hidden's
    int64_t chunk, chunks;
};

template <class T>
struct RnnBackwardChunk {
    const RnnBackward<T>& args;
    RnnWeights<T> w_hh, w_hr;
    T* gates; // (rows, gates_row): the gates' gradients; a GRU's new gate times r last
    int64_t gates_row;
    T* bias;      // (gates' columns): their sum over the chunk
    T* totals;    // (rows, output): gradients of the projected outputs
    T* projected; // (rows, hidden): what was projected
    int64_t chunk, chunks;
};

struct RnnTable {
    int64_t lanes[2]; // columns of a panel: float, double
    // Panels [begin, end) of a matrix that is not packed.
    void (*pack[2])(void* to, const void* weights, int64_t begin, int64_t end);
    // [cell][float or double]: an RnnForwardChunk, an RnnBackwardChunk
    void (*forward[4][2])(const void* chunk);
    void (*backward[4][2])(const void* chunk);
};
FASTNN_KERNEL_TABLE(RnnTable, rnn_table)

} // namespace fastnn
