// The element types that kernels know.
#pragma once

#include <cstddef>

namespace fastnn::cuda {

enum class DType { float32, float64, float16, bfloat16, int32, int64, uint32, uint8, boolean };

constexpr size_t size_of(DType type) {
    switch (type) {
    case DType::float64:
    case DType::int64:
        return 8;
    case DType::float32:
    case DType::int32:
    case DType::uint32:
        return 4;
    case DType::float16:
    case DType::bfloat16:
        return 2;
    default:
        return 1;
    }
}

// The type in which sums of elements are kept.
constexpr DType accumulator_of(DType type) {
    return type == DType::float64 ? DType::float64 : DType::float32;
}

constexpr bool is_float(DType type) {
    return type <= DType::bfloat16;
}

} // namespace fastnn::cuda
