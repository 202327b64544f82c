// Convolutions of few channels in a group, depthwise ones above all, and of float32 images of one
// channel: a thread sums some results itself.
//
// Depthwise, 2 KH KW FLOPs an element of the result, which is moved once as is the source: memory
// is the limit (2.0 TB/s on an A100) while the caches keep up with the taps. A thread has four
// results below each other, so that with stride 1 a row of the source serves up to four taps from
// registers: KH + 3 loads for 4 KH multiply-adds. Neighbouring threads have neighbouring results,
// along a row or, channels last, along the channels, 16 bytes each. Passes are those of pass.h, so
// that the input's gradient is served too. Never run on hardware: executed under the emulator only.
#include "conv/plan.h"
#include "conv/prepare.cuh"
#include "core/dispatch.cuh"
#include "core/vector.cuh"

namespace fastnn::cuda {
namespace {

constexpr int threads = 256, results_h = 4;

struct DirectAxis {
    int results, size, step, start, taps, delta;
    int source_stride, result_stride, weight_stride;
};

// Offsets are below 2^31.
struct Direct {
    DirectAxis d, h, w;
    int source_n, source_c, result_n, result_c;
    int weight_row, weight_channel, weight_group;
    int channels;          // of the source, to a group
    bool channels_fastest; // among threads
    bool relu;
    FastDivide rows, all_rows, columns, blocks_h, planes; // all_rows: in vectors
    uint32_t items;
};

struct Item {
    int row, w, h, d, n; // row: a channel of the result, or the first of a vector
};

__device__ __forceinline__ Item item_of(const Direct& call, uint32_t i, int width) {
    uint32_t row, w, h, d, rest;
    if (call.channels_fastest) {
        row = i;
        w = call.all_rows.split(row);
        h = call.columns.split(w);
        d = call.blocks_h.split(h);
        rest = call.planes.split(d);
    } else {
        w = i;
        h = call.columns.split(w);
        d = call.blocks_h.split(h);
        row = call.planes.split(d);
        rest = call.all_rows.split(row);
    }
    return {int(row) * width, int(w), int(h) * results_h, int(d), int(rest)};
}

template <class T, int width>
__device__ __forceinline__ void load_elements(Accumulator<T> (&to)[width], const T* from) {
    const auto v = simt::load(reinterpret_cast<const Elements<T, width>*>(from));
#pragma unroll
    for (int i = 0; i < width; i++)
        to[i] = to_accumulator(v.at[i]);
}

template <class T, int width>
__global__ void __launch_bounds__(threads)
    direct_kernel(Direct call, const T* __restrict__ source, const T* __restrict__ weight,
                  const T* __restrict__ bias, T* __restrict__ result) {
    using A = Accumulator<T>;
    constexpr int R = results_h;
    const uint32_t i = blockIdx.x * threads + threadIdx.x;
    if (i >= call.items)
        return;
    const Item item = item_of(call, i, width);
    uint32_t row = uint32_t(item.row); // of its group
    const int group = int(call.rows.split(row));
    source += item.n * call.source_n + group * call.channels * call.source_c;
    weight += group * call.weight_group + int(row) * call.weight_row;
    const int d0 = item.d * call.d.step + call.d.start;
    const int h0 = item.h * call.h.step + call.h.start;
    const int w0 = item.w * call.w.step + call.w.start;
    // results below each other read rows that their neighbours' taps read
    const bool rolling = call.h.step == call.h.delta;
    A sum[R][width] = {};
    for (int c = 0; c < call.channels; c++)
        for (int jd = 0; jd < call.d.taps; jd++) {
            const int d = d0 + jd * call.d.delta;
            if (unsigned(d) >= unsigned(call.d.size))
                continue;
            for (int jw = 0; jw < call.w.taps; jw++) {
                const int w = w0 + jw * call.w.delta;
                if (unsigned(w) >= unsigned(call.w.size))
                    continue;
                const T* column = source + (c * call.source_c + d * call.d.source_stride +
                                            w * call.w.source_stride);
                const T* taps = weight + (c * call.weight_channel + jd * call.d.weight_stride +
                                          jw * call.w.weight_stride);
                const auto load_row = [&](A(&v)[width], int h) {
                    if (unsigned(h) < unsigned(call.h.size)) {
                        load_elements(v, column + h * call.h.source_stride);
                        return;
                    }
#pragma unroll
                    for (int x = 0; x < width; x++)
                        v[x] = 0;
                };
                A v[R][width];
                if (rolling)
#pragma unroll
                    for (int r = 1; r < R; r++)
                        load_row(v[r], h0 + (r - 1) * call.h.step);
                for (int jh = 0; jh < call.h.taps; jh++) {
                    A k[width];
                    load_elements(k, taps + jh * call.h.weight_stride);
                    const int h = h0 + jh * call.h.delta;
                    if (rolling) {
#pragma unroll
                        for (int r = 0; r < R - 1; r++)
#pragma unroll
                            for (int x = 0; x < width; x++)
                                v[r][x] = v[r + 1][x];
                        load_row(v[R - 1], h + (R - 1) * call.h.step);
                    } else {
#pragma unroll
                        for (int r = 0; r < R; r++)
                            load_row(v[r], h + r * call.h.step);
                    }
#pragma unroll
                    for (int r = 0; r < R; r++)
#pragma unroll
                        for (int x = 0; x < width; x++)
                            sum[r][x] += v[r][x] * k[x];
                }
            }
        }
    A added[width] = {};
    if (bias != nullptr)
        load_elements(added, bias + item.row);
    result += item.n * call.result_n + item.row * call.result_c + item.d * call.d.result_stride +
              item.w * call.w.result_stride;
#pragma unroll
    for (int r = 0; r < R; r++) {
        if (item.h + r >= call.h.results)
            return;
        Elements<T, width> out;
#pragma unroll
        for (int x = 0; x < width; x++) {
            const A total = sum[r][x] + added[x];
            out.at[x] = from_accumulator<T>(call.relu && total < A(0) ? A(0) : total);
        }
        simt::store(
            reinterpret_cast<Elements<T, width>*>(result + (item.h + r) * call.h.result_stride),
            out);
    }
}

bool aligned(const void* p) {
    return reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

} // namespace

bool wants_direct(const Pass& p) {
    if (p.method != ConvMethod::automatic)
        return p.method == ConvMethod::direct;
    if (p.groups > 1 && p.rows * p.channels <= 16)
        return true;
    // a tile's rows, or its sum, would be zeros for the most part
    return (p.rows <= 4 && p.channels <= 64) ||
           (on_cuda_cores(p.dtype, p.precision) && p.channels * p.taps() <= 16);
}

// Whole vectors: depthwise, channels last on both sides, so that neighbouring channels share
// nothing.
DirectPlan direct_plan(const Pass& p) {
    DirectPlan plan{};
    const auto width = int64_t(16 / size_of(p.dtype));
    plan.vectors = p.rows == 1 && p.channels == 1 && p.groups % width == 0 &&
                   has_channel_vectors(p.source, p.groups, p.dtype) &&
                   has_channel_vectors(p.result, p.groups, p.dtype) &&
                   (p.bias == nullptr || aligned(p.bias));
    plan.weights = plan.vectors ? size_t(p.groups * p.taps()) * size_of(p.dtype) : 0;
    return plan;
}

cudaError_t conv_direct(const Pass& p, void* workspace, cudaStream_t stream) {
    const DirectPlan plan = direct_plan(p);
    const auto width = plan.vectors ? int64_t(16 / size_of(p.dtype)) : 1;
    int64_t first_weight = 0, first_result = 0;
    DirectAxis axis[3];
    int64_t packed = p.groups; // distance of taps in packed weights
    for (int i = 2; i >= 0; i--) {
        const Axis& a = p.axis[i];
        axis[i] = {a.results,
                   a.size,
                   a.step,
                   a.start,
                   a.taps,
                   a.delta,
                   int(p.source.stride[i]),
                   int(a.result_step * p.result.stride[i]),
                   int(plan.vectors ? packed : a.tap_step * p.weight.stride[i])};
        packed *= a.taps;
        first_weight += a.first_tap * p.weight.stride[i];
        first_result += a.first_result * p.result.stride[i];
    }
    if (plan.vectors) {
        Preparation call{};
        call.k = int(p.taps());
        call.channels_fastest = false;
        call.channels = FastDivide(1);
        call.taps = FastDivide(std::max<int64_t>(p.taps(), 1));
        call.taps_h = FastDivide(std::max(p.axis[1].taps, 1));
        call.taps_w = FastDivide(std::max(p.axis[2].taps, 1));
        call.weight =
            static_cast<const char*>(p.weight.data) + first_weight * int64_t(size_of(p.dtype));
        call.packed = workspace;
        // groups as the rows of one group
        call.row_stride = p.group_stride;
        for (int i = 0; i < 3; i++)
            call.tap_stride[i] = p.axis[i].tap_step * p.weight.stride[i];
        call.rows_fastest = true;
        call.rows = int(p.groups);
        call.packed_rows = FastDivide(p.groups);
        call.packed_k = FastDivide(std::max<int64_t>(p.taps(), 1));
        call.packed_size = uint32_t(p.groups * p.taps());
        const cudaError_t error = prepare(call, p.dtype, stream);
        if (error != cudaSuccess)
            return error;
        first_weight = 0;
    }
    const int64_t blocks_h = (p.axis[1].results + results_h - 1) / results_h;
    const int64_t vectors = p.groups * p.rows / width;
    const int64_t items = p.result.n * vectors * p.axis[0].results * blocks_h * p.axis[2].results;
    const Direct call{axis[0],
                      axis[1],
                      axis[2],
                      int(p.source.stride_n),
                      int(p.source.stride_c),
                      int(p.result.stride_n),
                      int(p.result.stride_c),
                      int(plan.vectors ? 0 : p.row_stride),
                      int(plan.vectors ? 0 : p.along_stride),
                      int(plan.vectors ? 1 : p.group_stride),
                      int(p.channels),
                      p.result.stride_c == 1,
                      p.relu,
                      FastDivide(p.rows),
                      FastDivide(vectors),
                      FastDivide(p.axis[2].results),
                      FastDivide(blocks_h),
                      FastDivide(p.axis[0].results),
                      uint32_t(items)};
    return dispatch_float(p.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        return simt::launch(
            plan.vectors ? direct_kernel<T, 16 / int(sizeof(T))> : direct_kernel<T, 1>,
            dim3(unsigned((items + threads - 1) / threads)), dim3(threads), 0, stream, call,
            static_cast<const T*>(p.source.data),
            static_cast<const T*>(plan.vectors ? workspace : p.weight.data) + first_weight,
            static_cast<const T*>(p.bias), static_cast<T*>(p.result.data) + first_result);
    });
}

} // namespace fastnn::cuda
