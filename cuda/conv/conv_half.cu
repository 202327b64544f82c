// Convolutions of float16 and bfloat16 on tensor cores, summed in float32.
//
// 2 N OH OW O C KH KW FLOPs; least bytes: the image, the weights and the result, once each. A
// 3 x 3 convolution of 64 channels has 288 FLOPs a byte of its image and result, an A100 (312
// TFLOP/s, 2.0 TB/s) needs 156: tensor cores are the limit from some 40 channels on, memory below
// and for 1 x 1. Channels last, tiles are filled as in a matrix product: 64 FLOPs a byte of the L2
// cache, where a pixel is read once for each tap. Otherwise elements are gathered one by one, some
// 16 instructions each; 128 x 128 tiles then take about as many issue slots for addresses as tensor
// cores take cycles, 64 x 64 ones twice as many. Never run on hardware: executed under the emulator
// only.
#include "conv/product.cuh"

namespace fastnn::cuda {

cudaError_t conv_half(const Pass& p, const ConvPlan& plan, char* workspace, cudaStream_t stream) {
    return p.dtype == DType::float16 ? run_pass<TensorCores<MathF16>>(p, plan, workspace, stream)
                                     : run_pass<TensorCores<MathBf16>>(p, plan, workspace, stream);
}

cudaError_t weight_gradient_half(const Convolution& c, const ConvPlan& plan, cudaStream_t stream) {
    return c.dtype == DType::float16 ? run_weight_gradient<TensorCores<MathF16>>(c, plan, stream)
                                     : run_weight_gradient<TensorCores<MathBf16>>(c, plan, stream);
}

} // namespace fastnn::cuda
