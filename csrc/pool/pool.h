// Max and average pooling of images, and their gradients. Layouts NCHW and NHWC.
//
// Maximum forward, NCHW: where only gradients would need indices, windows of 2 x 2 are the maxima
// of whole rows and then of columns; else a vector of output columns at a time; each tap of the
// window is one load (stride 1), two loads and a shuffle (stride 2) or a gather. Columns whose
// window leaves the image are done one by one. NHWC: a vector of channels at a time. Backward: a
// plane (NCHW) or an image (NHWC) of the gradient is zeroed and the outputs' gradients are added to
// their maxima in row-major order, all while it is in the cache. Average: windows are tables of
// starts, ends and divisors, which serve adaptive pooling too. NCHW sums the rows of a window first
// (vectors), then the columns. Backward, NCHW spreads a row of shares over the columns, each vector
// of which is the sum of neighbouring shares, and adds it to the rows; NHWC gathers each pixel's
// shares.
//
// Floor: one read of x, one write of y and of the indices; backward one write of gx, one read of g
// and the indices.
//
// Reached on one thread of a Zen 4 with AVX-512, float, (128, 32, 26, 26), 2 x 2 windows, ms
// forward / backward (PyTorch 2.13 beside it in brackets): maximum NCHW 0.89 / 0.41 (15.2 / 1.1),
// NHWC 0.95 / 0.42 (1.6 / 1.6); average NCHW 0.68 / 0.33 (5.0 / 5.2), NHWC 0.55 / 0.70 (0.8 / 1.6).
// Backward by scattering took 1.3, forward with masked stores at the rows' ends 1.5.
// Windows of 2 x 2 by pairs of columns, of rows and of the plane of two vectors each (AVX2, (128,
// 64, 11, 11) NCHW, ms forward): maximum with positions 0.45, by taps with a stride 1.3; average
// 0.38, 0.84.
// Average on one core of Zen 4, AVX2, in the cache, ns for 8 inputs forward / backward: 2 x 2
// windows of 11 x 11 NCHW 0.73 / 1.4 (1.6 / 2.1 with a test at the end of each row), NHWC 0.4 /
// 0.5; 3 x 3 windows, 2 apart, of 112 x 112 NCHW 2.4 / 1.9 (5.9 backward column by column),
// NHWC 1.0 / 2.7 (2.0 with loops over the window, 5.4 by scattering).
// Maximum likewise, 11 x 11 NCHW: 1.8 / 1.3 (2.0 / 2.7).
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastnn {

struct PoolShape {
    int64_t n, c, h, w; // the image
    int64_t oh, ow;     // the output
    int64_t kernel[2], stride[2], padding[2], dilation[2];
    bool channels_last;
};

// Windows of average pooling: output i covers rows start[i]..end[i]-1; likewise columns.
struct PoolWindows {
    const int64_t *row_start, *row_end, *col_start, *col_end;
    const double *row_scale, *col_scale; // their product multiplies
    int64_t stride;                      // of the columns; 0: windows of different sizes (adaptive)
    bool uniform;                        // no window is cut by a border, all have one divisor
};

// Elements of scratch beyond a row, so that vectors may read past its end.
inline constexpr int64_t kPoolScratchTail = 32;

struct PoolTable {
    // Output rows [begin, end) of `planes` planes (NCHW), or of one image (NHWC).
    using Max = void (*)(const PoolShape& s, const void* x, int64_t planes, int64_t begin,
                         int64_t end, void* y, int32_t* indices);
    // All of `planes` planes, or the channels [begin, end) of one image. False: an index is outside
    // the plane.
    using MaxBackward = bool (*)(const PoolShape& s, const void* g, const int32_t* indices,
                                 int64_t planes, int64_t begin, int64_t end, void* gx);
    using Average = void (*)(const PoolShape& s, const PoolWindows& windows, const void* x,
                             int64_t planes, int64_t begin, int64_t end, void* y, void* scratch);
    using AverageBackward = void (*)(const PoolShape& s, const PoolWindows& windows, const void* g,
                                     int64_t planes, int64_t begin, int64_t end, void* gx,
                                     void* scratch);
    // [is_double][channels_last]
    Max max[2][2];
    Max max_values[2][2]; // without indices
    MaxBackward max_backward[2][2];
    Average average[2][2];
    AverageBackward average_backward[2][2];
};
FASTNN_KERNEL_TABLE(PoolTable, pool_table)

// indices may be null, and are then not found.
void max_pool(const PoolShape& s, bool is_double, const void* x, void* y, int32_t* indices);
// Throws std::out_of_range for an index outside the plane (-1 stands for none).
void max_pool_backward(const PoolShape& s, bool is_double, const void* g, const int32_t* indices,
                       void* gx);
void average_pool(const PoolShape& s, const PoolWindows& windows, bool is_double, const void* x,
                  void* y);
void average_pool_backward(const PoolShape& s, const PoolWindows& windows, bool is_double,
                           const void* g, void* gx);

} // namespace fastnn
