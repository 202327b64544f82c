// Batch normalisation: statistics of each channel, then one pass that applies them.
//
// Floor: x is read twice and y written once (backward: g and x twice, gx once); limited by memory
// (2.0 TB/s on an A100, 3.35 TB/s on an H100), with under 10 FLOPs an element. A channel's elements
// are split over blocks so that few channels still fill the GPU; each block leaves a partial
// result, which a second kernel merges in a fixed order. The statistics are merged as (count, mean,
// sum of squared deviations), which loses no digits where the mean is large (T. Chan, G. Golub, R.
// LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979).
// Never run on hardware: executed under the emulator only.
#include <algorithm>

#include "core/dispatch.cuh"
#include "core/reduce.cuh"
#include "norm/norm.h"

namespace fastnn::cuda {
namespace {

constexpr int threads = 256;
constexpr int blocks = 4; // on a multiprocessor: leaves the registers that divisions take
constexpr int max_splits = 64;

template <class A>
struct Moments {
    A count, mean, squares; // squares: the sum of (x - mean)^2
    static constexpr int fields = 3;
    __device__ __forceinline__ A& field(int i) { return i == 0 ? count : i == 1 ? mean : squares; }

    __device__ __forceinline__ void add(A x) {
        count += A(1);
        const A delta = x - mean;
        mean += delta / count;
        squares += delta * (x - mean);
    }
};
template <class A>
__device__ __forceinline__ Moments<A> shuffle_xor(const Moments<A>& m, int lanes) {
    return {cuda::shuffle_xor(m.count, lanes), cuda::shuffle_xor(m.mean, lanes),
            cuda::shuffle_xor(m.squares, lanes)};
}
struct MergeMoments {
    template <class A>
    static __device__ __forceinline__ Moments<A> merge(const Moments<A>& a, const Moments<A>& b) {
        const A count = a.count + b.count;
        if (count == A(0))
            return a;
        const A delta = b.mean - a.mean;
        const A share = b.count / count;
        return {count, a.mean + delta * share,
                a.squares + b.squares + delta * delta * a.count * share};
    }
};

template <class A>
struct Pair {
    A first, second;
    static constexpr int fields = 2;
    __device__ __forceinline__ A& field(int i) { return i == 0 ? first : second; }
};
template <class A>
__device__ __forceinline__ Pair<A> shuffle_xor(const Pair<A>& p, int lanes) {
    return {cuda::shuffle_xor(p.first, lanes), cuda::shuffle_xor(p.second, lanes)};
}
struct AddPairs {
    template <class A>
    static __device__ __forceinline__ Pair<A> merge(const Pair<A>& a, const Pair<A>& b) {
        return {a.first + b.first, a.second + b.second};
    }
};

// Partial results, field by field: neighbouring threads read and write neighbouring channels.
template <class State, class A>
struct Parts {
    A* data; // (fields, splits, c)
    int64_t c;
    int splits;

    __device__ __forceinline__ A& at(int field, int split, int64_t channel) const {
        return data[(int64_t(field) * splits + split) * c + channel];
    }
    __device__ __forceinline__ State load(int split, int64_t channel) const {
        State state;
#pragma unroll
        for (int i = 0; i < State::fields; i++)
            state.field(i) = at(i, split, channel);
        return state;
    }
    __device__ __forceinline__ void store(State state, int split, int64_t channel) const {
#pragma unroll
        for (int i = 0; i < State::fields; i++)
            at(i, split, channel) = state.field(i);
    }
    // Of all splits, in their order.
    template <class Op>
    __device__ __forceinline__ State merged(int64_t channel) const {
        State state = load(0, channel);
        for (int s = 1; s < splits; s++)
            state = Op::merge(state, load(s, channel));
        return state;
    }
};
template <class A>
using MomentParts = Parts<Moments<A>, A>;
template <class A>
using PairParts = Parts<Pair<A>, A>;

// Positions of the image's elements: channel c's j-th element of n * inner.
struct Layout {
    int64_t c, inner, per_channel;
    bool channels_last;

    __device__ __forceinline__ int64_t at(int64_t channel, int64_t j) const {
        return channels_last ? j * c + channel : (j / inner * c + channel) * inner + j % inner;
    }
};

// Which elements a block reduces. NCHW: one channel, neighbouring threads on neighbouring elements.
// Channels last: 32 channels, a warp on 32 neighbouring channels; then 8 warps' results per channel
// are merged.
template <class Op, class State, class A, class F>
__device__ __forceinline__ void reduce_channel(const Layout& layout, const Parts<State, A>& parts,
                                               F f) {
    const int split = blockIdx.y;
    const int64_t chunk = (layout.per_channel + parts.splits - 1) / parts.splits;
    const int64_t first = split * chunk;
    const int64_t last = first + chunk < layout.per_channel ? first + chunk : layout.per_channel;
    State state{};
    if (!layout.channels_last) {
        const int64_t channel = blockIdx.x;
        for (int64_t j = first + threadIdx.x; j < last; j += threads)
            f(state, layout.at(channel, j), channel);
        state = group_reduce<threads, Op>(state);
        if (threadIdx.x == 0)
            parts.store(state, split, channel);
        return;
    }
    constexpr int warps = threads / 32;
    const int lane = threadIdx.x % 32;
    const int warp = threadIdx.x / 32;
    const int64_t channel = int64_t(blockIdx.x) * 32 + lane;
    if (channel < layout.c)
        for (int64_t j = first + warp; j < last; j += warps)
            f(state, layout.at(channel, j), channel);
    auto& of_warp = simt::smem_static<A[State::fields][warps][32]>();
#pragma unroll
    for (int i = 0; i < State::fields; i++)
        of_warp[i][warp][lane] = state.field(i);
    __syncthreads();
    if (warp != 0 || channel >= layout.c)
        return;
    for (int w = 1; w < warps; w++) {
        State other;
#pragma unroll
        for (int i = 0; i < State::fields; i++)
            other.field(i) = of_warp[i][w][lane];
        state = Op::merge(state, other);
    }
    parts.store(state, split, channel);
}

template <class T>
__global__ void __launch_bounds__(threads, blocks)
    moments_kernel(const T* __restrict__ x, Layout layout, MomentParts<Accumulator<T>> parts) {
    reduce_channel<MergeMoments>(
        layout, parts, [&](auto& state, int64_t at, int64_t) { state.add(to_accumulator(x[at])); });
}

template <class A>
__global__ void __launch_bounds__(threads)
    merge_moments(MomentParts<A> parts, A* __restrict__ mean, A* __restrict__ var) {
    const int64_t channel = int64_t(blockIdx.x) * threads + threadIdx.x;
    if (channel >= parts.c)
        return;
    const Moments<A> state = parts.template merged<MergeMoments>(channel);
    mean[channel] = state.mean;
    var[channel] = state.squares / state.count;
}

template <class T>
__global__ void __launch_bounds__(threads, blocks)
    gradient_sums(const T* __restrict__ g, const T* __restrict__ x, Layout layout,
                  const Accumulator<T>* __restrict__ mean, const Accumulator<T>* __restrict__ var,
                  Accumulator<T> eps, PairParts<Accumulator<T>> parts) {
    using A = Accumulator<T>;
    reduce_channel<AddPairs>(layout, parts, [&](auto& state, int64_t at, int64_t channel) {
        const A gradient = to_accumulator(g[at]);
        const A deviation = to_accumulator(x[at]) - mean[channel];
        state.first += gradient;
        state.second += gradient * (deviation / sqrt(var[channel] + eps));
    });
}

template <class A>
__global__ void __launch_bounds__(threads)
    merge_pairs(PairParts<A> parts, A* __restrict__ first, A* __restrict__ second) {
    const int64_t channel = int64_t(blockIdx.x) * threads + threadIdx.x;
    if (channel >= parts.c)
        return;
    const Pair<A> state = parts.template merged<AddPairs>(channel);
    first[channel] = state.first;
    second[channel] = state.second;
}

template <class T>
__global__ void __launch_bounds__(threads)
    normalize_kernel(const T* __restrict__ x, Layout layout, int64_t total,
                     const T* __restrict__ weight, const T* __restrict__ bias,
                     const Accumulator<T>* __restrict__ mean,
                     const Accumulator<T>* __restrict__ var, Accumulator<T> eps,
                     T* __restrict__ y) {
    using A = Accumulator<T>;
    for (int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x; i < total;
         i += int64_t(gridDim.x) * threads) {
        const int64_t c = layout.channels_last ? i % layout.c : i / layout.inner % layout.c;
        A v = (to_accumulator(x[i]) - mean[c]) / sqrt(var[c] + eps);
        if (weight)
            v *= to_accumulator(weight[c]);
        if (bias)
            v += to_accumulator(bias[c]);
        y[i] = from_accumulator<T>(v);
    }
}

template <class T>
__global__ void __launch_bounds__(threads)
    input_gradient_kernel(const T* __restrict__ g, const T* __restrict__ x, Layout layout,
                          int64_t total, const T* __restrict__ weight,
                          const Accumulator<T>* __restrict__ mean,
                          const Accumulator<T>* __restrict__ var, Accumulator<T> eps,
                          const Accumulator<T>* __restrict__ gweight,
                          const Accumulator<T>* __restrict__ gbias, T* __restrict__ gx) {
    using A = Accumulator<T>;
    const A m = A(layout.per_channel);
    for (int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x; i < total;
         i += int64_t(gridDim.x) * threads) {
        const int64_t c = layout.channels_last ? i % layout.c : i / layout.inner % layout.c;
        const A invstd = A(1) / sqrt(var[c] + eps);
        const A xhat = (to_accumulator(x[i]) - mean[c]) * invstd;
        A v = to_accumulator(g[i]) - gbias[c] / m - xhat * (gweight[c] / m);
        v *= weight ? invstd * to_accumulator(weight[c]) : invstd;
        gx[i] = from_accumulator<T>(v);
    }
}

Layout layout_of(const Channels& image) {
    return {image.c, image.inner, image.n * image.inner, image.channels_last};
}

// Enough blocks for a GPU of some hundred multiprocessors, but at least four rounds of work a
// thread.
int splits_of(const Channels& image) {
    const int64_t columns = image.channels_last ? (image.c + 31) / 32 : image.c;
    const int64_t rows_a_round = image.channels_last ? threads / 32 : threads;
    const int64_t by_work = image.n * image.inner / (4 * rows_a_round);
    const int64_t by_blocks = (512 + columns - 1) / std::max<int64_t>(columns, 1);
    return int(std::clamp<int64_t>(std::min(by_work, by_blocks), 1, max_splits));
}

dim3 reduction_grid(const Channels& image, int splits) {
    return dim3(unsigned(image.channels_last ? (image.c + 31) / 32 : image.c), unsigned(splits));
}

dim3 elementwise_grid(int64_t total) {
    return dim3(unsigned(std::min<int64_t>((total + threads - 1) / threads, 8192)));
}

dim3 channel_grid(int64_t c) {
    return dim3(unsigned((c + threads - 1) / threads));
}

} // namespace

size_t batch_norm_workspace(const Channels& image) {
    return size_t(image.c) * splits_of(image) * 3 * size_of(accumulator_of(image.dtype));
}

cudaError_t batch_norm(const Channels& image, const void* x, const void* weight, const void* bias,
                       double eps, void* y, void* mean, void* var, void* workspace,
                       cudaStream_t stream) {
    const int64_t total = image.n * image.c * image.inner;
    if (total == 0)
        return cudaSuccess;
    return dispatch_float(image.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        using A = Accumulator<T>;
        const Layout layout = layout_of(image);
        const int splits = splits_of(image);
        const MomentParts<A> parts{static_cast<A*>(workspace), image.c, splits};
        cudaError_t error =
            simt::launch(moments_kernel<T>, reduction_grid(image, splits), dim3(threads), 0, stream,
                         static_cast<const T*>(x), layout, parts);
        if (error != cudaSuccess)
            return error;
        error = simt::launch(merge_moments<A>, channel_grid(image.c), dim3(threads), 0, stream,
                             parts, static_cast<A*>(mean), static_cast<A*>(var));
        if (error != cudaSuccess)
            return error;
        return simt::launch(normalize_kernel<T>, elementwise_grid(total), dim3(threads), 0, stream,
                            static_cast<const T*>(x), layout, total, static_cast<const T*>(weight),
                            static_cast<const T*>(bias), static_cast<const A*>(mean),
                            static_cast<const A*>(var), A(eps), static_cast<T*>(y));
    });
}

cudaError_t batch_norm_backward(const Channels& image, const void* g, const void* x,
                                const void* weight, const void* mean, const void* var, double eps,
                                void* gx, void* gweight, void* gbias, void* workspace,
                                cudaStream_t stream) {
    const int64_t total = image.n * image.c * image.inner;
    if (total == 0)
        return cudaSuccess;
    return dispatch_float(image.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        using A = Accumulator<T>;
        const Layout layout = layout_of(image);
        const int splits = splits_of(image);
        const PairParts<A> parts{static_cast<A*>(workspace), image.c, splits};
        cudaError_t error =
            simt::launch(gradient_sums<T>, reduction_grid(image, splits), dim3(threads), 0, stream,
                         static_cast<const T*>(g), static_cast<const T*>(x), layout,
                         static_cast<const A*>(mean), static_cast<const A*>(var), A(eps), parts);
        if (error != cudaSuccess)
            return error;
        error = simt::launch(merge_pairs<A>, channel_grid(image.c), dim3(threads), 0, stream, parts,
                             static_cast<A*>(gbias), static_cast<A*>(gweight));
        if (error != cudaSuccess)
            return error;
        return simt::launch(input_gradient_kernel<T>, elementwise_grid(total), dim3(threads), 0,
                            stream, static_cast<const T*>(g), static_cast<const T*>(x), layout,
                            total, static_cast<const T*>(weight), static_cast<const A*>(mean),
                            static_cast<const A*>(var), A(eps), static_cast<const A*>(gweight),
                            static_cast<const A*>(gbias), static_cast<T*>(gx));
    });
}

} // namespace fastnn::cuda
