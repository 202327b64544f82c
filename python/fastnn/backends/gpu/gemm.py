"""Matrix products: float16 and bfloat16 on tensor cores, float32 there too when a lower precision is allowed, float64.

``set_float32_matmul_precision``: "highest" (the default) takes CUDA cores; "high" three TF32 products with float32-like errors;
"medium", or ``backends.cuda.matmul.allow_tf32``, one.
"""

from __future__ import annotations

import math

import numpy as np

from fastnn import _settings
from fastnn.backends import flags
from fastnn.backends.gpu._arrays import contiguous, empty, is_float, kernels, stream
from fastnn.backends.gpu.elementwise import relu_backward
from fastnn.backends.gpu.reduction import sum as sum_of
from fastnn.backends.numpy import gemm as spec
from fastnn.backends.protocol import Array


def float32_precision() -> str:
    """How products of float32 matrices are worked out: "highest", "high" or "medium"."""
    if flags.cuda.matmul.allow_tf32:
        return "medium"
    precision = _settings.get_float32_matmul_precision()
    return "highest" if precision == "bfloat16_x6" else precision


def product(
    a: Array,
    b: Array,
    bias: Array | None = None,
    *,
    relu: bool = False,
    out: Array | None = None,
    tile: str = "auto",
    splits: int = 0,
) -> Array:
    """activation(a @ b + bias), a (..., M, K) and b (..., K, N) with one set of batch dims; added onto ``out`` where given.

    ``tile`` ("small", "large") and ``splits`` (of the sum) are chosen by the shape unless they are given.
    """
    shape = (*a.shape[:-1], b.shape[-1])
    c: Array = empty(shape, a.dtype, like=a) if out is None else out
    m, n = shape[-2:]
    k, batch = a.shape[-1], math.prod(shape[:-2])
    scratch = kernels.matmul_workspace(m, n, k, batch, a.dtype == np.float64, splits)
    workspace = empty((scratch,), np.uint8, like=a) if scratch else None
    kernels.matmul(
        a,
        b,
        c,
        bias,
        relu,
        out is not None,
        float32_precision(),
        tile,
        splits,
        workspace,
        stream(),
    )
    return c


def matmul(a: Array, b: Array) -> Array:
    """a @ b with NumPy's rules."""
    if a.dtype != b.dtype or not is_float(a) or a.ndim == 0 or b.ndim == 0:
        return spec.matmul(a, b)
    left = a[None] if a.ndim == 1 else a
    right = b[:, None] if b.ndim == 1 else b
    if left.shape[-1] != right.shape[-2]:
        return spec.matmul(a, b)  # raises as NumPy does
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    y = product(
        np.broadcast_to(left, (*batch, *left.shape[-2:])),
        np.broadcast_to(right, (*batch, *right.shape[-2:])),
    )
    if a.ndim == 1:
        y = y[..., 0, :]
    if b.ndim == 1:
        y = y[..., 0]
    return y


def linear(x: Array, weight: Array, bias: Array | None, activation: str | None = None) -> Array:
    """activation(x @ weight.T + bias): x (..., K), weight (N, K), bias (N,); activation None or "relu"."""
    if (
        activation not in (None, "relu")
        or not is_float(x)
        or x.dtype != weight.dtype
        or x.ndim == 0
        or x.shape[-1] != weight.shape[-1]
        or (bias is not None and (bias.dtype != x.dtype or bias.shape != weight.shape[:1]))
    ):
        return spec.linear(x, weight, bias, activation)
    shape = (*x.shape[:-1], weight.shape[0])
    rows = x if x.ndim == 2 else x.reshape(-1 if x.size else math.prod(x.shape[:-1]), x.shape[-1])
    y = product(
        rows,
        weight.T,
        None if bias is None else contiguous(bias),
        relu=activation == "relu",
    )
    reshaped: Array = y.reshape(shape)
    return reshaped


linear_backward = spec.linear_backward_by(matmul, relu_backward, sum_of)
