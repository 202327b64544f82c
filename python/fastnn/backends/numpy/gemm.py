"""Matrix products."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from fastnn.backends.numpy.elementwise import relu_backward
from fastnn.backends.numpy.reduction import sum as sum_of
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


def linear_backward_by(
    matmul: Callable[[Array, Array], Array],
    relu_backward: Callable[[Array, Array], Array],
    sum: Callable[[Array, int], Array],
) -> Callable[..., Any]:
    """``linear_backward`` by a backend's functions."""

    def linear_backward(
        g: Array, x: Array | None, weight: Array | None, y: Array | None, bias: bool
    ) -> tuple[Array | None, Array | None, Array | None]:
        if y is not None:
            g = relu_backward(g, y)
        count = prod(g.shape[:-1])
        rows = g.reshape(count, g.shape[-1])
        gx = gw = None
        if weight is not None:
            gx = matmul(rows, weight).reshape(*g.shape[:-1], weight.shape[1])
        if x is not None:
            gw = matmul(rows.T, x.reshape(count, x.shape[-1]))
        return gx, gw, sum(rows, 0) if bias else None

    return linear_backward


linear_backward = linear_backward_by(matmul, relu_backward, sum_of)


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
