// The dtypes that kernels know.
#pragma once

namespace fastnn::bindings {

enum class DType { float32, float64, int32, int64, uint32, boolean, other };

} // namespace fastnn::bindings
