// Group normalisation: each sample's groups of channels by their own statistics, and the gradients.
//
// Floor: a read and a write forward, two reads and a write backward. A row is a group of a sample;
// its passes read memory once where it fits a cache. Channels' gradients are summed for each
// sample, and then over the samples in order.
//
// Reached on one thread of Zen 4 (AVX2), float32, forward and backward, 8 groups, PyTorch 2.13's
// time over it: (32, 64, 16, 16) 1.7, (8, 64, 56, 56) 1.25; 0.37 and 0.23 while the channels' scale
// and shift were operations of their own.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastnn {

// Row r = sample * groups + group has `channels` channels of `inner` elements each.
struct GroupShape {
    int64_t samples, groups, channels, inner;
};

// y = (x - mean) * scale * weight + bias with scale = 1 / sqrt(mean of (x - mean)^2 + eps). Weight
// and bias (groups * channels,) may be null.
struct GroupNorm {
    GroupShape shape;
    double eps;
    const void *x, *weight, *bias;
    void *mean, *scale, *y; // (rows,), (rows,), as x
};

// With xhat = (x - mean) * scale and h = g * weight:
//     gx = scale * (h - mean of h - xhat * mean of h * xhat)
// and for each sample the sums of g * xhat and of g over each channel.
struct GroupNormBackward {
    GroupShape shape;
    const void *g, *x, *weight, *mean, *scale;
    void* gx;
    double *gweight, *gbias; // (samples, groups * channels)
};

// Rows [begin, end).
struct GroupNormTable {
    void (*forward[2])(const GroupNorm& call, int64_t begin, int64_t end); // float, double
    void (*backward[2])(const GroupNormBackward& call, int64_t begin, int64_t end);
};
FASTNN_KERNEL_TABLE(GroupNormTable, group_norm_table)

void group_norm(const GroupNorm& call, bool is_double);
// gweight and gbias (groups * channels,) of the dtype; those of the call are set here.
void group_norm_backward(const GroupNormBackward& call, bool is_double, void* gweight, void* gbias);

} // namespace fastnn
