"""Matrix products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastnn.backends.protocol import Array

matmul: Callable[[Array, Array], Array] = np.matmul


def linear(x: Array, weight: Array, bias: Array | None, activation: str | None = None) -> Array:
    """activation(x @ weight.T + bias): x (..., K), weight (N, K), bias (N,); activation None or "relu"."""
    y = np.matmul(x, weight.T)
    if bias is not None:
        y += bias
    return activate(y, activation)


def activate(y: Array, activation: str | None) -> Array:
    if activation is None:
        return y
    if activation == "relu":
        return np.maximum(y, 0, out=y)
    raise ValueError(f"activation must be None or 'relu', got {activation!r}")
