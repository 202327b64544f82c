// One PTX instruction each, of sm_90a: mbarriers, copies by TMA, wgmma. Included by core/device.cuh
// under nvcc; emulator/ptx_sm90.h has the twins.
#pragma once

namespace ptx {

// ---- mbarriers: 8 bytes of shared memory
__device__ __forceinline__ void mbarrier_init(uint64_t* barrier, unsigned count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(saddr(barrier)), "r"(count)
                 : "memory");
}
__device__ __forceinline__ void mbarrier_arrive(uint64_t* barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(saddr(barrier)) : "memory");
}
// Arrives, and lets the phase wait for so many bytes of copies as well.
__device__ __forceinline__ void mbarrier_arrive_expect_tx(uint64_t* barrier, unsigned bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(saddr(barrier)),
                 "r"(bytes)
                 : "memory");
}
__device__ __forceinline__ bool mbarrier_try_wait(uint64_t* barrier, unsigned parity) {
    uint32_t done;
    asm volatile("{\n.reg .pred p;\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
                 "selp.u32 %0, 1, 0, p;\n}"
                 : "=r"(done)
                 : "r"(saddr(barrier)), "r"(parity)
                 : "memory");
    return done;
}
// Until the phase of this parity is complete. Bounded: a mistake becomes an error, not a hang.
__device__ __forceinline__ void mbarrier_wait(uint64_t* barrier, unsigned parity) {
    for (unsigned tries = 0; !mbarrier_try_wait(barrier, parity); tries++)
        if (tries == 1u << 27)
            __trap();
}
// Makes mbarrier.init of this thread known to the copies of TMA.
__device__ __forceinline__ void fence_mbarrier_init() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
// Makes stores of this thread to shared memory known to TMA and wgmma.
__device__ __forceinline__ void fence_proxy_async() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// ---- TMA: from global to shared memory, reported to the barrier
__device__ __forceinline__ void tensor_load_2d(void* dst, const CUtensorMap* map, int x, int y,
                                               uint64_t* barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4}], [%2];" ::"r"(saddr(dst)),
                 "l"(map), "r"(saddr(barrier)), "r"(x), "r"(y)
                 : "memory");
}
__device__ __forceinline__ void tensor_load_3d(void* dst, const CUtensorMap* map, int x, int y,
                                               int z, uint64_t* barrier) {
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5}], [%2];" ::"r"(saddr(dst)),
                 "l"(map), "r"(saddr(barrier)), "r"(x), "r"(y), "r"(z)
                 : "memory");
}
__device__ __forceinline__ void tensor_load_4d(void* dst, const CUtensorMap* map, int x, int y,
                                               int z, int w, uint64_t* barrier) {
    asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(saddr(dst)),
                 "l"(map), "r"(saddr(barrier)), "r"(x), "r"(y), "r"(z), "r"(w)
                 : "memory");
}
__device__ __forceinline__ void bulk_load(void* dst, const void* src, unsigned bytes,
                                          uint64_t* barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1], %2, [%3];" ::"r"(saddr(dst)),
                 "l"(__cvta_generic_to_global(src)), "r"(bytes), "r"(saddr(barrier))
                 : "memory");
}
__device__ __forceinline__ void prefetch_tensor_map(const CUtensorMap* map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

// ---- registers of a warpgroup's threads
template <int N>
__device__ __forceinline__ void setmaxnreg_inc() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}
template <int N>
__device__ __forceinline__ void setmaxnreg_dec() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}

// ---- wgmma: D (64 x N) = A B + (accumulate ? D : 0), of a warpgroup. A and B by descriptors of
// shared memory, or A in registers. Transposed: the operand's lines run along M or N.
__device__ __forceinline__ void wgmma_fence() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void wgmma_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int N>
__device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}

#define SIMT_D4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define SIMT_D16(i) SIMT_D4(i), SIMT_D4(i + 4), SIMT_D4(i + 8), SIMT_D4(i + 12)
#define SIMT_D32 SIMT_D16(0), SIMT_D16(16)
#define SIMT_D64 SIMT_D32, SIMT_D16(32), SIMT_D16(48)
#define SIMT_D128 SIMT_D64, SIMT_D16(64), SIMT_D16(80), SIMT_D16(96), SIMT_D16(112)
#define SIMT_R32                                                                                   \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%"  \
    "25,%26,%27,%28,%29,%30,%31"
#define SIMT_R64                                                                                   \
    SIMT_R32 ","                                                                                   \
             "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%"   \
             "52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define SIMT_R128                                                                                  \
    SIMT_R64 ","                                                                                   \
             "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83,%"   \
             "84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,%96,%97,%98,%99,%100,%101,%102,%103," \
             "%104,%105,%106,%107,%108,%109,%110,%111,%112,%113,%114,%115,%116,%117,%118,%119,%"   \
             "120,%121,%122,%123,%124,%125,%126,%127"
// N / 2 registers of D, then the numbers of the operands behind them.
#define SIMT_WGMMA(N, D, TYPE, I0, I1, I2, I3, I4, I5, I6)                                         \
    template <bool transposed_a, bool transposed_b>                                                \
    __device__ __forceinline__ void wgmma_m64n##N##k16_##TYPE(float (&d)[D], uint64_t a,           \
                                                              uint64_t b, bool accumulate) {       \
        asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #I2 ", 0;\n"                             \
                     "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." #TYPE "." #TYPE             \
                     " {" SIMT_R##D "}, %" #I0 ", %" #I1 ", p, 1, 1, %" #I3 ", %" #I4 ";\n}"       \
                     : SIMT_D##D                                                                   \
                     : "l"(a), "l"(b), "r"(int(accumulate)), "n"(int(transposed_a)),               \
                       "n"(int(transposed_b)));                                                    \
    }                                                                                              \
    template <bool transposed_b>                                                                   \
    __device__ __forceinline__ void wgmma_m64n##N##k16_##TYPE(                                     \
        float (&d)[D], const uint32_t (&a)[4], uint64_t b, bool accumulate) {                      \
        asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #I5 ", 0;\n"                             \
                     "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." #TYPE "." #TYPE             \
                     " {" SIMT_R##D "}, {%" #I0 ",%" #I1 ",%" #I2 ",%" #I3 "}, %" #I4              \
                                    ", p, 1, 1, %" #I6 ";\n}"                                      \
                     : SIMT_D##D                                                                   \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(int(accumulate)),   \
                       "n"(int(transposed_b)));                                                    \
    }
SIMT_WGMMA(64, 32, bf16, 32, 33, 34, 35, 36, 37, 38)
SIMT_WGMMA(128, 64, bf16, 64, 65, 66, 67, 68, 69, 70)
SIMT_WGMMA(256, 128, bf16, 128, 129, 130, 131, 132, 133, 134)
SIMT_WGMMA(64, 32, f16, 32, 33, 34, 35, 36, 37, 38)
SIMT_WGMMA(128, 64, f16, 64, 65, 66, 67, 68, 69, 70)
SIMT_WGMMA(256, 128, f16, 128, 129, 130, 131, 132, 133, 134)
#undef SIMT_WGMMA
__device__ __forceinline__ void wgmma_m64n128k8_tf32(float (&d)[64], uint64_t a, uint64_t b,
                                                     bool accumulate) {
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k8.f32.tf32.tf32 {" SIMT_R64
                 "}, %64, %65, p, 1, 1;\n}"
                 : SIMT_D64
                 : "l"(a), "l"(b), "r"(int(accumulate)));
}
#undef SIMT_R32
#undef SIMT_R64
#undef SIMT_R128
#undef SIMT_D4
#undef SIMT_D16
#undef SIMT_D32
#undef SIMT_D64
#undef SIMT_D128

} // namespace ptx
