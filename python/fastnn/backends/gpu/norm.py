"""Normalisation on the CUDA kernels. Statistics of 16-bit arrays are float32, those that are results are rounded."""

from __future__ import annotations

import numpy as np

from fastnn.backends.gpu._arrays import (
    accumulator,
    contiguous,
    empty,
    empty_like,
    is_float,
    kernels,
    stream,
)
from fastnn.backends.numpy import norm as spec
from fastnn.backends.numpy._layout import is_channels_last
from fastnn.backends.protocol import Array


def _optional(x: Array | None) -> Array | None:
    return None if x is None else contiguous(x)


def _dense(x: Array, last: bool) -> Array:
    """x as (N, C, inner), or (N, inner, C) with ``last``."""
    n, c = x.shape[:2]
    inner = x.size // (n * c)
    if last:
        return contiguous(x.transpose(0, 2, 3, 1)).reshape(n, inner, c)
    return contiguous(x).reshape(n, c, inner)


def _image(y: Array, shape: tuple[int, ...], last: bool) -> Array:
    """The inverse of ``_dense``."""
    if last:
        n, c, h, w = shape
        return y.reshape(n, h, w, c).transpose(0, 3, 1, 2)
    return y.reshape(shape)


def batch_norm(
    x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """(y, mean, var) over all axes but 1."""
    if not x.size or not is_float(x):
        return spec.batch_norm(x, weight, bias, eps)
    last = is_channels_last(x)
    dense = _dense(x, last)
    y = empty_like(dense)
    mean = empty(x.shape[1], accumulator(x.dtype), like=x)
    var = empty_like(mean)
    scratch = empty(kernels.batch_norm_workspace(dense, last), np.uint8, like=x)
    kernels.batch_norm(
        dense, _optional(weight), _optional(bias), eps, last, y, mean, var, scratch, stream()
    )
    return _image(y, x.shape, last), mean.astype(x.dtype), var.astype(x.dtype)


def batch_norm_backward(
    g: Array, x: Array, weight: Array | None, mean: Array, var: Array, eps: float
) -> tuple[Array, Array, Array]:
    """(gx, gweight, gbias) of ``batch_norm``."""
    if not x.size or not is_float(x):
        return spec.batch_norm_backward(g, x, weight, mean, var, eps)
    last = is_channels_last(x)
    dense = _dense(x, last)
    gx = empty_like(dense)
    exact = accumulator(x.dtype)
    gweight = empty(x.shape[1], exact, like=x)
    gbias = empty_like(gweight)
    kernels.batch_norm_backward(
        _dense(g, last),
        dense,
        _optional(weight),
        contiguous(mean.astype(exact)),
        contiguous(var.astype(exact)),
        eps,
        last,
        gx,
        gweight,
        gbias,
        empty(kernels.batch_norm_workspace(dense, last), np.uint8, like=x),
        stream(),
    )
    return _image(gx, x.shape, last), gweight.astype(x.dtype), gbias.astype(x.dtype)


def layer_norm(
    x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """(y, mean, invstd) of each row."""
    if not x.size or not is_float(x):
        return spec.layer_norm(x, weight, bias, eps)
    y = empty_like(x)
    mean = empty(x.shape[0], accumulator(x.dtype), like=x)
    invstd = empty_like(mean)
    kernels.row_norm(
        contiguous(x), _optional(weight), _optional(bias), eps, y, mean, invstd, stream()
    )
    return y, mean, invstd


def layer_norm_backward(
    g: Array, x: Array, weight: Array | None, mean: Array, invstd: Array
) -> tuple[Array, Array, Array]:
    """(gx, gweight, gbias) of ``layer_norm``."""
    if not x.size or not is_float(x):
        return spec.layer_norm_backward(g, x, weight, mean, invstd)
    dense = contiguous(x)
    gx = empty_like(x)
    gweight = empty(x.shape[1], accumulator(x.dtype), like=x)
    gbias = empty_like(gweight)
    kernels.row_norm_backward(
        contiguous(g),
        dense,
        _optional(weight),
        mean,
        invstd,
        gx,
        gweight,
        gbias,
        empty(kernels.row_norm_workspace(dense), np.uint8, like=x),
        stream(),
    )
    return gx, gweight.astype(x.dtype), gbias.astype(x.dtype)


group_norm, group_norm_backward = spec.by_groups(layer_norm, layer_norm_backward)


def rms_norm(x: Array, weight: Array | None, eps: float) -> tuple[Array, Array]:
    """(y, scale) of each row."""
    if not x.size or not is_float(x):
        return spec.rms_norm(x, weight, eps)
    y = empty_like(x)
    scale = empty(x.shape[0], accumulator(x.dtype), like=x)
    kernels.row_norm(contiguous(x), _optional(weight), None, eps, y, None, scale, stream())
    return y, scale


def rms_norm_backward(
    g: Array, x: Array, weight: Array | None, scale: Array
) -> tuple[Array, Array]:
    """(gx, gweight) of ``rms_norm``."""
    if not x.size or not is_float(x):
        return spec.rms_norm_backward(g, x, weight, scale)
    dense = contiguous(x)
    gx = empty_like(x)
    gweight = empty(x.shape[1], accumulator(x.dtype), like=x)
    kernels.row_norm_backward(
        contiguous(g),
        dense,
        _optional(weight),
        None,
        scale,
        gx,
        gweight,
        None,
        empty(kernels.row_norm_workspace(dense), np.uint8, like=x),
        stream(),
    )
    return gx, gweight.astype(x.dtype)
