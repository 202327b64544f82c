// Kernels for sm_90a that are wrong on purpose, as faults.cu has them for all: a warp that produces
// (the last), and a warpgroup that consumes.
#include "tensor_maps.h"

namespace {

using emulator_tests::map_of;

struct Shared {
    alignas(1024) unsigned char a[2][8192];
    alignas(1024) unsigned char b[2][8192];
    uint64_t full[2], empty[2], odd;
};
constexpr unsigned stage_bytes = 16384;
__device__ Shared& prepare() {
    Shared& s = simt::smem<Shared>();
    if (threadIdx.x == 128) {
        for (int i = 0; i < 2; i++) {
            ptx::mbarrier_init(&s.full[i], 1);
            ptx::mbarrier_init(&s.empty[i], 1);
        }
        ptx::fence_mbarrier_init();
    }
    __syncthreads();
    return s;
}
CUtensorMap input_map(const void* in) {
    return map_of<2>(in, {64, 256}, 64, {64, 64});
}
// 64 x 64 elements into a and into b
__device__ void fill(Shared& s, int stage, const CUtensorMap& map, unsigned bytes = stage_bytes) {
    ptx::mbarrier_arrive_expect_tx(&s.full[stage], bytes);
    ptx::tensor_load_2d(s.a[stage], &map, 0, 0, &s.full[stage]);
    ptx::tensor_load_2d(s.b[stage], &map, 0, 64, &s.full[stage]);
}
__device__ bool producer() {
    return threadIdx.x == 128;
}
__device__ bool consumer() {
    return threadIdx.x < 128;
}
__device__ uint64_t tile(const unsigned char* p) {
    return ptx::matrix_descriptor(p, 16, 1024);
}
#define PRODUCT(D, A, B) ptx::wgmma_m64n64k16_f16<0, 0>(D, tile(A), tile(B), false)
__device__ void write(void* out, const float (&d)[32]) {
    as<float>(out)[threadIdx.x] = d[0];
}

KERNEL(wgmma_without_full_wait) {
    Shared& s = prepare();
    const CUtensorMap map = input_map(in);
    if (producer())
        fill(s, 0, map);
    __syncthreads();
    if (consumer()) {
        float d[32];
        ptx::wgmma_fence();
        ptx::mbarrier_wait(&s.full[1], 1); // another barrier
        PRODUCT(d, s.a[0], s.b[0]);        // BUG wgmma_without_full_wait
        ptx::wgmma_commit();
        ptx::wgmma_wait<0>();
        write(out, d);
    } else {
        ptx::mbarrier_wait(&s.full[0], 0);
    }
}
KERNEL(load_not_waited) {
    Shared& s = prepare();
    const CUtensorMap map = input_map(in);
    if (producer())
        fill(s, 0, map);
    __syncthreads();
    if (consumer())
        as<unsigned char>(out)[threadIdx.x] = s.a[0][threadIdx.x]; // BUG load_not_waited
    ptx::mbarrier_wait(&s.full[0], 0);
}
KERNEL(load_waited_by_others) {
    Shared& s = prepare();
    const CUtensorMap map = input_map(in);
    if (producer()) {
        fill(s, 0, map);
        ptx::mbarrier_wait(&s.full[0], 0);
    }
    if (threadIdx.x < 32)
        as<unsigned char>(out)[threadIdx.x] = s.a[0][threadIdx.x]; // BUG load_waited_by_others
}
KERNEL(wrong_parity) {
    Shared& s = prepare();
    const CUtensorMap map = input_map(in);
    if (consumer())
        ptx::mbarrier_wait(&s.full[0], 1); // the phase before the first, which is over
    __syncthreads();
    if (producer())
        fill(s, 0, map);
    __syncthreads();
    if (consumer()) {
        float d[32];
        ptx::wgmma_fence();
        PRODUCT(d, s.a[0], s.b[0]); // BUG wrong_parity
        ptx::wgmma_commit();
        ptx::wgmma_wait<0>();
        write(out, d);
    }
}
KERNEL(wrong_empty_parity) {
    Shared& s = prepare();
    const CUtensorMap map = input_map(in);
    if (producer()) {
        ptx::mbarrier_wait(&s.empty[0], 0); // BUG wrong_empty_parity
        fill(s, 0, map);
    }
    if (consumer()) {
        ptx::mbarrier_wait(&s.full[0], 0);
        as<unsigned char>(out)[threadIdx.x] = s.a[0][threadIdx.x];
    }
}
KERNEL(too_many_bytes) {
    Shared& s = prepare();
    const CUtensorMap map = input_map(in);
    if (producer())
        fill(s, 0, map, stage_bytes + 16);
    if (consumer())
        ptx::mbarrier_wait(&s.full[0], 0); // BUG too_many_bytes
}
KERNEL(too_few_bytes) {
    Shared& s = prepare();
    const CUtensorMap map = input_map(in);
    if (producer())
        fill(s, 0, map, stage_bytes / 2);
    __syncthreads();
    if (consumer()) {
        float d[32];
        ptx::mbarrier_wait(&s.full[0], 0);
        ptx::wgmma_fence();
        PRODUCT(d, s.a[0], s.b[0]); // BUG too_few_bytes
        ptx::wgmma_commit();
        ptx::wgmma_wait<0>();
        write(out, d);
    }
}
KERNEL(overwritten_stage) { // never waits for `empty`
    Shared& s = prepare();
    const CUtensorMap map = input_map(in);
    if (producer()) {
        fill(s, 0, map);
        ptx::mbarrier_wait(&s.full[0], 0);
    }
    if (consumer()) {
        float d[32];
        ptx::mbarrier_wait(&s.full[0], 0);
        ptx::wgmma_fence();
        PRODUCT(d, s.a[0], s.b[0]);
        ptx::wgmma_commit();
        __syncwarp();
        ptx::bar_arrive(1, 160);
        ptx::wgmma_wait<0>();
        write(out, d);
    }
    if (threadIdx.x >= 128) {
        ptx::bar_sync(1, 160);
        if (producer()) {
            ptx::mbarrier_arrive_expect_tx(&s.full[1], 8192);
            ptx::tensor_load_2d(s.a[0], &map, 0, 0, &s.full[1]); // BUG overwritten_stage
            ptx::mbarrier_wait(&s.full[1], 0);
        }
    }
}
KERNEL(released_before_wait) { // while its wgmma still reads
    Shared& s = prepare();
    const CUtensorMap map = input_map(in);
    if (producer())
        for (int i = 0; i < 2; i++) {
            ptx::mbarrier_wait(&s.empty[0], unsigned(i ^ 1));
            ptx::mbarrier_arrive_expect_tx(&s.full[0], stage_bytes);
            ptx::tensor_load_2d(s.a[0], &map, 0, 0, &s.full[0]); // BUG released_before_wait
            ptx::tensor_load_2d(s.b[0], &map, 0, 64, &s.full[0]);
        }
    if (consumer())
        for (int i = 0; i < 2; i++) {
            float d[32];
            ptx::mbarrier_wait(&s.full[0], unsigned(i));
            ptx::wgmma_fence();
            PRODUCT(d, s.a[0], s.b[0]);
            ptx::wgmma_commit();
            ptx::bar_sync(1, 128);
            if (threadIdx.x == 0)
                ptx::mbarrier_arrive(&s.empty[0]);
            ptx::wgmma_wait<0>();
            write(out, d);
        }
}
KERNEL(missing_proxy_fence) {
    Shared& s = prepare();
    for (unsigned i = threadIdx.x; i < 16384; i += blockDim.x)
        s.a[i / 8192][i % 8192] = s.b[i / 8192][i % 8192] = 0;
    __syncthreads();
    if (consumer()) {
        float d[32];
        ptx::wgmma_fence();
        PRODUCT(d, s.a[0], s.b[0]); // BUG missing_proxy_fence
        ptx::wgmma_commit();
        ptx::wgmma_wait<0>();
        write(out, d);
    }
}
KERNEL(missing_barrier_before_wgmma) {
    Shared& s = prepare();
    for (unsigned i = threadIdx.x; i < 16384; i += blockDim.x)
        s.a[i / 8192][i % 8192] = s.b[i / 8192][i % 8192] = 0;
    ptx::fence_proxy_async();
    if (consumer()) {
        float d[32];
        ptx::wgmma_fence();
        PRODUCT(d, s.a[0], s.b[0]); // BUG missing_barrier_before_wgmma
        ptx::wgmma_commit();
        ptx::wgmma_wait<0>();
        write(out, d);
    }
}
KERNEL(missing_init_fence) {
    Shared& s = simt::smem<Shared>();
    const CUtensorMap map = input_map(in);
    if (producer()) {
        ptx::mbarrier_init(&s.full[0], 1);
        fill(s, 0, map);
        ptx::tensor_load_2d(s.a[0], &map, 0, 0, &s.full[0]);
    }
}
KERNEL(missing_barrier_after_init) {
    Shared& s = simt::smem<Shared>();
    if (producer())
        ptx::mbarrier_init(&s.full[0], 1);
    __nanosleep(1);
    __nanosleep(1);
    if (threadIdx.x < 32)
        ptx::mbarrier_wait(&s.full[0], 1); // BUG missing_barrier_after_init
}
KERNEL(no_mbarrier) {
    ptx::mbarrier_wait(&simt::smem<Shared>().full[0], 1); // BUG no_mbarrier
}
KERNEL(too_many_arrivals) {
    Shared& s = prepare();
    if (producer())
        ptx::mbarrier_arrive_expect_tx(&s.full[0], 16);
    __syncthreads();
    if (threadIdx.x == 0)
        ptx::mbarrier_arrive(&s.full[0]); // BUG too_many_arrivals
}
KERNEL(left_over_arrival) { // of three warps, where two are counted
    Shared& s = prepare();
    if (threadIdx.x == 0)
        ptx::mbarrier_init(&s.odd, 2); // BUG left_over_arrival
    __syncthreads();
    if (threadIdx.x % 32 == 0 && threadIdx.x < 96)
        ptx::mbarrier_arrive(&s.odd);
}
KERNEL(phase_passed_by) { // of two that wait, one runs ahead and completes the next phase too
    Shared& s = prepare();
    if (threadIdx.x == 0) {
        ptx::mbarrier_wait(&s.empty[0], 0);
        ptx::mbarrier_arrive(&s.full[0]);
    } else if (producer()) {
        __nanosleep(1);
        __nanosleep(1);
        ptx::mbarrier_arrive(&s.empty[0]);
        ptx::mbarrier_arrive(&s.empty[0]);
    }
}
KERNEL(misaligned_tile) {
    Shared& s = prepare();
    const CUtensorMap map = input_map(in);
    if (producer())
        ptx::tensor_load_2d(s.a[0] + 128, &map, 0, 0, &s.full[0]); // BUG misaligned_tile
}
KERNEL(load_never_waited) {
    Shared& s = prepare();
    const CUtensorMap map = input_map(in);
    if (producer()) {
        ptx::mbarrier_arrive_expect_tx(&s.full[0], 8192);
        ptx::tensor_load_2d(s.a[0], &map, 0, 0, &s.full[0]); // BUG load_never_waited
    }
}
KERNEL(load_out_of_bounds) { // the map promises more than there is
    Shared& s = prepare();
    const CUtensorMap map = map_of<2>(in, {64, 512}, 64, {64, 64});
    if (producer()) {
        ptx::mbarrier_arrive_expect_tx(&s.full[0], 8192);
        ptx::tensor_load_2d(s.a[0], &map, 0, 400, &s.full[0]); // BUG load_out_of_bounds
        ptx::mbarrier_wait(&s.full[0], 0);
    }
}
template <int variant>
__device__ void wrong_wgmma(Shared& s, void* out) {
    for (unsigned i = threadIdx.x; i < 8192; i += blockDim.x)
        s.a[0][i] = s.b[0][i] = 0;
    ptx::fence_proxy_async();
    __syncthreads();
    if (!consumer())
        return;
    float d[32] = {};
    if (variant != 0)
        ptx::wgmma_fence();
    const int other = variant == 1 && threadIdx.x >= 96 ? 32 : 0;
    PRODUCT(d, s.a[0], s.b[0] + other); // BUG wrong_wgmma
    ptx::wgmma_commit();
    if (variant != 2)
        ptx::wgmma_wait<0>();
    if (variant == 3) {
        d[0] = 1.f;
        PRODUCT(d, s.a[0], s.b[0]); // BUG wgmma_after_wait
        ptx::wgmma_commit();
        ptx::wgmma_wait<0>();
    }
    write(out, d);
}
KERNEL(wgmma_not_fenced) {
    wrong_wgmma<0>(prepare(), out);
}
KERNEL(wgmma_of_different_operands) {
    wrong_wgmma<1>(prepare(), out);
}
KERNEL(wgmma_not_waited) {
    wrong_wgmma<2>(prepare(), out);
}
KERNEL(wgmma_after_wait) {
    wrong_wgmma<3>(prepare(), out);
}
KERNEL(half_a_warpgroup) {
    Shared& s = prepare();
    for (unsigned i = threadIdx.x; i < 8192; i += blockDim.x)
        s.a[0][i] = s.b[0][i] = 0;
    ptx::fence_proxy_async();
    __syncthreads();
    if (threadIdx.x < 64) {
        float d[32];
        ptx::wgmma_fence();
        PRODUCT(d, s.a[0], s.b[0]);
        ptx::wgmma_commit();
        ptx::wgmma_wait<0>(); // BUG half_a_warpgroup
        write(out, d);
    }
}

} // namespace
