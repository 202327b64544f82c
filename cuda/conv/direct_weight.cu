// The weight's gradient where a group has few channels, or an image one: a block for some channels
// of the result and up to 3 x 3 taps.
//
// Depthwise, 2 KH KW FLOPs an element of g; g and x are moved once for each nine taps, and x's
// neighbouring pixels come from the caches: memory and the caches' bandwidth are the limit. The
// threads of a block stand along the pixels, or 32 along the channels and 8 along the pixels where
// channels are contiguous. Their sums meet in shared memory in a fixed order; blocks beside each
// other share the pixels, and a second kernel adds theirs, in order. Never run on hardware:
// executed under the emulator only.
#include "conv/plan.h"
#include "core/dispatch.cuh"
#include "core/fast_divide.cuh"

namespace fastnn::cuda {
namespace {

constexpr int threads = 256, side = 3, taps = side * side;

struct DirectWeight {
    int g_n, g_c, g_stride[3], x_n, x_c, x_stride[3], x_size[3];
    int stride[3], padding[3], dilation[3], kernel[3];
    FastDivide rows; // channels of g, to a group
    int channels, o; // of x, to a group; of g in all
    int lanes;       // threads along the channels of g
    int chunks_h, chunks_w;
    FastDivide d, h, w; // pixels of g
    int pixels, pixels_per_split;
};

template <class T>
__global__ void __launch_bounds__(threads)
    direct_weight_kernel(DirectWeight call, const T* __restrict__ g, const T* __restrict__ x,
                         Accumulator<T>* __restrict__ sums) {
    using A = Accumulator<T>;
    using Shared = A[taps][threads];
    Shared& shared = simt::smem_static<Shared>();
    const int t = int(threadIdx.x), lane = t % call.lanes, beside = t / call.lanes;
    const int standing = threads / call.lanes;
    const int o = int(blockIdx.x) * call.lanes + lane;
    // of the taps: a chunk of a plane of a channel
    int part = int(blockIdx.z);
    const int kw = part % call.chunks_w * side;
    part /= call.chunks_w;
    const int kh = part % call.chunks_h * side;
    part /= call.chunks_h;
    const int kd = part % call.kernel[0], c = part / call.kernel[0];
    A sum[side][side] = {};
    if (o < call.o) {
        g += o * call.g_c;
        x += (int(call.rows.divide(uint32_t(o))) * call.channels + c) * call.x_c;
        const int first = int(blockIdx.y) * call.pixels_per_split;
        const int last = min(first + call.pixels_per_split, call.pixels);
        for (int i = first + beside; i < last; i += standing) {
            uint32_t column = uint32_t(i), row = call.w.split(column), plane = call.h.split(row);
            const int n = int(call.d.split(plane));
            const int d = int(plane) * call.stride[0] - call.padding[0] + kd * call.dilation[0];
            if (unsigned(d) >= unsigned(call.x_size[0]))
                continue;
            const A value =
                to_accumulator(g[n * call.g_n + int(plane) * call.g_stride[0] +
                                 int(row) * call.g_stride[1] + int(column) * call.g_stride[2]]);
            const int h0 = int(row) * call.stride[1] - call.padding[1] + kh * call.dilation[1];
            const int w0 = int(column) * call.stride[2] - call.padding[2] + kw * call.dilation[2];
            const T* slice = x + (n * call.x_n + d * call.x_stride[0]);
#pragma unroll
            for (int a = 0; a < side; a++) {
                const int h = h0 + a * call.dilation[1];
                const bool in_row = unsigned(h) < unsigned(call.x_size[1]);
#pragma unroll
                for (int b = 0; b < side; b++) {
                    const int w = w0 + b * call.dilation[2];
                    if (in_row && unsigned(w) < unsigned(call.x_size[2]))
                        sum[a][b] +=
                            value *
                            to_accumulator(slice[h * call.x_stride[1] + w * call.x_stride[2]]);
                }
            }
        }
    }
#pragma unroll
    for (int a = 0; a < side; a++)
#pragma unroll
        for (int b = 0; b < side; b++)
            shared[a * side + b][t] = sum[a][b];
    __syncthreads();
    for (int half = standing / 2; half > 0; half /= 2) {
        if (beside < half)
#pragma unroll
            for (int i = 0; i < taps; i++)
                shared[i][t] += shared[i][t + half * call.lanes];
        __syncthreads();
    }
    if (beside != 0 || o >= call.o)
        return;
    const int64_t kernel = int64_t(call.kernel[0]) * call.kernel[1] * call.kernel[2];
    A* out = sums + (int64_t(blockIdx.y) * call.o + o) * call.channels * kernel + c * kernel;
    for (int a = 0; a < side; a++)
        for (int b = 0; b < side; b++)
            if (kh + a < call.kernel[1] && kw + b < call.kernel[2])
                out[(int64_t(kd) * call.kernel[1] + kh + a) * call.kernel[2] + kw + b] =
                    shared[a * side + b][t];
}

// The sums of all splits, in their order.
template <class T>
__global__ void __launch_bounds__(threads)
    add_splits(const Accumulator<T>* __restrict__ sums, T* __restrict__ out, int64_t count,
               int splits) {
    const int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x;
    if (i >= count)
        return;
    Accumulator<T> sum = 0;
    for (int s = 0; s < splits; s++)
        sum += sums[s * count + i];
    out[i] = from_accumulator<T>(sum);
}

struct Division {
    int lanes, blocks, parts, splits;
    int64_t pixels, per_split, count;
};

// Some 512 blocks, none with fewer than eight pixels a thread.
Division divide(const Convolution& c) {
    Division d{};
    const int64_t channels = c.x.c / c.groups;
    const int64_t* k = c.weight.size;
    d.lanes = c.y.stride_c == 1 && c.x.stride_c == 1 ? 32 : 1;
    d.blocks = int((c.y.c + d.lanes - 1) / d.lanes);
    d.parts = int(channels * k[0] * ((k[1] + side - 1) / side) * ((k[2] + side - 1) / side));
    d.pixels = c.y.n * c.y.size[0] * c.y.size[1] * c.y.size[2];
    const int64_t wanted = 512 / (int64_t(d.blocks) * d.parts);
    const int64_t most = d.pixels / (8 * threads / d.lanes);
    d.splits =
        int(std::max<int64_t>(1, c.splits > 0 ? c.splits : std::min({wanted, most, int64_t(256)})));
    d.per_split = (d.pixels + d.splits - 1) / d.splits;
    d.count = c.y.c * channels * k[0] * k[1] * k[2];
    return d;
}

} // namespace

bool wants_direct_weight_gradient(const Convolution& c) {
    if (c.method != ConvMethod::automatic)
        return c.method == ConvMethod::direct;
    const int64_t rows = c.y.c / c.groups, channels = c.x.c / c.groups;
    if (c.groups > 1 && rows * channels <= 16)
        return true;
    // first layers of one channel: a tile's columns would be zeros for the most part
    return rows <= 64 && channels * c.weight.size[0] * c.weight.size[1] * c.weight.size[2] <= 16;
}

size_t direct_weight_gradient_workspace(const Convolution& c) {
    const Division d = divide(c);
    return size_t(d.splits * d.count) * size_of(accumulator_of(c.dtype));
}

cudaError_t direct_weight_gradient(const Convolution& c, cudaStream_t stream) {
    const Division d = divide(c);
    DirectWeight call{};
    call.g_n = int(c.y.stride_n), call.g_c = int(c.y.stride_c);
    call.x_n = int(c.x.stride_n), call.x_c = int(c.x.stride_c);
    for (int i = 0; i < 3; i++) {
        call.g_stride[i] = int(c.y.stride[i]);
        call.x_stride[i] = int(c.x.stride[i]);
        call.x_size[i] = int(c.x.size[i]);
        call.stride[i] = c.stride[i];
        call.padding[i] = c.padding[i];
        call.dilation[i] = c.dilation[i];
        call.kernel[i] = int(c.weight.size[i]);
    }
    call.rows = FastDivide(c.y.c / c.groups);
    call.channels = int(c.x.c / c.groups);
    call.o = int(c.y.c);
    call.lanes = d.lanes;
    call.chunks_h = (call.kernel[1] + side - 1) / side;
    call.chunks_w = (call.kernel[2] + side - 1) / side;
    call.d = FastDivide(std::max<int64_t>(c.y.size[0], 1));
    call.h = FastDivide(std::max<int64_t>(c.y.size[1], 1));
    call.w = FastDivide(std::max<int64_t>(c.y.size[2], 1));
    call.pixels = int(d.pixels);
    call.pixels_per_split = int(d.per_split);
    if (d.parts > 65535 || d.splits > 65535)
        return cudaErrorInvalidValue;
    return dispatch_float(c.dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        using A = Accumulator<T>;
        auto* sums = static_cast<A*>(c.workspace);
        const cudaError_t error = simt::launch(
            direct_weight_kernel<T>,
            dim3(unsigned(d.blocks), unsigned(d.splits), unsigned(d.parts)), dim3(threads), 0,
            stream, call, static_cast<const T*>(c.y.data), static_cast<const T*>(c.x.data), sums);
        if (error != cudaSuccess)
            return error;
        return simt::launch(add_splits<T>, dim3(unsigned((d.count + threads - 1) / threads)),
                            dim3(threads), 0, stream, static_cast<const A*>(sums),
                            static_cast<T*>(c.weight.data), d.count, d.splits);
    });
}

} // namespace fastnn::cuda
