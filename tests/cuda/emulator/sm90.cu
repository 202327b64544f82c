// Correct kernels whose results pin down what mbarriers, TMA and wgmma mean.
#include "tensor_maps.h"

namespace {

using emulator_tests::map_of;

KERNEL(
    tensor_box) { // a box of 64 x 8 x 2 from a tensor of 70 x 11 x 3; out: shared memory as it is
    struct Shared {
        alignas(1024) uint16_t tile[1024];
        uint64_t full;
    };
    Shared& s = simt::smem<Shared>();
    const CUtensorMap map = map_of<3>(as<int>(in) + 4, {70, 11, 3}, 72, {64, 8, 2});
    const int* at = as<int>(in);
    if (threadIdx.x == 0) {
        ptx::mbarrier_init(&s.full, 1);
        ptx::fence_mbarrier_init();
        ptx::mbarrier_arrive_expect_tx(&s.full, sizeof s.tile);
        ptx::tensor_load_3d(s.tile, &map, at[0], at[1], at[2], &s.full);
    }
    __syncthreads();
    ptx::mbarrier_wait(&s.full, 0);
    for (unsigned i = threadIdx.x; i < 1024; i += blockDim.x)
        as<uint16_t>(out)[i] = s.tile[i];
}

KERNEL(bulk_copies) { // two of them, of which a barrier waits for both
    struct Shared {
        alignas(16) float x[2][64];
        uint64_t full;
    };
    Shared& s = simt::smem_static<Shared>();
    if (threadIdx.x == 0) {
        ptx::mbarrier_init(&s.full, 2);
        ptx::fence_mbarrier_init();
    }
    __syncthreads();
    if (threadIdx.x < 2) {
        ptx::mbarrier_arrive_expect_tx(&s.full, 256);
        ptx::bulk_load(s.x[threadIdx.x], as<float>(in) + threadIdx.x * 64, 256, &s.full);
    }
    ptx::mbarrier_wait(&s.full, 0);
    as<float>(out)[threadIdx.x] = s.x[threadIdx.x % 2][threadIdx.x / 2];
}

KERNEL(ring) { // a warp brings n tiles through three stages to two warps, of which each reads all
    struct Shared {
        alignas(1024) uint16_t tile[3][512];
        uint64_t full[3], empty[3];
    };
    Shared& s = simt::smem<Shared>();
    const CUtensorMap map = map_of<2>(in, {64, uint64_t(n) * 8}, 64, {64, 8});
    if (threadIdx.x == 0) {
        for (int i = 0; i < 3; i++) {
            ptx::mbarrier_init(&s.full[i], 1);
            ptx::mbarrier_init(&s.empty[i], 2);
        }
        ptx::fence_mbarrier_init();
    }
    __syncthreads();
    const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
    if (warp == 2) {
        if (lane == 0)
            for (int i = 0; i < n; i++) {
                ptx::mbarrier_wait(&s.empty[i % 3], unsigned(i / 3 % 2 ^ 1));
                ptx::mbarrier_arrive_expect_tx(&s.full[i % 3], 1024);
                ptx::tensor_load_2d(s.tile[i % 3], &map, 0, i * 8, &s.full[i % 3]);
            }
        return;
    }
    int sum = 0;
    for (int i = 0; i < n; i++) {
        ptx::mbarrier_wait(&s.full[i % 3], unsigned(i / 3 % 2));
        for (int j = 0; j < 16; j++)
            sum += (i + 1) * s.tile[i % 3][j * 32 + lane];
        __syncwarp();
        if (lane == 0)
            ptx::mbarrier_arrive(&s.empty[i % 3]);
    }
    as<int>(out)[threadIdx.x] = sum;
}

// ---- wgmma: operands as the input has them in shared memory, 1024 bytes of A's per 8 lines
struct Operands {
    alignas(1024) unsigned char a[8192]; // 64 lines of 128 bytes, or where transposed 16
    alignas(1024) unsigned char b[32768];
};
__device__ Operands& operands(const void* in) {
    Operands& s = simt::smem<Operands>();
    for (unsigned i = threadIdx.x; i < sizeof(Operands) / 4; i += blockDim.x)
        reinterpret_cast<uint32_t*>(&s)[i] = as<uint32_t>(in)[i];
    ptx::fence_proxy_async();
    __syncthreads();
    return s;
}
// n: the 16 of k that are taken, of 64; transposed, blocks of 64 along B's N lie 2048 bytes apart
template <int N, class Multiply>
__device__ void one_product(const void* in, void* out, Multiply multiply) {
    Operands& s = operands(in);
    float d[N / 2];
    for (float& x : d)
        x = 1.f;
    ptx::wgmma_fence();
    multiply(d, s);
    ptx::wgmma_commit();
    ptx::wgmma_wait<0>();
    for (int i = 0; i < N / 2; i++)
        as<float>(out)[int(threadIdx.x) * (N / 2) + i] = d[i];
}
#define PRODUCT(TYPE, N, TA, TB)                                                                   \
    KERNEL(wgmma_##TYPE##_##N##_##TA##TB) {                                                        \
        one_product<N>(in, out, [n](float (&d)[N / 2], Operands& s) {                              \
            ptx::wgmma_m64n##N##k16_##TYPE<TA, TB>(                                                \
                d, ptx::matrix_descriptor(s.a + (TA ? 0 : n * 32), 2048, 1024),                    \
                ptx::matrix_descriptor(s.b + (TB ? 0 : n * 32), 2048, 1024), true);                \
        });                                                                                        \
    }
PRODUCT(bf16, 64, 0, 0)
PRODUCT(bf16, 128, 0, 1)
PRODUCT(bf16, 256, 1, 0)
PRODUCT(bf16, 256, 1, 1)
PRODUCT(f16, 64, 1, 1)
PRODUCT(f16, 128, 0, 0)
PRODUCT(f16, 256, 0, 1)
KERNEL(wgmma_tf32_128_00) {
    one_product<128>(in, out, [n](float (&d)[64], Operands& s) {
        ptx::wgmma_m64n128k8_tf32(d, ptx::matrix_descriptor(s.a + n * 32, 16, 1024),
                                  ptx::matrix_descriptor(s.b + n * 32, 16, 1024), true);
    });
}
// A's fragments as the first 2 KiB of the input, [128][4]
#define PRODUCT_OF_REGISTERS(TYPE, N, TB)                                                          \
    KERNEL(wgmma_##TYPE##_##N##_registers_##TB) {                                                  \
        const uint32_t* fragment = as<uint32_t>(in) + threadIdx.x * 4;                             \
        const uint32_t a[4] = {fragment[0], fragment[1], fragment[2], fragment[3]};                \
        one_product<N>(in, out, [n, &a](float (&d)[N / 2], Operands& s) {                          \
            ptx::wgmma_m64n##N##k16_##TYPE<TB>(                                                    \
                d, a, ptx::matrix_descriptor(s.b + (TB ? 0 : n * 32), 2048, 1024), true);          \
        });                                                                                        \
    }
PRODUCT_OF_REGISTERS(bf16, 64, 1)
PRODUCT_OF_REGISTERS(f16, 128, 0)
PRODUCT_OF_REGISTERS(f16, 64, 0)
PRODUCT_OF_REGISTERS(bf16, 128, 1)

KERNEL(wgmma_groups) { // four products into the same registers, of which two are in flight at once
    Operands& s = operands(in);
    float d[32], *o = as<float>(out) + threadIdx.x * 64;
    for (int k = 0; k < 4; k++) {
        ptx::wgmma_fence();
        ptx::wgmma_m64n64k16_bf16<false, false>(d, ptx::matrix_descriptor(s.a + k * 32, 16, 1024),
                                                ptx::matrix_descriptor(s.b + k * 32, 16, 1024),
                                                k > 0);
        ptx::wgmma_commit();
        ptx::wgmma_wait<1>();
        if (k == 1)
            for (int i = 0; i < 32; i++)
                o[32 + i] = d[i]; // still in flight
    }
    ptx::wgmma_wait<0>();
    for (int i = 0; i < 32; i++)
        o[i] = d[i];
}

} // namespace
