// Products of float16 and bfloat16 matrices on tensor cores, summed in float32.
//
// 128 x 128 results a block, 32 elements of the sum a step: 2 * 128 * 128 * 32 FLOPs from 16 KB, 64
// FLOPs a byte. An A100 (312 TFLOP/s) then asks its L2 cache for 4.9 TB/s, within its reach, and
// its memory for less: 8 rows of tiles run together and share operands, so that from about 1024 x
// 1024 x 1024 on the tensor cores are the limit, and below that memory (2.0 TB/s). Shared memory: 8
// warps of 64 x 32 read 3 KB per 16 elements, 24 KB in the 256 cycles that the tensor cores take:
// 96 of the 128 bytes a cycle. An H100 (989 TFLOP/s through wgmma only; some 60 % of it through
// mma.sync) is limited by mma.sync itself. The 64 x 64 tile, for small matrices and operands
// without aligned vectors, has half of the FLOPs a byte. Never run on hardware: executed under the
// emulator only.
#include "gemm/mma_dispatch.cuh"

namespace fastnn::cuda {

cudaError_t gemm_half(const Gemm& p, int splits, cudaStream_t stream) {
    const cudaError_t error = gemm_sm90(p, splits, stream);
    if (error != cudaErrorNotSupported)
        return error;
    return p.dtype == DType::float16 ? dispatch_mma<MathF16>(p, splits, stream)
                                     : dispatch_mma<MathBf16>(p, splits, stream);
}

} // namespace fastnn::cuda
