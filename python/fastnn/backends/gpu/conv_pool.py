"""2-d convolution followed by max pooling, one kernel after the other."""

from __future__ import annotations

from fastnn.backends.gpu.conv import conv2d, conv2d_input_grad, conv2d_weight_grad
from fastnn.backends.gpu.pool import max_pool2d, max_pool2d_backward
from fastnn.backends.numpy.conv_pool import map_of
from fastnn.backends.protocol import Array, Pair


def conv2d_max_pool2d(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    activation: str | None,
    window: Pair,
    window_stride: Pair,
    window_dilation: Pair,
) -> tuple[Array, Array]:
    """(y, indices) of max_pool2d, without padding, over the convolution's result."""
    map = conv2d(x, weight, bias, stride, padding, dilation, groups, activation)
    return max_pool2d(map, window, window_stride, (0, 0), window_dilation, False)


def conv2d_max_pool2d_backward(
    g: Array,
    indices: Array,
    x: Array | None,
    weight: Array | None,
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> tuple[Array | None, Array | None]:
    """The gradients of the input (None without a weight) and of the weight (None without x)."""
    geometry = (stride, padding, dilation, groups)
    map_shape = map_of(x_shape, weight_shape, stride, padding, dilation)
    g_map = max_pool2d_backward(g, indices, map_shape)
    return (
        None if weight is None else conv2d_input_grad(g_map, weight, x_shape, *geometry),
        None if x is None else conv2d_weight_grad(g_map, x, weight_shape, *geometry),
    )
