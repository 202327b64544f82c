// Products of float32 matrices on tensor cores: in TF32 (11 significant bits), or as three such
// products of split operands, with errors like float32's.
//
// An A100 has 156 TFLOP/s in TF32, an H100 495 (through wgmma; some 60 % of it through mma.sync),
// against 19.5 and 67 on CUDA cores; three products and the splitting leave at most a third. Per
// byte, tiles and steps are those of 16 bits, with half of the elements: 32 FLOPs a byte of the L2
// cache, 4.9 TB/s at an A100's peak. Fragments of operands that are contiguous along the result are
// read by single 32-bit loads, as ldmatrix.trans transposes 16-bit elements only; padded rows keep
// them free of conflicts. Never run on hardware: executed under the emulator only.
#include "gemm/mma_dispatch.cuh"

namespace fastnn::cuda {

cudaError_t gemm_tf32(const Gemm& p, int splits, cudaStream_t stream) {
    return p.precision == Precision::medium ? dispatch_mma<MathTf32>(p, splits, stream)
                                            : dispatch_mma<MathTf32x3>(p, splits, stream);
}

} // namespace fastnn::cuda
