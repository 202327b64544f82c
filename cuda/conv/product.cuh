// Launches of a convolution's matrix products; which kernels there are.
//
//                          rows       columns    patches are read
//   channels contiguous    pixels     channels   along channels, 16 bytes at a time (CUDA cores:
//                                                element by element, as the tile is transposed)
//   otherwise              channels   pixels     along pixels, element by element
//   weight's gradient      channels   taps       along channels, or along pixels
//
// Weights come from the workspace, always in whole vectors.
#pragma once

#include <type_traits>

#include "conv/plan.h"
#include "conv/prepare.cuh"
#include "gemm/fma_kernel.cuh"
#include "gemm/mma_kernel.cuh"
#include "gemm/plan.cuh"

namespace fastnn::cuda {

template <class Math>
struct TensorCores {
    using T = typename Math::Element;
    // three products for each byte: the small tile's traffic is no limit
    using Large = std::conditional_t<Math::promotes, SmallMma<Math>, LargeMma<Math>>;
    using Small = SmallMma<Math>;
    static constexpr bool tensor_cores = true, along_channels = true;
    static constexpr int width = 16 / int(sizeof(T));
    using Weights = Access<Major::inner, true>;
    using ChannelPatches = Access<Major::inner, true>;
};
struct Float32Cores {
    using T = float;
    using Large = LargeFma;
    using Small = SmallFma;
    static constexpr bool tensor_cores = false, along_channels = true;
    static constexpr int width = 1;
    using Weights = Access<Major::outer, true>;
    using ChannelPatches = Access<Major::inner, false>;
};
struct Float64Cores {
    using T = double;
    using Large = DoubleFma;
    using Small = DoubleFma;
    static constexpr bool tensor_cores = false, along_channels = false;
    using Weights = Access<Major::outer, true>;
};

template <class Cores, class Shape, class AccessA, class AccessB, class A, class B, class Out>
cudaError_t multiply(const A& a, const B& b, const Out& out, const ConvPlan& plan, int64_t groups,
                     cudaStream_t stream) {
    int splits = plan.splits;
    const Extent e = extent_of(plan.m, plan.n, plan.k, Shape::bm, Shape::bn, Shape::bk, splits);
    Out finished = out;
    if (splits == 1)
        finished.partial = nullptr;
    cudaError_t error;
    if constexpr (Cores::tensor_cores)
        error = launch_mma<Shape, AccessA, AccessB>(a, b, finished, e, splits, int(groups), stream);
    else
        error = launch_fma<Shape, AccessA, AccessB>(a, b, finished, e, splits, int(groups), stream);
    return error != cudaSuccess || splits == 1
               ? error
               : launch_finish(finished, e, splits, int(groups), stream);
}

inline PixelGrid grid_of(int64_t d, int64_t h, int64_t w) {
    return {FastDivide(std::max<int64_t>(d, 1)), FastDivide(std::max<int64_t>(h, 1)),
            FastDivide(std::max<int64_t>(w, 1))};
}

template <class T>
Windows<T> windows_of(const Volume& x, const Axis (&axis)[3], int64_t channels, int64_t samples,
                      const char* workspace) {
    return {static_cast<const T*>(x.data),
            int(x.stride_n),
            int(channels * x.stride_c),
            int(x.stride[0]),
            int(x.stride[1]),
            int(x.stride[2]),
            axis[0].size,
            axis[1].size,
            axis[2].size,
            axis[0].step,
            axis[1].step,
            axis[2].step,
            axis[0].start,
            axis[1].start,
            axis[2].start,
            grid_of(axis[0].results, axis[1].results, axis[2].results),
            int(samples * axis[0].results * axis[1].results * axis[2].results),
            reinterpret_cast<const Tap*>(workspace)};
}

// Fills in the table of `k` = (channel, tap) or (tap, channel).
inline void set_table(Preparation& call, const ConvPlan& plan, int64_t k, const Volume& x,
                      const Axis (&axis)[3], int64_t channels, char* workspace) {
    const int64_t taps = int64_t(axis[0].taps) * axis[1].taps * axis[2].taps;
    call.k = int(k);
    call.channels_fastest = plan.vectors;
    call.channels = FastDivide(std::max<int64_t>(channels, 1));
    call.taps = FastDivide(std::max<int64_t>(taps, 1));
    call.taps_h = FastDivide(std::max(axis[1].taps, 1));
    call.taps_w = FastDivide(std::max(axis[2].taps, 1));
    call.table = reinterpret_cast<Tap*>(workspace + plan.table);
    call.table_size = uint32_t(plan.table_size);
    call.width = plan.width;
    call.source_stride_c = int(x.stride_c);
    for (int i = 0; i < 3; i++) {
        call.source_stride[i] = int(x.stride[i]);
        call.delta[i] = axis[i].delta;
    }
}

// The weights of a pass as (group, row, k), or with rows fastest as (group, k, row).
inline void set_weights(Preparation& call, const Pass& p, int64_t packed_rows, int64_t packed_k,
                        bool rows_fastest, void* packed) {
    int64_t first = 0;
    for (int i = 0; i < 3; i++) {
        first += p.axis[i].first_tap * p.weight.stride[i];
        call.tap_stride[i] = p.axis[i].tap_step * p.weight.stride[i];
    }
    call.weight = static_cast<const char*>(p.weight.data) + first * int64_t(size_of(p.dtype));
    call.packed = packed;
    call.group_stride = p.group_stride;
    call.row_stride = p.row_stride;
    call.channel_stride = p.along_stride;
    call.rows_fastest = rows_fastest;
    call.rows = int(p.rows);
    call.packed_rows = FastDivide(std::max<int64_t>(packed_rows, 1));
    call.packed_k = FastDivide(std::max<int64_t>(packed_k, 1));
    call.packed_size = uint32_t(p.groups * packed_rows * packed_k);
}

template <class T, bool pixels_in_rows>
Output<T, ImageRows<T, pixels_in_rows>> output_of(const Pass& p, const ConvPlan& plan,
                                                  char* workspace) {
    constexpr int64_t width = 16 / int64_t(sizeof(T));
    const Volume& y = p.result;
    int64_t stride[3], first = 0;
    for (int i = 0; i < 3; i++) {
        first += p.axis[i].first_result * y.stride[i];
        stride[i] = p.axis[i].result_step * y.stride[i];
    }
    Output<T, ImageRows<T, pixels_in_rows>> out{};
    out.rows = {static_cast<T*>(y.data) + first,
                int(y.stride_n),
                int(y.stride_c),
                int(stride[0]),
                int(stride[1]),
                int(stride[2]),
                int(p.rows * y.stride_c),
                grid_of(p.axis[0].results, p.axis[1].results, p.axis[2].results)};
    out.bias = static_cast<const T*>(p.bias);
    out.bias_batch_stride = p.rows;
    out.relu = p.relu;
    // 16 bytes: neighbouring channels of a pixel, or pixels of a sample's channel
    const auto whole = [](int64_t n) { return n % width == 0; };
    const bool aligned =
        (y.n <= 1 || whole(y.stride_n)) &&
        (reinterpret_cast<uintptr_t>(out.rows.data) | reinterpret_cast<uintptr_t>(p.bias)) % 16 ==
            0;
    if (pixels_in_rows) {
        out.vectors = aligned && y.stride_c == 1 && whole(p.rows);
        for (int i = 0; i < 3; i++)
            out.vectors = out.vectors && (p.axis[i].results == 1 || whole(stride[i]));
    } else {
        const int64_t d = p.axis[0].results, h = p.axis[1].results, w = p.axis[2].results;
        out.vectors = aligned && whole(d * h * w) && (w == 1 || stride[2] == 1) &&
                      (h == 1 || stride[1] == w) && (d == 1 || stride[0] == h * w) &&
                      whole(y.stride_c);
    }
    out.partial =
        plan.splits > 1 ? reinterpret_cast<Accumulator<T>*>(workspace + plan.sums) : nullptr;
    return out;
}

template <class Cores, class Shape>
cudaError_t run_pass(const Pass& p, const ConvPlan& plan, char* workspace, cudaStream_t stream) {
    using T = typename Cores::T;
    const auto windows =
        windows_of<T>(p.source, p.axis, p.channels, p.result.n, workspace + plan.table);
    const PackedWeights<T> weights{reinterpret_cast<const T*>(workspace + plan.weights),
                                   int(Cores::tensor_cores ? plan.packed_k : 1),
                                   int(Cores::tensor_cores ? 1 : plan.packed_rows),
                                   int(plan.packed_rows * plan.packed_k)};
    using Weights = typename Cores::Weights;
    if constexpr (Cores::along_channels) {
        if (plan.vectors)
            return multiply<Cores, Shape, typename Cores::ChannelPatches, Weights>(
                Patches<T, Cores::width>{windows}, weights, output_of<T, true>(p, plan, workspace),
                plan, p.groups, stream);
    }
    return multiply<Cores, Shape, Weights, Access<Major::outer, false>>(
        weights, Patches<T, 1>{windows}, output_of<T, false>(p, plan, workspace), plan, p.groups,
        stream);
}

template <class Cores>
cudaError_t run_pass(const Pass& p, const ConvPlan& plan, char* workspace, cudaStream_t stream) {
    Preparation call{};
    set_table(call, plan, plan.k, p.source, p.axis, p.channels, workspace);
    set_weights(call, p, plan.packed_rows, plan.packed_k, !Cores::tensor_cores,
                workspace + plan.weights);
    const cudaError_t error = prepare(call, p.dtype, stream);
    if (error != cudaSuccess)
        return error;
    return plan.large ? run_pass<Cores, typename Cores::Large>(p, plan, workspace, stream)
                      : run_pass<Cores, typename Cores::Small>(p, plan, workspace, stream);
}

template <class Cores, class Shape, class Access_, int width>
cudaError_t run_weight_gradient(const Convolution& c, const Axis (&axis)[3], const ConvPlan& plan,
                                cudaStream_t stream) {
    using T = typename Cores::T;
    char* workspace = static_cast<char*>(c.workspace);
    const int64_t rows = c.y.c / c.groups, channels = c.x.c / c.groups;
    const Volume& g = c.y;
    const int64_t stride = g.size[2] > 1 ? g.stride[2] : g.size[1] > 1 ? g.stride[1] : g.stride[0];
    const ChannelRows<T> a{static_cast<const T*>(g.data),
                           int(g.stride_n),
                           int(stride),
                           int(g.stride_c),
                           int(rows * g.stride_c),
                           FastDivide(std::max<int64_t>(g.size[0] * g.size[1] * g.size[2], 1)),
                           int(rows),
                           int(plan.k)};
    const TapRows<T, width> b{windows_of<T>(c.x, axis, channels, g.n, workspace + plan.table)};
    Output<T, WeightRows<T>> out{};
    const bool ordered = plan.vectors && plan.n != channels;
    out.rows = {static_cast<T*>(c.weight.data), int(plan.n), int(rows * plan.n),
                FastDivide(ordered ? channels : 1), int(ordered ? plan.n / channels : 1)};
    constexpr int64_t vector = 16 / int64_t(sizeof(T));
    out.vectors =
        !ordered && plan.n % vector == 0 && reinterpret_cast<uintptr_t>(c.weight.data) % 16 == 0;
    out.partial =
        plan.splits > 1 ? reinterpret_cast<Accumulator<T>*>(workspace + plan.sums) : nullptr;
    return multiply<Cores, Shape, Access_, Access_>(a, b, out, plan, c.groups, stream);
}

// Tiles of 128 x 128 along channels only: along pixels, addresses are the limit.
template <class Cores>
cudaError_t run_weight_gradient(const Convolution& c, const ConvPlan& plan, cudaStream_t stream) {
    Axis axis[3];
    for (int i = 0; i < 3; i++)
        axis[i] = forward_axis(c.x.size[i], c.y.size[i], c.weight.size[i], c.stride[i],
                               c.padding[i], c.dilation[i]);
    Preparation call{};
    set_table(call, plan, plan.n, c.x, axis, c.x.c / c.groups, static_cast<char*>(c.workspace));
    const cudaError_t error = prepare(call, c.dtype, stream);
    if (error != cudaSuccess)
        return error;
    using Large = typename Cores::Large;
    using Small = typename Cores::Small;
    if constexpr (Cores::along_channels) {
        using Vectors = Access<Major::outer, true>;
        constexpr int width = 16 / int(sizeof(typename Cores::T));
        if (plan.vectors)
            return plan.large
                       ? run_weight_gradient<Cores, Large, Vectors, width>(c, axis, plan, stream)
                       : run_weight_gradient<Cores, Small, Vectors, width>(c, axis, plan, stream);
    }
    return run_weight_gradient<Cores, Small, Access<Major::inner, false>, 1>(c, axis, plan, stream);
}

} // namespace fastnn::cuda
