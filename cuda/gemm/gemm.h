// Matrix products on the GPU.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "core/runtime.h"

namespace fastnn::cuda {

// How float32 products are computed (set_float32_matmul_precision): by FMA; by three TF32 products
// of split operands, with errors like float32's; by one TF32 product.
enum class Precision { highest, high, medium };
enum class Activation { none, relu };
// The block's part of the result: 64 x 64, or 128 x 128 where there are enough of them.
enum class Tile { automatic, small, large };

// One operand, `batch` matrices of strides in elements: element (i, j) of matrix b is
// data[b * batch_stride + i * row_stride + j * col_stride]. A batch stride of 0 repeats one matrix.
struct Matrix {
    const void* data;
    int64_t row_stride;
    int64_t col_stride;
    int64_t batch_stride;
};

// C = activation(A B + bias + (accumulate ? C : 0)): A (m, k), B (k, n), bias (n) or null, C (m, n)
// with rows of n dense elements, `ldc` apart. All of one dtype.
struct Gemm {
    DType dtype;
    int64_t m, n, k, batch;
    Matrix a, b;
    void* c;
    int64_t ldc;
    int64_t c_batch_stride;
    const void* bias = nullptr;
    Activation activation = Activation::none;
    bool accumulate = false;
    Precision precision = Precision::highest;
    void* workspace =
        nullptr; // of gemm_workspace() bytes, else null: the summed index is then not split
    Tile tile = Tile::automatic;
    int splits =
        0; // parts of the summed index that are worked out side by side; 0: chosen by the shape
};

// The parts of the summed index, and the bytes of scratch memory with which a product of this shape
// runs best; 0 for most.
int splits_of(const Gemm& product);
size_t gemm_workspace(const Gemm& product);
cudaError_t gemm(const Gemm& product, cudaStream_t stream);

} // namespace fastnn::cuda
