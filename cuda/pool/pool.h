// Max and average pooling of images and their gradients.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/runtime.h"

namespace fastnn::cuda {

// An image of `n` samples and `c` channels, dense, NCHW or channels last, and the windows over its
// planes.
struct Pooling {
    DType dtype;
    int64_t n, c, h, w, oh, ow;
    int kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
    bool channels_last;
    // average pooling
    bool count_include_pad;
    int divisor_override; // 0: the number of elements
};

// indices: the position h * w_size + w of each maximum, -1 for a window that lies in the padding.
cudaError_t max_pool2d(const Pooling& call, const void* x, void* y, int32_t* indices,
                       cudaStream_t stream);
// Needs the sizes of `call` only.
cudaError_t max_pool2d_backward(const Pooling& call, const void* g, const int32_t* indices,
                                void* gx, cudaStream_t stream);
cudaError_t avg_pool2d(const Pooling& call, const void* x, void* y, cudaStream_t stream);
cudaError_t avg_pool2d_backward(const Pooling& call, const void* g, void* gx, cudaStream_t stream);
// Windows from floor(i * h / oh) to ceil((i + 1) * h / oh): the kernel, stride and padding are not
// looked at.
cudaError_t adaptive_avg_pool2d(const Pooling& call, const void* x, void* y, cudaStream_t stream);
cudaError_t adaptive_avg_pool2d_backward(const Pooling& call, const void* g, void* gx,
                                         cudaStream_t stream);

} // namespace fastnn::cuda
