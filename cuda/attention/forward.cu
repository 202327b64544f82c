// Attention, forward: FlashAttention-2 (T. Dao, 2023) over tiles of queries and keys, with the
// online softmax.
//
// A block owns BM queries of one head, 16 * MT a warp, and goes over the keys BN at a time. The
// scores stay in registers: the accumulators of q k' become, rounded, the A operand of p v. The
// copy of V runs under q k', that of the next K under the softmax and p v, so that one buffer each
// is enough.
//
// Limits. 4 T S D FLOPs (half of it where causal) against (2 T + 2 S) D elements: bound by
// arithmetic from some 300 keys on (bfloat16, A100: 312 TFLOP/s / 2.0 TB/s = 156 FLOPs a byte;
// H100: 989 / 3.35 = 295, of which mma.sync reaches some 60 %).
// - Tensor cores: 2048 FLOPs a clock and SM on an A100; a score costs 4 D, an eighth of a clock for
//   D = 64.
// - exp: 16 a clock and SM, a sixteenth of a clock for a score; with the maximum, the scaling, the
//   sum and the rounding some 6 more instructions at 64 to 128 a clock. For D = 32 that side is the
//   limit, for D = 128 the tensor cores.
// - Shared memory: with MT = 2 a fragment of K or V (512 bytes, 4 clocks) feeds 4 mma, 8 clocks:
//   half of what the banks can give. Tiles of K and V are read by T / BM blocks, from L2.
// - Heads are padded to 64, 128 or 256 columns; q k' skips steps of zeros, p v does not.
// float32 runs as three TF32 products: 156 / 3 = 52 TFLOP/s at best on an A100, where FMA has 19.5.
// At D = 256 two warps share rows there, each with half of the columns of y, and both work out the
// scores (6 T S D FLOPs): registers hold no more.
// Dropout regenerates its mask: a Philox block (about 60 instructions) for four weights, or for
// each where the number of keys is no multiple of 4; that then is the limit.
//
// Never run on hardware: executed under the emulator only.
#include "attention/attention.h"

#include "attention/scores.cuh"
#include "attention/tile.cuh"

namespace fastnn::cuda {

using namespace attention_detail;

namespace {

template <class T, int D>
struct ForwardTiles {
    static constexpr bool half = sizeof(T) == 2;
    static constexpr int MT = half && D == 64 ? 2 : 1; // what the registers allow
    // float32 of 256 columns: two warps share rows, each with half of the columns of y
    static constexpr int column_groups = !half && D == 256 ? 2 : 1;
    static constexpr int row_groups = half ? 8 / MT : 4;
    static constexpr int BM = row_groups * MT * 16;
    static constexpr int BN = half ? (D == 256 ? 32 : 64) : (D == 256 ? 16 : D == 128 ? 32 : 64);
    static constexpr int columns = D / column_groups;
    static constexpr int threads = row_groups * column_groups * 32;
};

template <class T, int D>
struct ForwardShared {
    using C = ForwardTiles<T, D>;
    Tile<T, C::BM, D> q;
    Tile<T, C::BN, D> k, v;
};

template <class T, int D>
__global__ void __launch_bounds__(ForwardTiles<T, D>::threads, 1)
    attention_kernel(const __grid_constant__ Attention a, T* __restrict__ y,
                     float* __restrict__ top, float* __restrict__ total) {
    using C = ForwardTiles<T, D>;
    constexpr int BM = C::BM, BN = C::BN, MT = C::MT, NT = BN / 8, DT = C::columns / 8;
    auto& s = simt::smem<ForwardShared<T, D>>();
    const int lane = int(threadIdx.x) % 32, g = lane / 4, t2 = lane % 4 * 2;
    const int warp = int(threadIdx.x) / 32;
    const int row0 = warp / C::column_groups * MT * 16;
    const int col0 = warp % C::column_groups * C::columns;

    const int blocks = (a.queries + BM - 1) / BM;
    const int head = int(blockIdx.x) / blocks, b = head / int(a.heads), h = head % int(a.heads);
    // where causal the last queries have the most work: first
    const int q0 = (blocks - 1 - int(blockIdx.x) % blocks) * BM;
    const int kv_head = h / int(a.heads / a.kv_heads);
    const T* keys = matrix<T>(a.key, b, kv_head);
    const T* values = matrix<T>(a.value, b, kv_head);
    const Scores<T> rule{a, b, h};

    const int seen = a.causal && q0 + BM < a.keys ? q0 + BM : a.keys;
    const int steps = steps_of<T>(a.size);
    const auto load_k = [&](int first) {
        load_tile<C::threads>(s.k, keys, a.key.row_stride, first, a.keys, a.size, a.key.aligned);
        ptx::cp_async_commit();
    };
    load_tile<C::threads>(s.q, matrix<T>(a.query, b, h), a.query.row_stride, q0, a.queries, a.size,
                          a.query.aligned);
    load_k(0);

    float acc[MT][DT][4] = {};
    float highest[MT][2], sum[MT][2];
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int i = 0; i < 2; i++)
            highest[m][i] = -INFINITY, sum[m][i] = 0;
    const bool scaled = scaled_first(a);
    const float to_log2 = scaled ? log2_e : a.scale * log2_e;
    // exp of a score less the highest: one fma for 16 bits; for float32 no product of the highest
    // may be rounded
    const auto exponential = [to_log2](float score, float high) {
        return sizeof(T) == 2 ? ptx::ex2(fmaf(score, to_log2, -(high * to_log2)))
                              : ptx::ex2((score - high) * to_log2);
    };

    for (int k0 = 0; k0 < seen; k0 += BN) {
        ptx::cp_async_wait<0>();
        __syncthreads(); // K is there, and every warp has done with V
        load_tile<C::threads>(s.v, values, a.value.row_stride, k0, a.keys, a.value_size,
                              a.value.aligned);
        ptx::cp_async_commit();

        float p[MT][NT][4] = {};
        multiply_rows(p, s.q, row0, s.k, steps);

        ptx::cp_async_wait<0>();
        __syncthreads(); // V is there, and every warp has done with K
        if (k0 + BN < seen)
            load_k(k0 + BN);

        const Place<false> at{q0 + row0 + g, k0 + t2};
        if (scaled)
            rule.mask(p, at);
        if (k0 + BN > a.keys || (a.causal && k0 + BN - 1 > q0 + row0))
            rule.hide(p, at);
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
            for (int i = 0; i < 2; i++) { // the two rows of a thread
                float high = highest[m][i];
#pragma unroll
                for (int j = 0; j < NT; j++)
                    high = fmaxf(high, fmaxf(p[m][j][i * 2], p[m][j][i * 2 + 1]));
                high = fmaxf(high, __shfl_xor_sync(~0u, high, 1));
                high = fmaxf(high, __shfl_xor_sync(~0u, high, 2));
                const float finite = high == -INFINITY ? 0.f : high;
                const float shrink = exponential(highest[m][i], finite);
                highest[m][i] = high;
                float added = 0;
#pragma unroll
                for (int j = 0; j < NT; j++)
#pragma unroll
                    for (int c = i * 2; c < i * 2 + 2; c++)
                        added += p[m][j][c] = exponential(p[m][j][c], finite);
                sum[m][i] = sum[m][i] * shrink + added;
#pragma unroll
                for (int d = 0; d < DT; d++)
                    acc[m][d][i * 2] *= shrink, acc[m][d][i * 2 + 1] *= shrink;
            }
        if (a.threshold) {
            uint32_t kept[MT] = {};
            rule.template kept<NT>(kept, at);
            for_each<MT, NT>([&](int m, int j, int i) {
                p[m][j][i] = kept[m] >> (j * 4 + i) & 1 ? p[m][j][i] : 0.f;
            });
        }
        multiply_scores(acc, p, s.v, col0);
    }

    ptx::cp_async_wait<0>();
    __syncthreads();
    float factor[MT][2];
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int i = 0; i < 2; i++) {
            float z = sum[m][i];
            z += __shfl_xor_sync(~0u, z, 1);
            z += __shfl_xor_sync(~0u, z, 2);
            factor[m][i] = z == 0 ? 0.f : a.keep_scale / z;
            const int query = q0 + row0 + m * 16 + i * 8 + g;
            if (query < a.queries && t2 == 0 && col0 == 0) {
                const float high = highest[m][i];
                top[rule.row(query)] = scaled || high == -INFINITY ? high : high * a.scale;
                total[rule.row(query)] = z;
            }
        }
    // by way of the warp's own part of the queries' tile, for whole sectors
    store_accumulators(s.q, row0, col0, acc, factor);
    __syncwarp();
    store_rows<MT * 16, C::columns>(s.q, row0, col0, y + rule.row(0) * a.value_size, q0 + row0,
                                    a.queries, a.value_size);
}

template <class T, int D>
cudaError_t launch_attention(const Attention& a, void* y, float* top, float* total,
                             cudaStream_t stream) {
    using C = ForwardTiles<T, D>;
    const int64_t blocks = a.batch * a.heads * ((a.queries + C::BM - 1) / C::BM);
    if (blocks > INT32_MAX)
        return cudaErrorInvalidValue;
    return simt::launch(attention_kernel<T, D>, dim3(unsigned(blocks)), dim3(C::threads),
                        sizeof(ForwardShared<T, D>), stream, a, static_cast<T*>(y), top, total);
}

} // namespace

void Attention::drop(double p, uint64_t with_seed, uint64_t from_offset) {
    threshold = dropout_threshold(p);
    keep_scale = p < 1 ? float(1 / (1 - p)) : 0.f;
    seed = with_seed;
    offset = from_offset;
}

cudaError_t attention(const Attention& given, void* y, float* top, float* total,
                      cudaStream_t stream) {
    if (given.batch == 0 || given.heads == 0 || given.queries == 0)
        return cudaSuccess;
    if (!valid(given))
        return cudaErrorInvalidValue;
    const Attention a = with_alignment(given);
    const cudaError_t error = attention_sm90(a, y, top, total, stream);
    if (error != cudaErrorNotSupported)
        return error;
    return dispatch_attention(a, [&](auto type, auto size) {
        using T = typename decltype(type)::type;
        return launch_attention<T, decltype(size)::value>(a, y, top, total, stream);
    });
}

} // namespace fastnn::cuda
