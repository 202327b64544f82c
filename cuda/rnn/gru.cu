// GRU: h = n + z * (h - n), n = tanh(x_n + r * hidden), hidden = h @ weight_n.T + bias_n.
//
// Beside its product (step_kernel.cuh) a step moves 8 H numbers a sample: three gates in, three
// activations, hidden and y out. The columns of the packed weights put the three sums of a unit
// side by side, with a fourth column of zeros: a quarter of the product's work for one thread's
// having all three. Never run on hardware: executed under the emulator only.
#include "core/math.cuh"
#include "rnn/rnn.h"
#include "rnn/step_kernel.cuh"

namespace fastnn::cuda {
namespace {

template <class T>
struct GruCell {
    static constexpr int width = 4;
    int64_t size, kept;
    const T *gates, *bias;
    States<T> before;
    T *activations, *hidden, *y, *hn;

    __device__ __forceinline__ void operator()(int64_t m, int64_t column, const T (&sum)[4]) const {
        const int64_t unit = column / 4, at = m * size + unit;
        T x[3], s[3];
#pragma unroll
        for (int k = 0; k < 3; k++) {
            x[k] = gates[(m * 3 + k) * size + unit];
            s[k] = bias == nullptr ? sum[k] : sum[k] + bias[k * size + unit];
        }
        const T r = logistic(x[0] + s[0]), z = logistic(x[1] + s[1]), n = tanh(x[2] + r * s[2]);
        const T h = n + z * (before.row(m)[unit] - n);
        const T a[3] = {r, z, n};
#pragma unroll
        for (int k = 0; k < 3; k++)
            activations[(m * 3 + k) * size + unit] = a[k];
        hidden[at] = s[2];
        y[at] = h;
        if (m >= kept)
            hn[at] = h;
    }
};

template <class T>
struct GruCellGradient {
    static constexpr int width = 1;
    int64_t size, rows;
    Incoming<T> incoming;
    const T *activations, *hidden;
    States<T> before;
    T *ggates, *ghidden;
    T* gh0; // on the way: what each sample's h gets through z

    __device__ __forceinline__ void operator()(int64_t m, int64_t unit, const T (&sum)[1]) const {
        const int64_t at = m * size + unit;
        const T from_after = m < incoming.after ? sum[0] + gh0[at] : T(0);
        if (m >= rows) { // its first step was the one after
            gh0[at] = from_after;
            return;
        }
        const T total = incoming(m, unit, from_after);
        T a[3];
#pragma unroll
        for (int k = 0; k < 3; k++)
            a[k] = activations[(m * 3 + k) * size + unit];
        const auto [r, z, n] = a;
        const T gn = total * (T(1) - z) * (T(1) - n * n);
        const T gz = total * (before.row(m)[unit] - n) * z * (T(1) - z);
        const T gr = gn * hidden[at] * r * (T(1) - r);
        const T gates[3] = {gr, gz, gn}, sums[3] = {gr, gz, gn * r};
#pragma unroll
        for (int k = 0; k < 3; k++) {
            ggates[(m * 3 + k) * size + unit] = gates[k];
            ghidden[(m * 3 + k) * size + unit] = sums[k];
        }
        gh0[at] = total * z;
    }
};

} // namespace

cudaError_t gru(const Gru& call, const Sequence& sequence, cudaStream_t stream) {
    return dispatch_wide(call.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        const int64_t size = call.hidden;
        const auto weight = weights_of<T>(call.weight, size, 4 * size);
        auto* y = static_cast<T*>(call.y);
        for (const Step& s : steps_of(sequence)) {
            const int64_t at = s.rows.offset * size;
            const States<T> states{y + s.before.offset * size, static_cast<const T*>(call.h0),
                                   s.before.count, s.rows.count, size};
            const GruCell<T> cell{size,
                                  s.kept,
                                  static_cast<const T*>(call.gates) + 3 * at,
                                  static_cast<const T*>(call.bias),
                                  states,
                                  static_cast<T*>(call.activations) + 3 * at,
                                  static_cast<T*>(call.hidden_part) + at,
                                  y + at,
                                  static_cast<T*>(call.hn)};
            const cudaError_t error =
                launch_step(states, weight, cell, s.rows.count, 4 * size, stream);
            if (error != cudaSuccess)
                return error;
        }
        return cudaSuccess;
    });
}

cudaError_t gru_backward(const GruGradient& call, const Sequence& sequence, cudaStream_t stream) {
    return dispatch_wide(call.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        const int64_t size = call.hidden;
        const auto weight = weights_of<T>(call.weight, 3 * size, call.columns);
        const auto* y = static_cast<const T*>(call.y);
        auto* ghidden = static_cast<T*>(call.ghidden);
        return backward_steps(sequence, [&](Rows rows, Rows after, Rows before) {
            const int64_t at = rows.offset * size;
            const States<T> gradients{ghidden + after.offset * 3 * size, nullptr, after.count,
                                      after.count, 3 * size};
            const GruCellGradient<T> cell{size,
                                          rows.count,
                                          {static_cast<const T*>(call.gy) + at,
                                           static_cast<const T*>(call.ghn), after.count, size},
                                          static_cast<const T*>(call.activations) + 3 * at,
                                          static_cast<const T*>(call.hidden_part) + at,
                                          {y + before.offset * size, static_cast<const T*>(call.h0),
                                           before.count, rows.count, size},
                                          static_cast<T*>(call.ggates) + 3 * at,
                                          ghidden + 3 * at,
                                          static_cast<T*>(call.gh0)};
            return launch_step(gradients, weight, cell, std::max(rows.count, after.count), size,
                               stream);
        });
    });
}

} // namespace fastnn::cuda
