// From accumulators to the result: bias, activation, and the partial sums of a split product.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/dispatch.cuh"

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
__device__ __forceinline__ TileIndex tile_index(const Extent& e) {
    constexpr int group = 8;
    const int id = int(blockIdx.x), per_group = group * e.tiles_n;
    const int first = id / per_group * group, within = id % per_group;
    const int height = min(e.tiles_m - first, group);
    return {first + within % height, within / height};
}

// What becomes of a sum. `Rows` says where row m of the result lies: T* row(int64_t m, int batch),
// elements column_stride apart.
template <class T, class Rows>
struct Output {
    using Element = T;
    using A = Accumulator<T>;
    Rows rows;
    int64_t column_stride;
    const T* bias; // over n, or null
    int64_t bias_batch_stride;
    bool relu;
    bool accumulate; // onto what the result holds
    bool vectors;    // rows are dense, of whole vectors, and aligned
    A* partial;      // of a split product: sums in [split][batch][m][n], finished by finish_splits

    __device__ __forceinline__ A finish(A sum, const T* place, int64_t n, int batch) const {
        if (bias != nullptr)
            sum += to_accumulator(bias[batch * bias_batch_stride + n]);
        if (accumulate)
            sum += to_accumulator(*place);
        return relu && sum < A(0) ? A(0) : sum;
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
        struct alignas(sizeof(A) * width) Sums {
            A at[width];
        };
        struct alignas(sizeof(T) * width) Elements {
            T at[width];
        };
        if (partial != nullptr) {
            A* row = partial_row(e, m, batch);
            if (e.n % width == 0 && n < e.n) {
                Sums all;
#pragma unroll
                for (int i = 0; i < width; i++)
                    all.at[i] = sum[i];
                simt::store(reinterpret_cast<Sums*>(row + n), all);
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
            Elements all;
#pragma unroll
            for (int i = 0; i < width; i++)
                all.at[i] = from_accumulator<T>(finish(sum[i], row + n + i, n + i, batch));
            simt::store(reinterpret_cast<Elements*>(row + n), all);
            return;
        }
#pragma unroll
        for (int i = 0; i < width; i++)
            if (n + i < e.n) {
                T* place = row + (n + i) * column_stride;
                *place = from_accumulator<T>(finish(sum[i], place, n + i, batch));
            }
    }
};

// Rows `stride` elements apart.
template <class T>
struct DenseRows {
    T* data;
    int64_t stride, batch_stride;
    __device__ __forceinline__ T* row(int64_t m, int batch) const {
        return data + batch * batch_stride + m * stride;
    }
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
        auto* place = out.rows.row(m, batch) + n * out.column_stride;
        *place = from_accumulator<typename Out::Element>(out.finish(sum, place, n, batch));
    }
}

} // namespace fastnn::cuda
