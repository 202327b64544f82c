// Elman's recurrent layer, h = f(gates + h @ weight_hh.T), and what all recurrent layers share.
//
// Beside its product (step_kernel.cuh) a step moves 3 H numbers a sample: gates in, y out and,
// where a sample ends, its last state. Never run on hardware: executed under the emulator only.
#include "rnn/rnn.h"

#include "rnn/step_kernel.cuh"

namespace fastnn::cuda {
namespace {

template <class T>
struct RnnCell {
    static constexpr int width = 1;
    int64_t size, kept;
    bool relu;
    const T* gates;
    T *y, *hn;

    __device__ __forceinline__ void operator()(int64_t m, int64_t n, const T (&sum)[1]) const {
        const T z = gates[m * size + n] + sum[0];
        const T h = !relu ? tanh(z) : z > T(0) || z != z ? z : T(0);
        y[m * size + n] = h;
        if (m >= kept)
            hn[m * size + n] = h;
    }
};

template <class T>
struct RnnCellGradient {
    static constexpr int width = 1;
    int64_t size, rows;
    bool relu;
    Incoming<T> incoming;
    const T* y;
    T *ggates, *gh0;

    __device__ __forceinline__ void operator()(int64_t m, int64_t n, const T (&sum)[1]) const {
        const int64_t at = m * size + n;
        if (m >= rows) { // its first step was the one after
            gh0[at] = sum[0];
            return;
        }
        const T h = y[at];
        const T slope = relu ? T(h > T(0)) : T(1) - h * h;
        ggates[at] = incoming(m, n, sum[0]) * slope;
    }
};

} // namespace

cudaError_t rnn(const Rnn& call, const Sequence& sequence, cudaStream_t stream) {
    return dispatch_wide(call.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        const int64_t size = call.hidden;
        const auto weight = weights_of<T>(call.weight, size, call.columns);
        auto* y = static_cast<T*>(call.y);
        for (const Step& s : steps_of(sequence)) {
            const States<T> states{y + s.before.offset * size, static_cast<const T*>(call.h0),
                                   s.before.count, s.rows.count, size};
            const RnnCell<T> cell{size,
                                  s.kept,
                                  call.relu,
                                  static_cast<const T*>(call.gates) + s.rows.offset * size,
                                  y + s.rows.offset * size,
                                  static_cast<T*>(call.hn)};
            const cudaError_t error = launch_step(states, weight, cell, s.rows.count, size, stream);
            if (error != cudaSuccess)
                return error;
        }
        return cudaSuccess;
    });
}

cudaError_t rnn_backward(const RnnGradient& call, const Sequence& sequence, cudaStream_t stream) {
    return dispatch_wide(call.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        const int64_t size = call.hidden;
        const auto weight = weights_of<T>(call.weight, size, call.columns);
        auto* ggates = static_cast<T*>(call.ggates);
        return backward_steps(sequence, [&](Rows rows, Rows after, Rows) {
            const int64_t at = rows.offset * size;
            const States<T> states{ggates + after.offset * size, nullptr, after.count, after.count,
                                   size};
            const RnnCellGradient<T> cell{size,
                                          rows.count,
                                          call.relu,
                                          {static_cast<const T*>(call.gy) + at,
                                           static_cast<const T*>(call.ghn), after.count, size},
                                          static_cast<const T*>(call.y) + at,
                                          ggates + at,
                                          static_cast<T*>(call.gh0)};
            return launch_step(states, weight, cell, std::max(rows.count, after.count), size,
                               stream);
        });
    });
}

cudaError_t previous_states(DType dtype, int64_t width, const void* y, const void* h0, void* out,
                            const Sequence& sequence, cudaStream_t stream) {
    const auto bytes = width * int64_t(size_of(dtype));
    char* to = static_cast<char*>(out);
    const char* from = nullptr;
    int64_t count = 0;
    const auto flush = [&] {
        const cudaError_t error = count == 0 ? cudaSuccess
                                             : cudaMemcpyAsync(to, from, size_t(count * bytes),
                                                               cudaMemcpyDeviceToDevice, stream);
        count = 0;
        return error;
    };
    // Rows whose sources follow each other are copied together: steps of one size are.
    const auto append = [&](char* target, const char* source, int64_t rows) {
        if (count > 0 && target == to + count * bytes && source == from + count * bytes) {
            count += rows;
            return cudaSuccess;
        }
        const cudaError_t error = flush();
        to = target, from = source, count = rows;
        return error;
    };
    for (const Step& s : steps_of(sequence)) {
        const int64_t common = std::min(s.rows.count, s.before.count);
        char* const target = static_cast<char*>(out) + s.rows.offset * bytes;
        cudaError_t error = cudaSuccess;
        if (common > 0)
            error = append(target, static_cast<const char*>(y) + s.before.offset * bytes, common);
        if (error == cudaSuccess && s.rows.count > common)
            error = append(target + common * bytes, static_cast<const char*>(h0) + common * bytes,
                           s.rows.count - common);
        if (error != cudaSuccess)
            return error;
    }
    return flush();
}

} // namespace fastnn::cuda
