// Convolutions of float32 at full precision, and of float64, on CUDA cores.
//
// A thread does 64 (or 32) multiply-adds for some four gathered elements, so that the FMA units
// (19.5 TFLOP/s on an A100, 67 on an H100) are the limit from about ten channels on, memory below.
// float64 takes one kernel for all layouts. Never run on hardware: executed under the emulator
// only.
#include "conv/product.cuh"

namespace fastnn::cuda {

cudaError_t conv_fma(const Pass& p, const ConvPlan& plan, char* workspace, cudaStream_t stream) {
    return p.dtype == DType::float64 ? run_pass<Float64Cores>(p, plan, workspace, stream)
                                     : run_pass<Float32Cores>(p, plan, workspace, stream);
}

cudaError_t weight_gradient_fma(const Convolution& c, const ConvPlan& plan, cudaStream_t stream) {
    return c.dtype == DType::float64 ? run_weight_gradient<Float64Cores>(c, plan, stream)
                                     : run_weight_gradient<Float32Cores>(c, plan, stream);
}

} // namespace fastnn::cuda
