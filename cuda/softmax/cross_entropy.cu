// Cross-entropy of logits and class indices, and its gradient, without the probabilities in memory.
//
// Floor: one read of the logits forward, one read and one write backward; limited by memory as
// softmax.cu is. Never run on hardware: executed under the emulator only.
#include "core/dispatch.cuh"
#include "core/reduce.cuh"
#include "softmax/softmax.h"

namespace fastnn::cuda {
namespace {

constexpr int threads = 256;

template <class T>
struct Arguments {
    int64_t rows, classes;
    const T* logits;
    const int64_t* target;
    const T* weight;
    int64_t ignore_index;
    Accumulator<T> smoothing;

    __device__ __forceinline__ Accumulator<T> weight_of(int64_t c) const {
        return weight ? to_accumulator(weight[c]) : Accumulator<T>(1);
    }
};

template <int lanes, class T>
__global__ void __launch_bounds__(threads)
    cross_entropy_rows(Arguments<T> call, T* __restrict__ loss, Accumulator<T>* __restrict__ lse,
                       int32_t* __restrict__ wrong) {
    using A = Accumulator<T>;
    const int lane = threadIdx.x % lanes;
    const int64_t row = int64_t(blockIdx.x) * (threads / lanes) + threadIdx.x / lanes;
    const bool inside = row < call.rows;
    const int64_t classes = inside ? call.classes : 0;
    const T* x = call.logits + (inside ? row * call.classes : 0);
    A top = -INFINITY;
    for (int64_t c = lane; c < classes; c += lanes)
        top = Max::merge(to_accumulator(x[c]), top);
    top = group_reduce<lanes, Max>(top);
    A total = 0;
    for (int64_t c = lane; c < classes; c += lanes)
        total += exp(to_accumulator(x[c]) - top);
    total = group_reduce<lanes, Sum>(total);
    const A log_sum = top + log(total);
    A smooth = 0; // sum_c w[c] * (lse - x[c])
    if (call.smoothing != A(0)) {
        for (int64_t c = lane; c < classes; c += lanes)
            smooth += call.weight_of(c) * (log_sum - to_accumulator(x[c]));
        smooth = group_reduce<lanes, Sum>(smooth);
    }
    if (!inside || lane != 0)
        return;
    lse[row] = log_sum;
    const int64_t label = call.target[row];
    A value = 0;
    if (label != call.ignore_index) {
        if (label < 0 || label >= classes) {
            atomicMax(wrong, int32_t(row + 1 < INT32_MAX ? row + 1 : INT32_MAX));
        } else {
            const A nll = call.weight_of(label) * (log_sum - to_accumulator(x[label]));
            value = (A(1) - call.smoothing) * nll + call.smoothing / A(classes) * smooth;
        }
    }
    loss[row] = from_accumulator<T>(value);
}

// With q[c] = w[c] * ((1 - s) * [c == t] + s / C): gx = g * (sum(q) * softmax(x) - q).
template <int lanes, class T>
__global__ void __launch_bounds__(threads)
    cross_entropy_rows_backward(Arguments<T> call, const T* __restrict__ g,
                                const Accumulator<T>* __restrict__ lse, T* __restrict__ gx) {
    using A = Accumulator<T>;
    const int lane = threadIdx.x % lanes;
    const int64_t row = int64_t(blockIdx.x) * (threads / lanes) + threadIdx.x / lanes;
    const bool inside = row < call.rows;
    const int64_t classes = inside ? call.classes : 0;
    const int64_t label = inside ? call.target[row] : 0;
    const A share = call.smoothing / A(call.classes);
    A total_weight = call.smoothing; // share * the sum of the weights
    if (call.weight && call.smoothing != A(0)) {
        A sum = 0;
        for (int64_t c = lane; c < classes; c += lanes)
            sum += call.weight_of(c);
        total_weight = share * group_reduce<lanes, Sum>(sum);
    }
    if (!inside)
        return;
    T* out = gx + row * classes;
    if (label == call.ignore_index) {
        for (int64_t c = lane; c < classes; c += lanes)
            out[c] = T(0.f);
        return;
    }
    const T* x = call.logits + row * classes;
    const A gradient = to_accumulator(g[row]);
    const A log_sum = lse[row];
    total_weight += (A(1) - call.smoothing) * call.weight_of(label);
    for (int64_t c = lane; c < classes; c += lanes) {
        const A q = call.weight_of(c) * (share + (c == label ? A(1) - call.smoothing : A(0)));
        const A p = exp(to_accumulator(x[c]) - log_sum);
        out[c] = from_accumulator<T>(gradient * (total_weight * p - q));
    }
}

template <class T>
Arguments<T> arguments_of(const CrossEntropy& call) {
    return {call.rows,
            call.classes,
            static_cast<const T*>(call.logits),
            call.target,
            static_cast<const T*>(call.weight),
            call.ignore_index,
            Accumulator<T>(call.label_smoothing)};
}

dim3 grid_for(const CrossEntropy& call, int lanes) {
    const int per_block = threads / lanes;
    return dim3(unsigned((call.rows + per_block - 1) / per_block));
}

} // namespace

cudaError_t cross_entropy(const CrossEntropy& call, void* loss, void* lse, int32_t* wrong,
                          cudaStream_t stream) {
    if (call.rows == 0 || call.classes == 0)
        return cudaSuccess;
    return dispatch_float(call.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        const auto run = [&](auto kernel, int lanes) {
            return simt::launch(kernel, grid_for(call, lanes), dim3(threads), 0, stream,
                                arguments_of<T>(call), static_cast<T*>(loss),
                                static_cast<Accumulator<T>*>(lse), wrong);
        };
        return call.classes <= 1024 ? run(cross_entropy_rows<32, T>, 32)
                                    : run(cross_entropy_rows<threads, T>, threads);
    });
}

cudaError_t cross_entropy_backward(const CrossEntropy& call, const void* g, const void* lse,
                                   void* gx, cudaStream_t stream) {
    if (call.rows == 0 || call.classes == 0)
        return cudaSuccess;
    return dispatch_float(call.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        const auto run = [&](auto kernel, int lanes) {
            return simt::launch(kernel, grid_for(call, lanes), dim3(threads), 0, stream,
                                arguments_of<T>(call), static_cast<const T*>(g),
                                static_cast<const Accumulator<T>*>(lse), static_cast<T*>(gx));
        };
        return call.classes <= 1024 ? run(cross_entropy_rows_backward<32, T>, 32)
                                    : run(cross_entropy_rows_backward<threads, T>, threads);
    });
}

} // namespace fastnn::cuda
