// Attention, backward: the probabilities are worked out again, tile by tile, from each row's
// maximum and sum (T. Dao, "FlashAttention-2", 2023), by kernels of one shape.
//
// With S = q k' * scale + mask, P = exp(S - top) / total, gP = g v', and delta = sum(g * y) of a
// row: gS = P * (gP - delta), gq = gS k * scale, gk = gS' q * scale, gv = P' g.
//
// A block owns rows of one operand and goes over tiles of the other, 16 * MT rows a warp.
// Role::query owns queries (q and g), and takes k and v. The other roles own keys (k and v), take
// q and g of every head that shares them, and S' and gP' are products of the same form with the
// operands exchanged. So in all of them the accumulators of S and gP become, rounded, the A operand
// of the sums, and no sum is shared among blocks: no atomics, the same bits in every run. A single
// kernel, of five products in place of 3 + 4, would have to add gq over the blocks of keys, through
// memory: S / BM times T D float32 numbers.
//
// The streamed tiles have two buffers each: while one is used the next is copied, one barrier a
// tile (float32 at D = 256: one buffer, two barriers). Where registers hold no more,
// - D = 256: two warps share rows, each with half of the columns of the sums; both work out S, gP;
// - float32 from D = 128 on: gk and gv are two launches, of which each works out S.
//
// Limits. 6 T S D FLOPs for gq, 8 T S D for gk and gv (half of it where causal; for float32 of 128
// columns 10, for 256 columns 10 and 12, float32 16), against (7 T + 6 S) D elements from and to
// memory: bound by arithmetic from some 300 keys on (bfloat16, A100: 156 FLOPs a byte; H100: 295,
// of which mma.sync reaches some 60 %).
// - L2: a streamed row (of two operands), 4 D bytes, is worth 6 D BM FLOPs, for gk and gv 8 D BM:
//   with BM = 128 192 FLOPs a byte, where an A100 asks for some 70 and an H100 for 110.
// - Shared memory: with MT = 2 a fragment of a streamed tile (512 bytes, 4 clocks) feeds 4 mma,
//   8 clocks of an A100's tensor cores; with MT = 1 two, as long as the banks are busy.
// - A score takes one ex2, of 16 a clock and SM, and some 6 other instructions: a sixteenth of a
//   clock, where its products take 6 D / 2048, three sixteenths at D = 64.
// - Dropout: a Philox block (about 60 instructions) for four weights, or for each where the number
//   of keys is no multiple of 4, in every launch.
// - Masks are read in the order of the fragments, 4 or 8 neighbouring elements a row; the rest of a
//   sector is for the tiles that follow, out of L1.
// float32 runs as three TF32 products.
//
// Never run on hardware: executed under the emulator only.
#include "attention/attention.h"
#include "attention/scores.cuh"
#include "attention/tile.cuh"

namespace fastnn::cuda {

using namespace attention_detail;

namespace {

// What a launch gives: gq; gk; gv; or gk and gv.
enum class Role { query, key, value, key_and_value };

template <class T, int D, Role role>
struct BackwardTiles {
    static constexpr bool half = sizeof(T) == 2;
    static constexpr bool keys = role != Role::query;  // owns keys
    static constexpr bool first = role != Role::value; // a sum of gS: gq or gk
    static constexpr bool second = role == Role::value || role == Role::key_and_value; // gv
    static constexpr int MT = half && D == 64 && !keys ? 2 : 1; // what the registers allow
    static constexpr int column_groups = D == 256 ? 2 : 1;
    static constexpr int row_groups = D == 256 ? (half ? 4 : 2) : half && D == 128 ? 8 : 4;
    static constexpr int BM = row_groups * MT * 16;
    // of a streamed tile
    static constexpr int bytes = D == 64 && half && !keys ? 4096 : D == 256 && !half ? 16384 : 8192;
    static constexpr int BN = bytes / (D * int(sizeof(T)));
    static constexpr int stages = !half && D == 256 ? 1 : 2;
    static constexpr int columns = D / column_groups;
    static constexpr int threads = row_groups * column_groups * 32;
};

// Of a row of scores, as the backward pass wants it.
struct alignas(16) RowStatistics {
    float high;    // the maximum; in units of log2 for 16-bit operands
    float inverse; // of the sum; 0 where no key is seen
    float delta;   // sum of g * y
    float unused;
};

template <class T, int D, Role role>
struct BackwardShared {
    using C = BackwardTiles<T, D, role>;
    Tile<T, C::BM, D> own1;                // q or k
    Tile<T, C::first ? C::BM : 8, D> own2; // g or v, for gP
    Tile<T, C::BN, D> streamed1[C::stages], streamed2[C::stages];
    RowStatistics rows[C::stages][C::keys ? C::BN : 1];
};

// `lanes` threads a row.
template <class T>
__global__ void __launch_bounds__(256)
    row_statistics(const __grid_constant__ Attention a,
                   const __grid_constant__ AttentionGradients d, int lanes) {
    constexpr int width = Vector<T>::width;
    const int of_block = 256 / lanes, blocks = (a.queries + of_block - 1) / of_block;
    const int head = int(blockIdx.x) / blocks, b = head / int(a.heads), h = head % int(a.heads);
    const int t = int(blockIdx.x) % blocks * of_block + int(threadIdx.x) / lanes;
    const bool in = t < a.queries;
    const T* g = matrix<T>(d.g, b, h) + (in ? t : 0) * d.g.row_stride;
    const T* y = matrix<T>(d.y, b, h) + (in ? t : 0) * d.y.row_stride;
    float delta = 0;
    for (int c = int(threadIdx.x) % lanes * width; c < a.value_size; c += lanes * width) {
        const auto x = Vector<T>::load(g + c, in ? a.value_size - c : 0);
        const auto z = Vector<T>::load(y + c, in ? a.value_size - c : 0);
#pragma unroll
        for (int i = 0; i < width; i++)
            delta = fmaf(float(x.at[i]), float(z.at[i]), delta);
    }
    for (int offset = lanes / 2; offset; offset /= 2)
        delta += __shfl_xor_sync(~0u, delta, offset);
    if (!in || int(threadIdx.x) % lanes != 0)
        return;
    const int64_t row = int64_t(head) * a.queries + t;
    const float high = d.top[row] == -INFINITY ? 0.f : d.top[row], total = d.total[row];
    simt::store(static_cast<RowStatistics*>(d.workspace) + row,
                RowStatistics{sizeof(T) == 2 ? high * log2_e : high, total == 0 ? 0.f : 1 / total,
                              delta, 0.f});
}

// Where a block is in what it streams: a row of a head.
struct Position {
    int row, head;

    // The next tile; from the end to `first` of the next head.
    __device__ __forceinline__ void advance(int rows, int first, int end) {
        row += rows;
        if (row >= end)
            row = first, head++;
    }
};

template <class T, int D, Role role>
__global__ void __launch_bounds__(BackwardTiles<T, D, role>::threads, 1)
    attention_gradients(const __grid_constant__ Attention a,
                        const __grid_constant__ AttentionGradients d) {
    using C = BackwardTiles<T, D, role>;
    constexpr bool keys = C::keys; // whether the block's rows are keys
    constexpr int BM = C::BM, BN = C::BN, MT = C::MT, NT = BN / 8, DT = C::columns / 8;
    auto& s = simt::smem<BackwardShared<T, D, role>>();
    const auto* statistics = static_cast<const RowStatistics*>(d.workspace);
    const int lane = int(threadIdx.x) % 32, g = lane / 4, t2 = lane % 4 * 2;
    const int warp = int(threadIdx.x) / 32;
    const int row0 = warp / C::column_groups * MT * 16;
    const int col0 = warp % C::column_groups * C::columns;

    // where causal the last queries, and the first keys, have the most work: first
    const int rows = keys ? a.keys : a.queries, blocks = (rows + BM - 1) / BM;
    const int heads = int(keys ? a.kv_heads : a.heads), group = int(a.heads / a.kv_heads);
    const int of_head = int(blockIdx.x) % blocks, head = int(blockIdx.x) / blocks;
    const int own0 = (keys ? of_head : blocks - 1 - of_head) * BM;
    const int b = head / heads, h = head % heads;
    const AttentionOperand& own1 = keys ? a.key : a.query;
    const AttentionOperand& own2 = keys ? a.value : d.g;
    const AttentionOperand& streamed1 = keys ? a.query : a.key;
    const AttentionOperand& streamed2 = keys ? d.g : a.value;
    const int first = keys && a.causal ? own0 / BN * BN : 0;
    const int end = keys ? a.queries : a.causal && own0 + BM < a.keys ? own0 + BM : a.keys;
    const int end_head = keys ? (h + 1) * group : h / group + 1;
    const Position start{first, first < end ? (keys ? h * group : h / group) : end_head};

    const auto load = [&](int stage, Position at) {
        if (at.head == end_head)
            return;
        load_tile<C::threads>(s.streamed1[stage], matrix<T>(streamed1, b, at.head),
                              streamed1.row_stride, at.row, keys ? a.queries : a.keys, a.size,
                              streamed1.aligned);
        load_tile<C::threads>(s.streamed2[stage], matrix<T>(streamed2, b, at.head),
                              streamed2.row_stride, at.row, keys ? a.queries : a.keys, a.value_size,
                              streamed2.aligned);
        if (keys && int(threadIdx.x) < BN) {
            const int query = at.row + int(threadIdx.x);
            const bool in = query < a.queries;
            ptx::cp_async<16>(&s.rows[stage][threadIdx.x],
                              statistics + Scores<T>{a, b, at.head}.row(in ? query : 0), in);
        }
    };
    load_tile<C::threads>(s.own1, matrix<T>(own1, b, h), own1.row_stride, own0, rows, a.size,
                          own1.aligned);
    if constexpr (C::first)
        load_tile<C::threads>(s.own2, matrix<T>(own2, b, h), own2.row_stride, own0, rows,
                              a.value_size, own2.aligned);
    load(0, start);
    ptx::cp_async_commit();

    RowStatistics own_row[MT][2] = {};
    if constexpr (!keys) {
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const int query = own0 + row0 + m * 16 + i * 8 + g;
                if (query < rows)
                    own_row[m][i] = simt::load(statistics + Scores<T>{a, b, h}.row(query));
            }
    }
    const bool scaled = scaled_first(a);
    const float factor = (scaled ? 1.f : a.scale) * (sizeof(T) == 2 ? log2_e : 1.f);
    // for float32 the difference is of scores rounded as the maximum was: 1 for the largest
    const auto exponential = [factor](float score, float high) {
        return sizeof(T) == 2 ? ptx::ex2(fmaf(score, factor, -high))
                              : ptx::ex2((__fmul_rn(score, factor) - high) * log2_e);
    };
    const int steps = steps_of<T>(a.size), value_steps = steps_of<T>(a.value_size);

    float sum1[C::first ? MT : 1][C::first ? DT : 1][4] = {};   // gS times q or k
    float sum2[C::second ? MT : 1][C::second ? DT : 1][4] = {}; // P' g
    int stage = 0;
    for (Position at = start; at.head != end_head;) {
        ptx::cp_async_wait<0>();
        __syncthreads(); // the tiles are there, and every warp has done with those before
        if (C::stages == 2) {
            Position next = at;
            next.advance(BN, first, end);
            load(stage ^ 1, next);
            ptx::cp_async_commit();
        }

        float p[MT][NT][4] = {}, gp[MT][NT][4] = {};
        multiply_rows(p, s.own1, row0, s.streamed1[stage], steps);
        if constexpr (C::first)
            multiply_rows(gp, s.own2, row0, s.streamed2[stage], value_steps);

        const Scores<T> rule{a, b, keys ? at.head : h};
        const Place<keys> place{own0 + row0 + g, at.row + t2};
        if (scaled)
            rule.mask(p, place);
        const bool hidden =
            keys ? a.causal && at.row < own0 + row0 + MT * 16 - 1
                 : at.row + BN > a.keys || (a.causal && at.row + BN - 1 > own0 + row0);
        if (hidden)
            rule.hide(p, place);
        uint32_t kept[MT] = {};
        if (a.threshold) {
            rule.template kept<NT>(kept, place);
            for_each<MT, NT>([&](int m, int j, int i) {
                gp[m][j][i] = kept[m] >> (j * 4 + i) & 1 ? gp[m][j][i] * a.keep_scale : 0.f;
            });
        }
#pragma unroll
        for (int j = 0; j < NT; j++) {
            RowStatistics of[2];
            if constexpr (keys)
                of[0] = simt::load(&s.rows[stage][j * 8 + t2]),
                of[1] = simt::load(&s.rows[stage][j * 8 + t2 + 1]);
            for_each<MT, 1>([&](int m, int, int i) {
                const RowStatistics& row = keys ? of[i % 2] : own_row[m][i / 2];
                p[m][j][i] = exponential(p[m][j][i], row.high) * row.inverse;
                gp[m][j][i] = p[m][j][i] * (gp[m][j][i] - row.delta);
            });
        }
        if constexpr (C::second) {
            if (a.threshold)
                for_each<MT, NT>([&](int m, int j, int i) {
                    p[m][j][i] = kept[m] >> (j * 4 + i) & 1 ? p[m][j][i] : 0.f;
                });
            multiply_scores(sum2, p, s.streamed2[stage], col0);
        }
        if (!keys && d.mask != nullptr && col0 == 0) {
            T* const matrix_of_head = static_cast<T*>(d.mask) + rule.row(0) * a.keys;
            for_each<MT, NT>([&](int m, int j, int i) {
                const int query = place.query(m, j, i), key = place.key(m, j, i);
                if (query < a.queries && key < a.keys)
                    matrix_of_head[int64_t(query) * a.keys + key] = T(gp[m][j][i]);
            });
        }
        if constexpr (C::first)
            multiply_scores(sum1, gp, s.streamed1[stage], col0);

        at.advance(BN, first, end);
        if (C::stages == 2) {
            stage ^= 1;
        } else {
            __syncthreads(); // every warp has done with the tiles
            load(0, at);
            ptx::cp_async_commit();
        }
    }

    ptx::cp_async_wait<0>();
    __syncthreads();
    // by way of the warp's own part of the block's tiles, for whole sectors
    const auto finish = [&](auto& tile, const auto& sum, float times, void* to, int size) {
        float factors[MT][2];
#pragma unroll
        for (int m = 0; m < MT; m++)
            factors[m][0] = factors[m][1] = times;
        store_accumulators(tile, row0, col0, sum, factors);
        __syncwarp();
        store_rows<MT * 16, C::columns>(tile, row0, col0,
                                        static_cast<T*>(to) + int64_t(head) * rows * size,
                                        own0 + row0, rows, size);
    };
    if constexpr (C::first)
        finish(s.own1, sum1, a.scale, keys ? d.key : d.query, a.size);
    if constexpr (C::first && C::second)
        finish(s.own2, sum2, a.keep_scale, d.value, a.value_size);
    else if constexpr (C::second)
        finish(s.own1, sum2, a.keep_scale, d.value, a.value_size);
}

template <class T>
cudaError_t launch_statistics(const Attention& a, const AttentionGradients& d,
                              cudaStream_t stream) {
    int lanes = 1; // of 16 bytes
    while (lanes < 32 && lanes * Vector<T>::width < a.value_size)
        lanes *= 2;
    const int64_t blocks = a.batch * a.heads * ((int64_t(a.queries) * lanes + 255) / 256);
    if (blocks > INT32_MAX)
        return cudaErrorInvalidValue;
    return simt::launch(row_statistics<T>, dim3(unsigned(blocks)), dim3(256), 0, stream, a, d,
                        lanes);
}

template <class T, int D, Role role>
cudaError_t launch_gradients(const Attention& a, const AttentionGradients& d, cudaStream_t stream) {
    using C = BackwardTiles<T, D, role>;
    static_assert(sizeof(BackwardShared<T, D, role>) <= 99 * 1024, "what every GPU has");
    const int64_t rows = C::keys ? a.keys : a.queries;
    const int64_t blocks =
        a.batch * (C::keys ? a.kv_heads : a.heads) * ((rows + C::BM - 1) / C::BM);
    if (blocks == 0)
        return cudaSuccess;
    if (blocks > INT32_MAX)
        return cudaErrorInvalidValue;
    return simt::launch(attention_gradients<T, D, role>, dim3(unsigned(blocks)), dim3(C::threads),
                        sizeof(BackwardShared<T, D, role>), stream, a, d);
}

} // namespace

size_t attention_workspace(const Attention& a) {
    return size_t(a.batch * a.heads * a.queries) * sizeof(RowStatistics);
}

cudaError_t attention_backward(const Attention& given, const AttentionGradients& gradients,
                               cudaStream_t stream) {
    if (given.batch == 0 || given.heads == 0)
        return cudaSuccess;
    if (!valid(given))
        return cudaErrorInvalidValue;
    const Attention a = with_alignment(given);
    AttentionGradients d = gradients;
    d.g.aligned = aligned_rows(d.g, a.batch, a.heads, a.value_size, size_of(a.dtype));
    return dispatch_attention(a, [&](auto type, auto size) {
        using T = typename decltype(type)::type;
        constexpr int D = decltype(size)::value;
        cudaError_t error = cudaSuccess;
        if (a.queries > 0)
            error = launch_statistics<T>(a, d, stream);
        if (error == cudaSuccess)
            error = launch_gradients<T, D, Role::query>(a, d, stream);
        if constexpr (sizeof(T) == 4 && D > 64) {
            if (error == cudaSuccess)
                error = launch_gradients<T, D, Role::key>(a, d, stream);
            if (error == cudaSuccess)
                error = launch_gradients<T, D, Role::value>(a, d, stream);
        } else if (error == cudaSuccess) {
            error = launch_gradients<T, D, Role::key_and_value>(a, d, stream);
        }
        return error;
    });
}

} // namespace fastnn::cuda
