// The kernel for a product on tensor cores: by its operands' strides and its size.
#pragma once

#include "gemm/mma_kernel.cuh"
#include "gemm/plan.cuh"

namespace fastnn::cuda {

template <class Shape, class AccessA, class AccessB>
cudaError_t run_mma(const Gemm& p, int splits, cudaStream_t stream) {
    using T = typename Shape::T;
    const Extent e = extent_of(p.m, p.n, p.k, Shape::bm, Shape::bn, Shape::bk, splits);
    const auto out = output_of<T>(p, splits);
    const cudaError_t error = launch_mma<Shape, AccessA, AccessB>(
        operand_a<T>(p), operand_b<T>(p), out, e, splits, int(p.batch), stream);
    return error != cudaSuccess || splits == 1
               ? error
               : launch_finish(out, e, splits, int(p.batch), stream);
}

template <class Math, class AccessA, class AccessB>
cudaError_t run_mma_sized(const Gemm& p, int splits, cudaStream_t stream) {
    return splits == 1 && wants_large(p)
               ? run_mma<LargeMma<Math>, AccessA, AccessB>(p, splits, stream)
               : run_mma<SmallMma<Math>, AccessA, AccessB>(p, splits, stream);
}

template <class Math>
cudaError_t dispatch_mma(const Gemm& p, int splits, cudaStream_t stream) {
    using T = typename Math::Element;
    using Inner = Access<Major::inner, true>;
    using Outer = Access<Major::outer, true>;
    using InnerElements = Access<Major::inner, false>;
    using OuterElements = Access<Major::outer, false>;
    const auto a = operand_a<T>(p);
    const auto b = operand_b<T>(p);
    const bool inner_a = has_vectors(a, Major::inner), inner_b = has_vectors(b, Major::inner);
    if ((!inner_a && !has_vectors(a, Major::outer)) ||
        (!inner_b && !has_vectors(b, Major::outer))) {
        // Along memory; but the product of two transposed matrices is not worth a kernel.
        using Small = SmallMma<Math>;
        const bool outer_a = a.outer_stride == 1 && a.inner_stride != 1;
        const bool outer_b = b.outer_stride == 1 && b.inner_stride != 1;
        if (!outer_b)
            return run_mma<Small, InnerElements, InnerElements>(p, splits, stream);
        return outer_a ? run_mma<Small, OuterElements, OuterElements>(p, splits, stream)
                       : run_mma<Small, InnerElements, OuterElements>(p, splits, stream);
    }
    if (inner_a)
        return inner_b ? run_mma_sized<Math, Inner, Inner>(p, splits, stream)
                       : run_mma_sized<Math, Inner, Outer>(p, splits, stream);
    return inner_b ? run_mma_sized<Math, Outer, Inner>(p, splits, stream)
                   : run_mma_sized<Math, Outer, Outer>(p, splits, stream);
}

} // namespace fastnn::cuda
