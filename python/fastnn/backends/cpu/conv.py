"""2-d convolution and its two gradients on the C++ kernels, in NCHW and NHWC."""

from __future__ import annotations

from fastnn import _cpu
from fastnn.backends.numpy import conv as spec
from fastnn.backends.protocol import Array, Pair


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    activation: str | None = None,
) -> Array:
    """Cross-correlation: x (N, C, H, W), weight (O, C / groups, KH, KW), bias (O,)."""
    y = _cpu.conv2d(x, weight, bias, stride, padding, dilation, groups, activation)
    if y is NotImplemented:
        return spec.conv2d(x, weight, bias, stride, padding, dilation, groups, activation)
    return y


def conv2d_input_grad(
    g: Array,
    weight: Array,
    input_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """Gradient (N, C, H, W) with respect to the input; g (N, O, OH, OW) is the output's."""
    gx = _cpu.conv2d_input_grad(g, weight, input_shape, stride, padding, dilation, groups)
    if gx is NotImplemented:
        return spec.conv2d_input_grad(g, weight, input_shape, stride, padding, dilation, groups)
    return gx


def conv2d_weight_grad(
    g: Array,
    x: Array,
    weight_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """Gradient (O, C / groups, KH, KW) with respect to the weight."""
    gw = _cpu.conv2d_weight_grad(g, x, weight_shape, stride, padding, dilation, groups)
    if gw is NotImplemented:
        return spec.conv2d_weight_grad(g, x, weight_shape, stride, padding, dilation, groups)
    return gw
