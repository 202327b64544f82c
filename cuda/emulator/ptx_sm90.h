// Twins of core/ptx_sm90.cuh: mbarriers, copies by TMA, wgmma.
#pragma once

#include "emulator/interface.h"
#include "emulator/tensor_map.h"

namespace simt {

void mbarrier_init(void* barrier, unsigned count, Site site, const void* pc);
void mbarrier_arrive(void* barrier, unsigned bytes, Site site, const void* pc);
void mbarrier_wait(void* barrier, unsigned parity, Site site, const void* pc);
void fence_proxy_async();
void fence_mbarrier_init();
void tensor_load(void* dst, const CUtensorMap* map, const int* at, unsigned dims, void* barrier,
                 Site site, const void* pc);
void bulk_load(void* dst, const void* src, unsigned bytes, void* barrier, Site site,
               const void* pc);

enum class WgmmaType { bf16, f16, tf32 };
struct Wgmma {
    WgmmaType type;
    int n;
    bool a_in_registers, transposed_a, transposed_b;
    uint64_t a, b; // matrix descriptors
    bool accumulate;
    Site site;
    const void* pc;
};
void wgmma_fence();
void wgmma(const Wgmma& call, float* d, const uint32_t* a);
void wgmma_commit(Site site);
void wgmma_wait(unsigned groups_left, Site site);

} // namespace simt

namespace ptx {

SIMT_INL uint32_t saddr(const void* p) {
    return uint32_t(static_cast<const unsigned char*>(p) - simt::shared_memory);
}

// ---- mbarriers
SIMT_NOINST inline void mbarrier_init(uint64_t* barrier, unsigned count, SIMT_HERE) {
    simt::mbarrier_init(barrier, count, SIMT_SITE, __builtin_return_address(0));
}
SIMT_NOINST inline void mbarrier_arrive(uint64_t* barrier, SIMT_HERE) {
    simt::mbarrier_arrive(barrier, 0, SIMT_SITE, __builtin_return_address(0));
}
SIMT_NOINST inline void mbarrier_arrive_expect_tx(uint64_t* barrier, unsigned bytes, SIMT_HERE) {
    simt::mbarrier_arrive(barrier, bytes, SIMT_SITE, __builtin_return_address(0));
}
SIMT_NOINST inline void mbarrier_wait(uint64_t* barrier, unsigned parity, SIMT_HERE) {
    simt::mbarrier_wait(barrier, parity, SIMT_SITE, __builtin_return_address(0));
}
SIMT_INL void fence_mbarrier_init() {
    simt::fence_mbarrier_init();
}
SIMT_INL void fence_proxy_async() {
    simt::fence_proxy_async();
}

// ---- TMA
SIMT_NOINST inline void tensor_load_2d(void* dst, const CUtensorMap* map, int x, int y,
                                       uint64_t* barrier, SIMT_HERE) {
    const int at[] = {x, y};
    simt::tensor_load(dst, map, at, 2, barrier, SIMT_SITE, __builtin_return_address(0));
}
SIMT_NOINST inline void tensor_load_3d(void* dst, const CUtensorMap* map, int x, int y, int z,
                                       uint64_t* barrier, SIMT_HERE) {
    const int at[] = {x, y, z};
    simt::tensor_load(dst, map, at, 3, barrier, SIMT_SITE, __builtin_return_address(0));
}
SIMT_NOINST inline void tensor_load_4d(void* dst, const CUtensorMap* map, int x, int y, int z,
                                       int w, uint64_t* barrier, SIMT_HERE) {
    const int at[] = {x, y, z, w};
    simt::tensor_load(dst, map, at, 4, barrier, SIMT_SITE, __builtin_return_address(0));
}
SIMT_NOINST inline void bulk_load(void* dst, const void* src, unsigned bytes, uint64_t* barrier,
                                  SIMT_HERE) {
    simt::bulk_load(dst, src, bytes, barrier, SIMT_SITE, __builtin_return_address(0));
}
SIMT_INL void prefetch_tensor_map(const CUtensorMap*) {}

// ---- registers of a warpgroup's threads
template <int N>
SIMT_INL void setmaxnreg_inc() {
    static_assert(N % 8 == 0 && N >= 24 && N <= 256);
}
template <int N>
SIMT_INL void setmaxnreg_dec() {
    static_assert(N % 8 == 0 && N >= 24 && N <= 256);
}

// ---- wgmma
SIMT_INL void wgmma_fence() {
    simt::wgmma_fence();
}
SIMT_INL void wgmma_commit(SIMT_HERE) {
    simt::wgmma_commit(SIMT_SITE);
}
template <int N>
SIMT_INL void wgmma_wait(SIMT_HERE) {
    simt::wgmma_wait(N, SIMT_SITE);
}
#define SIMT_WGMMA(N, TYPE)                                                                        \
    template <bool transposed_a, bool transposed_b>                                                \
    SIMT_NOINST void wgmma_m64n##N##k16_##TYPE(float (&d)[N / 2], uint64_t a, uint64_t b,          \
                                               bool accumulate, SIMT_HERE) {                       \
        simt::wgmma({simt::WgmmaType::TYPE, N, false, transposed_a, transposed_b, a, b,            \
                     accumulate, SIMT_SITE, __builtin_return_address(0)},                          \
                    d, nullptr);                                                                   \
    }                                                                                              \
    template <bool transposed_b>                                                                   \
    SIMT_NOINST void wgmma_m64n##N##k16_##TYPE(float (&d)[N / 2], const uint32_t (&a)[4],          \
                                               uint64_t b, bool accumulate, SIMT_HERE) {           \
        simt::wgmma({simt::WgmmaType::TYPE, N, true, false, transposed_b, 0, b, accumulate,        \
                     SIMT_SITE, __builtin_return_address(0)},                                      \
                    d, a);                                                                         \
    }
SIMT_WGMMA(64, bf16)
SIMT_WGMMA(128, bf16)
SIMT_WGMMA(256, bf16)
SIMT_WGMMA(64, f16)
SIMT_WGMMA(128, f16)
SIMT_WGMMA(256, f16)
#undef SIMT_WGMMA
SIMT_NOINST inline void wgmma_m64n128k8_tf32(float (&d)[64], uint64_t a, uint64_t b,
                                             bool accumulate, SIMT_HERE) {
    simt::wgmma({simt::WgmmaType::tf32, 128, false, false, false, a, b, accumulate, SIMT_SITE,
                 __builtin_return_address(0)},
                d, nullptr);
}

} // namespace ptx
