// LSTM, without and with a projection of the hidden state.
//
// Beside its product (step_kernel.cuh) a step moves 10 H numbers a sample: four gates in, four
// activations, the cell and y out, which the backward pass reads to write four gradients. The
// columns of the packed weights put the four gates of a unit side by side, so that one thread has
// all four sums. A projection is a second launch. Never run on hardware: executed under the
// emulator only.
#include "core/math.cuh"
#include "rnn/rnn.h"
#include "rnn/step_kernel.cuh"

namespace fastnn::cuda {
namespace {

template <class T>
struct LstmCell {
    static constexpr int width = 4;
    int64_t size, kept;
    const T* gates;
    States<T> before; // cells
    T *activations, *cells, *cn;
    T* h;  // o * tanh(c): y's rows, or what is projected
    T* hn; // null with a projection

    __device__ __forceinline__ void operator()(int64_t m, int64_t column, const T (&sum)[4]) const {
        const int64_t unit = column / 4, at = m * size + unit;
        T z[4];
#pragma unroll
        for (int k = 0; k < 4; k++)
            z[k] = gates[(m * 4 + k) * size + unit] + sum[k];
        const T i = logistic(z[0]), f = logistic(z[1]), g = tanh(z[2]), o = logistic(z[3]);
        const T c = f * before.row(m)[unit] + i * g;
        const T out = o * tanh(c);
        const T a[4] = {i, f, g, o};
#pragma unroll
        for (int k = 0; k < 4; k++)
            activations[(m * 4 + k) * size + unit] = a[k];
        cells[at] = c;
        h[at] = out;
        if (m >= kept) {
            cn[at] = c;
            if (hn != nullptr)
                hn[at] = out;
        }
    }
};

template <class T>
struct Projection {
    static constexpr int width = 1;
    int64_t size, kept;
    T *y, *hn;

    __device__ __forceinline__ void operator()(int64_t m, int64_t n, const T (&sum)[1]) const {
        y[m * size + n] = sum[0];
        if (m >= kept)
            hn[m * size + n] = sum[0];
    }
};

// The gradient of a step's h, with a projection; without one the cell's gradient works it out.
template <class T>
struct HiddenGradient {
    static constexpr int width = 1;
    int64_t size, rows;
    Incoming<T> incoming;
    T *total, *gh0;

    __device__ __forceinline__ void operator()(int64_t m, int64_t n, const T (&sum)[1]) const {
        if (m >= rows) // its first step was the one after
            gh0[m * size + n] = sum[0];
        else
            total[m * size + n] = incoming(m, n, sum[0]);
    }
};

template <class T, bool projected>
struct LstmCellGradient {
    static constexpr int width = 1;
    int64_t size, rows;
    Incoming<T> incoming; // without a projection
    T* gh0;
    const T *activations, *cells;
    States<T> before; // cells
    T* ggates;
    T* gc; // of all samples: in, and out for the step before

    __device__ __forceinline__ void operator()(int64_t m, int64_t unit, const T (&sum)[1]) const {
        const int64_t at = m * size + unit;
        T gh = sum[0];
        if constexpr (!projected) {
            if (m >= rows) {
                gh0[at] = gh;
                return;
            }
            gh = incoming(m, unit, gh);
        }
        T a[4];
#pragma unroll
        for (int k = 0; k < 4; k++)
            a[k] = activations[(m * 4 + k) * size + unit];
        const auto [i, f, g, o] = a;
        const T t = tanh(cells[at]);
        const T gcell = gc[at] + gh * o * (T(1) - t * t);
        const T gradients[4] = {gcell * g * i * (T(1) - i),
                                gcell * before.row(m)[unit] * f * (T(1) - f),
                                gcell * i * (T(1) - g * g), gh * t * o * (T(1) - o)};
#pragma unroll
        for (int k = 0; k < 4; k++)
            ggates[(m * 4 + k) * size + unit] = gradients[k];
        gc[at] = gcell * f;
    }
};

} // namespace

cudaError_t lstm(const Lstm& call, const Sequence& sequence, cudaStream_t stream) {
    return dispatch_wide(call.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        const int64_t size = call.hidden, out = call.output;
        const bool projected = call.projection != nullptr;
        const auto weight = weights_of<T>(call.weight, out, 4 * size);
        const auto projection = weights_of<T>(call.projection, size, call.projection_columns);
        auto *y = static_cast<T*>(call.y), *cells = static_cast<T*>(call.cells);
        auto *hn = static_cast<T*>(call.hn), *product = static_cast<T*>(call.product);
        for (const Step& s : steps_of(sequence)) {
            const int64_t n = s.rows.count, at = s.rows.offset * size;
            const States<T> states{y + s.before.offset * out, static_cast<const T*>(call.h0),
                                   s.before.count, n, out};
            const LstmCell<T> cell{size,
                                   s.kept,
                                   static_cast<const T*>(call.gates) + 4 * at,
                                   {cells + s.before.offset * size, static_cast<const T*>(call.c0),
                                    s.before.count, n, size},
                                   static_cast<T*>(call.activations) + 4 * at,
                                   cells + at,
                                   static_cast<T*>(call.cn),
                                   projected ? product : y + at,
                                   projected ? nullptr : hn};
            cudaError_t error = launch_step(states, weight, cell, n, 4 * size, stream);
            if (error == cudaSuccess && projected)
                error = launch_step(States<T>{product, nullptr, n, n, size}, projection,
                                    Projection<T>{out, s.kept, y + s.rows.offset * out, hn}, n, out,
                                    stream);
            if (error != cudaSuccess)
                return error;
        }
        return cudaSuccess;
    });
}

cudaError_t lstm_backward(const LstmGradient& call, const Sequence& sequence, cudaStream_t stream) {
    return dispatch_wide(call.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        const int64_t size = call.hidden, out = call.output;
        const auto weight = weights_of<T>(call.weight, 4 * size, call.columns);
        const auto projection = weights_of<T>(call.projection, out, call.projection_columns);
        const auto* cells = static_cast<const T*>(call.cells);
        auto *ggates = static_cast<T*>(call.ggates), *gc = static_cast<T*>(call.gc0);
        auto *gh0 = static_cast<T*>(call.gh0), *total = static_cast<T*>(call.total);
        const cudaError_t error =
            cudaMemcpyAsync(gc, call.gcn, size_t(sequence.sizes[0] * size) * sizeof(T),
                            cudaMemcpyDeviceToDevice, stream);
        if (error != cudaSuccess)
            return error;
        return backward_steps(sequence, [&](Rows rows, Rows after, Rows before) {
            const int64_t at = rows.offset * size, n = rows.count;
            const States<T> gradients{ggates + after.offset * 4 * size, nullptr, after.count,
                                      after.count, 4 * size};
            const Incoming<T> incoming{static_cast<const T*>(call.gy) + rows.offset * out,
                                       static_cast<const T*>(call.ghn), after.count, out};
            const auto cell = [&](auto zero) {
                zero.size = size;
                zero.rows = n;
                zero.incoming = incoming;
                zero.gh0 = gh0;
                zero.activations = static_cast<const T*>(call.activations) + 4 * at;
                zero.cells = cells + at;
                zero.before = {cells + before.offset * size, static_cast<const T*>(call.c0),
                               before.count, n, size};
                zero.ggates = ggates + 4 * at;
                zero.gc = gc;
                return zero;
            };
            const int64_t m = std::max(n, after.count);
            if (call.projection == nullptr)
                return launch_step(gradients, weight, cell(LstmCellGradient<T, false>{}), m, size,
                                   stream);
            T* const of_step = total + rows.offset * out;
            const cudaError_t first =
                launch_step(gradients, weight, HiddenGradient<T>{out, n, incoming, of_step, gh0}, m,
                            out, stream);
            return first != cudaSuccess || n == 0
                       ? first
                       : launch_step(States<T>{of_step, nullptr, n, n, out}, projection,
                                     cell(LstmCellGradient<T, true>{}), n, size, stream);
        });
    });
}

} // namespace fastnn::cuda
