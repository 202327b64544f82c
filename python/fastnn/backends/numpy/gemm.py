"""Matrix products."""

from __future__ import annotations

import numpy as np

from fastnn.backends.protocol import Array


def matmul(a: Array, b: Array) -> Array:
    """a @ b; of bfloat16 arrays, whose product NumPy gives in float32, in bfloat16."""
    out: Array = np.matmul(a, b)
    widened = a.dtype == b.dtype != out.dtype
    return out.astype(a.dtype) if widened else out


def linear(x: Array, weight: Array, bias: Array | None, activation: str | None = None) -> Array:
    """activation(x @ weight.T + bias): x (..., K), weight (N, K), bias (N,); activation None or "relu"."""
    if weight.ndim != 2 or (bias is not None and bias.shape != weight.shape[:1]):
        raise ValueError("linear: weight wants shape (N, K), bias (N,)")
    y = matmul(x, weight.T)
    if bias is not None:
        y += bias
    return activate(y, activation)


def int_mm(a: Array, b: Array) -> Array:
    """a @ b of int8 matrices, in int32 (modulo 2^32)."""
    out: Array = np.matmul(a.astype(np.int32), b.astype(np.int32))
    return out


def activate(y: Array, activation: str | None) -> Array:
    if activation is None:
        return y
    if activation == "relu":
        return np.maximum(y, 0, out=y)
    raise ValueError(f"activation must be None or 'relu', got {activation!r}")
