// What a convolution's product needs in the workspace: the weights in the order of the sum, and the
// table of taps.
#pragma once

#include "conv/operands.cuh"
#include "core/dtype.h"
#include "core/runtime.h"

namespace fastnn::cuda {

struct Preparation {
    // weight (group, row, k) from `weight`, by strides in elements; zeros beyond the sizes
    const void* weight;
    void* packed; // null: the table only
    int64_t group_stride, row_stride, channel_stride, tap_stride[3];
    bool rows_fastest; // packed as (group, k, row), else (group, row, k)
    int rows, k;
    FastDivide packed_rows, packed_k;
    uint32_t packed_size;
    // k as (tap, channel), else (channel, tap)
    bool channels_fastest;
    FastDivide channels, taps;
    FastDivide taps_h, taps_w;
    // table entry i is of k = i * width
    Tap* table; // null: the weights only
    uint32_t table_size;
    int width;
    int source_stride_c, source_stride[3], delta[3];
};

cudaError_t prepare(const Preparation& call, DType dtype, cudaStream_t stream);

} // namespace fastnn::cuda
