// simt/emu.h -- runs CUDA C++ kernels on the CPU, one fiber per CUDA thread, one OS thread.
// Included by simt/dev.cuh when the compiler is not nvcc.  Exactly one file of the program
// includes simt/emu_rt.h, which holds the scheduler, the checkers and the tsan hooks.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

// ---------------------------------------------------------------- language
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static thread_local  // prefer simt::smem<T>(), which is also poisoned
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) alignas(n)
#define SIMT_NOINST __attribute__((no_sanitize("thread"), noinline))
#define SIMT_INL inline __attribute__((always_inline))

#define SIMT_V(T, N)                                                                  \
  struct N##1 { T x; };                                                               \
  struct alignas(2 * sizeof(T)) N##2 { T x, y; };                                     \
  struct N##3 { T x, y, z; };                                                         \
  struct alignas(sizeof(T) > 4 ? 16 : 4 * sizeof(T)) N##4 { T x, y, z, w; };          \
  SIMT_INL N##2 make_##N##2(T x, T y) { return {x, y}; }                              \
  SIMT_INL N##3 make_##N##3(T x, T y, T z) { return {x, y, z}; }                      \
  SIMT_INL N##4 make_##N##4(T x, T y, T z, T w) { return {x, y, z, w}; }
SIMT_V(float, float) SIMT_V(double, double) SIMT_V(int, int) SIMT_V(unsigned, uint)
SIMT_V(short, short) SIMT_V(unsigned short, ushort) SIMT_V(signed char, char)
SIMT_V(unsigned char, uchar) SIMT_V(long long, longlong)
#undef SIMT_V
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};

// ---------------------------------------------------------------- runtime interface
namespace simt {
struct Site { const char* file; int line; };
#define SIMT_HERE const char *simt_f = __builtin_FILE(), int simt_l = __builtin_LINE()
#define SIMT_SITE ::simt::Site{simt_f, simt_l}
struct Thread;
struct Ctx {  // what a kernel reads of the running thread
  uint3 tid, bid;
  dim3 bdim, gdim;
  unsigned lane;
};
extern Ctx* ctx;                   // of the fiber that runs now
extern unsigned char* dyn_base;    // dynamic shared memory of the block that runs now
using Done = void (*)(unsigned mask, void** slot);
void warp_sync(const char* op, unsigned mask, void* slot, Done done, bool aligned, bool fence, Site);
int bar_sync(unsigned id, unsigned count, int pred, Site);  // returns count of preds
void* static_smem(const void* key, size_t size, size_t align);
void access(const void* p, unsigned n, bool write, const void* pc);  // race / bounds / counters
void cp_async(void* dst, const void* src, unsigned n, unsigned src_n, Site);
void cp_commit();
void cp_wait(unsigned left);
[[noreturn]] void fail(const char* fmt, ...) __attribute__((format(printf, 1, 2)));
int run(dim3 grid, dim3 block, size_t smem, const void* fn, void (*call)(void*), void* arg);
const char* last_error();
}  // namespace simt

#define threadIdx (::simt::ctx->tid)
#define blockIdx (::simt::ctx->bid)
#define blockDim (::simt::ctx->bdim)
#define gridDim (::simt::ctx->gdim)
constexpr int warpSize = 32;
SIMT_INL void __syncthreads(SIMT_HERE) { simt::bar_sync(0, 0, 0, SIMT_SITE); }
SIMT_INL int __syncthreads_count(int p, SIMT_HERE) { return simt::bar_sync(0, 0, p != 0, SIMT_SITE); }
SIMT_INL int __syncthreads_or(int p, SIMT_HERE) { return simt::bar_sync(0, 0, p != 0, SIMT_SITE) > 0; }
SIMT_INL int __syncthreads_and(int p, SIMT_HERE) { return simt::bar_sync(0, 0, p == 0, SIMT_SITE) == 0; }
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __nanosleep(unsigned) {}
inline long long clock64() { return 0; }
#define __trap() ::simt::fail("__trap()")

// ---------------------------------------------------------------- warp collectives
SIMT_INL void __syncwarp(unsigned mask = ~0u, SIMT_HERE) {
  simt::warp_sync("__syncwarp", mask, nullptr, [](unsigned, void**) {}, false, true, SIMT_SITE);
}
namespace simt {
template <class T> struct Shfl { T in, out; int src; };
template <class T> SIMT_NOINST T shfl(unsigned mask, T v, int src, Site s) {  // src: absolute lane, or own
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable<T>::value);
  Shfl<T> a{v, v, src};
  warp_sync("__shfl_sync", mask, &a, [](unsigned m, void** sl) {
    for (unsigned l = 0; l < 32; l++)
      if (m >> l & 1) {
        auto* q = static_cast<Shfl<T>*>(sl[l]);
        if (m >> q->src & 1) q->out = static_cast<Shfl<T>*>(sl[q->src])->in;
        else memset(&q->out, 0xff, sizeof(T));  // undefined on the device: poison
      }
  }, false, false, s);
  return a.out;
}
SIMT_INL int shfl_src(int lane, int want, int w, bool inside) { return inside ? (lane & ~(w - 1)) | want : lane; }
struct Vote { unsigned in, out; };
SIMT_NOINST inline unsigned vote(const char* op, unsigned mask, unsigned p, Done d, Site s) {
  Vote a{p, 0};
  warp_sync(op, mask, &a, d, false, false, s);
  return a.out;
}
template <class F> SIMT_INL void vote_all(unsigned m, void** sl, unsigned init, F f) {
  unsigned r = init;
  for (unsigned l = 0; l < 32; l++) if (m >> l & 1) r = f(r, static_cast<Vote*>(sl[l])->in, l);
  for (unsigned l = 0; l < 32; l++) if (m >> l & 1) static_cast<Vote*>(sl[l])->out = r;
}
}  // namespace simt
template <class T> SIMT_INL T __shfl_sync(unsigned m, T v, int src, int w = 32, SIMT_HERE) {
  int l = simt::ctx->lane;
  return simt::shfl(m, v, simt::shfl_src(l, src & (w - 1), w, true), SIMT_SITE);
}
template <class T> SIMT_INL T __shfl_xor_sync(unsigned m, T v, int x, int w = 32, SIMT_HERE) {
  int l = simt::ctx->lane, s = l ^ x;
  return simt::shfl(m, v, (s & ~(w - 1)) <= (l & ~(w - 1)) ? s : l, SIMT_SITE);
}
template <class T> SIMT_INL T __shfl_up_sync(unsigned m, T v, unsigned d, int w = 32, SIMT_HERE) {
  int l = simt::ctx->lane, s = (l & (w - 1)) - int(d);
  return simt::shfl(m, v, simt::shfl_src(l, s, w, s >= 0), SIMT_SITE);
}
template <class T> SIMT_INL T __shfl_down_sync(unsigned m, T v, unsigned d, int w = 32, SIMT_HERE) {
  int l = simt::ctx->lane, s = (l & (w - 1)) + int(d);
  return simt::shfl(m, v, simt::shfl_src(l, s, w, s < w), SIMT_SITE);
}
#define SIMT_VOTE(NAME, RET, ARG, EXPR, INIT, BODY)                                                \
  SIMT_INL RET NAME(unsigned m, ARG p, SIMT_HERE) {                                                \
    return RET(simt::vote(#NAME, m, unsigned(EXPR), [](unsigned mk, void** sl) {                   \
      simt::vote_all(mk, sl, INIT, [](unsigned r, unsigned v, unsigned l) -> unsigned { (void)l; return BODY; }); \
    }, SIMT_SITE));                                                                                \
  }
SIMT_VOTE(__ballot_sync, unsigned, int, p != 0, 0, r | (v << l))
SIMT_VOTE(__any_sync, int, int, p != 0, 0, r | v)
SIMT_VOTE(__all_sync, int, int, p != 0, 1, r & v)
SIMT_VOTE(__reduce_add_sync, unsigned, unsigned, p, 0, r + v)
SIMT_VOTE(__reduce_max_sync, unsigned, unsigned, p, 0, r > v ? r : v)
SIMT_VOTE(__reduce_min_sync, unsigned, unsigned, p, ~0u, r < v ? r : v)
#undef SIMT_VOTE
SIMT_INL unsigned __match_any_sync(unsigned m, int p, SIMT_HERE) {
  return simt::vote("__match_any_sync", m, unsigned(p), [](unsigned mk, void** sl) {
    for (unsigned l = 0; l < 32; l++)
      if (mk >> l & 1) {
        unsigned same = 0;
        for (unsigned o = 0; o < 32; o++)
          if ((mk >> o & 1) && static_cast<simt::Vote*>(sl[o])->in == static_cast<simt::Vote*>(sl[l])->in) same |= 1u << o;
        static_cast<simt::Vote*>(sl[l])->out = same;
      }
  }, SIMT_SITE);
}

// ---------------------------------------------------------------- half, bfloat16
#define SIMT_OPS(H)                                                                                  \
  SIMT_INL H operator+(H a, H b) { return H(float(a) + float(b)); }                                  \
  SIMT_INL H operator-(H a, H b) { return H(float(a) - float(b)); }                                  \
  SIMT_INL H operator*(H a, H b) { return H(float(a) * float(b)); }                                  \
  SIMT_INL H operator/(H a, H b) { return H(float(a) / float(b)); }                                  \
  SIMT_INL bool operator<(H a, H b) { return float(a) < float(b); }                                  \
  SIMT_INL bool operator>(H a, H b) { return float(a) > float(b); }                                  \
  SIMT_INL H __hadd(H a, H b) { return a + b; }                                                      \
  SIMT_INL H __hmul(H a, H b) { return a * b; }                                                      \
  SIMT_INL H __hfma(H a, H b, H c) { return H(float(double(float(a)) * float(b) + float(c))); }      \
  SIMT_INL H __hmax(H a, H b) { return float(a) > float(b) ? a : b; }
struct __half {
  uint16_t b;
  __half() = default;
  __half(float f) { _Float16 h = _Float16(f); memcpy(&b, &h, 2); }
  operator float() const { _Float16 h; memcpy(&h, &b, 2); return float(h); }
};
struct __nv_bfloat16 {
  uint16_t b;
  __nv_bfloat16() = default;
  __nv_bfloat16(float f) {
    uint32_t u; memcpy(&u, &f, 4);
    b = f != f ? 0x7fff : uint16_t((u + 0x7fff + (u >> 16 & 1)) >> 16);
  }
  operator float() const { uint32_t u = uint32_t(b) << 16; float f; memcpy(&f, &u, 4); return f; }
};
SIMT_OPS(__half) SIMT_OPS(__nv_bfloat16)
#undef SIMT_OPS
struct alignas(4) __half2 { __half x, y; };
struct alignas(4) __nv_bfloat162 { __nv_bfloat16 x, y; };
using half = __half; using half2 = __half2;
SIMT_INL float __half2float(__half h) { return h; }
SIMT_INL __half __float2half(float f) { return f; }
SIMT_INL __half __float2half_rn(float f) { return f; }
SIMT_INL __half2 __floats2half2_rn(float a, float b) { return {a, b}; }
SIMT_INL float2 __half22float2(__half2 h) { return {h.x, h.y}; }
SIMT_INL float __bfloat162float(__nv_bfloat16 h) { return h; }
SIMT_INL __nv_bfloat16 __float2bfloat16(float f) { return f; }
SIMT_INL __nv_bfloat16 __float2bfloat16_rn(float f) { return f; }
SIMT_INL __nv_bfloat162 __floats2bfloat162_rn(float a, float b) { return {a, b}; }
SIMT_INL float2 __bfloat1622float2(__nv_bfloat162 h) { return {h.x, h.y}; }

// ---------------------------------------------------------------- math, bits, atomics
#define SIMT_F1(NAME, EXPR) SIMT_INL float NAME(float x) { return EXPR; }
SIMT_F1(__expf, exp2f(x * 1.44269504f)) SIMT_F1(__logf, log2f(x) * 0.69314718f) SIMT_F1(__log2f, log2f(x))
SIMT_F1(__sinf, sinf(x)) SIMT_F1(__cosf, cosf(x)) SIMT_F1(__tanf, tanf(x)) SIMT_F1(__frcp_rn, 1.f / x)
SIMT_F1(__fsqrt_rn, sqrtf(x)) SIMT_F1(rsqrtf, 1.f / sqrtf(x)) SIMT_F1(__saturatef, x > 0.f ? (x < 1.f ? x : 1.f) : 0.f)
#undef SIMT_F1
SIMT_INL float __fdividef(float a, float b) { return a / b; }
SIMT_INL float __powf(float a, float b) { return exp2f(b * log2f(a)); }
SIMT_INL float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
SIMT_INL int __float_as_int(float f) { int i; memcpy(&i, &f, 4); return i; }
SIMT_INL unsigned __float_as_uint(float f) { unsigned i; memcpy(&i, &f, 4); return i; }
SIMT_INL float __int_as_float(int i) { float f; memcpy(&f, &i, 4); return f; }
SIMT_INL float __uint_as_float(unsigned i) { float f; memcpy(&f, &i, 4); return f; }
SIMT_INL int __popc(unsigned x) { return __builtin_popcount(x); }
SIMT_INL int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
SIMT_INL int __ffs(int x) { return __builtin_ffs(x); }
template <class A, class B> SIMT_INL std::common_type_t<A, B> min(A a, B b) { return b < a ? b : a; }
template <class A, class B> SIMT_INL std::common_type_t<A, B> max(A a, B b) { return a < b ? b : a; }
#define SIMT_ATOMIC(NAME, EXPR)                                                                        \
  template <class T> SIMT_NOINST T NAME(T* p, std::common_type_t<T> v) {                               \
    T old = *p; *p = EXPR; return old;                                                                 \
  }
SIMT_ATOMIC(atomicAdd, T(old + v)) SIMT_ATOMIC(atomicSub, T(old - v)) SIMT_ATOMIC(atomicExch, v)
SIMT_ATOMIC(atomicMax, old < v ? v : old) SIMT_ATOMIC(atomicMin, v < old ? v : old)
SIMT_ATOMIC(atomicOr, T(old | v)) SIMT_ATOMIC(atomicAnd, T(old & v)) SIMT_ATOMIC(atomicXor, T(old ^ v))
#undef SIMT_ATOMIC
template <class T> SIMT_NOINST T atomicCAS(T* p, std::common_type_t<T> c, std::common_type_t<T> v) {
  T old = *p; if (old == c) *p = v; return old;
}

// ---------------------------------------------------------------- memory helpers (see dev.cuh for nvcc twins)
namespace simt {
constexpr bool emulated = true;
template <class T> SIMT_INL T& smem() {  // dynamic shared memory seen as one struct
  if (reinterpret_cast<uintptr_t>(dyn_base) % alignof(T)) fail("smem<T>: alignment");
  return *reinterpret_cast<T*>(dyn_base);
}
template <class T, int Tag = 0> SIMT_INL T& smem_static() {
  static const char key = 0;
  return *static_cast<T*>(static_smem(&key, sizeof(T), alignof(T)));
}
template <class T> SIMT_NOINST T load(const T* p) {  // one instruction, one request
  if (reinterpret_cast<uintptr_t>(p) % sizeof(T)) fail("misaligned %u-byte load at %p", unsigned(sizeof(T)), (const void*)p);
  access(p, sizeof(T), false, __builtin_return_address(0));
  return *p;
}
template <class T> SIMT_NOINST void store(T* p, std::common_type_t<T> v) {
  if (reinterpret_cast<uintptr_t>(p) % sizeof(T)) fail("misaligned %u-byte store at %p", unsigned(sizeof(T)), (void*)p);
  access(p, sizeof(T), true, __builtin_return_address(0));
  *p = v;
}
}  // namespace simt
template <class T> SIMT_NOINST T __ldg(const T* p) {
  simt::access(p, sizeof(T), false, __builtin_return_address(0));
  return *p;
}

// ---------------------------------------------------------------- PTX wrappers
namespace ptx {
template <int N> SIMT_INL void cp_async(void* dst, const void* src, bool pred = true, SIMT_HERE) {
  static_assert(N == 4 || N == 8 || N == 16);
  simt::cp_async(dst, src, N, pred ? N : 0, SIMT_SITE);
}
SIMT_INL void cp_async_commit() { simt::cp_commit(); }
template <int N> SIMT_INL void cp_async_wait() { simt::cp_wait(N); }
SIMT_INL void bar_sync(unsigned id, unsigned n, SIMT_HERE) { simt::bar_sync(id, n, 0, SIMT_SITE); }

struct LdM { const unsigned char* row; uint32_t r[4]; };
template <int X, bool Trans> SIMT_NOINST void ldm_do(unsigned m, void** sl) {
  if (m != ~0u) simt::fail("ldmatrix needs all 32 lanes");
  for (int j = 0; j < X; j++) {  // lanes 8j..8j+7 give the rows of matrix j
    uint16_t t[8][8];
    for (int i = 0; i < 8; i++) memcpy(t[i], static_cast<LdM*>(sl[8 * j + i])->row, 16);
    for (int l = 0; l < 32; l++) {
      int g = l >> 2, c = 2 * (l & 3);
      uint32_t lo = Trans ? t[c][g] : t[g][c], hi = Trans ? t[c + 1][g] : t[g][c + 1];
      static_cast<LdM*>(sl[l])->r[j] = lo | hi << 16;
    }
  }
}
template <int X, bool Trans> SIMT_NOINST void ldm(LdM& a, simt::Site s) {
  if (simt::ctx->lane < 8 * X) {
    if (reinterpret_cast<uintptr_t>(a.row) & 15) simt::fail("ldmatrix row not 16-byte aligned: %p", (const void*)a.row);
    simt::access(a.row, 16, false, __builtin_return_address(0));
  }
  simt::warp_sync(Trans ? "ldmatrix.trans" : "ldmatrix", ~0u, &a, ldm_do<X, Trans>, true, false, s);
}
#define SIMT_LDM(X, SUF, TR)                                                             \
  SIMT_INL void ldmatrix_x##X##SUF(uint32_t (&r)[X], const void* p, SIMT_HERE) {         \
    LdM a{static_cast<const unsigned char*>(p), {}};                                     \
    ldm<X, TR>(a, SIMT_SITE);                                                            \
    for (int j = 0; j < X; j++) r[j] = a.r[j];                                           \
  }
SIMT_LDM(1, , false) SIMT_LDM(2, , false) SIMT_LDM(4, , false)
SIMT_LDM(1, _trans, true) SIMT_LDM(2, _trans, true) SIMT_LDM(4, _trans, true)
#undef SIMT_LDM

enum Kind { bf16, f16, tf32 };
template <Kind T> SIMT_INL float elem(uint32_t r, int e) {
  if (T == bf16) return __uint_as_float(e ? r & 0xffff0000u : r << 16);
  if (T == tf32) return __uint_as_float(r & 0xffffe000u);
  __half h; h.b = uint16_t(r >> 16 * e); return h;
}
struct Mma { uint32_t a[4], b[2]; float d[4]; };
template <int K, Kind T> SIMT_NOINST void mma_do(unsigned mask, void** sl) {  // D(16x8) += A(16xK) * B(Kx8)
  constexpr int E = K == 8 ? 1 : 2;                                          // elements per register
  if (mask != ~0u) simt::fail("mma.sync needs all 32 lanes");
  using v8 = float __attribute__((vector_size(32)));
  float A[16][K];
  v8 B[K], D[16];
  for (int l = 0; l < 32; l++) {
    auto* f = static_cast<Mma*>(sl[l]);
    int g = l >> 2, t = l & 3;  // groupID, threadID_in_group of the PTX manual
    for (int i = 0; i < 4; i++)
      for (int e = 0; e < E; e++) A[g + 8 * (i & 1)][t * E + e + (i >> 1) * 4 * E] = elem<T>(f->a[i], e);
    for (int i = 0; i < 2; i++)
      for (int e = 0; e < E; e++) B[t * E + e + i * 4 * E][g] = elem<T>(f->b[i], e);
    for (int i = 0; i < 4; i++) D[g + 8 * (i >> 1)][2 * t + (i & 1)] = f->d[i];
  }
  for (int m = 0; m < 16; m++)
    for (int k = 0; k < K; k++) D[m] += A[m][k] * B[k];
  for (int l = 0; l < 32; l++)
    for (int i = 0; i < 4; i++) static_cast<Mma*>(sl[l])->d[i] = D[(l >> 2) + 8 * (i >> 1)][2 * (l & 3) + (i & 1)];
}
#define SIMT_MMA(NAME, K, T)                                                                        \
  SIMT_INL void NAME(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], SIMT_HERE) {    \
    Mma f{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}, {d[0], d[1], d[2], d[3]}};                        \
    simt::warp_sync(#NAME, ~0u, &f, mma_do<K, T>, true, false, SIMT_SITE);                          \
    for (int i = 0; i < 4; i++) d[i] = f.d[i];                                                      \
  }
SIMT_MMA(mma_m16n8k16_bf16, 16, bf16) SIMT_MMA(mma_m16n8k16_f16, 16, f16) SIMT_MMA(mma_m16n8k8_tf32, 8, tf32)
#undef SIMT_MMA
SIMT_INL float ex2(float x) { return exp2f(x); }
SIMT_INL uint32_t cvt_tf32(float x) {  // cvt.rna.tf32.f32
  uint32_t u = __float_as_uint(x);
  return (u & 0x7f800000u) == 0x7f800000u ? u : (u + 0x1000u) & 0xffffe000u;
}
}  // namespace ptx

// ---------------------------------------------------------------- host API used by launchers
using cudaStream_t = void*;
enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorMemoryAllocation = 2, cudaErrorLaunchFailure = 719 };
enum cudaMemcpyKind { cudaMemcpyHostToHost, cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice, cudaMemcpyDefault };
cudaError_t cudaMalloc(void** p, size_t n);  // exact bounds, guard page behind
cudaError_t cudaFree(void* p);
inline cudaError_t cudaMemcpyAsync(void* d, const void* s, size_t n, cudaMemcpyKind, cudaStream_t = nullptr) { memcpy(d, s, n); return cudaSuccess; }
inline cudaError_t cudaMemcpy(void* d, const void* s, size_t n, cudaMemcpyKind) { memcpy(d, s, n); return cudaSuccess; }
inline cudaError_t cudaMemsetAsync(void* d, int v, size_t n, cudaStream_t = nullptr) { memset(d, v, n); return cudaSuccess; }
inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaGetDeviceCount(int* n) { *n = 1; return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t e) { return e ? simt::last_error() : "no error"; }

namespace simt {
template <class... P, class... A>
cudaError_t launch(void (*k)(P...), dim3 grid, dim3 block, size_t smem, cudaStream_t, A&&... a) {
  std::tuple<void (*)(P...), std::tuple<P...>> t(k, std::tuple<P...>(std::forward<A>(a)...));
  return cudaError_t(run(grid, block, smem, reinterpret_cast<const void*>(k), [](void* q) {
    auto& c = *static_cast<decltype(t)*>(q);
    std::apply(std::get<0>(c), std::get<1>(c));
  }, &t));
}
}  // namespace simt
