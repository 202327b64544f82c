// Embedding: a gather of rows, and a sum of the rows that have the same index.
//
// Floor: the rows, each read and written once (gradient: g read once, the table's gradient
// written); limited by memory (2.0 TB/s on an A100, 3.35 TB/s on an H100). 1 to 32 lanes copy a
// row, 16 bytes at a time. The gradient takes the positions sorted by index, so that rows of one
// index are a run, in tiles of 32 or 128 positions: a tile sums its runs one row after the other
// and writes those that lie in it whole. A run that crosses tiles, of an index however frequent,
// leaves a partial sum in each, and a second kernel adds these in order. No atomics: the same bits
// in every run. Never run on hardware: executed under the emulator only.
#include "embedding/embedding.h"

#include <algorithm>
#include <climits>

#include "core/dispatch.cuh"
#include "core/vector.cuh"

namespace fastnn::cuda {
namespace {

constexpr int threads = 256;

template <class Unit>
__global__ void __launch_bounds__(threads)
    gather_rows(const Unit* __restrict__ table, int64_t rows, int64_t units,
                const int64_t* __restrict__ indices, int64_t n, int lanes, Unit* __restrict__ out,
                int32_t* __restrict__ first_wrong) {
    const int lane = int(threadIdx.x) & (lanes - 1);
    const int64_t position = (int64_t(blockIdx.x) * threads + threadIdx.x) / lanes;
    if (position >= n)
        return;
    const int64_t row = indices[position];
    if (row < 0 || row >= rows) {
        if (lane == 0)
            atomicMin(first_wrong, int32_t(position));
        return;
    }
#pragma unroll 4
    for (int64_t i = lane; i < units; i += lanes)
        simt::store(out + position * units + i, simt::load(table + row * units + i));
}

int64_t tile_size(int64_t n) {
    return n <= 65536 ? 32 : 128;
}

struct Runs {
    EmbeddingGradient call;
    int64_t tile, tiles;
    int lanes; // threads of a tile
};

// `width` neighbouring columns of a row's sum.
template <class T>
struct Columns {
    using A = Accumulator<T>;
    static constexpr int width = Vector<T>::width;
    A at[width];

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int i = 0; i < width; i++)
            at[i] = A(0);
    }
    __device__ __forceinline__ void add(const Vector<T>& v) {
#pragma unroll
        for (int i = 0; i < width; i++)
            at[i] += to_accumulator(v.at[i]);
    }
    __device__ __forceinline__ void add_partial(const A* p, int64_t left) {
#pragma unroll
        for (int i = 0; i < width; i += Vector<A>::width) {
            const auto v = Vector<A>::load(p + i, left - i);
#pragma unroll
            for (int j = 0; j < Vector<A>::width; j++)
                at[i + j] += v.at[j];
        }
    }
    __device__ __forceinline__ void store_partial(A* p, int64_t left) const {
#pragma unroll
        for (int i = 0; i < width; i += Vector<A>::width) {
            Vector<A> v;
#pragma unroll
            for (int j = 0; j < Vector<A>::width; j++)
                v.at[j] = at[i + j];
            v.store(p + i, left - i);
        }
    }
    // The finished sum of row `row`, of `count` positions.
    __device__ __forceinline__ void store(const EmbeddingGradient& call, int64_t row, int64_t count,
                                          int64_t column) const {
        if (row == call.padding || row < 0 || row >= call.rows)
            return;
        Vector<T> v;
#pragma unroll
        for (int i = 0; i < width; i++)
            v.at[i] = from_accumulator<T>(call.by_frequency ? at[i] / A(count) : at[i]);
        v.store(static_cast<T*>(call.out) + row * call.width + column, call.width - column);
    }
};

template <class T>
__global__ void __launch_bounds__(threads) sum_tiles(const __grid_constant__ Runs runs) {
    using A = Accumulator<T>;
    constexpr int width = Columns<T>::width, ahead = 4;
    const EmbeddingGradient& call = runs.call;
    const int64_t column =
        (int64_t(blockIdx.y) * runs.lanes + (int(threadIdx.x) & (runs.lanes - 1))) * width;
    const int64_t tile = (int64_t(blockIdx.x) * threads + threadIdx.x) / runs.lanes;
    if (tile >= runs.tiles || column >= call.width)
        return;
    const int64_t first = tile * runs.tile, last = min(first + runs.tile, call.n);
    A* const head = static_cast<A*>(call.partial) + tile * call.width + column;
    A* const tail = head + runs.tiles * call.width;
    const int64_t left = call.width - column;
    const int64_t before = first > 0 ? call.sorted[first - 1] : -1;
    const int64_t after = last < call.n ? call.sorted[last] : -1;
    Columns<T> sum;
    sum.clear();
    int64_t row = call.sorted[first], start = first;
    // The run of `row` from `start` to `end`: whole, or a part that began before (a head) or goes
    // on (a tail).
    const auto finish = [&](int64_t end) {
        if (start == first && row == before)
            sum.store_partial(head, left);
        else if (end == last && row == after)
            sum.store_partial(tail, left);
        else
            sum.store(call, row, end - start, column);
    };
    for (int64_t p = first; p < last; p += ahead) {
        Vector<T> v[ahead];
        int64_t rows[ahead];
#pragma unroll
        for (int i = 0; i < ahead; i++) {
            const int64_t at = min(p + i, last - 1);
            rows[i] = call.sorted[at];
            v[i] = Vector<T>::load(
                static_cast<const T*>(call.g) + call.order[at] * call.width + column, left);
        }
#pragma unroll
        for (int i = 0; i < ahead; i++) {
            if (p + i >= last)
                break;
            if (rows[i] != row) {
                finish(p + i);
                sum.clear();
                row = rows[i];
                start = p + i;
            }
            sum.add(v[i]);
        }
    }
    finish(last);
}

// The first position whose index is not below `row`.
__device__ __forceinline__ int64_t lower_bound(const EmbeddingGradient& call, int64_t row) {
    int64_t low = 0, high = call.n;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (call.sorted[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// The runs that begin in a tile and go on: its tail, and the heads of the tiles that follow.
template <class T>
__global__ void __launch_bounds__(threads) join_tiles(const __grid_constant__ Runs runs) {
    using A = Accumulator<T>;
    const EmbeddingGradient& call = runs.call;
    const int64_t column =
        (int64_t(blockIdx.y) * runs.lanes + (int(threadIdx.x) & (runs.lanes - 1))) *
        Columns<T>::width;
    const int64_t tile = (int64_t(blockIdx.x) * threads + threadIdx.x) / runs.lanes;
    const int64_t first = tile * runs.tile, last = first + runs.tile;
    if (last >= call.n || column >= call.width)
        return;
    const int64_t row = call.sorted[last - 1];
    if (call.sorted[last] != row || (first > 0 && call.sorted[first - 1] == row))
        return;
    const int64_t end = lower_bound(call, row + 1);
    const A* const heads = static_cast<const A*>(call.partial) + column;
    const int64_t left = call.width - column;
    Columns<T> sum;
    sum.clear();
    sum.add_partial(heads + (runs.tiles + tile) * call.width, left);
    const int64_t last_tile = (end - 1) / runs.tile;
#pragma unroll 4
    for (int64_t t = tile + 1; t <= last_tile; t++)
        sum.add_partial(heads + t * call.width, left);
    sum.store(call, row, call.by_frequency ? end - lower_bound(call, row) : 1, column);
}

// The least power of two that is not below n, up to a warp.
int lanes_for(int64_t n) {
    int lanes = 1;
    while (lanes < n && lanes < 32)
        lanes *= 2;
    return lanes;
}

template <class Unit>
cudaError_t gather(const void* table, int64_t rows, int64_t row_bytes, const int64_t* indices,
                   int64_t n, void* out, int32_t* first_wrong, cudaStream_t stream) {
    const int64_t units = row_bytes / int64_t(sizeof(Unit));
    const int lanes = lanes_for(units);
    return simt::launch(gather_rows<Unit>, dim3(unsigned((n * lanes + threads - 1) / threads)),
                        dim3(threads), 0, stream, static_cast<const Unit*>(table), rows, units,
                        indices, n, lanes, static_cast<Unit*>(out), first_wrong);
}

} // namespace

cudaError_t embedding(const void* table, int64_t rows, int64_t row_bytes, const int64_t* indices,
                      int64_t n, void* out, int32_t* first_wrong, cudaStream_t stream) {
    if (n == 0)
        return cudaSuccess;
    if (n > INT_MAX)
        return cudaErrorInvalidValue;
    const auto bits = uintptr_t(row_bytes) | reinterpret_cast<uintptr_t>(table) |
                      reinterpret_cast<uintptr_t>(out);
    const auto run = bits % 16 == 0  ? gather<uint4>
                     : bits % 8 == 0 ? gather<uint2>
                     : bits % 4 == 0 ? gather<uint32_t>
                     : bits % 2 == 0 ? gather<uint16_t>
                                     : gather<uint8_t>;
    return run(table, rows, row_bytes, indices, n, out, first_wrong, stream);
}

int64_t embedding_tiles(int64_t n) {
    return (n + tile_size(n) - 1) / tile_size(n);
}

cudaError_t embedding_backward(const EmbeddingGradient& call, cudaStream_t stream) {
    if (call.rows * call.width == 0)
        return cudaSuccess;
    const cudaError_t error =
        cudaMemsetAsync(call.out, 0, size_t(call.rows * call.width) * size_of(call.dtype), stream);
    if (error != cudaSuccess || call.n == 0)
        return error;
    return dispatch_float(call.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        const int64_t vectors = (call.width + Columns<T>::width - 1) / Columns<T>::width;
        const Runs runs{call, tile_size(call.n), embedding_tiles(call.n), lanes_for(vectors)};
        const int64_t blocks = (runs.tiles * runs.lanes + threads - 1) / threads;
        const int64_t across = (vectors + runs.lanes - 1) / runs.lanes;
        if (blocks > INT_MAX || across > 65535)
            return cudaErrorInvalidValue;
        const dim3 grid{unsigned(blocks), unsigned(across)};
        const cudaError_t summed = simt::launch(sum_tiles<T>, grid, dim3(threads), 0, stream, runs);
        return summed != cudaSuccess || runs.tiles == 1
                   ? summed
                   : simt::launch(join_tiles<T>, grid, dim3(threads), 0, stream, runs);
    });
}

} // namespace fastnn::cuda
