"""3-d convolution (cross-correlation) and its two gradients: at each depth of the kernel, a 2-d one of all slices.

    y[n, :, z] = sum over taps k of  conv2d(x_padded[n, :, z * stride + k * dilation], weight[:, :, k])

A backend's 2-d functions may be given in place of this one's, so that its kernels do the work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.backends.numpy import conv
from fastnn.backends.protocol import Array, Triple

Function = Callable[..., Array]


def _slices(x: Array) -> Array:
    """(N, C, D, H, W) as (N, D, C, H, W): a batch of images for each volume."""
    slices: Array = x.swapaxes(1, 2)
    return slices


def _images(slices: Array) -> Array:
    """(N, D, C, H, W) as (N * D, C, H, W), contiguous."""
    n, d, *image = slices.shape
    return np.ascontiguousarray(slices.reshape(n * d, *image), like=slices)


def _volume(images: Array, n: int, d: int) -> Array:
    """(N * D, C, H, W) as (N, C, D, H, W)."""
    volume: Array = np.ascontiguousarray(
        images.reshape(n, d, *images.shape[1:]).swapaxes(1, 2), like=images
    )
    return volume


def _pad_depth(slices: Array, padding: int) -> Array:
    return np.pad(slices, ((0, 0), (padding, padding), (0, 0), (0, 0), (0, 0)))


def _tap(k: int, count: int, stride: int, dilation: int) -> slice:
    """The slices that tap ``k`` of the kernel meets, one for each of ``count`` outputs."""
    start = k * dilation
    return slice(start, start + stride * (count - 1) + 1, stride)


def _flat(stride: Triple, padding: Triple, dilation: Triple, groups: int) -> tuple[Any, ...]:
    """The geometry inside a slice."""
    return stride[1:], padding[1:], dilation[1:], groups


def conv3d(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Triple,
    padding: Triple,
    dilation: Triple,
    groups: int,
    *,
    conv2d: Function = conv.conv2d,
) -> Array:
    """Cross-correlation: x (N, C, D, H, W), weight (O, C / groups, KD, KH, KW), bias (O,)."""
    n, depth = x.shape[0], weight.shape[2]
    count = conv.output_size(x.shape[2], depth, stride[0], padding[0], dilation[0])
    slices = _pad_depth(_slices(x), padding[0])
    flat = _flat(stride, padding, dilation, groups)
    y = None
    for k in range(depth):
        images = _images(slices[:, _tap(k, count, stride[0], dilation[0])])
        w = np.ascontiguousarray(weight[:, :, k], like=weight)
        part = conv2d(images, w, bias if k == 0 else None, *flat)
        y = part if y is None else np.add(y, part, out=y)
    assert y is not None  # a kernel has at least one tap
    return _volume(y, n, count)


def conv3d_input_grad(
    g: Array,
    weight: Array,
    input_shape: tuple[int, ...],
    stride: Triple,
    padding: Triple,
    dilation: Triple,
    groups: int,
    *,
    conv2d_input_grad: Function = conv.conv2d_input_grad,
) -> Array:
    """Gradient (N, C, D, H, W) with respect to the input; g (N, O, OD, OH, OW) is the output's."""
    n, c, d, h, w = input_shape
    count = g.shape[2]
    images = _images(_slices(g))
    flat = _flat(stride, padding, dilation, groups)
    gx = np.zeros((n, d + 2 * padding[0], c, h, w), g.dtype, like=g)
    for k in range(weight.shape[2]):
        tap = np.ascontiguousarray(weight[:, :, k], like=weight)
        part = conv2d_input_grad(images, tap, (n * count, c, h, w), *flat)
        gx[:, _tap(k, count, stride[0], dilation[0])] += part.reshape(n, count, c, h, w)
    inside: Array = np.ascontiguousarray(gx[:, padding[0] : padding[0] + d].swapaxes(1, 2), like=gx)
    return inside


def conv3d_weight_grad(
    g: Array,
    x: Array,
    weight_shape: tuple[int, ...],
    stride: Triple,
    padding: Triple,
    dilation: Triple,
    groups: int,
    *,
    conv2d_weight_grad: Function = conv.conv2d_weight_grad,
) -> Array:
    """Gradient (O, C / groups, KD, KH, KW) with respect to the weight."""
    o, c, depth, kh, kw = weight_shape
    count = g.shape[2]
    images = _images(_slices(g))
    slices = _pad_depth(_slices(x), padding[0])
    flat = _flat(stride, padding, dilation, groups)
    gw = np.empty(weight_shape, g.dtype, like=g)
    for k in range(depth):
        seen = _images(slices[:, _tap(k, count, stride[0], dilation[0])])
        gw[:, :, k] = conv2d_weight_grad(images, seen, (o, c, kh, kw), *flat)
    return gw
