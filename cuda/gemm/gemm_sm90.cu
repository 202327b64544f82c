// Products of float16 and bfloat16 matrices on Hopper's tensor cores: wgmma, fed by TMA.
//
// Three warpgroups a block: one thread of the first copies tiles of 64 along the sum into a ring of
// stages, the other two multiply 64 rows of the block's 128 each. `full` and `empty` barriers of
// every stage pass it between them. A block works on one tile of the result after another, so that
// copies for the next go on while the last is written.
//
// Operands lie in memory along the sum or across it; both are read as they are, since TMA brings
// lines of 128 bytes of either and wgmma reads either. Ragged edges: TMA fills with zeros, stores
// are masked.
//
// 128 x 256 results take 2 * 128 * 256 * 64 FLOPs from 48 KB a step: the 4096 FLOPs a clock of a
// multiprocessor's tensor cores then ask for 48 bytes a clock of the L2 cache, 128 x 128 for 64.
// That is more than the L2 gives all of them at once: it is the limit, and what blocks of a cluster
// that share tiles would halve. Tiles in groups of eight rows keep the traffic within the L2. Never
// run on hardware: executed under the emulator only.
#include "core/ring.cuh"
#include "core/tensor_map.h"
#include "gemm/plan.cuh"

namespace fastnn::cuda {

template <class Element, int block_n, bool t_a, bool t_b>
struct WgmmaShape {
    using T = Element;
    static constexpr int bm = 128, bn = block_n, bk = 64;
    static constexpr int stages = bn == 256 ? 4 : 6, threads = 3 * 128;
    static constexpr bool transposed_a = t_a, transposed_b = t_b; // lines across the sum
};

template <class Shape>
struct WgmmaShared {
    using T = typename Shape::T;
    alignas(1024) T a[Shape::stages][Shape::bm * Shape::bk];
    alignas(1024) T b[Shape::stages][Shape::bn * Shape::bk];
    alignas(16) float sums[8][16 * 64]; // of each warp, on their way to the result
    uint64_t full[Shape::stages], empty[Shape::stages];
};

// One operand's tile: `outers` rows (of A; columns of B) from `outer` on, 64 of the sum from k on.
template <int outers, bool transposed, class T>
__device__ __forceinline__ void load_tile(T* tile, const CUtensorMap& map, int64_t outer, int64_t k,
                                          int batch, uint64_t* full) {
    if constexpr (transposed) {
#pragma unroll
        for (int i = 0; i < outers; i += 64)
            ptx::tensor_load_3d(tile + i * 64, &map, int(outer) + i, int(k), batch, full);
    } else {
        ptx::tensor_load_3d(tile, &map, int(k), int(outer), batch, full);
    }
}

template <class Shape>
__device__ __forceinline__ void multiply(float (&c)[Shape::bn / 2], uint64_t a, uint64_t b,
                                         bool accumulate) {
    constexpr bool ta = Shape::transposed_a, tb = Shape::transposed_b;
    if constexpr (std::is_same_v<typename Shape::T, float16>) {
        if constexpr (Shape::bn == 256)
            ptx::wgmma_m64n256k16_f16<ta, tb>(c, a, b, accumulate);
        else
            ptx::wgmma_m64n128k16_f16<ta, tb>(c, a, b, accumulate);
    } else {
        if constexpr (Shape::bn == 256)
            ptx::wgmma_m64n256k16_bf16<ta, tb>(c, a, b, accumulate);
        else
            ptx::wgmma_m64n128k16_bf16<ta, tb>(c, a, b, accumulate);
    }
}

// A warp's 16 rows of sums, 64 columns at a time through shared memory: a lane has pairs of
// neighbours, and writes eight of a row, so that a row's 128 bytes are written together. Chunks of
// eight columns are permuted by the row, so that pairs and vectors meet every bank once.
template <int n, class Out>
__device__ __forceinline__ void write_sums(const float (&c)[n / 2], float* shared, const Out& out,
                                           const Extent& e, int64_t m0, int64_t n0, int batch) {
    const int lane = int(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int chunk = 0; chunk < n / 64; chunk++) {
        if (n0 + chunk * 64 >= e.n)
            return;
        __syncwarp(); // what was there has been read
#pragma unroll
        for (int j = 0; j < 8; j++)
#pragma unroll
            for (int h = 0; h < 2; h++) {
                const float* sum = c + (chunk * 8 + j) * 4 + h * 2;
                simt::store(
                    reinterpret_cast<float2*>(shared + (g + h * 8) * 64 + (j ^ g % 4) * 8 + t * 2),
                    make_float2(sum[0], sum[1]));
            }
        __syncwarp();
        const int column = lane % 8, high = column / 4; // the half that is read first
#pragma unroll 1
        for (int row = lane / 8; row < 16; row += 4) {
            const float* from = shared + row * 64 + (column ^ row % 4) * 8;
            const float4 x = simt::load(reinterpret_cast<const float4*>(from + high * 4));
            const float4 y = simt::load(reinterpret_cast<const float4*>(from + 4 - high * 4));
            const float4 a = high ? y : x, b = high ? x : y;
            const int64_t m = m0 + row, first = n0 + chunk * 64 + column * 8;
            if (out.partial != nullptr) {
                out.write(e, m, first, batch, {a.x, a.y, a.z, a.w});
                out.write(e, m, first + 4, batch, {b.x, b.y, b.z, b.w});
            } else {
                out.write(e, m, first, batch, {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w});
            }
        }
    }
}

struct BatchSteps { // 0: one matrix for all
    int a, b;
};

template <class Shape, class Out>
__global__ void __launch_bounds__(Shape::threads, 1)
    wgmma_kernel(const __grid_constant__ CUtensorMap map_a,
                 const __grid_constant__ CUtensorMap map_b, BatchSteps batch_steps, Out out,
                 Extent e) {
#if SIMT_SM90A
    using Shared = WgmmaShared<Shape>;
    constexpr int bm = Shape::bm, bn = Shape::bn, bk = Shape::bk, stages = Shape::stages;
    Shared& shared = simt::smem<Shared>();
    const int batch = int(blockIdx.z), tiles = e.tiles_m * e.tiles_n;
    const int64_t k0 = blockIdx.y * e.k_per_split;
    const int steps = int((min(e.k - k0, e.k_per_split) + bk - 1) / bk);
    if (threadIdx.x == 0) {
        init_ring(&shared, shared.full, shared.empty);
        ptx::prefetch_tensor_map(&map_a);
        ptx::prefetch_tensor_map(&map_b);
    }
    __syncthreads();

    const int group = int(threadIdx.x) / 128;
    Ring<stages> ring;
    if (group == 0) {
        ptx::setmaxnreg_dec<40>();
        if (threadIdx.x != 0)
            return;
        for (int t = int(blockIdx.x); t < tiles; t += int(gridDim.x)) {
            const TileIndex tile = tile_index(e, t);
            for (int step = 0; step < steps; step++, ring.advance()) {
                const int s = ring.stage;
                const int64_t k = k0 + int64_t(step) * bk;
                ptx::mbarrier_wait(&shared.empty[s], ring.parity ^ 1);
                ptx::mbarrier_arrive_expect_tx(&shared.full[s],
                                               sizeof shared.a[s] + sizeof shared.b[s]);
                load_tile<bm, Shape::transposed_a>(shared.a[s], map_a, tile.m * bm, k,
                                                   batch * batch_steps.a, &shared.full[s]);
                load_tile<bn, Shape::transposed_b>(shared.b[s], map_b, tile.n * bn, k,
                                                   batch * batch_steps.b, &shared.full[s]);
            }
        }
        return;
    }
    ptx::setmaxnreg_inc<232>();
    // Descriptors count in units of 16 bytes. 16 elements of the sum are a quarter of each line, or
    // 16 lines.
    constexpr int block = 64 * bk * 2, step_a = (Shape::transposed_a ? 16 * 128 : 32) / 16,
                  step_b = (Shape::transposed_b ? 16 * 128 : 32) / 16;
    const uint64_t all_a = ptx::matrix_descriptor(shared.a[0] + (group - 1) * 64 * bk, block, 1024);
    const uint64_t all_b = ptx::matrix_descriptor(shared.b[0], block, 1024);
    const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32 - 4;
    for (int t = int(blockIdx.x); t < tiles; t += int(gridDim.x)) {
        float c[bn / 2];
        int before = 0; // the stage whose products may still be going on
        for (int step = 0; step < steps; step++, ring.advance()) {
            const int s = ring.stage;
            const uint64_t a = all_a + unsigned(s) * (sizeof shared.a[0] / 16);
            const uint64_t b = all_b + unsigned(s) * (sizeof shared.b[0] / 16);
            ptx::mbarrier_wait(&shared.full[s], ring.parity);
            ptx::wgmma_fence();
#pragma unroll
            for (int i = 0; i < bk / 16; i++)
                multiply<Shape>(c, a + i * step_a, b + i * step_b, step > 0 || i > 0);
            ptx::wgmma_commit();
            ptx::wgmma_wait<1>();
            if (step > 0 && lane == 0)
                ptx::mbarrier_arrive(&shared.empty[before]);
            before = s;
        }
        ptx::wgmma_wait<0>();
        if (lane == 0)
            ptx::mbarrier_arrive(&shared.empty[before]);
        const TileIndex tile = tile_index(e, t);
        write_sums<bn>(c, shared.sums[warp], out, e, tile.m * bm + warp * 16, tile.n * bn, batch);
    }
#else
    __trap(); // only launched where the code is of sm_90a
#endif
}

namespace {

// How TMA sees an operand: whether its lines run across the sum, and its tensor.
struct TmaOperand {
    TensorBox box;
    bool transposed;
    int batch_step;
};

template <class T>
bool tma_operand(const Strided<T>& x, DType dtype, int64_t batch, int outers, TmaOperand& operand) {
    constexpr int64_t width = 16 / int64_t(sizeof(T)), limit = int64_t(1) << 31;
    const bool along = x.inner_stride == 1;
    if (!along && x.outer_stride != 1)
        return false;
    const int64_t length = along ? x.inner_size : x.outer_size;
    const int64_t lines = along ? x.outer_size : x.inner_size;
    const int64_t pitch = lines == 1 ? ceil_div(length, width) * width
                          : along    ? x.outer_stride
                                     : x.inner_stride;
    const bool one = batch == 1 || x.batch_stride == 0;
    const int64_t batch_stride = one ? pitch : x.batch_stride;
    operand.transposed = !along;
    operand.batch_step = !one;
    operand.box = {dtype,
                   x.data,
                   3,
                   {length, lines, one ? 1 : batch},
                   {pitch, batch_stride},
                   {64, along ? outers : 64, 1}};
    return length > 0 && lines > 0 && length < limit && lines < limit && pitch > 0 &&
           pitch % width == 0 && batch_stride > 0 && batch_stride % width == 0 &&
           reinterpret_cast<uintptr_t>(x.data) % 16 == 0;
}

template <class T, int bn, bool ta, bool tb>
cudaError_t run_wgmma(const Gemm& p, int splits, const TmaOperand& a, const TmaOperand& b,
                      cudaStream_t stream) {
    using Shape = WgmmaShape<T, bn, ta, tb>;
    CUtensorMap map_a, map_b;
    cudaError_t error = make_tensor_map(map_a, a.box);
    if (error == cudaSuccess)
        error = make_tensor_map(map_b, b.box);
    int device = 0, processors = 0;
    if (error == cudaSuccess)
        error = cudaGetDevice(&device);
    if (error == cudaSuccess)
        error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
    if (error != cudaSuccess)
        return error;
    const Extent e = extent_of(p.m, p.n, p.k, Shape::bm, Shape::bn, Shape::bk, splits);
    const auto out = output_of<T>(p, splits);
    const int64_t side_by_side = std::max<int64_t>(1, processors / (splits * p.batch));
    const auto blocks = unsigned(std::min(int64_t(e.tiles_m) * e.tiles_n, side_by_side));
    error = simt::launch(wgmma_kernel<Shape, GemmOutput<T>>,
                         dim3(blocks, unsigned(splits), unsigned(p.batch)), dim3(Shape::threads),
                         sizeof(WgmmaShared<Shape>), stream, map_a, map_b,
                         BatchSteps{a.batch_step, b.batch_step}, out, e);
    return error != cudaSuccess || splits == 1
               ? error
               : launch_finish(out, e, splits, int(p.batch), stream);
}

template <class T, int bn>
cudaError_t dispatch_wgmma(const Gemm& p, int splits, cudaStream_t stream) {
    TmaOperand a, b;
    if (!tma_operand(operand_a<T>(p), p.dtype, p.batch, 128, a) ||
        !tma_operand(operand_b<T>(p), p.dtype, p.batch, bn, b))
        return cudaErrorNotSupported;
    if (a.transposed)
        return b.transposed ? run_wgmma<T, bn, true, true>(p, splits, a, b, stream)
                            : run_wgmma<T, bn, true, false>(p, splits, a, b, stream);
    return b.transposed ? run_wgmma<T, bn, false, true>(p, splits, a, b, stream)
                        : run_wgmma<T, bn, false, false>(p, splits, a, b, stream);
}

template <class T>
cudaError_t dispatch_sized(const Gemm& p, int splits, cudaStream_t stream) {
    const bool wide =
        p.tile == Tile::large || ceil_div(p.m, 128) * ceil_div(p.n, 256) * p.batch * splits >= 96;
    return wide ? dispatch_wgmma<T, 256>(p, splits, stream)
                : dispatch_wgmma<T, 128>(p, splits, stream);
}

} // namespace

cudaError_t gemm_sm90(const Gemm& p, int splits, cudaStream_t stream) {
    const bool large = p.tile == Tile::large || (p.m >= 128 && p.n >= 128);
    if (p.tile == Tile::small || !large || !has_sm90a())
        return cudaErrorNotSupported;
    return p.dtype == DType::float16 ? dispatch_sized<float16>(p, splits, stream)
                                     : dispatch_sized<bfloat16>(p, splits, stream);
}

} // namespace fastnn::cuda
