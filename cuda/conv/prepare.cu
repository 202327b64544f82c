// The workspace of a convolution: weights packed, and the offset of each element of the sum.
//
// Weights are read and written once, small beside the images; neighbouring threads write
// neighbouring elements. Limited by the launch for most sizes. Never run on hardware: executed
// under the emulator only.
#include "conv/prepare.cuh"

namespace fastnn::cuda {
namespace {

struct Place {
    int channel, d, h, w;
};

__device__ __forceinline__ Place place_of(const Preparation& call, uint32_t k) {
    uint32_t channel, tap;
    if (call.channels_fastest) {
        channel = k;
        tap = call.channels.split(channel);
    } else {
        tap = k;
        channel = call.taps.split(tap);
    }
    uint32_t row = call.taps_w.split(tap);
    const uint32_t plane = call.taps_h.split(row);
    return {int(channel), int(plane), int(row), int(tap)};
}

// Elements are moved as bits.
template <class Bits>
__global__ void __launch_bounds__(256) prepare_kernel(Preparation call) {
    uint32_t i = blockIdx.x * 256 + threadIdx.x;
    if (i < call.packed_size) {
        uint32_t k, row, group, fastest = i;
        if (call.rows_fastest) {
            row = fastest;
            k = call.packed_rows.split(row);
            group = call.packed_k.split(k);
        } else {
            k = fastest;
            row = call.packed_k.split(k);
            group = call.packed_rows.split(row);
        }
        Bits value = 0;
        if (row < unsigned(call.rows) && k < unsigned(call.k)) {
            const Place p = place_of(call, k);
            value = static_cast<const Bits*>(
                call.weight)[group * call.group_stride + row * call.row_stride +
                             p.channel * call.channel_stride + p.d * call.tap_stride[0] +
                             p.h * call.tap_stride[1] + p.w * call.tap_stride[2]];
        }
        static_cast<Bits*>(call.packed)[i] = value;
        return;
    }
    i -= call.packed_size;
    if (i >= call.table_size)
        return;
    Tap tap{0, 0, 0, outside};
    const uint32_t k = i * unsigned(call.width);
    if (k < unsigned(call.k)) {
        const Place p = place_of(call, k);
        tap = {0, p.d * call.delta[0], p.h * call.delta[1], p.w * call.delta[2]};
        tap.offset = p.channel * call.source_stride_c + tap.d * call.source_stride[0] +
                     tap.h * call.source_stride[1] + tap.w * call.source_stride[2];
    }
    simt::store(call.table + i, tap);
}

} // namespace

cudaError_t prepare(const Preparation& call, DType dtype, cudaStream_t stream) {
    const uint32_t threads = call.packed_size + call.table_size;
    if (threads == 0)
        return cudaSuccess;
    const auto launch = [&](auto kernel) {
        return simt::launch(kernel, dim3((threads + 255) / 256), dim3(256), 0, stream, call);
    };
    switch (size_of(dtype)) {
    case 2:
        return launch(prepare_kernel<uint16_t>);
    case 4:
        return launch(prepare_kernel<uint32_t>);
    default:
        return launch(prepare_kernel<uint64_t>);
    }
}

} // namespace fastnn::cuda
