// Matrix products of narrow types, summed in wide ones: bfloat16 in float32, int8 in int32, and
// float32 as sums of bfloat16 parts.
#pragma once

#include <cstdint>
#include <string>

#include "core/bfloat16.h"
#include "core/isa.h"

namespace fastnn {

// C = activation(A B + bias): A is (m, k), B is (k, n), strides in elements and of any sign; the
// columns of C are contiguous.
template <class In, class Out>
struct NarrowGemm {
    int64_t m, n, k;
    const In* a;
    int64_t a_row, a_col;
    const In* b;
    int64_t b_row, b_col;
    Out* c;
    int64_t c_row;
    const Out* column_bias = nullptr; // (n,), contiguous
    bool relu = false;
};

struct NarrowKernels {
    void (*bf16)(const NarrowGemm<bfloat16, bfloat16>&);
    void (*int8)(const NarrowGemm<int8_t, int32_t>&);
    // float32 by 1, 2 or 3 bfloat16 parts of each operand.
    void (*split)(const NarrowGemm<float, float>&, int parts);
    int most_parts; // with which `split` pays on this level
};
FASTNN_NARROW_KERNEL_TABLE(NarrowKernels, narrow_kernels)

// How float32 matrices are multiplied: PyTorch's names, and `bfloat16_x6`, whose six products of
// three parts keep float32's accuracy.
enum class Float32Precision { highest, high, medium, bfloat16_x6 };
// Throws std::invalid_argument for another name.
void set_float32_matmul_precision(const std::string& name);

// Whether this product is to be computed from bfloat16 parts, and by how many; 0: it is not. By
// the precision that was set, the ISA level and the shape alone.
int bfloat16_parts(int64_t m, int64_t n, int64_t k) noexcept;

} // namespace fastnn
