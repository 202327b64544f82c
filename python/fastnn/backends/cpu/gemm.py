"""Matrix products on the C++ kernels."""

from __future__ import annotations

from fastnn import _cpu
from fastnn.backends.numpy import gemm as spec
from fastnn.backends.protocol import Array


def matmul(a: Array, b: Array) -> Array:
    """``a @ b`` by NumPy's rules: 1-d operands, broadcast batches."""
    c = _cpu.matmul(a, b)
    return spec.matmul(a, b) if c is NotImplemented else c


def linear(x: Array, weight: Array, bias: Array | None, activation: str | None = None) -> Array:
    """activation(x @ weight.T + bias): x (..., K), weight (N, K), bias (N,); activation None or "relu"."""
    y = _cpu.linear(x, weight, bias, activation)
    return spec.linear(x, weight, bias, activation) if y is NotImplemented else y
