// Tensor maps of the tests' inputs. Kernels make them themselves here, where a GPU's get them as
// parameters.
#pragma once

#include "kernels.h"

namespace emulator_tests {

// Of 16-bit elements: `sizes` of the tensor and of the box, rows `pitch` elements apart.
template <int dims>
CUtensorMap map_of(const void* data, const uint64_t (&sizes)[dims], uint64_t pitch,
                   const uint32_t (&box)[dims]) {
    CUtensorMap map;
    const uint64_t strides[] = {pitch * 2, pitch * 2 * sizes[1]};
    const uint32_t ones[] = {1, 1, 1};
    if (cuTensorMapEncodeTiled(&map, CU_TENSOR_MAP_DATA_TYPE_UINT16, dims, const_cast<void*>(data),
                               sizes, strides, box, ones, CU_TENSOR_MAP_INTERLEAVE_NONE,
                               CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_NONE,
                               CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) != CUDA_SUCCESS)
        simt::fail("no tensor map");
    return map;
}

} // namespace emulator_tests
