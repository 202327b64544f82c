// Matrix product: C = activation(A B + bias), any strides.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastnn {

// A is (m, k), B is (k, n), C is (m, n); strides in elements, of any sign, and 0 for broadcasting.
template <class T>
struct GemmArgs {
    int64_t m, n, k;
    const T* a;
    int64_t a_row, a_col;
    const T* b;
    int64_t b_row, b_col;
    T* c;
    int64_t c_row, c_col;
    const T* bias = nullptr; // (n,), contiguous; added to every row
    bool relu = false;
    bool accumulate = false; // C += A B; not with bias or relu
};

struct GemmKernels {
    void (*gemm_f32)(const GemmArgs<float>&);
    void (*gemm_f64)(const GemmArgs<double>&);
};
FASTNN_KERNEL_TABLE(GemmKernels, gemm_kernels)

inline void gemm(const GemmArgs<float>& args) {
    gemm_kernels().gemm_f32(args);
}
inline void gemm(const GemmArgs<double>& args) {
    gemm_kernels().gemm_f64(args);
}

} // namespace fastnn
