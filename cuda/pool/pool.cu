// Pooling: a thread for each output (forward; of adaptive pooling's large bins a warp) or input
// element (backward).
//
// Floor: the input and the output, each moved once; windows that overlap are read from the caches.
// Limited by memory (2.0 TB/s on an A100, 3.35 TB/s on an H100). Neighbouring threads have
// neighbouring elements in memory: along a row (NCHW) or along the channels (channels last). The
// gradients of averages are gathered: each input element adds the windows that hold it. Those of
// maxima are scattered by one warp or thread a plane. Either way the sum has a fixed order and no
// atomics. Never run on hardware: executed under the emulator only.
#include "pool/pool.h"

#include <algorithm>

#include "core/dispatch.cuh"
#include "core/reduce.cuh"
#include "core/vector.cuh"

namespace fastnn::cuda {
namespace {

constexpr int threads = 256;
constexpr int blocks =
    4; // on a multiprocessor: leaves the registers that positions and divisions take

struct Position {
    int64_t plane_start; // offset of element (n, c, 0, 0) of the other array
    int64_t step;        // distance of its neighbouring positions
    int row, column;
};

// The i-th element in memory of an array of planes (rows, columns), and where its plane starts in
// one of `others` positions.
__device__ __forceinline__ Position position_of(int64_t i, const Pooling& call, int64_t rows,
                                                int64_t columns, int64_t others) {
    if (call.channels_last) {
        const int64_t channel = i % call.c;
        const int64_t at = i / call.c % (rows * columns);
        const int64_t sample = i / (call.c * rows * columns);
        return {sample * others * call.c + channel, call.c, int(at / columns), int(at % columns)};
    }
    const int64_t at = i % (rows * columns);
    return {i / (rows * columns) * others, 1, int(at / columns), int(at % columns)};
}

struct Range {
    int first, last; // last is one behind
};

// Outputs whose windows of `size` inputs may hold input `at`, for windows of dilation 1.
__device__ __forceinline__ Range outputs_of(int at, int size, int stride, int padding, int count) {
    const int lowest = at + padding - size + 1;
    const int first = lowest <= 0 ? 0 : (lowest + stride - 1) / stride;
    return {first, min((at + padding) / stride + 1, count)};
}

// Windows take `width` columns at a time: 2 where those of NCHW begin at whole pairs, so that
// neighbouring threads read neighbouring pairs and no half of a sector is left to a second request.
template <int width, class T>
__global__ void __launch_bounds__(threads, blocks)
    max_pool_kernel(Pooling call, const T* __restrict__ x, T* __restrict__ y,
                    int32_t* __restrict__ indices, int64_t total) {
    using A = Accumulator<T>;
    for (int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x; i < total;
         i += int64_t(gridDim.x) * threads) {
        const Position p = position_of(i, call, call.oh, call.ow, call.h * call.w);
        A top = -INFINITY;
        int32_t best = -1;
        for (int kh = 0; kh < call.kernel_h; kh++) {
            const int row = p.row * call.stride_h - call.padding_h + kh * call.dilation_h;
            if (row < 0 || row >= call.h)
                continue;
            for (int kw = 0; kw < call.kernel_w; kw += width) {
                const int column = p.column * call.stride_w - call.padding_w + kw * call.dilation_w;
                if (column < 0 || column >= call.w)
                    continue;
                const int32_t at = int32_t(row * call.w + column);
                const auto v = simt::load(
                    reinterpret_cast<const Elements<T, width>*>(x + p.plane_start + at * p.step));
#pragma unroll
                for (int j = 0; j < width; j++) {
                    const A value = to_accumulator(v.at[j]);
                    if (value > top || value != value || best < 0) {
                        top = value;
                        best = at + j;
                    }
                }
            }
        }
        y[i] = from_accumulator<T>(top);
        indices[i] = best;
    }
}

// A warp goes over the outputs of a plane in row-major order, 32 at a time. Lanes that chose the
// same input add up in the order of the lanes, and one of them writes: no two threads write one
// element at a time.
template <class T>
__global__ void __launch_bounds__(threads)
    max_pool_scatter(Pooling call, const T* __restrict__ g, const int32_t* __restrict__ indices,
                     T* __restrict__ gx) {
    using A = Accumulator<T>;
    const int lane = threadIdx.x % 32;
    const int64_t plane = int64_t(blockIdx.x) * (threads / 32) + threadIdx.x / 32;
    if (plane >= call.n * call.c)
        return;
    const int64_t outputs = call.oh * call.ow;
    T* out = gx + plane * call.h * call.w;
    for (int64_t first = 0; first < outputs; first += 32) {
        const int64_t i = first + lane;
        const int32_t at = i < outputs ? indices[plane * outputs + i] : -1;
        const A v = i < outputs ? to_accumulator(g[plane * outputs + i]) : A(0);
        unsigned same = __match_any_sync(~0u, at);
        const bool leader = (same & ((1u << lane) - 1)) == 0;
        A sum = 0;
        while (
            __any_sync(~0u, same != 0)) { // every lane adds its group's values, lowest lane first
            const int from = same ? __ffs(int(same)) - 1 : lane;
            const A other = __shfl_sync(~0u, v, from);
            if (same)
                sum += other;
            same &= same - 1;
        }
        if (leader && at >= 0)
            out[at] = from_accumulator<T>(to_accumulator(out[at]) + sum);
        __syncwarp(); // the next 32 may add to the same elements
    }
}

// Channels last: a thread for each channel of a sample goes over its outputs; neighbouring threads
// touch neighbouring channels.
template <class T>
__global__ void __launch_bounds__(threads)
    max_pool_scatter_channels(Pooling call, const T* __restrict__ g,
                              const int32_t* __restrict__ indices, T* __restrict__ gx) {
    const int64_t plane = int64_t(blockIdx.x) * threads + threadIdx.x;
    if (plane >= call.n * call.c)
        return;
    const int64_t sample = plane / call.c;
    const int64_t channel = plane % call.c;
    const int64_t outputs = call.oh * call.ow;
    T* out = gx + sample * call.h * call.w * call.c + channel;
    for (int64_t i = 0; i < outputs; i++) {
        const int64_t from = (sample * outputs + i) * call.c + channel;
        const int32_t at = indices[from];
        if (at >= 0)
            out[at * call.c] =
                from_accumulator<T>(to_accumulator(out[at * call.c]) + to_accumulator(g[from]));
    }
}

// The number by which the window of an output is divided.
__device__ __forceinline__ int divisor_of(const Pooling& call, int row, int column) {
    if (call.divisor_override)
        return call.divisor_override;
    int top = row * call.stride_h - call.padding_h;
    int left = column * call.stride_w - call.padding_w;
    int bottom = min(top + call.kernel_h, int(call.h) + call.padding_h);
    int right = min(left + call.kernel_w, int(call.w) + call.padding_w);
    if (!call.count_include_pad) {
        top = max(top, 0);
        left = max(left, 0);
        bottom = min(bottom, int(call.h));
        right = min(right, int(call.w));
    }
    return (bottom - top) * (right - left);
}

template <int width, class T>
__global__ void __launch_bounds__(threads, blocks)
    avg_pool_kernel(Pooling call, const T* __restrict__ x, T* __restrict__ y, int64_t total) {
    using A = Accumulator<T>;
    for (int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x; i < total;
         i += int64_t(gridDim.x) * threads) {
        const Position p = position_of(i, call, call.oh, call.ow, call.h * call.w);
        const int top = p.row * call.stride_h - call.padding_h;
        const int left = p.column * call.stride_w - call.padding_w;
        A sum = 0;
        for (int row = max(top, 0); row < min(top + call.kernel_h, int(call.h)); row++)
            for (int column = max(left, 0); column < min(left + call.kernel_w, int(call.w));
                 column += width) {
                const auto v = simt::load(reinterpret_cast<const Elements<T, width>*>(
                    x + p.plane_start + (row * call.w + column) * p.step));
#pragma unroll
                for (int j = 0; j < width; j++)
                    sum += to_accumulator(v.at[j]);
            }
        y[i] = from_accumulator<T>(sum / A(divisor_of(call, p.row, p.column)));
    }
}

template <class T>
__global__ void __launch_bounds__(threads, blocks)
    avg_pool_gradient(Pooling call, const T* __restrict__ g, T* __restrict__ gx, int64_t total) {
    using A = Accumulator<T>;
    for (int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x; i < total;
         i += int64_t(gridDim.x) * threads) {
        const Position p = position_of(i, call, call.h, call.w, call.oh * call.ow);
        const Range rows =
            outputs_of(p.row, call.kernel_h, call.stride_h, call.padding_h, int(call.oh));
        const Range columns =
            outputs_of(p.column, call.kernel_w, call.stride_w, call.padding_w, int(call.ow));
        A sum = 0;
        for (int row = rows.first; row < rows.last; row++)
            for (int column = columns.first; column < columns.last; column++)
                sum += to_accumulator(g[p.plane_start + (row * call.ow + column) * p.step]) /
                       A(divisor_of(call, row, column));
        gx[i] = from_accumulator<T>(sum);
    }
}

// Inputs of the i-th of `count` bins over `size` elements.
__device__ __forceinline__ Range bin_of(int64_t i, int64_t size, int64_t count) {
    return {int(i * size / count), int(((i + 1) * size + count - 1) / count)};
}

// `lanes` threads to a bin: a warp for large bins of NCHW, whose elements lie beside each other.
template <int lanes, class T>
__global__ void __launch_bounds__(threads)
    adaptive_kernel(Pooling call, const T* __restrict__ x, T* __restrict__ y, int64_t total) {
    using A = Accumulator<T>;
    const int lane = int(threadIdx.x) % lanes;
    for (int64_t i = (int64_t(blockIdx.x) * threads + threadIdx.x) / lanes; i < total;
         i += int64_t(gridDim.x) * threads / lanes) {
        const Position p = position_of(i, call, call.oh, call.ow, call.h * call.w);
        const Range rows = bin_of(p.row, call.h, call.oh);
        const Range columns = bin_of(p.column, call.w, call.ow);
        const int across = columns.last - columns.first;
        const int count = (rows.last - rows.first) * across;
        const T* first = x + p.plane_start + (rows.first * call.w + columns.first) * p.step;
        A sum = 0;
        int row = lane / max(across, 1), column = lane % max(across, 1);
        for (int at = lane; at < count; at += lanes) {
            sum += to_accumulator(first[(row * call.w + column) * p.step]);
            for (column += lanes; column >= across; column -= across)
                row++;
        }
        sum = warp_reduce<Sum>(sum, lanes);
        if (lane == 0)
            y[i] = from_accumulator<T>(sum / A(count));
    }
}

template <class T>
__global__ void __launch_bounds__(threads)
    adaptive_gradient(Pooling call, const T* __restrict__ g, T* __restrict__ gx, int64_t total) {
    using A = Accumulator<T>;
    for (int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x; i < total;
         i += int64_t(gridDim.x) * threads) {
        const Position p = position_of(i, call, call.h, call.w, call.oh * call.ow);
        // the first bin whose end lies behind the element, and on while bins start before or at it
        int first_row = int(p.row * call.oh / call.h);
        while (first_row > 0 && bin_of(first_row - 1, call.h, call.oh).last > p.row)
            first_row--;
        int first_column = int(p.column * call.ow / call.w);
        while (first_column > 0 && bin_of(first_column - 1, call.w, call.ow).last > p.column)
            first_column--;
        A sum = 0;
        for (int row = first_row; row < call.oh; row++) {
            const Range rows = bin_of(row, call.h, call.oh);
            if (rows.first > p.row)
                break;
            for (int column = first_column; column < call.ow; column++) {
                const Range columns = bin_of(column, call.w, call.ow);
                if (columns.first > p.column)
                    break;
                const int count = (rows.last - rows.first) * (columns.last - columns.first);
                sum +=
                    to_accumulator(g[p.plane_start + (row * call.ow + column) * p.step]) / A(count);
            }
        }
        gx[i] = from_accumulator<T>(sum);
    }
}

dim3 grid_for(int64_t total) {
    return dim3(unsigned(std::min<int64_t>((total + threads - 1) / threads, 65536)));
}

// Whether all windows, as far as they lie in the image, are whole and aligned pairs of columns.
template <class T>
bool reads_pairs(const Pooling& call, const void* x) {
    return !call.channels_last && call.dilation_w == 1 &&
           (call.w | call.kernel_w | call.stride_w | call.padding_w) % 2 == 0 &&
           reinterpret_cast<uintptr_t>(x) % (2 * sizeof(T)) == 0;
}

int64_t outputs(const Pooling& call) {
    return call.n * call.c * call.oh * call.ow;
}
int64_t inputs(const Pooling& call) {
    return call.n * call.c * call.h * call.w;
}

} // namespace

cudaError_t max_pool2d(const Pooling& call, const void* x, void* y, int32_t* indices,
                       cudaStream_t stream) {
    const int64_t total = outputs(call);
    if (total == 0)
        return cudaSuccess;
    return dispatch_float(call.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        return simt::launch(reads_pairs<T>(call, x) ? max_pool_kernel<2, T> : max_pool_kernel<1, T>,
                            grid_for(total), dim3(threads), 0, stream, call,
                            static_cast<const T*>(x), static_cast<T*>(y), indices, total);
    });
}

cudaError_t max_pool2d_backward(const Pooling& call, const void* g, const int32_t* indices,
                                void* gx, cudaStream_t stream) {
    if (inputs(call) == 0)
        return cudaSuccess;
    const cudaError_t error =
        cudaMemsetAsync(gx, 0, size_t(inputs(call)) * size_of(call.dtype), stream);
    if (error != cudaSuccess || outputs(call) == 0)
        return error;
    return dispatch_float(call.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        const int64_t planes = call.n * call.c;
        const int per_block = call.channels_last ? threads : threads / 32;
        return simt::launch(call.channels_last ? max_pool_scatter_channels<T> : max_pool_scatter<T>,
                            dim3(unsigned((planes + per_block - 1) / per_block)), dim3(threads), 0,
                            stream, call, static_cast<const T*>(g), indices, static_cast<T*>(gx));
    });
}

namespace {

// f(Type<T>{}) gives the kernel; `lanes` threads work on each of the `total` elements.
template <class F>
cudaError_t run(const Pooling& call, const void* in, void* out, int64_t total, int lanes,
                cudaStream_t stream, F&& f) {
    if (total == 0)
        return cudaSuccess;
    return dispatch_float(call.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        return simt::launch(f(type), grid_for(total * lanes), dim3(threads), 0, stream, call,
                            static_cast<const T*>(in), static_cast<T*>(out), total);
    });
}

} // namespace

cudaError_t avg_pool2d(const Pooling& call, const void* x, void* y, cudaStream_t stream) {
    return run(call, x, y, outputs(call), 1, stream, [&](auto type) {
        using T = typename decltype(type)::type;
        return reads_pairs<T>(call, x) ? avg_pool_kernel<2, T> : avg_pool_kernel<1, T>;
    });
}

cudaError_t avg_pool2d_backward(const Pooling& call, const void* g, void* gx, cudaStream_t stream) {
    return run(call, g, gx, inputs(call), 1, stream,
               [](auto type) { return avg_pool_gradient<typename decltype(type)::type>; });
}

cudaError_t adaptive_avg_pool2d(const Pooling& call, const void* x, void* y, cudaStream_t stream) {
    const bool large = !call.channels_last && call.h * call.w >= 32 * call.oh * call.ow;
    return run(call, x, y, outputs(call), large ? 32 : 1, stream, [&](auto type) {
        using T = typename decltype(type)::type;
        return large ? adaptive_kernel<32, T> : adaptive_kernel<1, T>;
    });
}

cudaError_t adaptive_avg_pool2d_backward(const Pooling& call, const void* g, void* gx,
                                         cudaStream_t stream) {
    return run(call, g, gx, inputs(call), 1, stream,
               [](auto type) { return adaptive_gradient<typename decltype(type)::type>; });
}

} // namespace fastnn::cuda
