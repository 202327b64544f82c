// Recurrent layers: one layer, one direction, over a packed sequence.
#pragma once

#include <cstdint>
#include <vector>

#include "core/dtype.h"
#include "core/runtime.h"

namespace fastnn::cuda {

// A packed sequence: step t has sizes[t] rows, never more than the step before it; the rows of all
// steps lie behind each other. `reverse` goes from the last step to the first.
struct Sequence {
    std::vector<int64_t> sizes;
    bool reverse;
};

// Arrays are dense and of one dtype, float32 or float64. L rows in all, N = sizes[0] samples, H the
// hidden size, R that of h (H but for an LSTM with a projection). Weights are (K, columns) for the
// product with states of size K; their rows have a multiple of 4 columns, those past the end zero.

// f "tanh" or "relu". weight (H, columns >= H): the transpose of weight_hh.
struct Rnn {
    DType dtype;
    int64_t hidden, columns;
    bool relu;
    const void *gates, *weight, *h0;
    void *y, *hn;
};
cudaError_t rnn(const Rnn& call, const Sequence& sequence, cudaStream_t stream);

// weight (H, columns >= H) is weight_hh itself.
struct RnnGradient {
    DType dtype;
    int64_t hidden, columns;
    bool relu;
    const void *gy, *ghn, *y, *weight;
    void *ggates, *gh0;
};
cudaError_t rnn_backward(const RnnGradient& call, const Sequence& sequence, cudaStream_t stream);

// weight (R, 4H): column 4u + k is for gate k of unit u. projection (H, projection_columns >= R)
// and product (N, H), scratch for o * tanh(c), or null.
struct Lstm {
    DType dtype;
    int64_t hidden, output, projection_columns;
    const void *gates, *weight, *projection, *h0, *c0;
    void *y, *hn, *cn, *activations, *cells, *product;
};
cudaError_t lstm(const Lstm& call, const Sequence& sequence, cudaStream_t stream);

// weight (4H, columns >= R) is weight_hh, projection (R, projection_columns >= H) weight_hr or
// null; total (L, R), the gradients of every h, only with a projection.
struct LstmGradient {
    DType dtype;
    int64_t hidden, output, columns, projection_columns;
    const void *gy, *ghn, *gcn, *activations, *cells, *weight, *projection, *c0;
    void *ggates, *gh0, *gc0, *total;
};
cudaError_t lstm_backward(const LstmGradient& call, const Sequence& sequence, cudaStream_t stream);

// weight (H, 4H): column 4u + k is for gate k of unit u; column 4u + 3 is not used. bias (3H) or
// null.
struct Gru {
    DType dtype;
    int64_t hidden;
    const void *gates, *weight, *bias, *h0;
    void *y, *hn, *activations, *hidden_part;
};
cudaError_t gru(const Gru& call, const Sequence& sequence, cudaStream_t stream);

// weight (3H, columns >= H) is weight_hh. ghidden (L, 3H): with respect to h @ weight_hh.T + bias.
struct GruGradient {
    DType dtype;
    int64_t hidden, columns;
    const void *gy, *ghn, *y, *activations, *hidden_part, *weight, *h0;
    void *ggates, *ghidden, *gh0;
};
cudaError_t gru_backward(const GruGradient& call, const Sequence& sequence, cudaStream_t stream);

// out (L, width): the state of each row one step before: a row of y, or of h0 (N, width) at the
// start.
cudaError_t previous_states(DType dtype, int64_t width, const void* y, const void* h0, void* out,
                            const Sequence& sequence, cudaStream_t stream);

} // namespace fastnn::cuda
