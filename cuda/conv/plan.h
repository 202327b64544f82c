// How a convolution's matrix products are divided, and what of the workspace is whose.
#pragma once

#include <algorithm>

#include "conv/pass.h"

namespace fastnn::cuda {

constexpr int64_t round_up(int64_t n, int64_t unit) {
    return (n + unit - 1) / unit * unit;
}

// Rows and columns of the product are those of the result: forward and for the input's gradient
// pixels and channels, or channels and pixels where the source's channels are not contiguous; for
// the weight's gradient its channels and taps.
struct ConvPlan {
    int64_t m, n, k; // of each group
    bool vectors;    // channels are contiguous, and read along
    int width;       // elements to an entry of the table
    bool large;
    int splits;
    int64_t table_size;               // entries
    int64_t packed_rows, packed_k;    // weights of a group
    size_t table, weights, sums, all; // where they begin, in bytes
};

// CUDA cores take float64, and float32 at the highest precision.
inline bool on_cuda_cores(DType dtype, Precision precision) {
    return dtype == DType::float64 || (dtype == DType::float32 && precision == Precision::highest);
}

// Whether 16 bytes of neighbouring channels of every pixel and group can be read at once.
inline bool has_channel_vectors(const Volume& x, int64_t channels, DType dtype) {
    const auto width = int64_t(16 / size_of(dtype));
    if (x.stride_c != 1 || channels % width != 0 || reinterpret_cast<uintptr_t>(x.data) % 16 != 0)
        return false;
    for (int i = 0; i < 3; i++)
        if (x.size[i] > 1 && x.stride[i] % width != 0)
            return false;
    return x.n <= 1 || x.stride_n % width == 0;
}

// 128 x 128 where there are enough of them and they waste little more than 64 x 64 would.
inline bool wants_large_tile(int64_t m, int64_t n, int64_t batch, Tile tile) {
    if (tile != Tile::automatic)
        return tile == Tile::large;
    const int64_t large = round_up(m, 128) * round_up(n, 128);
    const int64_t small = round_up(m, 64) * round_up(n, 64);
    return large / 16384 * batch >= 96 && large * 4 <= small * 5;
}

// A long sum of few tiles is worked out in parts, as many as give some `wanted` blocks; it depends
// on the shape alone.
inline int conv_splits(const ConvPlan& plan, int64_t batch, int wanted, int given) {
    if (given > 0)
        return given;
    const int64_t blocks = round_up(plan.m, 64) / 64 * (round_up(plan.n, 64) / 64) * batch;
    if (blocks == 0 || blocks * 2 > wanted)
        return 1;
    return int(std::max<int64_t>(1, std::min<int64_t>(plan.k / 256, wanted / blocks)));
}

inline void place_workspace(ConvPlan& plan, int64_t batch, DType dtype) {
    const auto item = int64_t(size_of(dtype));
    const auto sum = int64_t(size_of(accumulator_of(dtype)));
    plan.table = 0;
    plan.weights = size_t(round_up(plan.table_size * 16, 256));
    plan.sums =
        plan.weights + size_t(round_up(batch * plan.packed_rows * plan.packed_k * item, 256));
    plan.all =
        plan.sums + (plan.splits > 1 ? size_t(plan.splits * batch * plan.m * plan.n * sum) : 0);
}

// Tables end with a tile of the product.
inline int64_t table_entries(int64_t k, int width) {
    return round_up(k, 128) / width;
}

inline ConvPlan plan_of(const Pass& p) {
    const bool cuda_cores = on_cuda_cores(p.dtype, p.precision);
    ConvPlan plan{};
    plan.k = p.channels * p.taps();
    plan.vectors = cuda_cores ? p.dtype == DType::float32 && p.source.stride_c == 1
                              : has_channel_vectors(p.source, p.channels, p.dtype);
    plan.width = plan.vectors && !cuda_cores ? 16 / int(size_of(p.dtype)) : 1;
    plan.m = plan.vectors ? p.pixels() : p.rows;
    plan.n = plan.vectors ? p.rows : p.pixels();
    plan.splits = conv_splits(plan, p.groups, 128, p.splits);
    plan.large = plan.splits == 1 && wants_large_tile(plan.m, plan.n, p.groups, p.tile);
    plan.table_size = table_entries(plan.k, plan.width);
    plan.packed_rows = round_up(p.rows, plan.large ? 128 : 64); // whole tiles
    plan.packed_k = round_up(plan.k, 32);
    place_workspace(plan, p.groups, p.dtype);
    return plan;
}

inline ConvPlan weight_gradient_plan(const Convolution& c) {
    const int64_t rows = c.y.c / c.groups, channels = c.x.c / c.groups;
    ConvPlan plan{};
    plan.m = rows;
    plan.n = channels * c.weight.size[0] * c.weight.size[1] * c.weight.size[2];
    plan.k = c.y.n * c.y.size[0] * c.y.size[1] * c.y.size[2];
    plan.vectors = c.dtype != DType::float64 && has_channel_vectors(c.x, channels, c.dtype) &&
                   has_channel_vectors(c.y, rows, c.dtype);
    plan.width = plan.vectors ? 16 / int(size_of(c.dtype)) : 1;
    plan.splits = conv_splits(plan, c.groups, 256, c.splits);
    // parts of the sum are as good as more tiles
    plan.large = wants_large_tile(plan.m, plan.n, c.groups * plan.splits, c.tile);
    plan.table_size = table_entries(plan.n, plan.width);
    place_workspace(plan, c.groups, c.dtype);
    return plan;
}

// One file each.
cudaError_t conv_half(const Pass& pass, const ConvPlan& plan, char* workspace, cudaStream_t stream);
cudaError_t conv_tf32(const Pass& pass, const ConvPlan& plan, char* workspace, cudaStream_t stream);
cudaError_t conv_fma(const Pass& pass, const ConvPlan& plan, char* workspace, cudaStream_t stream);
cudaError_t weight_gradient_half(const Convolution& call, const ConvPlan& plan,
                                 cudaStream_t stream);
cudaError_t weight_gradient_tf32(const Convolution& call, const ConvPlan& plan,
                                 cudaStream_t stream);
cudaError_t weight_gradient_fma(const Convolution& call, const ConvPlan& plan, cudaStream_t stream);

// direct.cu: where a group has few channels, so that tiles would be empty.
struct DirectPlan {
    bool vectors;   // 16 bytes of channels a thread
    size_t weights; // bytes of packed weights in the workspace
};
bool wants_direct(const Pass& pass);
DirectPlan direct_plan(const Pass& pass);
cudaError_t conv_direct(const Pass& pass, void* workspace, cudaStream_t stream);
// direct_weight.cu
bool wants_direct_weight_gradient(const Convolution& call);
size_t direct_weight_gradient_workspace(const Convolution& call);
cudaError_t direct_weight_gradient(const Convolution& call, cudaStream_t stream);

} // namespace fastnn::cuda
