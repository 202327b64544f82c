// Tiles of attention's operands in shared memory, and the tensor-core fragments taken from them.
//
// A row of a tile is cut into chunks of 16 bytes; a k-step of one mma is two chunks in every type:
// m16n8k16 for float16 and bfloat16, m16n8k8 for float32. Chunk c of row r lies at c ^ (r mod 8),
// so that the eight rows which one phase of ldmatrix reads fall on different banks.
//
// float32 products are three TF32 products of operands split into x = big + small, each of 11 bits:
// what is left out, small * small and the last bits of small, is some 2^-22 of the product.
#pragma once

#include "core/device.cuh"
#include "core/dispatch.cuh"
#include "core/vector.cuh"

namespace fastnn::cuda::attention_detail {

template <class T, int Rows, int D>
struct alignas(128) Tile {
    static constexpr int per_chunk = 16 / int(sizeof(T));
    static constexpr int chunks = D / per_chunk;
    T data[Rows * D];

    __device__ __forceinline__ T* chunk(int r, int c) {
        // rows of 64 bytes: two of them fill the banks
        const int swizzled = chunks >= 8 ? c ^ (r & 7) : c ^ (r / 2 & 3);
        return data + r * D + swizzled * per_chunk;
    }
};

// Rows first .. first + Rows - 1 of a matrix (rows, size) to a tile, zeros where there are none.
// Asynchronous where `aligned`.
template <int Threads, class T, int Rows, int D>
__device__ __forceinline__ void load_tile(Tile<T, Rows, D>& tile, const T* matrix,
                                          int64_t row_stride, int first, int rows, int size,
                                          bool aligned) {
    using Tile = Tile<T, Rows, D>;
    constexpr int total = Rows * Tile::chunks;
    const int tid = int(threadIdx.x);
    if (aligned) {
#pragma unroll
        for (int i = 0; i < (total + Threads - 1) / Threads; i++) {
            const int e = tid + i * Threads;
            const int r = e / Tile::chunks, c = e % Tile::chunks;
            if (total % Threads && e >= total)
                break;
            const bool in = first + r < rows && c * Tile::per_chunk < size;
            const int64_t at = in ? int64_t(first + r) * row_stride + c * Tile::per_chunk : 0;
            ptx::cp_async<16>(tile.chunk(r, c), matrix + at, in);
        }
    } else {
        for (int e = tid; e < total; e += Threads) {
            const int r = e / Tile::chunks, c = e % Tile::chunks;
            const bool in = first + r < rows;
            const auto v = Vector<T>::load(
                matrix + (in ? int64_t(first + r) * row_stride + c * Tile::per_chunk : 0),
                in ? size - c * Tile::per_chunk : 0);
            simt::store(reinterpret_cast<Vector<T>*>(tile.chunk(r, c)), v);
        }
    }
}

// Rows row0 .. row0 + Rows - 1 of a tile, of these the columns col0 .. col0 + Columns - 1, to a
// dense matrix (rows, size) from its row `first` on, by one warp.
template <int Rows, int Columns, class T, int R, int D>
__device__ __forceinline__ void store_rows(Tile<T, R, D>& tile, int row0, int col0, T* matrix,
                                           int first, int rows, int size) {
    constexpr int per_chunk = Tile<T, R, D>::per_chunk, chunks = Columns / per_chunk;
    for (int e = int(threadIdx.x) % 32; e < Rows * chunks; e += 32) {
        const int r = e / chunks, column = col0 + e % chunks * per_chunk;
        if (first + r >= rows || column >= size)
            continue;
        const auto v = simt::load(
            reinterpret_cast<const Vector<T>*>(tile.chunk(row0 + r, column / per_chunk)));
        v.store(matrix + int64_t(first + r) * size + column, size - column);
    }
}

__device__ __forceinline__ uint32_t pack(float x, float y, float16) {
    const __half2 h = __floats2half2_rn(x, y);
    uint32_t u;
    memcpy(&u, &h, 4);
    return u;
}
__device__ __forceinline__ uint32_t pack(float x, float y, bfloat16) {
    const __nv_bfloat162 h = __floats2bfloat162_rn(x, y);
    uint32_t u;
    memcpy(&u, &h, 4);
    return u;
}

// What a k-step takes of A (16 rows) and of B (16 columns), for elements of type T.
template <class T>
struct Fragments {
    static constexpr int tiles_per_step =
        2; // tiles of 8 columns of scores that make a k-step of 16
    struct A {
        uint32_t r[4];
    };
    using B = uint32_t[2][2];
    static constexpr bool promotes = false;

    static __device__ __forceinline__ void finish(A&) {}

    // The A operand made of accumulators: 16 columns of scores.
    static __device__ __forceinline__ A from_scores(const float (&even)[4], const float (&odd)[4]) {
        return {{pack(even[0], even[1], T{}), pack(even[2], even[3], T{}),
                 pack(odd[0], odd[1], T{}), pack(odd[2], odd[3], T{})}};
    }
    static __device__ __forceinline__ void multiply(float (&d)[2][4], const A& a, const B& b) {
#pragma unroll
        for (int n = 0; n < 2; n++)
            if constexpr (std::is_same_v<T, float16>)
                ptx::mma_m16n8k16_f16(d[n], a.r, b[n]);
            else
                ptx::mma_m16n8k16_bf16(d[n], a.r, b[n]);
    }
};

template <>
struct Fragments<float> {
    static constexpr int tiles_per_step = 1;
    struct A {
        uint32_t r[4], small[4];
    };
    using B = uint32_t[2][2];
    static constexpr bool promotes = true;

    // big: x to 11 bits, ties away from zero, by two instructions, where cvt.rna.tf32 becomes four.
    // small: the rest, of which tensor cores take 11 bits. Where big made a zero of a NaN, small is
    // NaN.
    static __device__ __forceinline__ void split(uint32_t& big, uint32_t& small) {
        const float x = __uint_as_float(big);
        big = (big + 0x1000u) & 0xffffe000u;
        small = __float_as_uint(x - __uint_as_float(big));
    }
    static __device__ __forceinline__ void finish(A& a) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            split(a.r[i], a.small[i]);
    }
    // Thread t of four holds columns 2t and 2t + 1 where A wants t and t + 4: a permutation of k,
    // which load_b_trans follows.
    static __device__ __forceinline__ A from_scores(const float (&s)[4], const float (&)[4]) {
        A a{{__float_as_uint(s[0]), __float_as_uint(s[2]), __float_as_uint(s[1]),
             __float_as_uint(s[3])},
            {}};
        finish(a);
        return a;
    }
    static __device__ __forceinline__ void multiply(float (&d)[2][4], const A& a, const B& b) {
        uint32_t big[2][2], small[2][2];
#pragma unroll
        for (int n = 0; n < 2; n++)
#pragma unroll
            for (int i = 0; i < 2; i++)
                big[n][i] = b[n][i], split(big[n][i], small[n][i]);
#pragma unroll
        for (int n = 0; n < 2; n++)
            ptx::mma_m16n8k8_tf32(d[n], a.small, big[n]);
#pragma unroll
        for (int n = 0; n < 2; n++)
            ptx::mma_m16n8k8_tf32(d[n], a.r, small[n]);
#pragma unroll
        for (int n = 0; n < 2; n++)
            ptx::mma_m16n8k8_tf32(d[n], a.r, big[n]);
    }
};

// A: rows row0 .. row0 + 15 of a tile, k-step `step` of its columns.
template <class T, int R, int D>
__device__ __forceinline__ typename Fragments<T>::A load_a(Tile<T, R, D>& tile, int row0,
                                                           int step) {
    const int lane = int(threadIdx.x) % 32;
    typename Fragments<T>::A a;
    ptx::ldmatrix_x4(a.r, tile.chunk(row0 + lane % 16, step * 2 + lane / 16));
    Fragments<T>::finish(a);
    return a;
}

// B of a product with the tile transposed: its rows n0 .. n0 + 15 are the columns of B, its columns
// are k.
template <class T, int R, int D>
__device__ __forceinline__ void load_b(uint32_t (&b)[2][2], Tile<T, R, D>& tile, int n0, int step) {
    const int lane = int(threadIdx.x) % 32;
    uint32_t r[4];
    ptx::ldmatrix_x4(r, tile.chunk(n0 + lane % 8 + lane / 16 * 8, step * 2 + lane / 8 % 2));
    b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
}

// B of a product with the tile as it is: its rows k0 .. are k, its columns n0 .. n0 + 15 the
// columns of B.
template <class T, int R, int D>
__device__ __forceinline__ void load_b_trans(uint32_t (&b)[2][2], Tile<T, R, D>& tile, int k0,
                                             int n0) {
    const int lane = int(threadIdx.x) % 32;
    if constexpr (sizeof(T) == 2) {
        uint32_t r[4];
        ptx::ldmatrix_x4_trans(r, tile.chunk(k0 + lane % 16, n0 / 8 + lane / 16));
        b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
    } else { // ldmatrix transposes 16-bit elements only: the rows 2t and 2t + 1, of even chunks
             // apart, meet no bank twice
        const int g = lane / 4, t = lane % 4;
#pragma unroll
        for (int j = 0; j < 2; j++)
#pragma unroll
            for (int i = 0; i < 2; i++)
                b[j][i] =
                    __float_as_uint(*(tile.chunk(k0 + 2 * t + i, n0 / 4 + j * 2 + g / 4) + g % 4));
    }
}

// The k-steps of rows of `size` elements, an even number.
template <class T>
__device__ __forceinline__ int steps_of(int size) {
    constexpr int per_pair = 64 / int(sizeof(T));
    return (size + per_pair - 1) / per_pair * 2;
}

// acc += the sum over `steps` k-steps of fragments a[step] and load(b, step): 16 * MT rows, 16
// columns. Tensor cores round their sums towards zero: where float32 is wanted, few of them are
// added up there, and the rest outside, to nearest.
template <class T, int MT, int steps, int NT, class Load>
__device__ __forceinline__ void multiply_add(float (&acc)[MT][NT][4], int column_tile,
                                             const typename Fragments<T>::A (&a)[steps][MT],
                                             Load&& load) {
    float sum[MT][2][4];
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < 2; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                sum[m][n][i] = Fragments<T>::promotes ? 0.f : acc[m][column_tile + n][i];
#pragma unroll
    for (int k = 0; k < steps; k++) {
        typename Fragments<T>::B b;
        load(b, k);
#pragma unroll
        for (int m = 0; m < MT; m++)
            Fragments<T>::multiply(sum[m], a[k][m], b);
    }
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < 2; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                float& x = acc[m][column_tile + n][i];
                x = Fragments<T>::promotes ? x + sum[m][n][i] : sum[m][n][i];
            }
}

// acc (16 * MT rows, 8 * NT columns) += rows of `a` times rows of `b`: both tiles with k along
// their rows, of which `steps` k-steps are not zeros.
template <int MT, int NT, class T, int RA, int RB, int D>
__device__ __forceinline__ void multiply_rows(float (&acc)[MT][NT][4], Tile<T, RA, D>& a, int row0,
                                              Tile<T, RB, D>& b, int steps) {
#pragma unroll 1
    for (int first = 0; first < steps; first += 2) {
        typename Fragments<T>::A fa[2][MT];
#pragma unroll
        for (int k = 0; k < 2; k++)
#pragma unroll
            for (int m = 0; m < MT; m++)
                fa[k][m] = load_a(a, row0 + m * 16, first + k);
#pragma unroll
        for (int j = 0; j < NT; j += 2)
            multiply_add<T>(acc, j, fa, [&](typename Fragments<T>::B& fb, int k) {
                load_b(fb, b, j * 8, first + k);
            });
    }
}

// acc (16 * MT rows, 8 * DT columns) += scores (16 * MT rows, 8 * NT columns), rounded to T, times
// the columns from col0 on of the tile.
template <int MT, int NT, int DT, class T, int R, int D>
__device__ __forceinline__ void multiply_scores(float (&acc)[MT][DT][4],
                                                const float (&scores)[MT][NT][4],
                                                Tile<T, R, D>& tile, int col0) {
    constexpr int per_step = Fragments<T>::tiles_per_step, steps = NT / per_step;
    typename Fragments<T>::A fa[steps][MT];
#pragma unroll
    for (int k = 0; k < steps; k++)
#pragma unroll
        for (int m = 0; m < MT; m++)
            fa[k][m] = Fragments<T>::from_scores(scores[m][k * per_step],
                                                 scores[m][(k + 1) * per_step - 1]);
#pragma unroll
    for (int d = 0; d < DT; d += 2)
        multiply_add<T>(acc, d, fa, [&](typename Fragments<T>::B& fb, int k) {
            load_b_trans(fb, tile, k * per_step * 8, col0 + d * 8);
        });
}

// Accumulators (16 * MT rows, 8 * DT columns) times a factor for each row, rounded, to a tile from
// row0 and col0 on.
template <int MT, int DT, class T, int R, int D>
__device__ __forceinline__ void store_accumulators(Tile<T, R, D>& tile, int row0, int col0,
                                                   const float (&acc)[MT][DT][4],
                                                   const float (&factor)[MT][2]) {
    const int lane = int(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
    // float32: half a warp, four rows, stores at once. With chunks swizzled by the row, two of
    // these rows would meet the banks of the other two, so that odd rows take other columns first.
    constexpr int turned = sizeof(T) == 4 && DT % 4 == 0 ? 2 : 0;
    const bool turns = turned != 0 && (threadIdx.x & 4) != 0; // g is odd
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int h = 0; h < 2; h++)
#pragma unroll
            for (int d = 0; d < DT; d++) {
                const int r = row0 + m * 16 + h * 8 + g;
                const int column = col0 + (turns ? d ^ turned : d) * 8 + t * 2;
                constexpr int per_chunk = Tile<T, R, D>::per_chunk;
                T* const at = tile.chunk(r, column / per_chunk) + column % per_chunk;
                const float (&own)[4] = acc[m][d], (&other)[4] = acc[m][d ^ turned];
                const float x = (turns ? other[h * 2] : own[h * 2]) * factor[m][h];
                const float y = (turns ? other[h * 2 + 1] : own[h * 2 + 1]) * factor[m][h];
                if constexpr (sizeof(T) == 2)
                    simt::store(reinterpret_cast<uint32_t*>(at), pack(x, y, T{}));
                else
                    simt::store(reinterpret_cast<float2*>(at), make_float2(x, y));
            }
}

} // namespace fastnn::cuda::attention_detail
