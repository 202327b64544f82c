// Matrix products on tensor cores: mma.sync fed by ldmatrix from tiles that cp.async fills several
// stages ahead.
//
// A warp's tile is 64 x 32 or 32 x 32. A tile's rows along the summed index are 64 bytes: 32
// elements of 16 bits, 16 of float32. One step takes 32 of these bytes: one m16n8k16, or m16n8k8 in
// TF32; the fragments are the same 32-bit registers in both.
#pragma once

#include "gemm/output.cuh"
#include "gemm/shared_tile.cuh"

namespace fastnn::cuda {

template <int MI, int NJ>
struct Fragments {
    uint32_t a[MI][4];
    uint32_t b[NJ][2];
};

struct MathF16 {
    using Element = float16;
    static constexpr bool promotes = false;
    template <int MI, int NJ>
    static __device__ __forceinline__ void multiply(float (&c)[MI][NJ][4], Fragments<MI, NJ>& f) {
#pragma unroll
        for (int i = 0; i < MI; i++)
#pragma unroll
            for (int j = 0; j < NJ; j++)
                ptx::mma_m16n8k16_f16(c[i][j], f.a[i], f.b[j]);
    }
};

struct MathBf16 {
    using Element = bfloat16;
    static constexpr bool promotes = false;
    template <int MI, int NJ>
    static __device__ __forceinline__ void multiply(float (&c)[MI][NJ][4], Fragments<MI, NJ>& f) {
#pragma unroll
        for (int i = 0; i < MI; i++)
#pragma unroll
            for (int j = 0; j < NJ; j++)
                ptx::mma_m16n8k16_bf16(c[i][j], f.a[i], f.b[j]);
    }
};

// float32 rounded to 11 significant bits.
struct MathTf32 {
    using Element = float;
    static constexpr bool promotes = false;
    template <int MI, int NJ>
    static __device__ __forceinline__ void multiply(float (&c)[MI][NJ][4], Fragments<MI, NJ>& f) {
#pragma unroll
        for (int i = 0; i < MI; i++)
#pragma unroll
            for (int r = 0; r < 4; r++)
                f.a[i][r] = ptx::cvt_tf32(__uint_as_float(f.a[i][r]));
#pragma unroll
        for (int j = 0; j < NJ; j++)
#pragma unroll
            for (int r = 0; r < 2; r++)
                f.b[j][r] = ptx::cvt_tf32(__uint_as_float(f.b[j][r]));
#pragma unroll
        for (int i = 0; i < MI; i++)
#pragma unroll
            for (int j = 0; j < NJ; j++)
                ptx::mma_m16n8k8_tf32(c[i][j], f.a[i], f.b[j]);
    }
};

// float32 as the sum of two TF32 numbers, 22 bits together: a b = a_high b_high + a_high b_low +
// a_low b_high, the last term of 2^-22 left out. Tensor cores round their sums towards zero, so
// that these are added up outside of them, to nearest, once a tile.
struct MathTf32x3 {
    using Element = float;
    static constexpr bool promotes = true;
    static __device__ __forceinline__ void split(uint32_t x, uint32_t& high, uint32_t& low) {
        const float value = __uint_as_float(x);
        high = ptx::cvt_tf32(value);
        const float rest = value - __uint_as_float(high);
        low = ptx::cvt_tf32(rest); // of an infinity NaN: no product of it passes for finite
    }
    template <int MI, int NJ>
    static __device__ __forceinline__ void multiply(float (&c)[MI][NJ][4], Fragments<MI, NJ>& f) {
        uint32_t b_low[NJ][2];
#pragma unroll
        for (int j = 0; j < NJ; j++)
#pragma unroll
            for (int r = 0; r < 2; r++)
                split(f.b[j][r], f.b[j][r], b_low[j][r]);
#pragma unroll
        for (int i = 0; i < MI; i++) {
            uint32_t high[4], low[4];
#pragma unroll
            for (int r = 0; r < 4; r++)
                split(f.a[i][r], high[r], low[r]);
#pragma unroll
            for (int j = 0; j < NJ; j++)
                ptx::mma_m16n8k8_tf32(c[i][j], low, f.b[j]);
#pragma unroll
            for (int j = 0; j < NJ; j++)
                ptx::mma_m16n8k8_tf32(c[i][j], high, b_low[j]);
#pragma unroll
            for (int j = 0; j < NJ; j++)
                ptx::mma_m16n8k8_tf32(c[i][j], high, f.b[j]);
        }
    }
};

// A block's tile and its warps.
template <class M, int block_m, int block_n, int warp_m, int warp_n, int stage_count>
struct MmaShape {
    using Math = M;
    using T = typename M::Element;
    static constexpr int bm = block_m, bn = block_n, wm = warp_m, wn = warp_n;
    static constexpr int bk = 64 / int(sizeof(T)), stages = stage_count;
    static constexpr int threads = bm / wm * (bn / wn) * 32;
    // two blocks on a multiprocessor, except where the accumulators are kept twice
    static constexpr int blocks = M::promotes && wm == 64 ? 1 : 2;
};
template <class Math>
using LargeMma = MmaShape<Math, 128, 128, 64, 32, 4>;
template <class Math>
using SmallMma = MmaShape<Math, 64, 64, 32, 32, 4>;

template <class T, Major major, int outers, int inners>
struct MmaTileOf {
    using type = InnerTile<T, outers, inners>;
};
template <class T, int outers, int inners>
struct MmaTileOf<T, Major::outer, outers, inners> {
    using type = OuterTile<T, outers, inners>;
};
template <int outers, int inners>
struct MmaTileOf<float, Major::outer, outers, inners> {
    // ldmatrix.trans moves halves of float32: these fragments are read by single loads, lane (g, t)
    // at row t, column g
    using type = PaddedTile<float, outers, inners, 8>;
};

template <class Shape, class AccessA, class AccessB>
struct MmaShared {
    using T = typename Shape::T;
    using TileA = typename MmaTileOf<T, AccessA::major, Shape::bm, Shape::bk>::type;
    using TileB = typename MmaTileOf<T, AccessB::major, Shape::bn, Shape::bk>::type;
    alignas(128) T a[Shape::stages][TileA::size];
    alignas(128) T b[Shape::stages][TileB::size];
};

// The fragment of 16 rows of A from row m on: step `kk` of the tile.
template <class Tile, class T>
__device__ __forceinline__ void load_a(uint32_t (&a)[4], const T* tile, int m, int kk) {
    constexpr int chunk = 16 / int(sizeof(T));
    const int lane = int(threadIdx.x) % 32;
    if constexpr (Tile::major == Major::inner) {
        ptx::ldmatrix_x4(a, tile + Tile::offset(m + lane % 16, (kk * 2 + lane / 16) * chunk));
    } else if constexpr (sizeof(T) == 2) {
        ptx::ldmatrix_x4_trans(
            a, tile + Tile::offset(m + lane / 8 % 2 * 8, kk * 16 + lane / 16 * 8 + lane % 8));
    } else {
        const int g = lane / 4, t = lane % 4;
#pragma unroll
        for (int r = 0; r < 4; r++)
            a[r] = __float_as_uint(tile[Tile::offset(m + r % 2 * 8 + g, kk * 8 + r / 2 * 4 + t)]);
    }
}

// The fragments of 16 columns of B from column n on.
template <class Tile, class T>
__device__ __forceinline__ void load_b(uint32_t (&b0)[2], uint32_t (&b1)[2], const T* tile, int n,
                                       int kk) {
    constexpr int chunk = 16 / int(sizeof(T));
    const int lane = int(threadIdx.x) % 32;
    uint32_t r[4];
    if constexpr (Tile::major == Major::inner) {
        ptx::ldmatrix_x4(
            r, tile + Tile::offset(n + lane / 16 * 8 + lane % 8, (kk * 2 + lane / 8 % 2) * chunk));
    } else if constexpr (sizeof(T) == 2) {
        ptx::ldmatrix_x4_trans(r, tile + Tile::offset(n + lane / 16 * 8, kk * 16 + lane % 16));
    } else {
        const int g = lane / 4, t = lane % 4;
#pragma unroll
        for (int i = 0; i < 4; i++)
            r[i] = __float_as_uint(tile[Tile::offset(n + i / 2 * 8 + g, kk * 8 + i % 2 * 4 + t)]);
    }
    b0[0] = r[0], b0[1] = r[1], b1[0] = r[2], b1[1] = r[3];
}

// From four registers of each of four lanes, register s of lane t to register t of lane s.
__device__ __forceinline__ void transpose_quad(uint32_t (&v)[4]) {
    const int t = int(threadIdx.x) % 4;
#pragma unroll
    for (int bit = 1; bit < 4; bit *= 2)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (i & bit)
                continue;
            const uint32_t sent = t & bit ? v[i] : v[i + bit];
            const uint32_t got = __shfl_xor_sync(~0u, sent, bit);
            (t & bit ? v[i] : v[i + bit]) = got;
        }
}

__device__ __forceinline__ uint32_t pack(float16 x, float16 y) {
    uint16_t low, high;
    memcpy(&low, &x, 2);
    memcpy(&high, &y, 2);
    return low | uint32_t(high) << 16;
}
__device__ __forceinline__ uint32_t pack(bfloat16 x, bfloat16 y) {
    uint16_t low, high;
    memcpy(&low, &x, 2);
    memcpy(&high, &y, 2);
    return low | uint32_t(high) << 16;
}

template <class T>
__device__ __forceinline__ void unpack(uint32_t pair, T (&to)[2]) {
    static_assert(sizeof(T) == 2);
    memcpy(to, &pair, 4);
}

// A lane has two neighbouring columns of each 8 x 8 block. Dense rows of 16-bit elements are
// written, and read where the product is added to them, 16 bytes at a time: the four lanes of a row
// exchange theirs for 64 bytes of it together, whole sectors.
template <class T, int MI, int NJ, class Out>
__device__ __forceinline__ void write_fragments(const float (&c)[MI][NJ][4], const Out& out,
                                                const Extent& e, int64_t m0, int64_t n0,
                                                int batch) {
    const int lane = int(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int i = 0; i < MI; i++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const int64_t m = m0 + i * 16 + h * 8 + g;
            if constexpr (sizeof(T) == 2) {
                static_assert(NJ % 4 == 0);
                if (out.partial == nullptr && out.vectors) {
                    const bool in = m < e.m;
                    T* row = out.rows.row(in ? m : 0, batch);
#pragma unroll
                    for (int q = 0; q < NJ / 4; q++) {
                        const int64_t stored = n0 + q * 32 + t * 8;
                        const bool writes = in && stored < e.n;
                        auto* place =
                            reinterpret_cast<uint4*>(row + (writes ? out.rows.column(stored) : 0));
                        uint32_t v[4] = {};
                        if (out.accumulate) {
                            if (writes) {
                                const uint4 before = simt::load(place);
                                v[0] = before.x, v[1] = before.y, v[2] = before.z, v[3] = before.w;
                            }
                            transpose_quad(v);
                        }
#pragma unroll
                        for (int j = 0; j < 4; j++) {
                            const int64_t n = n0 + q * 32 + j * 8 + t * 2;
                            const float* sum = c[i][q * 4 + j] + h * 2;
                            if (in && n < e.n) {
                                float added[2];
                                out.load_bias(added, m, n, batch);
                                T before[2];
                                unpack(v[j], before);
                                v[j] = pack(T(out.finish(sum[0], added[0], before[0])),
                                            T(out.finish(sum[1], added[1], before[1])));
                            }
                        }
                        transpose_quad(v);
                        if (writes)
                            simt::store(place, make_uint4(v[0], v[1], v[2], v[3]));
                    }
                    continue;
                }
            }
#pragma unroll
            for (int j = 0; j < NJ; j++) {
                const float sum[2] = {c[i][j][h * 2], c[i][j][h * 2 + 1]};
                out.write(e, m, n0 + j * 8 + t * 2, batch, sum);
            }
        }
}

// Element by element, addresses and waiting elements take the registers of a second block.
template <class Shape, class AccessA, class AccessB, class A, class B, class Out>
__global__ void __launch_bounds__(Shape::threads,
                                  AccessA::vectors&& AccessB::vectors ? Shape::blocks : 1)
    mma_kernel(A a, B b, Out out, Extent e) {
    using Math = typename Shape::Math;
    using T = typename Shape::T;
    using Shared = MmaShared<Shape, AccessA, AccessB>;
    constexpr int MI = Shape::wm / 16, NJ = Shape::wn / 8, stages = Shape::stages, bk = Shape::bk;
    Shared& shared = simt::smem<Shared>();
    const TileIndex tile = tile_index(e);
    const int64_t m0 = tile.m * Shape::bm, n0 = tile.n * Shape::bn;
    const int batch = int(blockIdx.z);
    const int64_t k0 = blockIdx.y * e.k_per_split;
    const int steps = int((min(e.k - k0, e.k_per_split) + bk - 1) / bk);
    const int warp = int(threadIdx.x) / 32;
    const int wm = warp / (Shape::bn / Shape::wn) * Shape::wm;
    const int wn = warp % (Shape::bn / Shape::wn) * Shape::wn;

    TileLoader<A, typename Shared::TileA, AccessA::major, AccessA::vectors, Shape::threads>
        loader_a(a, m0, batch);
    TileLoader<B, typename Shared::TileB, AccessB::major, AccessB::vectors, Shape::threads>
        loader_b(b, n0, batch);
#pragma unroll
    for (int s = 0; s < stages - 1; s++) {
        if (s < steps) {
            loader_a.start(shared.a[s], k0 + s * bk);
            loader_b.start(shared.b[s], k0 + s * bk);
            loader_a.finish(shared.a[s]);
            loader_b.finish(shared.b[s]);
        }
        ptx::cp_async_commit();
    }

    float c[MI][NJ][4] = {};
    for (int step = 0; step < steps; step++) {
        ptx::cp_async_wait<stages - 2>();
        // the stage is filled, and every warp is done with the one before it, which is filled next
        __syncthreads();
        const int ahead = step + stages - 1, filled = ahead % stages, stage = step % stages;
        if (ahead < steps) {
            loader_a.start(shared.a[filled], k0 + int64_t(ahead) * bk);
            loader_b.start(shared.b[filled], k0 + int64_t(ahead) * bk);
        }
        ptx::cp_async_commit();
        const auto multiply = [&](float (&sum)[MI][NJ][4]) {
#pragma unroll
            for (int kk = 0; kk < 2; kk++) {
                Fragments<MI, NJ> f;
#pragma unroll
                for (int i = 0; i < MI; i++)
                    load_a<typename Shared::TileA>(f.a[i], shared.a[stage], wm + i * 16, kk);
#pragma unroll
                for (int j = 0; j < NJ; j += 2)
                    load_b<typename Shared::TileB>(f.b[j], f.b[j + 1], shared.b[stage], wn + j * 8,
                                                   kk);
                Math::multiply(sum, f);
            }
        };
        if constexpr (Math::promotes) {
            float part[MI][NJ][4] = {};
            multiply(part);
#pragma unroll
            for (int i = 0; i < MI; i++)
#pragma unroll
                for (int j = 0; j < NJ; j++)
#pragma unroll
                    for (int r = 0; r < 4; r++)
                        c[i][j][r] += part[i][j][r];
        } else {
            multiply(c);
        }
        if (ahead < steps) {
            loader_a.finish(shared.a[filled]);
            loader_b.finish(shared.b[filled]);
        }
    }
    write_fragments<T>(c, out, e, m0 + wm, n0 + wn, batch);
}

template <class Shape, class AccessA, class AccessB, class A, class B, class Out>
cudaError_t launch_mma(const A& a, const B& b, const Out& out, const Extent& e, int splits,
                       int batch, cudaStream_t stream) {
    return simt::launch(
        mma_kernel<Shape, AccessA, AccessB, A, B, Out>,
        dim3(unsigned(e.tiles_m) * unsigned(e.tiles_n), unsigned(splits), unsigned(batch)),
        dim3(Shape::threads), sizeof(MmaShared<Shape, AccessA, AccessB>), stream, a, b, out, e);
}

} // namespace fastnn::cuda
