// What CUDA C++ adds to the language: qualifiers, vector types, dim3.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static thread_local // simt::smem_static<T>() is better: filled with NaN
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) alignas(n)

// Emulator code that hooks must not see, and small functions that always vanish into their caller.
#define SIMT_NOINST __attribute__((no_sanitize("thread"), noinline))
#define SIMT_INL inline __attribute__((always_inline))

#define SIMT_VECTOR(T, N)                                                                          \
    struct N##1 {                                                                                  \
        T x;                                                                                       \
    };                                                                                             \
    struct alignas(2 * sizeof(T)) N##2 {                                                           \
        T x, y;                                                                                    \
    };                                                                                             \
    struct N##3 {                                                                                  \
        T x, y, z;                                                                                 \
    };                                                                                             \
    struct alignas(sizeof(T) > 4 ? 16 : 4 * sizeof(T)) N##4 {                                      \
        T x, y, z, w;                                                                              \
    };                                                                                             \
    SIMT_INL N##1 make_##N##1(T x) {                                                               \
        return {x};                                                                                \
    }                                                                                              \
    SIMT_INL N##2 make_##N##2(T x, T y) {                                                          \
        return {x, y};                                                                             \
    }                                                                                              \
    SIMT_INL N##3 make_##N##3(T x, T y, T z) {                                                     \
        return {x, y, z};                                                                          \
    }                                                                                              \
    SIMT_INL N##4 make_##N##4(T x, T y, T z, T w) {                                                \
        return {x, y, z, w};                                                                       \
    }
SIMT_VECTOR(float, float)
SIMT_VECTOR(double, double)
SIMT_VECTOR(signed char, char)
SIMT_VECTOR(unsigned char, uchar)
SIMT_VECTOR(short, short)
SIMT_VECTOR(unsigned short, ushort)
SIMT_VECTOR(int, int)
SIMT_VECTOR(unsigned, uint)
SIMT_VECTOR(long long, longlong)
SIMT_VECTOR(unsigned long long, ulonglong)
#undef SIMT_VECTOR

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
