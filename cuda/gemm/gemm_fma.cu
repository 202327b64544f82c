// Products of float32 and float64 matrices on CUDA cores.
//
// float32, 128 x 128 results a block, 8 x 8 a thread: per step of the sum a thread reads 16 floats
// of shared memory for 64 FMAs, a warp 512 bytes or fewer (rows and columns are shared by its
// lanes) for 64 issue slots, so that the FMA units are the limit: 19.5 TFLOP/s on an A100, 67 on an
// H100. From global memory: 2 * 128 * 128 * 8 FLOPs per 8 KB, 32 a byte, 0.6 TB/s of an A100's
// cache. float64 (9.7 and 34 TFLOP/s) has 64 x 64 results a block, 4 x 4 a thread, for the sake of
// registers. Never run on hardware: executed under the emulator only.
#include "gemm/fma_kernel.cuh"
#include "gemm/plan.cuh"

namespace fastnn::cuda {
namespace {

template <class Shape, class AccessA, class AccessB>
cudaError_t run(const Gemm& p, int splits, cudaStream_t stream) {
    using T = typename Shape::T;
    const Extent e = extent_of(p.m, p.n, p.k, Shape::bm, Shape::bn, Shape::bk, splits);
    const auto out = output_of<T>(p, splits);
    const cudaError_t error = launch_fma<Shape, AccessA, AccessB>(
        operand_a<T>(p), operand_b<T>(p), out, e, splits, int(p.batch), stream);
    return error != cudaSuccess || splits == 1
               ? error
               : launch_finish(out, e, splits, int(p.batch), stream);
}

// Tiles lie along the result. Operands that do so too, in whole vectors, are copied 16 bytes at a
// time; all others element by element, transposed on the way if need be.
template <class Shape>
cudaError_t dispatch(const Gemm& p, int splits, cudaStream_t stream) {
    using T = typename Shape::T;
    using Outer = Access<Major::outer, true>;
    using Elements = Access<Major::inner, false>;
    const bool a = has_vectors(operand_a<T>(p), Major::outer);
    const bool b = has_vectors(operand_b<T>(p), Major::outer);
    if (a)
        return b ? run<Shape, Outer, Outer>(p, splits, stream)
                 : run<Shape, Outer, Elements>(p, splits, stream);
    return b ? run<Shape, Elements, Outer>(p, splits, stream)
             : run<Shape, Elements, Elements>(p, splits, stream);
}

} // namespace

cudaError_t gemm_fma(const Gemm& p, int splits, cudaStream_t stream) {
    if (p.dtype == DType::float64)
        return dispatch<DoubleFma>(p, splits, stream);
    return splits == 1 && wants_large(p) ? dispatch<LargeFma>(p, splits, stream)
                                         : dispatch<SmallFma>(p, splits, stream);
}

} // namespace fastnn::cuda
