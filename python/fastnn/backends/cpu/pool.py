"""Pooling on the C++ kernels: float32 and float64, NCHW and NHWC.

An image with other strides is made dense first, and so are indices whose layout is not the gradient's.
"""

from __future__ import annotations

from fastnn import _cpu
from fastnn.backends.numpy import pool as spec
from fastnn.backends.numpy._layout import with_layout_of
from fastnn.backends.protocol import Array, Pair

_max_pool2d = _cpu.with_fallback("max_pool2d", spec.max_pool2d)
_max_pool2d_backward = _cpu.with_fallback("max_pool2d_backward", spec.max_pool2d_backward)
_avg_pool2d = _cpu.with_fallback("avg_pool2d", spec.avg_pool2d)
_avg_pool2d_backward = _cpu.with_fallback("avg_pool2d_backward", spec.avg_pool2d_backward)
_adaptive = _cpu.with_fallback("adaptive_avg_pool2d", spec.adaptive_avg_pool2d)
_adaptive_backward = _cpu.with_fallback(
    "adaptive_avg_pool2d_backward", spec.adaptive_avg_pool2d_backward
)


def _dense_max_pool2d(
    x: Array,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    ceil_mode: bool,
    indices_wanted: bool = True,
) -> tuple[Array, Array | None]:
    window = (kernel, stride, padding, dilation, ceil_mode)
    return _max_pool2d(with_layout_of(x, x), *window, indices_wanted)


def _dense_max_pool2d_backward(g: Array, indices: Array, input_shape: tuple[int, ...]) -> Array:
    return _max_pool2d_backward(with_layout_of(g, g), with_layout_of(indices, g), input_shape)


def _dense_avg_pool2d(
    x: Array,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    window = (kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _avg_pool2d(with_layout_of(x, x), *window)


def _dense_avg_pool2d_backward(
    g: Array,
    input_shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    window = (kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _avg_pool2d_backward(with_layout_of(g, g), input_shape, *window)


def _dense_adaptive(x: Array, output_size: Pair) -> Array:
    return _adaptive(with_layout_of(x, x), output_size)


def _dense_adaptive_backward(g: Array, input_shape: tuple[int, ...]) -> Array:
    return _adaptive_backward(with_layout_of(g, g), input_shape)


max_pool2d = _cpu.with_fallback("max_pool2d", _dense_max_pool2d)
max_pool2d_backward = _cpu.with_fallback("max_pool2d_backward", _dense_max_pool2d_backward)
avg_pool2d = _cpu.with_fallback("avg_pool2d", _dense_avg_pool2d)
avg_pool2d_backward = _cpu.with_fallback("avg_pool2d_backward", _dense_avg_pool2d_backward)
adaptive_avg_pool2d = _cpu.with_fallback("adaptive_avg_pool2d", _dense_adaptive)
adaptive_avg_pool2d_backward = _cpu.with_fallback(
    "adaptive_avg_pool2d_backward", _dense_adaptive_backward
)
