// One step of a recurrent layer: the product of the states with the recurrent weights, and what the
// cell makes of it, in one launch.
//
// A step of N samples and H units multiplies (N, K) by (K, columns): an LSTM's 8 N H^2 FLOPs, and
// reads its 16 H^2 bytes of float32 weights from the L2 cache. For N = 64, H = 512: 134 MFLOP (7 us
// of an A100's 19.5 TFLOP/s on CUDA cores) and 4 MB (1 us), about as long as two launches take: so
// one launch a step, and results in tiles as small as 16 x 32, so that there are blocks for all
// multiprocessors. K is long and a tile's loads are few: the eight warps of a block take slices of
// eight of K in turn, each through its own three stages of cp.async, with no barrier between them,
// and their sums are added at the end in the order of the warps. Per byte of the L2 cache a block
// does 16 * 32 * 2 FLOPs of 4 * (16 + 32), 5: the cache (some 4 TB/s of an A100) and the FMA units
// are about equally busy. Never run on hardware: executed under the emulator only.
#pragma once

#include <climits>

#include "core/dispatch.cuh"
#include "core/vector.cuh"
#include "gemm/shared_tile.cuh"
#include "rnn/steps.h"

namespace fastnn::cuda {

// Rows of dense states: the first `boundary` of them in one array, the rest in another, or zeros.
template <class T>
struct States {
    using Element = T;
    const T *first, *rest;
    int64_t boundary, count, size; // size: elements of a row

    struct Outer {
        const T* row;
        bool valid;
    };
    struct Inner {
        int64_t offset;
        bool valid;
    };
    __device__ __forceinline__ const T* row(int64_t i) const {
        return (i < boundary ? first : rest) + i * size;
    }
    __device__ __forceinline__ Outer outer(int64_t i, int) const {
        const bool valid = i < count && (i < boundary || rest != nullptr);
        return {valid ? row(i) : first, valid};
    }
    __device__ __forceinline__ Inner inner(int64_t k) const { return {k < size ? k : 0, k < size}; }
    __device__ __forceinline__ const T* at(const Outer& o, const Inner& i, bool& valid) const {
        valid = o.valid && i.valid;
        return o.row + i.offset;
    }
};

namespace step {

constexpr int rows = 16, columns = 32; // of a block's result
constexpr int slice = 8;               // of the sum, a warp at a time
constexpr int warps = 8, threads = 32 * warps, stages = 3;
constexpr int per_thread = 4; // rows and columns of a thread

template <class T>
struct Shared {
    // rows are copied element by element and transposed: four of them by eight elements a warp meet
    // every bank once
    using TileA = PaddedTile<T, rows, slice, 16 / int(sizeof(T))>;
    using TileB = PaddedTile<T, columns, slice, 0>;
    struct Stage {
        alignas(16) T a[TileA::size];
        alignas(16) T b[TileB::size];
    };
    union {
        Stage stage[warps][stages];
        T sum[warps][rows * columns];
    };
};

// Four float64 are two vectors, and those of eight lanes twice the banks: every other group of four
// lanes takes them in turned order.
template <class T>
__device__ __forceinline__ int turn_of_lane() {
    return sizeof(T) == 8 ? int(threadIdx.x) / 4 % 2 * 2 : 0;
}

// p[i ^ turn] to out[i].
template <class T>
__device__ __forceinline__ void load_four(T (&out)[4], const T* p, int turn) {
    constexpr int width = Vector<T>::width;
#pragma unroll
    for (int i = 0; i < 4; i += width) {
        const auto v = simt::load(reinterpret_cast<const Vector<T>*>(p + (i ^ turn)));
#pragma unroll
        for (int j = 0; j < width; j++)
            out[i + j] = v.at[j];
    }
}

} // namespace step

// out(m, n, sums) for each row m < e.m and each group of Out::width columns that begins at n < e.n.
struct StepExtent {
    int64_t m, n, k;
};
template <class T, class Out>
__global__ void __launch_bounds__(step::threads, 2)
    step_kernel(const __grid_constant__ States<T> a, const __grid_constant__ Strided<T> b,
                const __grid_constant__ Out out, StepExtent e) {
    using namespace step;
    using Memory = Shared<T>;
    Memory& shared = simt::smem<Memory>();
    const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
    const int tx = lane % 8 * per_thread, ty = lane / 8 * per_thread;
    const int64_t m0 = int64_t(blockIdx.y) * rows, n0 = int64_t(blockIdx.x) * columns;
    TileLoader<States<T>, typename Memory::TileA, Major::inner, false, 32> loader_a(a, m0, 0, lane);
    TileLoader<Strided<T>, typename Memory::TileB, Major::outer, true, 32> loader_b(b, n0, 0, lane);
    const int64_t first = warp * slice, stride = warps * slice;
    const int count = int(e.k > first ? (e.k - first + stride - 1) / stride : 0);
    const auto start = [&](int i) {
        if (i < count) {
            auto& stage = shared.stage[warp][i % stages];
            loader_a.start(stage.a, first + i * stride);
            loader_b.start(stage.b, first + i * stride);
        }
        ptx::cp_async_commit();
    };
    for (int i = 0; i < stages - 1; i++)
        start(i);
    const int turn = turn_of_lane<T>();
    T c[per_thread][per_thread] = {}; // columns in turned order
    for (int i = 0; i < count; i++) {
        start(i + stages - 1);
        ptx::cp_async_wait<stages - 1>();
        __syncwarp();
        const auto& stage = shared.stage[warp][i % stages];
#pragma unroll
        for (int k = 0; k < slice; k++) {
            T x[per_thread], y[per_thread];
            load_four(x, stage.a + Memory::TileA::offset(ty, k), 0);
            load_four(y, stage.b + Memory::TileB::offset(tx, k), turn);
#pragma unroll
            for (int p = 0; p < per_thread; p++)
#pragma unroll
                for (int q = 0; q < per_thread; q++)
                    c[p][q] += x[p] * y[q];
        }
        __syncwarp(); // before the stage is filled again
    }
    __syncthreads(); // the sums lie where the stages were
    constexpr int width = Vector<T>::width;
#pragma unroll
    for (int p = 0; p < per_thread; p++)
#pragma unroll
        for (int q = 0; q < per_thread; q += width) {
            Vector<T> v;
#pragma unroll
            for (int j = 0; j < width; j++)
                v.at[j] = c[p][q + j];
            simt::store(reinterpret_cast<Vector<T>*>(shared.sum[warp] + (ty + p) * columns + tx +
                                                     (q ^ turn)),
                        v);
        }
    __syncthreads();
    for (int i = int(threadIdx.x) * Out::width; i < rows * columns; i += threads * Out::width) {
        const int64_t m = m0 + i / columns, n = n0 + i % columns;
        T sum[Out::width] = {};
        for (int w = 0; w < warps; w++) {
            T part[Out::width];
            if constexpr (Out::width == 4)
                load_four(part, shared.sum[w] + i, turn);
            else
                part[0] = shared.sum[w][i];
#pragma unroll
            for (int j = 0; j < Out::width; j++)
                sum[j] += part[j];
        }
        if constexpr (Out::width == 4)
#pragma unroll
            for (int j = 0; j < 2; j++) {
                const T left = sum[j], right = sum[j + 2];
                sum[j] = turn ? right : left;
                sum[j + 2] = turn ? left : right;
            }
        if (m < e.m && n < e.n)
            out(m, n, sum);
    }
}

// Rows of `columns` elements, a multiple of 4, aligned to 16 bytes.
template <class T>
Strided<T> weights_of(const void* data, int64_t k, int64_t columns) {
    return {static_cast<const T*>(data), 1, columns, 0, columns, k};
}

template <class T, class Out>
cudaError_t launch_step(const States<T>& a, const Strided<T>& b, const Out& out, int64_t m,
                        int64_t n, cudaStream_t stream) {
    const int64_t tiles_m = (m + step::rows - 1) / step::rows;
    const int64_t tiles_n = (n + step::columns - 1) / step::columns;
    if (tiles_m > 65535 || tiles_n > INT_MAX)
        return cudaErrorInvalidValue;
    const int64_t k = a.boundary > 0 || a.rest != nullptr ? a.size : 0;
    return simt::launch(step_kernel<T, Out>, dim3(unsigned(tiles_n), unsigned(tiles_m)),
                        dim3(step::threads), sizeof(step::Shared<T>), stream, a, b, out,
                        StepExtent{m, n, k});
}

// The gradient that reaches the states of a step: what its output has, and what comes from the step
// that was worked out after it, or for samples that ended in it, from the last state.
template <class T>
struct Incoming {
    const T* gy;  // of this step's rows
    const T* ghn; // of all samples
    int64_t after, size;

    __device__ __forceinline__ T operator()(int64_t m, int64_t n, T from_after) const {
        return gy[m * size + n] + (m < after ? from_after : ghn[m * size + n]);
    }
};

// f(Type<T>{}) for float32 and float64.
template <class F>
cudaError_t dispatch_wide(DType dtype, F&& f) {
    if (dtype == DType::float32)
        return f(Type<float>{});
    return dtype == DType::float64 ? f(Type<double>{}) : cudaErrorInvalidValue;
}

} // namespace fastnn::cuda
