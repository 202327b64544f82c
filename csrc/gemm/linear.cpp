#include "gemm/linear.h"

#include "core/buffer_pool.h"
#include "elementwise/elementwise.h"
#include "gemm/gemm.h"
#include "reduction/reduction.h"

namespace fastnn {
namespace {

template <class T>
void products(const LinearBackward& call, const void* gradient) {
    const T* const g = static_cast<const T*>(gradient);
    const T* const x = static_cast<const T*>(call.x);
    const T* const weight = static_cast<const T*>(call.weight);
    const int64_t rows = call.rows, n = call.n, k = call.k;
    GemmArgs<T> args{};
    if (call.gx) {
        args = {rows, k, n, g, n, 1, weight, k, 1, static_cast<T*>(call.gx), k, 1};
        args.may_split = true;
        gemm(args);
    }
    if (call.gweight) {
        args = {n, k, rows, g, 1, n, x, k, 1, static_cast<T*>(call.gweight), k, 1};
        args.may_split = true;
        gemm(args);
    }
}

} // namespace

void linear_backward(const LinearBackward& call) {
    const int64_t size = call.rows * call.n, item = call.is_double ? 8 : 4;
    const Scratch passed(call.y ? static_cast<size_t>(size * item) : 0);
    const void* g = call.g;
    if (call.y) {
        ElementwiseCall relu{};
        relu.function = Elementwise::relu_backward;
        relu.is_double = call.is_double;
        relu.ndim = 1;
        relu.shape[0] = size;
        relu.a_stride[0] = relu.b_stride[0] = 1;
        relu.a = g;
        relu.b = call.y;
        relu.y = passed.as<void>();
        elementwise(relu);
        g = relu.y;
    }
    if (call.gbias)
        reduce({Reduction::sum, call.is_double, true, 1, call.rows, call.n, call.rows * call.n,
                call.n, g, call.gbias});
    if (call.is_double)
        products<double>(call, g);
    else
        products<float>(call, g);
}

} // namespace fastnn
