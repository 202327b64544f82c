"""2-d convolution followed by max pooling, which a backend may do without storing the map between the two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn.backends.numpy.conv import conv2d, conv2d_input_grad, conv2d_weight_grad, output_size
from fastnn.backends.numpy.pool import max_pool2d, max_pool2d_backward
from fastnn.backends.protocol import Array, Pair


def map_of(
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> tuple[int, ...]:
    """The shape of the convolution's result.

    >>> map_of((2, 3, 8, 8), (4, 3, 3, 3), (1, 1), (0, 0), (1, 1))
    (2, 4, 6, 6)
    """
    axes = zip(x_shape[2:], weight_shape[2:], stride, padding, dilation, strict=True)
    return (x_shape[0], weight_shape[0], *(output_size(*axis) for axis in axes))


def one_after_the_other(
    conv2d: Callable[..., Array],
    conv2d_input_grad: Callable[..., Array],
    conv2d_weight_grad: Callable[..., Array],
    max_pool2d: Callable[..., tuple[Array, Array | None]],
    max_pool2d_backward: Callable[..., Array],
) -> tuple[
    Callable[..., tuple[Array, Array | None]], Callable[..., tuple[Array | None, Array | None]]
]:
    """The operation and its gradients, of a backend's functions."""

    def forward(
        x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int,
        activation: str | None, window: Pair, window_stride: Pair, window_dilation: Pair,
        indices_wanted: bool = True,
    ) -> tuple[Array, Array | None]:  # fmt: skip
        """(y, indices) of max_pool2d, without padding, over the convolution's result."""
        features = conv2d(x, weight, bias, stride, padding, dilation, groups, activation)
        return max_pool2d(
            features, window, window_stride, (0, 0), window_dilation, False, indices_wanted
        )

    def backward(
        g: Array, indices: Array, x: Array | None, weight: Array | None, x_shape: tuple[int, ...],
        weight_shape: tuple[int, ...], *geometry: Any,
    ) -> tuple[Array | None, Array | None]:  # fmt: skip
        """The gradients of the input (None without a weight) and of the weight (None without x).

        ``g`` has passed the activation: where it is zero at a maximum, it is zero at its pixel of the map.
        """
        g_map = max_pool2d_backward(g, indices, map_of(x_shape, weight_shape, *geometry[:3]))
        return (
            None if weight is None else conv2d_input_grad(g_map, weight, x_shape, *geometry),
            None if x is None else conv2d_weight_grad(g_map, x, weight_shape, *geometry),
        )

    return forward, backward


conv2d_max_pool2d, conv2d_max_pool2d_backward = one_after_the_other(
    conv2d, conv2d_input_grad, conv2d_weight_grad, max_pool2d, max_pool2d_backward
)
