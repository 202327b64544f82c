"""Matrix products on the C++ kernels."""

from __future__ import annotations

from fastnn import _cpu
from fastnn.backends.numpy import gemm as spec
from fastnn.backends.protocol import Array


def matmul(a: Array, b: Array) -> Array:
    c = _cpu.matmul(a, b)
    return spec.matmul(a, b) if c is NotImplemented else c
