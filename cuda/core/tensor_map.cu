#include "core/tensor_map.h"

namespace fastnn::cuda {

bool has_sm90a() {
#if defined(FASTNN_CUDA_EMULATED) || defined(FASTNN_CUDA_SM90A)
    int device = 0, major = 0, minor = 0;
    return cudaGetDevice(&device) == cudaSuccess &&
           cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) ==
               cudaSuccess &&
           cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) ==
               cudaSuccess &&
           major == 9 && minor == 0;
#else
    return false;
#endif
}

namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

// Looked up, so that nothing is linked to the driver's library, which machines that only build the
// kernels do not have.
Encode find_encode() {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult result{};
    const cudaError_t error = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function,
                                                               12000, cudaEnableDefault, &result);
    return error == cudaSuccess && result == cudaDriverEntryPointSuccess
               ? reinterpret_cast<Encode>(function)
               : nullptr;
}

} // namespace

cudaError_t make_tensor_map(CUtensorMap& map, const TensorBox& tensor) {
    static const Encode encode = find_encode();
    if (encode == nullptr)
        return cudaErrorNotSupported;
    const auto item = int64_t(size_of(tensor.dtype));
    const CUtensorMapDataType type =
        tensor.dtype == DType::float16    ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16
        : tensor.dtype == DType::bfloat16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                                          : CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
    if (type == CU_TENSOR_MAP_DATA_TYPE_FLOAT32 && tensor.dtype != DType::float32)
        return cudaErrorInvalidValue;
    cuuint64_t sizes[4], strides[3];
    cuuint32_t box[4];
    for (int i = 0; i < tensor.dims; i++) {
        sizes[i] = cuuint64_t(tensor.sizes[i]);
        box[i] = cuuint32_t(tensor.box[i]);
        if (i > 0)
            strides[i - 1] = cuuint64_t(tensor.strides[i - 1] * item);
    }
    const cuuint32_t element_strides[4] = {1, 1, 1, 1};
    const CUresult error =
        encode(&map, type, cuuint32_t(tensor.dims), const_cast<void*>(tensor.data), sizes, strides,
               box, element_strides, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
               CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    return error == CUDA_SUCCESS ? cudaSuccess : cudaErrorNotSupported;
}

} // namespace fastnn::cuda
