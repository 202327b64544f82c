// Convolution and its gradients: which kernel serves which.
//
//   few channels in a group,
//   or few taps and channels      direct.cu, direct_weight.cu
//   float16, bfloat16             conv_half.cu   tensor cores
//   float32, highest precision    conv_fma.cu    CUDA cores
//   float32, high or medium       conv_tf32.cu   tensor cores: three TF32 products, or one
//   float64                       conv_fma.cu    CUDA cores
//
// All but the first are implicit matrix products: patches are gathered into the tiles of shared
// memory. One dimension less is a depth (or height) of 1.
#include "conv/conv.h"

#include "conv/plan.h"

namespace fastnn::cuda {
namespace {

// Offsets from an array's first element, of windows that lie in part outside of it too.
int64_t reach(const Volume& x, const Convolution& call) {
    int64_t last = 1;
    const auto along = [&](int64_t size, int64_t stride) { last += size * std::abs(stride); };
    along(x.n, x.stride_n);
    along(x.c, x.stride_c);
    for (int i = 0; i < 3; i++)
        along(x.size[i] + call.padding[i] + call.dilation[i] * call.weight.size[i], x.stride[i]);
    return last;
}

bool is_half(DType dtype) {
    return dtype == DType::float16 || dtype == DType::bfloat16;
}

size_t pass_workspace(const Pass& p) {
    return wants_direct(p) ? direct_plan(p).weights : plan_of(p).all;
}

cudaError_t run(const Pass& p, char* workspace, cudaStream_t stream) {
    if (p.pixels() == 0 || p.rows == 0)
        return cudaSuccess;
    if (wants_direct(p))
        return conv_direct(p, workspace, stream);
    const ConvPlan plan = plan_of(p);
    if (is_half(p.dtype))
        return conv_half(p, plan, workspace, stream);
    return on_cuda_cores(p.dtype, p.precision) ? conv_fma(p, plan, workspace, stream)
                                               : conv_tf32(p, plan, workspace, stream);
}

bool has_weights(const Convolution& call) {
    return call.x.c > 0 && call.y.c > 0;
}

cudaError_t weight_gradient(const Convolution& call, cudaStream_t stream) {
    if (!has_weights(call))
        return cudaSuccess;
    if (wants_direct_weight_gradient(call))
        return direct_weight_gradient(call, stream);
    const ConvPlan plan = weight_gradient_plan(call);
    if (is_half(call.dtype))
        return weight_gradient_half(call, plan, stream);
    return on_cuda_cores(call.dtype, call.precision) ? weight_gradient_fma(call, plan, stream)
                                                     : weight_gradient_tf32(call, plan, stream);
}

} // namespace

bool conv_fits(const Convolution& call) {
    constexpr int64_t limit = int64_t(1) << 30;
    const auto pixels = [](const Volume& x) { return x.n * x.size[0] * x.size[1] * x.size[2]; };
    int64_t taps = 1;
    for (int i = 0; i < 3; i++) {
        taps *= call.weight.size[i];
        if (call.padding[i] + call.dilation[i] * call.weight.size[i] + call.stride[i] >= limit)
            return false;
    }
    const int64_t o = call.y.c / call.groups, c = call.x.c / call.groups;
    const auto packed = [&](int64_t rows, int64_t along) {
        return call.groups * round_up(rows, 128) * (along * taps + 128);
    };
    return reach(call.x, call) < limit && reach(call.y, call) < limit && pixels(call.x) < limit &&
           pixels(call.y) < limit && packed(o, c) < limit && packed(c, o) < limit &&
           call.groups < 65536;
}

size_t conv_workspace(const Convolution& call, ConvKind kind) {
    if (kind == ConvKind::weight_gradient && !has_weights(call))
        return 0;
    if (kind == ConvKind::weight_gradient)
        return wants_direct_weight_gradient(call) ? direct_weight_gradient_workspace(call)
                                                  : weight_gradient_plan(call).all;
    size_t most = 0; // passes run one after the other
    for (const Pass& p : passes_of(call, kind))
        most = std::max(most, pass_workspace(p));
    return most;
}

cudaError_t conv(const Convolution& call, ConvKind kind, cudaStream_t stream) {
    if (!conv_fits(call) || !is_float(call.dtype))
        return cudaErrorInvalidValue;
    if (kind == ConvKind::weight_gradient)
        return weight_gradient(call, stream);
    for (const Pass& p : passes_of(call, kind)) {
        const cudaError_t error = run(p, static_cast<char*>(call.workspace), stream);
        if (error != cudaSuccess)
            return error;
    }
    return cudaSuccess;
}

} // namespace fastnn::cuda
