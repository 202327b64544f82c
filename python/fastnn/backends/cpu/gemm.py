"""Matrix products on the C++ kernels: float32, float64, bfloat16, and int8 in int32; any strides."""

from __future__ import annotations

from fastnn import _cpu
from fastnn.backends.cpu.elementwise import relu_backward
from fastnn.backends.cpu.reduction import sum as sum_of
from fastnn.backends.numpy import gemm as spec

matmul = _cpu.with_fallback("matmul", spec.matmul)
linear = _cpu.with_fallback("linear", spec.linear)
linear_backward = _cpu.with_fallback(
    "linear_backward", spec.linear_backward_by(matmul, relu_backward, sum_of)
)
int_mm = _cpu.with_fallback("int_mm", spec.int_mm)
