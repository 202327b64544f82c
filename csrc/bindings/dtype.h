// The dtypes that kernels know.
#pragma once

namespace fastnn::bindings {

enum class DType { float32, float64, int32, int64, uint32, boolean, bfloat16, int8, other };

// ml_dtypes.bfloat16's number among NumPy's types; -1 until init_fast_call has asked for it.
extern int bfloat16_number;

} // namespace fastnn::bindings
