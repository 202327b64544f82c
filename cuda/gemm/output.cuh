// From accumulators to the result: bias, activation, and the partial sums of a split product.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/dispatch.cuh"
#include "core/vector.cuh"

namespace fastnn::cuda {

// The part of a product that a grid works out: blockIdx.x counts the tiles, y the splits of k, z
// the batch.
struct Extent {
    int64_t m, n, k;
    int64_t k_per_split; // whole tiles
    int tiles_m, tiles_n;
};

struct TileIndex {
    int64_t m, n;
};

// Tiles in groups of eight rows: blocks that run together share their operands in the L2 cache.
__device__ __forceinline__ TileIndex tile_index(const Extent& e, int id) {
    constexpr int group = 8;
    const int per_group = group * e.tiles_n;
    const int first = id / per_group * group, within = id % per_group;
    const int height = min(e.tiles_m - first, group);
    return {first + within % height, within / height};
}
__device__ __forceinline__ TileIndex tile_index(const Extent& e) {
    return tile_index(e, int(blockIdx.x));
}

// What becomes of a sum. `Rows` says where the result lies: element (m, n) at
//   T* row(int64_t m, int batch) + int64_t column(int64_t n)
// and which element of the bias it gets: feature(m, n), neighbouring ones along the columns or one
// for the row (feature_along_columns).
template <class T, class Rows>
struct Output {
    using Element = T;
    using A = Accumulator<T>;
    Rows rows;
    const T* bias; // by feature, or null
    int64_t bias_batch_stride;
    bool relu;
    bool accumulate; // onto what the result holds
    bool vectors;    // each 16 bytes of columns are dense and aligned, in the bias too
    A* partial;      // of a split product: sums in [split][batch][m][n], finished by finish_splits

    // The bias of `width` columns of a row, from column n on: the whole of an aligned group.
    template <int width>
    __device__ __forceinline__ void load_bias(A (&to)[width], int64_t m, int64_t n,
                                              int batch) const {
        Elements<T, width> all{};
        if (bias != nullptr) {
            const T* place = bias + batch * bias_batch_stride + rows.feature(m, n);
            if constexpr (Rows::feature_along_columns && width > 1) {
                all = simt::load(reinterpret_cast<const Elements<T, width>*>(place));
            } else {
                all.at[0] = *place;
#pragma unroll
                for (int i = 1; i < width; i++)
                    all.at[i] = all.at[0];
            }
        }
#pragma unroll
        for (int i = 0; i < width; i++)
            to[i] = to_accumulator(all.at[i]);
    }
    // A sum with what its element of the bias and of the result before add to it.
    __device__ __forceinline__ A finish(A sum, A added, T before) const {
        if (bias != nullptr)
            sum += added;
        if (accumulate)
            sum += to_accumulator(before);
        return relu && sum < A(0) ? A(0) : sum;
    }
    __device__ __forceinline__ void write_one(A sum, T* place, int64_t m, int64_t n,
                                              int batch) const {
        A added[1];
        load_bias(added, m, n, batch);
        *place = from_accumulator<T>(finish(sum, added[0], accumulate ? *place : T(0.f)));
    }
    __device__ __forceinline__ A* partial_row(const Extent& e, int64_t m, int batch) const {
        const int64_t matrix = int64_t(blockIdx.y) * gridDim.z + batch;
        return partial + (matrix * e.m + m) * e.n;
    }
    // `width` sums of one row, from column n on.
    template <int width>
    __device__ __forceinline__ void write(const Extent& e, int64_t m, int64_t n, int batch,
                                          const A (&sum)[width]) const {
        if (m >= e.m)
            return;
        if (partial != nullptr) {
            A* row = partial_row(e, m, batch);
            if (e.n % width == 0 && n < e.n) {
                Elements<A, width> all;
#pragma unroll
                for (int i = 0; i < width; i++)
                    all.at[i] = sum[i];
                simt::store(reinterpret_cast<Elements<A, width>*>(row + n), all);
                return;
            }
#pragma unroll
            for (int i = 0; i < width; i++)
                if (n + i < e.n)
                    row[n + i] = sum[i];
            return;
        }
        T* row = rows.row(m, batch);
        if (vectors) {
            if (n >= e.n)
                return;
            auto* place = reinterpret_cast<Elements<T, width>*>(row + rows.column(n));
            A added[width];
            load_bias(added, m, n, batch);
            Elements<T, width> all{};
            if (accumulate)
                all = simt::load(place);
#pragma unroll
            for (int i = 0; i < width; i++)
                all.at[i] = from_accumulator<T>(finish(sum[i], added[i], all.at[i]));
            simt::store(place, all);
            return;
        }
#pragma unroll
        for (int i = 0; i < width; i++)
            if (n + i < e.n)
                write_one(sum[i], row + rows.column(n + i), m, n + i, batch);
    }
};

// Dense rows, `stride` elements apart.
template <class T>
struct DenseRows {
    static constexpr bool feature_along_columns = true;
    T* data;
    int64_t stride, batch_stride;
    __device__ __forceinline__ T* row(int64_t m, int batch) const {
        return data + batch * batch_stride + m * stride;
    }
    __device__ __forceinline__ int64_t column(int64_t n) const { return n; }
    __device__ __forceinline__ int64_t feature(int64_t, int64_t n) const { return n; }
};

// The second pass of a split product: the partial sums of each element in the order of the splits,
// so that the result has the same bits in every run.
template <class Out>
__global__ void __launch_bounds__(256) finish_splits(Out out, Extent e, int splits) {
    using A = typename Out::A;
    const int batch = int(blockIdx.z);
    const int64_t matrix = e.m * e.n, step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < matrix; i += step) {
        A sum = 0;
        for (int s = 0; s < splits; s++)
            sum += out.partial[(int64_t(s) * gridDim.z + batch) * matrix + i];
        const int64_t m = i / e.n, n = i % e.n;
        out.write_one(sum, out.rows.row(m, batch) + out.rows.column(n), m, n, batch);
    }
}

} // namespace fastnn::cuda
