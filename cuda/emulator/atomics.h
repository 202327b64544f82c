// Atomics. Blocks and lanes never run at the same time, so plain code is atomic; the checker knows
// the difference.
#pragma once

#include "emulator/half.h"
#include "emulator/interface.h"

#define SIMT_ATOMIC(NAME, EXPRESSION)                                                              \
    template <class T>                                                                             \
    SIMT_NOINST T NAME(T* p, std::common_type_t<T> v) {                                            \
        simt::access(p, sizeof(T), simt::Access::atomic, __builtin_return_address(0));             \
        const T old = *p;                                                                          \
        *p = EXPRESSION;                                                                           \
        return old;                                                                                \
    }                                                                                              \
    template <class T>                                                                             \
    SIMT_INL T NAME##_block(T* p, std::common_type_t<T> v) {                                       \
        return NAME(p, v);                                                                         \
    }
SIMT_ATOMIC(atomicAdd, T(old + v))
SIMT_ATOMIC(atomicSub, T(old - v))
SIMT_ATOMIC(atomicExch, v)
SIMT_ATOMIC(atomicMax, old < v ? v : old)
SIMT_ATOMIC(atomicMin, v < old ? v : old)
SIMT_ATOMIC(atomicOr, T(old | v))
SIMT_ATOMIC(atomicAnd, T(old& v))
SIMT_ATOMIC(atomicXor, T(old ^ v))
SIMT_ATOMIC(atomicInc, old >= v ? T(0) : T(old + 1))
SIMT_ATOMIC(atomicDec, old == T(0) || old > v ? v : T(old - 1))
#undef SIMT_ATOMIC
template <class T>
SIMT_NOINST T atomicCAS(T* p, std::common_type_t<T> expected, std::common_type_t<T> v) {
    simt::access(p, sizeof(T), simt::Access::atomic, __builtin_return_address(0));
    const T old = *p;
    if (old == expected)
        *p = v;
    return old;
}
