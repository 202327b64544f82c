// Elements that are moved by one instruction, sixteen bytes of them above all.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/device.cuh"

namespace fastnn::cuda {

// Neighbouring elements, aligned to all of their bytes.
template <class T, int n>
struct alignas(sizeof(T) * n) Elements {
    T at[n];
};

template <class T>
struct alignas(16) Vector {
    static constexpr int width = 16 / int(sizeof(T));
    T at[width];

    // Elements p[0 .. width - 1]; of a tail, or where p is not aligned, element by element. Those
    // at `left` and beyond are not read.
    static __device__ __forceinline__ Vector load(const T* p, int64_t left) {
        if (left >= width && reinterpret_cast<uintptr_t>(p) % 16 == 0)
            return simt::load(reinterpret_cast<const Vector*>(p));
        Vector v;
#pragma unroll
        for (int i = 0; i < width; i++)
            v.at[i] = i < left ? p[i] : T(0.f);
        return v;
    }

    __device__ __forceinline__ void store(T* p, int64_t left) const {
        if (left >= width && reinterpret_cast<uintptr_t>(p) % 16 == 0) {
            simt::store(reinterpret_cast<Vector*>(p), *this);
            return;
        }
#pragma unroll
        for (int i = 0; i < width; i++)
            if (i < left)
                p[i] = at[i];
    }
};

} // namespace fastnn::cuda
