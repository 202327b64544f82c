// Shared memory as structs, and loads and stores of one instruction; core/device.cuh has the same
// names for nvcc.
#pragma once

#include "emulator/half.h"
#include "emulator/interface.h"

namespace simt {

// The block's dynamic shared memory as one struct.
template <class T>
SIMT_INL T& smem() {
    if (reinterpret_cast<uintptr_t>(dynamic_smem) % alignof(T))
        fail("simt::smem: wants alignment to %zu bytes, 1024 is the most", alignof(T));
    return *reinterpret_cast<T*>(dynamic_smem);
}
// Static shared memory; another Tag is another object.
template <class T, int Tag = 0>
SIMT_INL T& smem_static() {
    static const char key = 0;
    return *static_cast<T*>(static_smem(&key, sizeof(T), alignof(T)));
}

template <class T>
SIMT_NOINST T load(const T* p) {
    access(p, sizeof(T), Access::read, __builtin_return_address(0));
    return *p;
}
template <class T>
SIMT_NOINST void store(T* p, std::common_type_t<T> v) {
    access(p, sizeof(T), Access::write, __builtin_return_address(0));
    *p = v;
}

} // namespace simt

// Loads and stores with a cache policy, which changes no value.
#define SIMT_LOAD(NAME)                                                                            \
    template <class T>                                                                             \
    SIMT_INL T NAME(const T* p) {                                                                  \
        return simt::load(p);                                                                      \
    }
SIMT_LOAD(__ldg)
SIMT_LOAD(__ldca)
SIMT_LOAD(__ldcg)
SIMT_LOAD(__ldcs)
SIMT_LOAD(__ldlu)
SIMT_LOAD(__ldcv)
#undef SIMT_LOAD
#define SIMT_STORE(NAME)                                                                           \
    template <class T>                                                                             \
    SIMT_INL void NAME(T* p, std::common_type_t<T> v) {                                            \
        simt::store(p, v);                                                                         \
    }
SIMT_STORE(__stwb)
SIMT_STORE(__stcg)
SIMT_STORE(__stcs)
SIMT_STORE(__stwt)
#undef SIMT_STORE
SIMT_INL size_t __cvta_generic_to_shared(const void* p) {
    return reinterpret_cast<size_t>(p);
}
