// Correct kernels whose results pin down what the emulator's operations mean.
#include "kernels.h"

namespace {

KERNEL(shuffles) { // six results a lane, of doubles
    const int l = int(threadIdx.x);
    double* o = as<double>(out) + l * 6;
    const double v = l + 0.5;
    o[0] = __shfl_sync(~0u, v, 5);
    o[1] = __shfl_sync(~0u, v, 9, 8);
    o[2] = __shfl_xor_sync(~0u, v, 3);
    o[3] = __shfl_xor_sync(~0u, v, 8, 8);
    o[4] = __shfl_up_sync(~0u, v, 2);
    o[5] = __shfl_down_sync(~0u, v, 3, 16);
}

KERNEL(votes) { // ten results a lane
    const int l = int(threadIdx.x);
    const int v = as<int>(in)[l];
    int all = 0;
    int* o = as<int>(out) + l * 10;
    o[0] = int(__ballot_sync(~0u, l % 3 == 0));
    o[1] = __any_sync(~0u, l == 7);
    o[2] = __all_sync(~0u, l < 31);
    o[3] = __reduce_add_sync(~0u, v);
    o[4] = __reduce_min_sync(~0u, v);
    o[5] = __reduce_max_sync(~0u, v);
    o[6] = int(__reduce_max_sync(~0u, unsigned(v)));
    o[7] = int(__match_any_sync(~0u, (long long)(v)));
    o[8] = int(__match_all_sync(~0u, 5, &all)) + all;
    o[9] = int(__reduce_xor_sync(~0u, unsigned(v)));
}

KERNEL(half_warps) { // two halves of a warp on different ways
    const unsigned l = threadIdx.x;
    if (l < 16)
        as<int>(out)[l] = int(__shfl_xor_sync(0xffffu, l, 1));
    else
        as<int>(out)[l] = int(__ballot_sync(0xffff0000u, l & 1));
}

KERNEL(block_sum) { // a raw __shared__ array, a smem_static, an atomic
    __shared__ float raw[32];
    auto& part = simt::smem_static<float[32]>();
    float v = 0;
    for (int i = int(threadIdx.x); i < n; i += int(blockDim.x))
        v += as<float>(in)[i];
    for (int d = 16; d; d >>= 1)
        v += __shfl_down_sync(~0u, v, d);
    if (threadIdx.x % 32 == 0)
        raw[threadIdx.x / 32] = part[threadIdx.x / 32] = v;
    const int positive = __syncthreads_count(threadIdx.x < 10);
    if (threadIdx.x >= 32)
        return;
    const bool full = threadIdx.x < blockDim.x / 32;
    v = full ? 0.5f * (raw[threadIdx.x] + part[threadIdx.x]) : 0.f;
    for (int d = 16; d; d >>= 1)
        v += __shfl_xor_sync(~0u, v, d);
    if (threadIdx.x == 0) {
        atomicAdd(as<float>(out), v);
        as<float>(out)[1] = float(positive);
    }
}

KERNEL(bytes) { // neighbouring threads store single bytes
    auto& s = simt::smem_static<unsigned char[64]>();
    s[threadIdx.x] = as<unsigned char>(in)[threadIdx.x];
    __syncthreads();
    as<unsigned char>(out)[threadIdx.x] = s[63 - threadIdx.x];
}

KERNEL(atomics) { // every thread of every block; eight 64-bit results
    auto* o = as<long long>(out);
    const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
    atomicAdd(as<double>(out), 0.5);
    atomicAdd(o + 1, (long long)(i));
    atomicMax(o + 2, (long long)(i));
    atomicMin(o + 3, -(long long)(i));
    atomicOr(as<unsigned>(o + 4), 1u << (i % 32));
    atomicXor(as<unsigned>(o + 5), unsigned(i));
    atomicAdd(as<__half2>(o + 6), __half2{1.f, 2.f});
    long long seen = 0, was;
    while ((was = atomicCAS(o + 7, seen, seen + 3)) != seen)
        seen = was;
}

KERNEL(last_block) { // partial sums published by __threadfence() and a counter, added up by the
                     // last block
    auto* partial = as<int>(out) + 2;
    auto& last = simt::smem_static<bool>();
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = int(blockIdx.x) + 1;
        __threadfence();
        last = atomicAdd(as<unsigned>(out), 1u) == gridDim.x - 1;
        __threadfence();
    }
    __syncthreads();
    if (!last || threadIdx.x)
        return;
    int sum = 0;
    for (unsigned b = 0; b < gridDim.x; b++)
        sum += partial[b];
    as<int>(out)[1] = sum;
}

// One warp, fragments by hand after the PTX manual. A: 16 x K row major, B: K x 8 row major, C: 16
// x 8.
template <class Pair>
__device__ uint32_t pack(float x, float y) {
    const Pair p{x, y};
    uint32_t u;
    memcpy(&u, &p, 4);
    return u;
}
template <class Pair, int K, class M>
__device__ void sixteen_bit_mma(const void* in, void* out, M mma) {
    const int g = int(threadIdx.x) / 4, t = int(threadIdx.x) % 4;
    const float *a = as<float>(in), *b = a + 16 * K;
    uint32_t fa[K / 4], fb[K / 8];
    float d[4] = {};
    for (int i = 0; i < K / 4; i++) {
        const float* p = a + (g + 8 * (i & 1)) * K + 2 * t + 8 * (i >> 1);
        fa[i] = pack<Pair>(p[0], p[1]);
    }
    for (int i = 0; i < K / 8; i++) {
        const float* p = b + (2 * t + 8 * i) * 8 + g;
        fb[i] = pack<Pair>(p[0], p[8]);
    }
    mma(d, fa, fb);
    for (int i = 0; i < 4; i++)
        as<float>(out)[(g + 8 * (i / 2)) * 8 + 2 * t + (i & 1)] = d[i];
}
template <int K, class M>
__device__ void tf32_mma(const void* in, void* out, M mma) {
    const int g = int(threadIdx.x) / 4, t = int(threadIdx.x) % 4;
    const float *a = as<float>(in), *b = a + 16 * K;
    uint32_t fa[K / 2], fb[K / 4];
    float d[4] = {};
    for (int i = 0; i < K / 2; i++)
        fa[i] = ptx::cvt_tf32(a[(g + 8 * (i & 1)) * K + t + 4 * (i >> 1)]);
    for (int i = 0; i < K / 4; i++)
        fb[i] = ptx::cvt_tf32(b[(t + 4 * i) * 8 + g]);
    mma(d, fa, fb);
    for (int i = 0; i < 4; i++)
        as<float>(out)[(g + 8 * (i / 2)) * 8 + 2 * t + (i & 1)] = d[i];
}
#define MMA(NAME) [](auto& d, auto& a, auto& b) { ptx::NAME(d, a, b); }
KERNEL(mma_m16n8k16_bf16) {
    sixteen_bit_mma<__nv_bfloat162, 16>(in, out, MMA(mma_m16n8k16_bf16));
}
KERNEL(mma_m16n8k16_f16) {
    sixteen_bit_mma<__half2, 16>(in, out, MMA(mma_m16n8k16_f16));
}
KERNEL(mma_m16n8k8_bf16) {
    sixteen_bit_mma<__nv_bfloat162, 8>(in, out, MMA(mma_m16n8k8_bf16));
}
KERNEL(mma_m16n8k8_f16) {
    sixteen_bit_mma<__half2, 8>(in, out, MMA(mma_m16n8k8_f16));
}
KERNEL(mma_m16n8k8_tf32) {
    tf32_mma<8>(in, out, MMA(mma_m16n8k8_tf32));
}
KERNEL(mma_m16n8k4_tf32) {
    tf32_mma<4>(in, out, MMA(mma_m16n8k4_tf32));
}
KERNEL(mma_m8n8k4_f64) {
    const int l = int(threadIdx.x), g = l / 4, t = l % 4;
    const double *a = as<double>(in), *b = a + 32;
    double d[2] = {};
    ptx::mma_m8n8k4_f64(d, a[g * 4 + t], b[t * 8 + g]);
    as<double>(out)[g * 8 + 2 * t] = d[0];
    as<double>(out)[g * 8 + 2 * t + 1] = d[1];
}

KERNEL(matrices) { // ldmatrix and .trans of a 16 x 16 tile, and stmatrix back
    struct Tiles {
        alignas(16) uint16_t a[16][24], b[16][24], c[16][24];
    };
    auto& s = simt::smem_static<Tiles>();
    const int l = int(threadIdx.x);
    for (int i = l; i < 256; i += 32)
        s.a[i / 16][i % 16] = as<uint16_t>(in)[i];
    __syncthreads();
    uint32_t r[4];
    auto* o = as<uint32_t>(out);
    ptx::ldmatrix_x4(r, &s.a[l % 16][l / 16 * 8]);
    for (int i = 0; i < 4; i++)
        o[l * 8 + i] = r[i];
    ptx::stmatrix_x4(&s.b[l % 16][l / 16 * 8], r);
    ptx::stmatrix_x4_trans(&s.c[l % 16][l / 16 * 8], r);
    ptx::ldmatrix_x4_trans(r, &s.a[l % 16][l / 16 * 8]);
    for (int i = 0; i < 4; i++)
        o[l * 8 + 4 + i] = r[i];
    __syncthreads();
    auto* copies = as<uint16_t>(out) + 512;
    for (int i = l; i < 256; i += 32) {
        copies[i] = s.b[i / 16][i % 16];
        copies[256 + i] = s.c[i / 16][i % 16];
    }
}

KERNEL(named_barriers) { // warp 0 produces, warp 1 consumes, warp 2 takes no part
    auto& b = simt::smem_static<int[2][32]>();
    const int w = int(threadIdx.x) / 32, l = int(threadIdx.x) % 32;
    for (int i = 0; i < 6; i++) {
        const unsigned stage = unsigned(i % 2);
        if (w == 0) {
            if (i >= 2)
                ptx::bar_sync(3 + stage, 64); // emptied
            b[stage][l] = i * 100 + l;
            ptx::bar_arrive(1 + stage, 64); // filled
        } else if (w == 1) {
            ptx::bar_sync(1 + stage, 64);
            as<int>(out)[i * 32 + l] = b[stage][31 - l];
            if (i < 4)
                ptx::bar_arrive(3 + stage, 64);
        }
    }
}

KERNEL(copy_pipeline) { // three stages of cp.async, with zeros behind the end
    auto& s = simt::smem_static<float[3][128]>();
    const int t = int(threadIdx.x), stages = (n + 127) / 128;
    const auto fetch = [&](int k) {
        const int i = k * 128 + t;
        ptx::cp_async<4>(&s[k % 3][t], as<float>(in) + (i < n ? i : 0), i < n);
    };
    for (int k = 0; k < 2; k++) {
        if (k < stages)
            fetch(k);
        ptx::cp_async_commit();
    }
    for (int k = 0; k < stages; k++) {
        ptx::cp_async_wait<1>();
        __syncthreads();
        if (k + 2 < stages)
            fetch(k + 2);
        ptx::cp_async_commit();
        as<float>(out)[k * 128 + t] = s[k % 3][127 - t];
    }
}

KERNEL(
    convert) { // of each float: bits as half and as bfloat16; of the doubles behind them likewise
    const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n)
        return;
    auto* o = as<uint16_t>(out) + i * 4;
    const float f = as<float>(in)[i];
    const double d = as<double>(as<float>(in) + n)[i];
    o[0] = __half_as_ushort(__float2half(f));
    o[1] = __bfloat16_as_ushort(__float2bfloat16(f));
    o[2] = __half_as_ushort(__double2half(d));
    o[3] = __bfloat16_as_ushort(__double2bfloat16(d));
}

KERNEL(widen) { // all 16-bit floats of both kinds
    const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
    as<float>(out)[2 * i] = __half2float(__ushort_as_half((unsigned short)(i)));
    as<float>(out)[2 * i + 1] = __bfloat162float(__ushort_as_bfloat16((unsigned short)(i)));
}

KERNEL(strided) { // n apart: for the counters
    as<float>(out)[threadIdx.x] = as<float>(in)[threadIdx.x * unsigned(n)];
}

KERNEL(transpose_tile) { // n: padding of the tile's rows
    float* s = simt::smem<float[32 * 33]>();
    const int x = int(threadIdx.x) % 32, y = int(threadIdx.x) / 32, pitch = 32 + n;
    s[y * pitch + x] = as<float>(in)[threadIdx.x];
    __syncthreads();
    as<float>(out)[threadIdx.x] = s[x * pitch + y];
}

} // namespace
