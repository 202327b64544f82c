"""Matrix products."""

from __future__ import annotations

import numpy as np

from fastnn.backends.protocol import Array


def matmul(a: Array, b: Array) -> Array:
    """a @ b, in the dtype of ``a`` (NumPy's product of bfloat16 arrays is float32)."""
    out: Array = np.matmul(a, b)
    return out if out.dtype == a.dtype else out.astype(a.dtype)


def linear(x: Array, weight: Array, bias: Array | None, activation: str | None = None) -> Array:
    """activation(x @ weight.T + bias): x (..., K), weight (N, K), bias (N,); activation None or "relu"."""
    y = matmul(x, weight.T)
    if bias is not None:
        y += bias
    return activate(y, activation)


def activate(y: Array, activation: str | None) -> Array:
    if activation is None:
        return y
    if activation == "relu":
        return np.maximum(y, 0, out=y)
    raise ValueError(f"activation must be None or 'relu', got {activation!r}")
