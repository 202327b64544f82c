// What the kernels of sm_90a want of the host: tensor maps, which say what TMA
// copies.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/runtime.h"
#ifndef FASTNN_CUDA_EMULATED
#include <cuda.h>
#endif

namespace fastnn::cuda {

// Whether the current device is of compute capability 9.0, and this build has
// code of sm_90a for it.
bool has_sm90a();

// Boxes of a tensor of up to four dims, the fastest first: `strides` in
// elements are those of dims 1 and up; the box has rows of 128 bytes, which lie
// in shared memory swizzled by 128 bytes, and zeros where it leaves the tensor.
// An error where the address or a stride is not of whole 16 bytes, or the
// driver is too old.
struct TensorBox {
    DType dtype;
    const void* data;
    int dims;
    int64_t sizes[4], strides[3];
    int box[4];
};
cudaError_t make_tensor_map(CUtensorMap& map, const TensorBox& tensor);

} // namespace fastnn::cuda
