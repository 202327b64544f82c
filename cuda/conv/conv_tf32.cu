// Convolutions of float32 on tensor cores: in TF32, or as three such products of split operands.
//
// Tiles and limits are those of 16 bits (conv_half.cu) at half the elements a byte: half the FLOPs
// from each byte, at half or a sixth of the peak. Never run on hardware: executed under the
// emulator only.
#include "conv/product.cuh"

namespace fastnn::cuda {

cudaError_t conv_tf32(const Pass& p, const ConvPlan& plan, char* workspace, cudaStream_t stream) {
    return p.precision == Precision::medium
               ? run_pass<TensorCores<MathTf32>>(p, plan, workspace, stream)
               : run_pass<TensorCores<MathTf32x3>>(p, plan, workspace, stream);
}

cudaError_t weight_gradient_tf32(const Convolution& c, const ConvPlan& plan, cudaStream_t stream) {
    return c.precision == Precision::medium
               ? run_weight_gradient<TensorCores<MathTf32>>(c, plan, stream)
               : run_weight_gradient<TensorCores<MathTf32x3>>(c, plan, stream);
}

} // namespace fastnn::cuda
