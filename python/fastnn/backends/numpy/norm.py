"""Normalisation and its gradients: of channels by a batch's statistics, of rows by their own.

S. Ioffe, C. Szegedy, "Batch normalization", 2015. J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", 2016.
B. Zhang, R. Sennrich, "Root mean square layer normalization", 2019.
"""

from __future__ import annotations

from collections.abc import Callable

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


def batch_norm_inference(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    mean: Array,
    var: Array,
    eps: float,
    activation: str | None = None,
) -> Array:
    """y = (x - mean) / sqrt(var + eps) * weight + bias, by a given mean and variance; activation: None or "relu"."""
    _, shape = _axes_and_shape(x)
    scale = 1 / np.sqrt(var.astype(np.float64) + eps)
    if weight is not None:
        scale *= weight
    y: Array = (x - mean.astype(x.dtype).reshape(shape)) * scale.astype(x.dtype).reshape(shape)
    if bias is not None:
        y += bias.reshape(shape)
    return np.maximum(y, y.dtype.type(0)) if activation == "relu" else y


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


def _sum_of_rows(x: Array) -> Array:
    """The sum over the rows, in float64 where it could lose digits: there may be very many."""
    total: Array = x.sum(0, dtype=np.float64).astype(x.dtype)
    return total


def layer_norm(
    x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """(y, mean, invstd): y = (x - mean) * invstd * weight + bias; mean and invstd are (M,)."""
    mean = x.mean(1)  # along the last axis NumPy sums by pairs, which loses no digits
    y = x - mean[:, None]
    invstd = 1 / np.sqrt(np.square(y).mean(1) + x.dtype.type(eps))
    y *= invstd[:, None]
    if weight is not None:
        y *= weight
    if bias is not None:
        y += bias
    return y, mean, invstd


def layer_norm_backward(
    g: Array, x: Array, weight: Array | None, mean: Array, invstd: Array
) -> tuple[Array, Array, Array]:
    """(gx, gweight, gbias) of ``layer_norm``.

    With xhat = (x - mean) * invstd and h = g * weight, a row's gx = invstd * (h - mean(h) - xhat * mean(h * xhat)).
    """
    xhat = (x - mean[:, None]) * invstd[:, None]
    gweight, gbias = _sum_of_rows(g * xhat), _sum_of_rows(g)
    h = g if weight is None else g * weight
    share = (h * xhat).mean(1, keepdims=True)
    gx = h - h.mean(1, keepdims=True)
    gx -= xhat * share
    gx *= invstd[:, None]
    return gx, gweight, gbias


def by_groups(
    layer_norm: Callable[..., tuple[Array, Array, Array]],
    layer_norm_backward: Callable[..., tuple[Array, Array, Array]],
) -> tuple[Callable[..., tuple[Array, Array, Array]], Callable[..., tuple[Array, Array, Array]]]:
    """``group_norm`` and its gradients, of a backend's ``layer_norm``."""

    def group_norm(
        x: Array, groups: int, weight: Array | None, bias: Array | None, eps: float
    ) -> tuple[Array, Array, Array]:
        """(y, mean, invstd): layer_norm of each sample's groups of channels, then y * weight + bias for each channel.

        x is (N, C, ...), weight and bias (C,), mean and invstd (N * groups,).
        """
        rows, mean, invstd = layer_norm(x.reshape(x.shape[0] * groups, -1), None, None, eps)
        y = rows.reshape(x.shape)
        if weight is not None:
            y *= of_channels(weight, x)
        if bias is not None:
            y += of_channels(bias, x)
        return y, mean, invstd

    def group_norm_backward(
        g: Array, x: Array, groups: int, weight: Array | None, mean: Array, invstd: Array
    ) -> tuple[Array, Array, Array]:
        """(gx, gweight, gbias) of ``group_norm``."""
        h = g if weight is None else g * of_channels(weight, x)
        rows = x.reshape(x.shape[0] * groups, -1)
        gx, _, _ = layer_norm_backward(h.reshape(rows.shape), rows, None, mean, invstd)
        xhat = ((rows - mean[:, None]) * invstd[:, None]).reshape(x.shape)
        axes = (0, *range(2, x.ndim))
        return gx.reshape(x.shape), (g * xhat).sum(axes), g.sum(axes)

    return group_norm, group_norm_backward


group_norm, group_norm_backward = by_groups(layer_norm, layer_norm_backward)


def of_channels(values: Array, x: Array) -> Array:
    """``values`` (C,) in the place of x's channels."""
    return values.reshape((-1,) + (1,) * (x.ndim - 2))


def rms_norm(x: Array, weight: Array | None, eps: float) -> tuple[Array, Array]:
    """(y, scale): y = x * scale * weight with scale = 1 / sqrt(mean(x**2) + eps), (M,)."""
    scale = 1 / np.sqrt(np.square(x).mean(1) + x.dtype.type(eps))
    y = x * scale[:, None]
    if weight is not None:
        y *= weight
    return y, scale


def rms_norm_backward(
    g: Array, x: Array, weight: Array | None, scale: Array
) -> tuple[Array, Array]:
    """(gx, gweight) of ``rms_norm``: with xhat = x * scale, a row's gx = scale * (h - xhat * mean(h * xhat))."""
    xhat = x * scale[:, None]
    gweight = _sum_of_rows(g * xhat)
    h = g if weight is None else g * weight
    gx = h - xhat * (h * xhat).mean(1, keepdims=True)
    gx *= scale[:, None]
    return gx, gweight
