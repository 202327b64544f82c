"""Matrix products on the C++ kernels: float32, float64, bfloat16, and int8 in int32; any strides."""

from __future__ import annotations

from fastnn import _cpu
from fastnn.backends.numpy import gemm as spec

matmul = _cpu.with_fallback("matmul", spec.matmul)
linear = _cpu.with_fallback("linear", spec.linear)
int_mm = _cpu.with_fallback("int_mm", spec.int_mm)
