// Kernels of the emulator's own tests, by name. All take the same arguments: bytes in, bytes out, a
// number.
#pragma once

#include <map>
#include <string>

#include "core/device.cuh"

namespace emulator_tests {

using Kernel = void (*)(const void* in, void* out, int n);

inline std::map<std::string, Kernel>& kernels() {
    static std::map<std::string, Kernel> all;
    return all;
}

struct Registered {
    Registered(const char* name, Kernel kernel) { kernels()[name] = kernel; }
};

template <class T>
const T* as(const void* p) {
    return static_cast<const T*>(p);
}
template <class T>
T* as(void* p) {
    return static_cast<T*>(p);
}

} // namespace emulator_tests

using emulator_tests::as;

#define KERNEL(NAME)                                                                               \
    __global__ void NAME(const void* in, void* out, int n);                                        \
    const emulator_tests::Registered registered_##NAME(#NAME, NAME);                               \
    __global__ void NAME([[maybe_unused]] const void* in, [[maybe_unused]] void* out,              \
                         [[maybe_unused]] int n)
