"""Convolution of volumes and its two gradients: the kernels of images, which have a depth of 1."""

from __future__ import annotations

from fastnn.backends.gpu import conv
from fastnn.backends.numpy import volume as spec
from fastnn.backends.protocol import Array, Triple


def conv3d(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Triple,
    padding: Triple,
    dilation: Triple,
    groups: int,
) -> Array:
    """Cross-correlation: x (N, C, D, H, W), weight (O, C / groups, KD, KH, KW), bias (O,)."""
    y = None
    if conv.serves(x, weight, bias):
        size = conv.output_size(x, weight, stride, padding, dilation)
        settings = conv.settings_of(stride, padding, dilation, groups)
        y = conv.forward(x, weight, bias, False, size, settings)
    return spec.conv3d(x, weight, bias, stride, padding, dilation, groups) if y is None else y


def conv3d_input_grad(
    g: Array,
    weight: Array,
    input_shape: tuple[int, ...],
    stride: Triple,
    padding: Triple,
    dilation: Triple,
    groups: int,
) -> Array:
    """Gradient (N, C, D, H, W) with respect to the input; g (N, O, OD, OH, OW) is the output's."""
    gx = None
    if conv.serves(g, weight):
        settings = conv.settings_of(stride, padding, dilation, groups)
        gx = conv.input_grad(g, weight, input_shape, settings)
    if gx is None:
        return spec.conv3d_input_grad(g, weight, input_shape, stride, padding, dilation, groups)
    return gx


def conv3d_weight_grad(
    g: Array,
    x: Array,
    weight_shape: tuple[int, ...],
    stride: Triple,
    padding: Triple,
    dilation: Triple,
    groups: int,
) -> Array:
    """Gradient (O, C / groups, KD, KH, KW) with respect to the weight."""
    gw = None
    if conv.serves(g, x):
        settings = conv.settings_of(stride, padding, dilation, groups)
        gw = conv.weight_grad(g, x, weight_shape, settings)
    if gw is None:
        return spec.conv3d_weight_grad(g, x, weight_shape, stride, padding, dilation, groups)
    return gw
