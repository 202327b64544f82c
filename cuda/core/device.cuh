// The only CUDA header a kernel file includes.
// nvcc: the CUDA headers, inline PTX wrappers and a launch() on cudaLaunchKernelEx.
// any other compiler: the CPU emulator, with the same names.
#pragma once
#ifndef __CUDACC__
#include "emulator/emulator.h"
#else
#include <cstdint>
#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <utility>

namespace simt {
constexpr bool emulated = false;
template <class T>
__device__ __forceinline__ T& smem() {
    if constexpr (alignof(T) > 128) { // what TMA swizzles
        extern __shared__ __align__(1024) unsigned char simt_dyn_1024_[];
        return *reinterpret_cast<T*>(simt_dyn_1024_);
    } else {
        extern __shared__ __align__(128) unsigned char simt_dyn_[];
        return *reinterpret_cast<T*>(simt_dyn_);
    }
}
template <class T, int Tag = 0>
__device__ __forceinline__ T& smem_static() {
    __shared__ __align__(alignof(T)) unsigned char raw[sizeof(T)];
    return *reinterpret_cast<T*>(raw);
}
template <class T>
__device__ __forceinline__ T load(const T* p) {
    return *p;
}
template <class T>
__device__ __forceinline__ void store(T* p, const T& v) {
    *p = v;
}

template <class... P, class... A>
cudaError_t launch(void (*k)(P...), dim3 grid, dim3 block, size_t smem, cudaStream_t s, A&&... a) {
    if (smem > 48 * 1024) {
        cudaError_t e =
            cudaFuncSetAttribute(k, cudaFuncAttributeMaxDynamicSharedMemorySize, int(smem));
        if (e != cudaSuccess)
            return e;
    }
    cudaLaunchConfig_t c{};
    c.gridDim = grid;
    c.blockDim = block;
    c.dynamicSmemBytes = smem;
    c.stream = s;
    return cudaLaunchKernelEx(&c, k, std::forward<A>(a)...);
}
} // namespace simt

namespace ptx {
__device__ __forceinline__ uint32_t saddr(const void* p) {
    return uint32_t(__cvta_generic_to_shared(p));
}
template <int N>
__device__ __forceinline__ void cp_async(void* dst, const void* src, bool pred = true) {
    static_assert(N == 4 || N == 8 || N == 16, "cp.async size");
    const int n = pred ? N : 0;
    if constexpr (N == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(saddr(dst)), "l"(src),
                     "r"(n)
                     : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(saddr(dst)), "l"(src),
                     "n"(N), "r"(n)
                     : "memory");
}
__device__ __forceinline__ void cp_async_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int N>
__device__ __forceinline__ void cp_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}
__device__ __forceinline__ void bar_sync(unsigned id, unsigned n) {
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(n) : "memory");
}

#define SIMT_LDM(SUF, TR)                                                                          \
    __device__ __forceinline__ void ldmatrix_x1##SUF(uint32_t (&r)[1], const void* p) {            \
        asm volatile("ldmatrix.sync.aligned.m8n8.x1" TR ".shared.b16 {%0}, [%1];"                  \
                     : "=r"(r[0])                                                                  \
                     : "r"(saddr(p))                                                               \
                     : "memory");                                                                  \
    }                                                                                              \
    __device__ __forceinline__ void ldmatrix_x2##SUF(uint32_t (&r)[2], const void* p) {            \
        asm volatile("ldmatrix.sync.aligned.m8n8.x2" TR ".shared.b16 {%0,%1}, [%2];"               \
                     : "=r"(r[0]), "=r"(r[1])                                                      \
                     : "r"(saddr(p))                                                               \
                     : "memory");                                                                  \
    }                                                                                              \
    __device__ __forceinline__ void ldmatrix_x4##SUF(uint32_t (&r)[4], const void* p) {            \
        asm volatile("ldmatrix.sync.aligned.m8n8.x4" TR ".shared.b16 {%0,%1,%2,%3}, [%4];"         \
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])                              \
                     : "r"(saddr(p))                                                               \
                     : "memory");                                                                  \
    }
SIMT_LDM(, "")
SIMT_LDM(_trans, ".trans")
#undef SIMT_LDM

#define SIMT_MMA(NAME, OP)                                                                         \
    __device__ __forceinline__ void NAME(float (&d)[4], const uint32_t (&a)[4],                    \
                                         const uint32_t (&b)[2]) {                                 \
        asm volatile("mma.sync.aligned." OP                                                        \
                     " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"                      \
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                              \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));          \
    }
SIMT_MMA(mma_m16n8k16_bf16, "m16n8k16.row.col.f32.bf16.bf16.f32")
SIMT_MMA(mma_m16n8k16_f16, "m16n8k16.row.col.f32.f16.f16.f32")
SIMT_MMA(mma_m16n8k8_tf32, "m16n8k8.row.col.f32.tf32.tf32.f32")
#undef SIMT_MMA
__device__ __forceinline__ float
ex2(float x) { // 2**x, off by 2 units at most; no subnormal results
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ __forceinline__ uint32_t cvt_tf32(float x) {
    uint32_t r;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
    return r;
}
} // namespace ptx
#include "core/ptx_sm90.cuh"
#endif

// Whether code that uses what only sm_90a has can be compiled in this pass.
#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define SIMT_SM90A 1
#else
#define SIMT_SM90A 0
#endif

namespace ptx {

// Of a tile in shared memory, for wgmma: lines of 128 bytes whose 16-byte chunks are swizzled as
// TMA does it, eight lines after eight `stride` bytes apart. Transposed operands longer than a line
// have the rest of it `leading` bytes further.
__device__ __forceinline__ uint64_t matrix_descriptor(const void* tile, unsigned leading,
                                                      unsigned stride) {
    constexpr uint64_t swizzle_128 = uint64_t(1) << 62;
    return swizzle_128 | uint64_t(stride / 16) << 32 | uint64_t(leading / 16) << 16 |
           (saddr(tile) & 0x3ffff) >> 4;
}

} // namespace ptx
