"""Convolution of images and its two gradients on the CUDA kernels: float16, bfloat16, float32 and float64, NCHW and NHWC.

float32 is computed as matrix products are: on CUDA cores unless ``set_float32_matmul_precision`` (or
``backends.cuda.matmul.allow_tf32``) lowers the precision; ``backends.cudnn.allow_tf32 = False`` keeps it for convolutions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.backends import flags
from fastnn.backends.gpu._arrays import contiguous, empty, is_float, kernels, stream
from fastnn.backends.gpu.gemm import float32_precision
from fastnn.backends.numpy import conv as spec
from fastnn.backends.protocol import Array, Pair

Numbers = tuple[int, ...]


def precision() -> str:
    """How convolutions of float32 are worked out: "highest", "high" or "medium"."""
    return float32_precision() if flags.cudnn.allow_tf32 else "highest"


@functools.lru_cache(maxsize=256)
def _settings(
    stride: Numbers, padding: Numbers, dilation: Numbers, groups: int, chosen: str
) -> Any:
    return kernels.ConvSettings(stride, padding, dilation, groups, chosen)


def settings_of(stride: Numbers, padding: Numbers, dilation: Numbers, groups: int) -> Any:
    """The arguments in C++; kept, as a layer gives the same at every step."""
    return _settings(tuple(stride), tuple(padding), tuple(dilation), groups, precision())


def serves(*arrays: Array | None) -> bool:
    """Whether there are kernels of these arrays' dtype, which is the same for all."""
    given = [a for a in arrays if a is not None]
    return is_float(given[0]) and all(a.dtype == given[0].dtype for a in given)


def _channels_last(x: Array) -> bool:
    """Whether channels are stored last, in an array that is not also C-contiguous."""
    return not x.flags.c_contiguous and bool(np.moveaxis(x, 1, -1).flags.c_contiguous)


def new_image(shape: Numbers, like: Array) -> Array:
    """An array of ``shape`` (N, C, ...) in the layout of ``like``."""
    if _channels_last(like):
        n, c, *size = shape
        image: Array = np.moveaxis(empty((n, *size, c), like.dtype, like=like), -1, 1)
        return image
    return empty(shape, like.dtype, like=like)


def _scratch(like: Array) -> Callable[[int], Array]:
    """Makes scratch memory beside an array."""
    return lambda size: empty((size,), np.uint8, like=like)


def _in_parts(call: Callable[..., bool], *arrays: Array) -> bool:
    """Calls a kernel for all samples, or for halves of them where they have more elements than it counts; False: in vain."""
    if call(*arrays):
        return True
    half = len(arrays[0]) // 2
    return (
        half > 0
        and _in_parts(call, *(a[:half] for a in arrays))
        and _in_parts(call, *(a[half:] for a in arrays))
    )


def forward(
    x: Array, weight: Array, bias: Array | None, relu: bool, size: Numbers, settings: Any
) -> Array | None:
    """activation(x * weight + bias), of the spatial ``size``; None where the kernels do not serve."""
    y = new_image((x.shape[0], weight.shape[0], *size), x)
    b = None if bias is None else contiguous(bias)

    def call(x: Array, y: Array) -> bool:
        return bool(kernels.conv(x, weight, b, y, relu, settings, _scratch(x), stream()))

    return y if _in_parts(call, x, y) else None


def input_grad(g: Array, weight: Array, input_shape: Numbers, settings: Any) -> Array | None:
    """The gradient with respect to the input; None where the kernels do not serve."""
    gx = new_image(input_shape, g)

    def call(g: Array, gx: Array) -> bool:
        return bool(kernels.conv_input_grad(g, weight, gx, settings, _scratch(g), stream()))

    return gx if _in_parts(call, g, gx) else None


def weight_grad(g: Array, x: Array, weight_shape: Numbers, settings: Any) -> Array | None:
    """The gradient with respect to the weight; None where the kernels do not serve."""
    gw = empty(weight_shape, g.dtype, like=g)
    dense = g if _channels_last(g) else contiguous(g)
    if kernels.conv_weight_grad(dense, x, gw, settings, _scratch(g), stream()):
        return gw
    half = len(g) // 2
    if half == 0:
        return None
    parts = [
        weight_grad(g[part], x[part], weight_shape, settings)
        for part in (slice(half), slice(half, None))
    ]
    return None if parts[0] is None or parts[1] is None else parts[0] + parts[1]


def output_size(
    x: Array, weight: Array, stride: Numbers, padding: Numbers, dilation: Numbers
) -> Numbers:
    """The spatial size of the convolution."""
    of = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    return tuple(spec.output_size(*axis) for axis in of)


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
    """Cross-correlation: x (N, C, H, W), weight (O, C / groups, KH, KW), bias (O,); activation None or "relu"."""
    y = None
    if serves(x, weight, bias) and activation in (None, "relu"):
        size = output_size(x, weight, stride, padding, dilation)
        settings = settings_of(stride, padding, dilation, groups)
        y = forward(x, weight, bias, activation == "relu", size, settings)
    if y is None:
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
    gx = None
    if serves(g, weight):
        gx = input_grad(g, weight, input_shape, settings_of(stride, padding, dilation, groups))
    if gx is None:
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
    gw = None
    if serves(g, x):
        gw = weight_grad(g, x, weight_shape, settings_of(stride, padding, dilation, groups))
    if gw is None:
        return spec.conv2d_weight_grad(g, x, weight_shape, stride, padding, dilation, groups)
    return gw
