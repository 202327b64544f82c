// Matrix products by fused multiply-adds on CUDA cores, for float32 at full precision and for
// float64.
//
// Each of 16 columns of threads has tm x tn results a thread, kept in registers; two tiles of eight
// along the summed index, one read while cp.async fills the other. A thread's rows and columns come
// in groups of 16 bytes, spread over the tile so that a warp's loads of shared memory meet every
// bank once.
#pragma once

#include "gemm/output.cuh"
#include "gemm/shared_tile.cuh"

namespace fastnn::cuda {

template <class Element, int per_thread_m, int per_thread_n, int thread_count>
struct FmaShape {
    using T = Element;
    static constexpr int tm = per_thread_m, tn = per_thread_n, threads = thread_count;
    static constexpr int bm = threads / 16 * tm, bn = 16 * tn, bk = 8;
};
using LargeFma = FmaShape<float, 8, 8, 256>; // 128 x 128
using SmallFma = FmaShape<float, 8, 4, 128>; // 64 x 64
using DoubleFma = FmaShape<double, 4, 4, 256>;

template <class Shape>
struct FmaShared {
    using T = typename Shape::T;
    // of 16 bytes: transposing copies, eight inner by four (or two) outer elements a warp, meet
    // every bank once
    static constexpr int pad = 16 / int(sizeof(T));
    using TileA = PaddedTile<T, Shape::bm, Shape::bk, pad>;
    using TileB = PaddedTile<T, Shape::bn, Shape::bk, pad>;
    alignas(16) T a[2][TileA::size];
    alignas(16) T b[2][TileB::size];
};

template <class T>
struct alignas(16) FmaVector {
    T at[16 / sizeof(T)];
};

// Element by element, addresses take the registers that would let two blocks share a
// multiprocessor.
template <class Shape, class AccessA, class AccessB, class A, class B, class Out>
__global__ void __launch_bounds__(Shape::threads, AccessA::vectors&& AccessB::vectors ? 2 : 1)
    fma_kernel(A a, B b, Out out, Extent e) {
    using T = typename Shape::T;
    using Shared = FmaShared<Shape>;
    using V = FmaVector<T>;
    constexpr int width = 16 / int(sizeof(T)), bk = Shape::bk, tm = Shape::tm, tn = Shape::tn;
    // between the groups of a thread
    constexpr int spread_m = Shape::threads / 16 * width, spread_n = 16 * width;
    Shared& shared = simt::smem<Shared>();
    const TileIndex tile = tile_index(e);
    const int64_t m0 = tile.m * Shape::bm, n0 = tile.n * Shape::bn;
    const int batch = int(blockIdx.z);
    const int64_t k0 = blockIdx.y * e.k_per_split;
    const int steps = int((min(e.k - k0, e.k_per_split) + bk - 1) / bk);
    const int tx = int(threadIdx.x) % 16 * width, ty = int(threadIdx.x) / 16 * width;

    TileLoader<A, typename Shared::TileA, AccessA::major, AccessA::vectors, Shape::threads>
        loader_a(a, m0, batch);
    TileLoader<B, typename Shared::TileB, AccessB::major, AccessB::vectors, Shape::threads>
        loader_b(b, n0, batch);
    if (steps > 0) {
        loader_a.start(shared.a[0], k0);
        loader_b.start(shared.b[0], k0);
    }
    ptx::cp_async_commit();
    T c[tm][tn] = {};
    for (int step = 0; step < steps; step++) {
        const int stage = step & 1;
        if (step + 1 < steps) {
            loader_a.start(shared.a[stage ^ 1], k0 + int64_t(step + 1) * bk);
            loader_b.start(shared.b[stage ^ 1], k0 + int64_t(step + 1) * bk);
        }
        ptx::cp_async_commit();
        ptx::cp_async_wait<1>();
        __syncthreads();
#pragma unroll 2 // wholly, operands of later steps are loaded ahead, for which registers lack
        for (int k = 0; k < bk; k++) {
            T x[tm], y[tn];
#pragma unroll
            for (int h = 0; h < tm / width; h++) {
                const V v = simt::load(reinterpret_cast<const V*>(
                    shared.a[stage] + Shared::TileA::offset(h * spread_m + ty, k)));
#pragma unroll
                for (int i = 0; i < width; i++)
                    x[h * width + i] = v.at[i];
            }
#pragma unroll
            for (int h = 0; h < tn / width; h++) {
                const V v = simt::load(reinterpret_cast<const V*>(
                    shared.b[stage] + Shared::TileB::offset(h * spread_n + tx, k)));
#pragma unroll
                for (int i = 0; i < width; i++)
                    y[h * width + i] = v.at[i];
            }
#pragma unroll
            for (int i = 0; i < tm; i++)
#pragma unroll
                for (int j = 0; j < tn; j++)
                    c[i][j] += x[i] * y[j];
        }
        __syncthreads(); // before the stage is filled again
    }
#pragma unroll
    for (int i = 0; i < tm; i++) {
        const int64_t m = m0 + i / width * spread_m + ty + i % width;
#pragma unroll
        for (int h = 0; h < tn / width; h++) {
            T sum[width];
#pragma unroll
            for (int j = 0; j < width; j++)
                sum[j] = c[i][h * width + j];
            out.write(e, m, n0 + h * spread_n + tx, batch, sum);
        }
    }
}

template <class Shape, class AccessA, class AccessB, class A, class B, class Out>
cudaError_t launch_fma(const A& a, const B& b, const Out& out, const Extent& e, int splits,
                       int batch, cudaStream_t stream) {
    return simt::launch(
        fma_kernel<Shape, AccessA, AccessB, A, B, Out>,
        dim3(unsigned(e.tiles_m) * unsigned(e.tiles_n), unsigned(splits), unsigned(batch)),
        dim3(Shape::threads), sizeof(FmaShared<Shape>), stream, a, b, out, e);
}

} // namespace fastnn::cuda
