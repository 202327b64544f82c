"""Pooling on the CUDA kernels, NCHW and channels last."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.backends.gpu._arrays import contiguous, empty, is_float, kernels, stream
from fastnn.backends.numpy import pool as spec
from fastnn.backends.numpy._layout import is_channels_last
from fastnn.backends.protocol import Array, Pair


def _stored(x: Array, last: bool) -> Array:
    """x in the order of its memory, dense: (N, H, W, C) with ``last``."""
    return contiguous(x.transpose(0, 2, 3, 1)) if last else contiguous(x)


def _new(
    planes: tuple[int, ...], size: tuple[int, ...], last: bool, dtype: Any, like: Array
) -> Array:
    n, c = planes
    return empty((n, *size, c) if last else (n, c, *size), dtype, like=like)


def _image(y: Array, last: bool) -> Array:
    return y.transpose(0, 3, 1, 2) if last else y


def _output_size(
    x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[int, ...]:
    return tuple(
        spec.pooled_size(*of, ceil_mode)
        for of in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    )


def max_pool2d(
    x: Array,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    ceil_mode: bool,
    indices_wanted: bool = True,
) -> tuple[Array, Array | None]:
    """(y, indices) of the maxima; the kernel finds both at once."""
    if not is_float(x):
        return spec.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)
    last = is_channels_last(x)
    size = _output_size(x, kernel, stride, padding, dilation, ceil_mode)
    y = _new(x.shape[:2], size, last, x.dtype, x)
    indices = _new(x.shape[:2], size, last, np.int32, x)
    kernels.max_pool2d(
        _stored(x, last), y, indices, last, kernel, stride, padding, dilation, stream()
    )
    return _image(y, last), _image(indices, last)


def max_pool2d_backward(g: Array, indices: Array, input_shape: tuple[int, ...]) -> Array:
    """Adds every g to its maximum's position."""
    if not is_float(g):
        return spec.max_pool2d_backward(g, indices, input_shape)
    last = is_channels_last(g)
    gx = _new(input_shape[:2], input_shape[2:], last, g.dtype, g)
    at = _stored(indices.astype(np.int32, copy=False), last)
    kernels.max_pool2d_backward(_stored(g, last), at, gx, last, stream())
    return _image(gx, last)


def avg_pool2d(
    x: Array,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """The mean of each window."""
    if not is_float(x):
        return spec.avg_pool2d(
            x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override
        )
    last = is_channels_last(x)
    size = _output_size(x, kernel, stride, padding, (1, 1), ceil_mode)
    y = _new(x.shape[:2], size, last, x.dtype, x)
    window = (kernel, stride, padding, count_include_pad, divisor_override or 0)
    kernels.avg_pool2d(_stored(x, last), y, last, *window, stream())
    return _image(y, last)


def avg_pool2d_backward(
    g: Array,
    input_shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """The gradient of ``avg_pool2d``."""
    if not is_float(g):
        return spec.avg_pool2d_backward(
            g, input_shape, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override
        )
    last = is_channels_last(g)
    gx = _new(input_shape[:2], input_shape[2:], last, g.dtype, g)
    window = (kernel, stride, padding, count_include_pad, divisor_override or 0)
    kernels.avg_pool2d_backward(_stored(g, last), gx, last, *window, stream())
    return _image(gx, last)


def adaptive_avg_pool2d(x: Array, output_size: Pair) -> Array:
    """The mean of each of output_size bins."""
    if not is_float(x):
        return spec.adaptive_avg_pool2d(x, output_size)
    last = is_channels_last(x)
    y = _new(x.shape[:2], output_size, last, x.dtype, x)
    kernels.adaptive_avg_pool2d(_stored(x, last), y, last, stream())
    return _image(y, last)


def adaptive_avg_pool2d_backward(g: Array, input_shape: tuple[int, ...]) -> Array:
    """The gradient of ``adaptive_avg_pool2d``."""
    if not is_float(g):
        return spec.adaptive_avg_pool2d_backward(g, input_shape)
    last = is_channels_last(g)
    gx = _new(input_shape[:2], input_shape[2:], last, g.dtype, g)
    kernels.adaptive_avg_pool2d_backward(_stored(g, last), gx, last, stream())
    return _image(gx, last)
