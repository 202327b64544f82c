// Matrix product: C = activation(A B + bias), any strides.
#pragma once

#include <cstdint>

#include "core/bfloat16.h"
#include "core/isa.h"

namespace fastnn {

// A is (m, k), B is (k, n), C is (m, n); strides in elements, of any sign, and 0 for broadcasting
// (not of C).
template <class T>
struct GemmArgs {
    int64_t m, n, k;
    const T* a;
    int64_t a_row, a_col;
    const T* b;
    int64_t b_row, b_col;
    T* c;
    int64_t c_row, c_col;
    const T* column_bias = nullptr; // (n,), contiguous, added to every row
    const T* row_bias = nullptr;    // (m,), contiguous, added to every column
    bool relu = false;
    bool accumulate = false; // add to what C holds
    // float32: from bfloat16 parts, where set_float32_matmul_precision lets it (gemm/narrow.h).
    bool may_split = false;
};

// `count` products, item i with a + a_offset[i], b + b_offset[i], c + c_offset[i].
template <class T>
struct GemmBatch {
    GemmArgs<T> item;
    int64_t count;
    const int64_t* a_offset;
    const int64_t* b_offset;
    const int64_t* c_offset;
};

struct GemmKernels {
    void (*f32)(const GemmArgs<float>&);
    void (*f64)(const GemmArgs<double>&);
};
FASTNN_KERNEL_TABLE(GemmKernels, gemm_kernels)

void gemm(const GemmArgs<float>& args);
void gemm(const GemmArgs<double>& args);
// Of contiguous columns of C, without row_bias and accumulate.
void gemm(const GemmArgs<bfloat16>& args);
void gemm_batch(const GemmBatch<float>& batch);
void gemm_batch(const GemmBatch<double>& batch);
void gemm_batch(const GemmBatch<bfloat16>& batch);

} // namespace fastnn
