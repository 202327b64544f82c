// Attention, forward, on Hopper's tensor cores: FlashAttention-2's online
// softmax over tiles that TMA brings and wgmma multiplies. For 16-bit types,
// head sizes up to 128, no masks but the causal one, no dropout.
//
// Three warpgroups a block: one thread of the first copies tiles of 128 keys
// and their values, in turn, into one ring of stages; the other two have 64
// queries each. Their scores are the accumulators of q k', which, rounded, are
// the A operand of p v, in registers. While one of them is at the softmax, the
// other's products keep the tensor cores busy.
//
// Limits, as in forward.cu: 4 T S D FLOPs; at 4096 a clock and multiprocessor a
// score costs D / 1024 clocks, its exponential (16 a clock) a sixteenth: of the
// same size for D = 64, where the softmax is the limit, half of it for D = 128.
// A tile of 128 keys and values is 512 D bytes for 65536 D FLOPs, 128 FLOPs a
// byte, or 32 bytes a clock from the L2. Never run on hardware: executed under
// the emulator only.
#include <algorithm>

#include "attention/attention.h"

#include "attention/scores.cuh"
#include "core/ring.cuh"
#include "core/tensor_map.h"

namespace fastnn::cuda {

using namespace attention_detail;

// Tiles of 128 rows, each in panels of 64 elements: lines of 128 bytes.
template <class T, int head_size>
struct WgmmaAttention {
    using Element = T;
    static constexpr int D = head_size, rows = 128, panels = D / 64, panel = rows * 64;
    static constexpr int stages = D == 64 ? 8 : 5, threads = 3 * 128;
};

template <class Shape>
struct WgmmaAttentionShared {
    using T = typename Shape::Element;
    alignas(1024) T q[Shape::panels * Shape::panel];
    alignas(1024) T tiles[Shape::stages][Shape::panels * Shape::panel]; // of keys, of values, ...
    uint64_t q_full, full[Shape::stages], empty[Shape::stages];
};

__device__ __forceinline__ void scores_product(float (&s)[64], uint64_t q, uint64_t k, bool more,
                                               Type<float16>) {
    ptx::wgmma_m64n128k16_f16<false, false>(s, q, k, more);
}
__device__ __forceinline__ void scores_product(float (&s)[64], uint64_t q, uint64_t k, bool more,
                                               Type<bfloat16>) {
    ptx::wgmma_m64n128k16_bf16<false, false>(s, q, k, more);
}
__device__ __forceinline__ void values_product(float (&o)[32], const uint32_t (&p)[4], uint64_t v,
                                               Type<float16>) {
    ptx::wgmma_m64n64k16_f16<true>(o, p, v, true);
}
__device__ __forceinline__ void values_product(float (&o)[32], const uint32_t (&p)[4], uint64_t v,
                                               Type<bfloat16>) {
    ptx::wgmma_m64n64k16_bf16<true>(o, p, v, true);
}
__device__ __forceinline__ void values_product(float (&o)[64], const uint32_t (&p)[4], uint64_t v,
                                               Type<float16>) {
    ptx::wgmma_m64n128k16_f16<true>(o, p, v, true);
}
__device__ __forceinline__ void values_product(float (&o)[64], const uint32_t (&p)[4], uint64_t v,
                                               Type<bfloat16>) {
    ptx::wgmma_m64n128k16_bf16<true>(o, p, v, true);
}

template <class T>
__device__ __forceinline__ uint32_t pack_pair(float x, float y) {
    const T pair[2] = {T(x), T(y)};
    uint32_t bits;
    memcpy(&bits, pair, 4);
    return bits;
}

template <class Shape>
__global__ void __launch_bounds__(Shape::threads, 1)
    attention_wgmma_kernel(const __grid_constant__ CUtensorMap map_q,
                           const __grid_constant__ CUtensorMap map_k,
                           const __grid_constant__ CUtensorMap map_v,
                           const __grid_constant__ Attention a,
                           typename Shape::Element* __restrict__ y, float* __restrict__ top,
                           float* __restrict__ total) {
#if SIMT_SM90A
    using T = typename Shape::Element;
    constexpr int D = Shape::D, rows = Shape::rows, panels = Shape::panels, panel = Shape::panel;
    constexpr int stages = Shape::stages;
    constexpr unsigned tile_bytes = panels * panel * sizeof(T);
    auto& shared = simt::smem<WgmmaAttentionShared<Shape>>();
    const int blocks = (a.queries + rows - 1) / rows;
    const int head = int(blockIdx.x) / blocks, b = head / int(a.heads), h = head % int(a.heads);
    // where causal the last queries have the most work: first
    const int q0 = (blocks - 1 - int(blockIdx.x) % blocks) * rows;
    const int seen = a.causal ? min(a.keys, q0 + rows) : a.keys;
    if (threadIdx.x == 0) {
        ptx::mbarrier_init(&shared.q_full, 1);
        init_ring(&shared, shared.full, shared.empty);
    }
    __syncthreads();

    const int group = int(threadIdx.x) / 128;
    Ring<stages> ring;
    if (group == 0) {
        ptx::setmaxnreg_dec<40>();
        if (threadIdx.x != 0)
            return;
        const int kv_head = h / int(a.heads / a.kv_heads);
        const auto load = [&](T* tile, const CUtensorMap& map, int first, int of_head,
                              uint64_t* full) {
            ptx::mbarrier_arrive_expect_tx(full, tile_bytes);
#pragma unroll
            for (int i = 0; i < panels; i++)
                ptx::tensor_load_4d(tile + i * panel, &map, i * 64, first, of_head, b, full);
        };
        load(shared.q, map_q, q0, h, &shared.q_full);
        for (int k0 = 0; k0 < seen; k0 += rows)
            for (int i = 0; i < 2; i++, ring.advance()) {
                const int s = ring.stage;
                ptx::mbarrier_wait(&shared.empty[s], ring.parity ^ 1);
                load(shared.tiles[s], i ? map_v : map_k, k0, kv_head, &shared.full[s]);
            }
        return;
    }
    ptx::setmaxnreg_inc<232>();
    const int lane = int(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
    const int row0 = int(threadIdx.x) / 32 * 16 - 64; // of this warp
    const uint64_t queries = ptx::matrix_descriptor(shared.q + (group - 1) * 64 * 64, 16, 1024);
    // along the values' size a panel lies behind the other
    const uint64_t all = ptx::matrix_descriptor(shared.tiles[0], panel * sizeof(T), 1024);
    const float to_log2 = a.scale * log2_e;
    const auto exponential = [to_log2](float score, float high) {
        return ptx::ex2(fmaf(score, to_log2, -(high * to_log2)));
    };
    // The next tile of the ring once it is there; and it is free again.
    const auto next_tile = [&] {
        ptx::mbarrier_wait(&shared.full[ring.stage], ring.parity);
        return all + unsigned(ring.stage) * (tile_bytes / 16);
    };
    const auto release = [&] {
        if (lane == 0)
            ptx::mbarrier_arrive(&shared.empty[ring.stage]);
        ring.advance();
    };

    const Scores<T> rule{a, b, h};
    float o[D / 2] = {}, highest[2] = {-INFINITY, -INFINITY}, sum[2] = {};
    ptx::mbarrier_wait(&shared.q_full, 0);
    for (int k0 = 0; k0 < seen; k0 += rows) {
        float s[64];
        const uint64_t keys = next_tile();
        ptx::wgmma_fence();
#pragma unroll
        for (int i = 0; i < D / 16; i++) { // 16 elements are a quarter of a line
            const int at = (i / 4 * panel * int(sizeof(T)) + i % 4 * 32) / 16;
            scores_product(s, queries + at, keys + at, i > 0, Type<T>{});
        }
        ptx::wgmma_commit();
        ptx::wgmma_wait<0>();
        release();

        if (k0 + rows > a.keys || (a.causal && k0 + rows - 1 > q0 + row0))
            rule.hide(reinterpret_cast<float (&)[1][16][4]>(s),
                      Place<false>{q0 + row0 + g, k0 + t * 2});
        uint32_t p[8][4];
#pragma unroll
        for (int r = 0; r < 2; r++) { // the two rows of a thread
            float high = highest[r];
#pragma unroll
            for (int j = 0; j < 16; j++)
                high = fmaxf(high, fmaxf(s[j * 4 + r * 2], s[j * 4 + r * 2 + 1]));
            high = fmaxf(high, __shfl_xor_sync(~0u, high, 1));
            high = fmaxf(high, __shfl_xor_sync(~0u, high, 2));
            const float finite = high == -INFINITY ? 0.f : high;
            const float shrink = exponential(highest[r], finite);
            highest[r] = high;
            float added = 0;
#pragma unroll
            for (int j = 0; j < 16; j++) {
                const float x = exponential(s[j * 4 + r * 2], finite);
                const float z = exponential(s[j * 4 + r * 2 + 1], finite);
                added += x;
                added += z;
                p[j / 2][j % 2 * 2 + r] = pack_pair<T>(x, z);
            }
            sum[r] = sum[r] * shrink + added;
#pragma unroll
            for (int d = 0; d < D / 8; d++)
                o[d * 4 + r * 2] *= shrink, o[d * 4 + r * 2 + 1] *= shrink;
        }

        const uint64_t values = next_tile();
        ptx::wgmma_fence();
#pragma unroll
        for (int j = 0; j < 8; j++) // 16 keys are 16 lines
            values_product(o, p[j], values + j * (16 * 128 / 16), Type<T>{});
        ptx::wgmma_commit();
        ptx::wgmma_wait<0>();
        release();
    }

    // by way of the warp's own rows of the queries' tile, swizzled likewise, for
    // whole sectors
    const auto place = [&](int row, int column) {
        return shared.q + column / 64 * panel + (row0 + row) * 64 +
               (column % 64 / 8 ^ row % 8) * 8 + column % 8;
    };
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float z = sum[r];
        z += __shfl_xor_sync(~0u, z, 1);
        z += __shfl_xor_sync(~0u, z, 2);
        const float factor = z == 0 ? 0.f : 1.f / z;
        const int query = q0 + row0 + r * 8 + g;
        if (query < a.queries && t == 0) {
            top[rule.row(query)] = highest[r] == -INFINITY ? -INFINITY : highest[r] * a.scale;
            total[rule.row(query)] = z;
        }
#pragma unroll
        for (int d = 0; d < D / 8; d++)
            simt::store(reinterpret_cast<uint32_t*>(place(r * 8 + g, d * 8 + t * 2)),
                        pack_pair<T>(o[d * 4 + r * 2] * factor, o[d * 4 + r * 2 + 1] * factor));
    }
    __syncwarp();
    T* out = y + rule.row(q0 + row0) * a.value_size;
    for (int i = lane; i < 16 * D / 8; i += 32) {
        const int row = i % (64 * 2) / 8, column = i / (64 * 2) * 64 + i % 8 * 8;
        if (q0 + row0 + row < a.queries && column < a.value_size) // of whole vectors
            simt::store(reinterpret_cast<uint4*>(out + row * a.value_size + column),
                        simt::load(reinterpret_cast<const uint4*>(place(row, column))));
    }
#else
    __trap(); // only launched where the code is of sm_90a
#endif
}

namespace {

// (size, rows, heads, batch): false where TMA cannot take its strides.
bool tma_rows(TensorBox& box, DType dtype, const AttentionOperand& x, int64_t size, int64_t rows,
              int64_t heads, int64_t batch) {
    const int64_t sizes[] = {rows, heads, batch};
    const int64_t strides[] = {x.row_stride, x.head_stride, x.batch_stride};
    box = {dtype, x.data, 4, {size, rows, heads, batch}, {}, {64, 128, 1, 1}};
    for (int i = 0; i < 3; i++) {
        box.strides[i] = sizes[i] == 1 ? (size + 7) / 8 * 8 : strides[i];
        if (box.strides[i] <= 0)
            return false;
    }
    return x.aligned;
}

template <class T, int D>
cudaError_t launch(const Attention& a, void* y, float* top, float* total, cudaStream_t stream) {
    using Shape = WgmmaAttention<T, D>;
    TensorBox box;
    CUtensorMap q, k, v;
    if (!tma_rows(box, a.dtype, a.query, a.size, a.queries, a.heads, a.batch))
        return cudaErrorNotSupported;
    cudaError_t error = make_tensor_map(q, box);
    if (error == cudaSuccess)
        error = tma_rows(box, a.dtype, a.key, a.size, a.keys, a.kv_heads, a.batch)
                    ? make_tensor_map(k, box)
                    : cudaErrorNotSupported;
    if (error == cudaSuccess)
        error = tma_rows(box, a.dtype, a.value, a.value_size, a.keys, a.kv_heads, a.batch)
                    ? make_tensor_map(v, box)
                    : cudaErrorNotSupported;
    const int64_t blocks = a.batch * a.heads * ((a.queries + Shape::rows - 1) / Shape::rows);
    if (error != cudaSuccess || blocks > INT32_MAX)
        return error != cudaSuccess ? error : cudaErrorInvalidValue;
    return simt::launch(attention_wgmma_kernel<Shape>, dim3(unsigned(blocks)), dim3(Shape::threads),
                        sizeof(WgmmaAttentionShared<Shape>), stream, q, k, v, a, static_cast<T*>(y),
                        top, total);
}

} // namespace

cudaError_t attention_detail::attention_sm90(const Attention& a, void* y, float* top, float* total,
                                             cudaStream_t stream) {
    const int size = std::max(a.size, a.value_size);
    if (a.dtype == DType::float32 || scaled_first(a) || a.threshold != 0 || size > 128 ||
        a.keys == 0 || a.queries <= 64 || !has_sm90a())
        return cudaErrorNotSupported;
    if (a.dtype == DType::float16)
        return size <= 64 ? launch<float16, 64>(a, y, top, total, stream)
                          : launch<float16, 128>(a, y, top, total, stream);
    return size <= 64 ? launch<bfloat16, 64>(a, y, top, total, stream)
                      : launch<bfloat16, 128>(a, y, top, total, stream);
}

} // namespace fastnn::cuda
