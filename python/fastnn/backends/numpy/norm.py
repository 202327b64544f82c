"""Batch normalisation with the statistics of the batch, and its gradient (Ioffe and Szegedy 2015)."""

from __future__ import annotations

import numpy as np

from fastnn.backends.protocol import Array


def _axes_and_shape(x: Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """All axes but the channels', and the shape that broadcasts a (C,) array along them."""
    return (0, *range(2, x.ndim)), (1, -1, *(1,) * (x.ndim - 2))


def batch_norm(
    x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """(y, mean, var) over all axes but 1: x (N, C, ...); mean and biased variance are (C,).

    y = (x - mean) / sqrt(var + eps) * weight + bias. The statistics are summed in float64: a float32 running sum
    along the outer axes of an image would lose digits.
    """
    axes, shape = _axes_and_shape(x)
    mean = x.mean(axes, dtype=np.float64)
    var = np.square(x - mean.reshape(shape)).mean(axes)
    scale = 1 / np.sqrt(var + eps)
    if weight is not None:
        scale *= weight
    y = (x - mean.astype(x.dtype).reshape(shape)) * scale.astype(x.dtype).reshape(shape)
    if bias is not None:
        y += bias.reshape(shape)
    return y, mean.astype(x.dtype), var.astype(x.dtype)


def batch_norm_backward(
    g: Array, x: Array, weight: Array | None, mean: Array, var: Array, eps: float
) -> tuple[Array, Array, Array]:
    """(gx, gweight, gbias) of ``batch_norm``, through the batch statistics.

    With m elements a channel and xhat = (x - mean) / sqrt(var + eps):
    gbias = sum(g), gweight = sum(g * xhat), gx = weight / sqrt(var + eps) * (g - gbias / m - xhat * gweight / m).
    """
    axes, shape = _axes_and_shape(x)
    m = x.size // x.shape[1] if x.size else 1
    invstd = (1 / np.sqrt(var.astype(np.float64) + eps)).astype(x.dtype).reshape(shape)
    xhat = (x - mean.reshape(shape)) * invstd
    gbias = g.sum(axes, dtype=np.float64).astype(x.dtype)
    gweight = (g * xhat).sum(axes, dtype=np.float64).astype(x.dtype)
    gx = g - (gbias / x.dtype.type(m)).reshape(shape)
    gx -= xhat * (gweight / x.dtype.type(m)).reshape(shape)
    gx *= invstd if weight is None else invstd * weight.reshape(shape)
    return gx, gweight, gbias
