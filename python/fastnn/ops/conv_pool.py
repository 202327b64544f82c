"""2-d convolution, its activation and the max pooling that follows, as one operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._core import make
from ..autograd.grad_mode import mode
from ..autograd.node import Node, edge_of
from ..backends import by_type
from ..backends.numpy.conv import output_size
from ..backends.numpy.conv_pool import map_of
from .conv import (
    IntOrPair,
    check_conv2d,
    conv2d,
    conv2d_input_grad,
    conv2d_weight_grad,
    pair,
)
from .pool import check_window, max_pool2d, max_unpool

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "conv2d_max_pool2d",
]


class ConvolutionMaxPoolBackward0(Node):
    """conv2d_max_pool2d. The activation's gradient is that of the pooled values: the map's others receive none."""

    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, weight, y, indices, *shapes = self.saved
        x_shape, w_shape, geometry = shapes
        backend = by_type[type(g)]
        if y is not None:
            g = backend.relu_backward(g, y)
        to_x, to_weight, to_bias = self.edges
        gx, gweight = backend.conv2d_max_pool2d_backward(
            g,
            indices,
            None if to_weight is None else x._data,
            None if to_x is None else weight._data,
            x_shape,
            w_shape,
            *geometry,
        )
        return gx, gweight, None if to_bias is None else backend.sum(g, (0, 2, 3))

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        x, weight, y, indices, *shapes = self.saved
        x_shape, w_shape, geometry = shapes
        if y is not None:
            g = g * make((y > 0).astype(y.dtype))
        g_map = max_unpool(g, indices, map_of(x_shape, w_shape, *geometry[:3]))
        to_x, to_weight, to_bias = self.edges
        return (
            None if to_x is None else conv2d_input_grad(g_map, weight, x_shape, geometry),
            None if to_weight is None else conv2d_weight_grad(g_map, x, w_shape, geometry),
            None if to_bias is None else g.sum((0, 2, 3)),
        )


def conv2d_max_pool2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair | str = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
    activation: str | None = None,
    kernel_size: IntOrPair = 2,
    pool_stride: IntOrPair | None = None,
    pool_padding: IntOrPair = 0,
    pool_dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """``max_pool2d(conv2d(...))``, without storing the map between the two where that is large.

    Args:
        input, weight, bias, stride, padding, dilation, groups, activation: as in ``conv2d``.
        kernel_size, pool_stride, pool_padding, pool_dilation, ceil_mode: as in ``max_pool2d``.

    Raises:
        RuntimeError: shapes or dtypes that do not fit.
        ValueError: arguments out of range.

    >>> import fastnn
    >>> x, weight = fastnn.ones(1, 1, 6, 6), fastnn.ones(2, 1, 3, 3)
    >>> fastnn.nn.functional.conv2d_max_pool2d(x, weight, kernel_size=2).shape
    fastnn.Size([1, 2, 2, 2])
    """
    data, w = input._data, weight._data
    window = pair(kernel_size, "kernel_size", "max_pool2d", 1)
    around = pair(pool_padding, "padding", "max_pool2d")
    if data.ndim != 4 or isinstance(padding, str) or around != (0, 0) or ceil_mode:
        features = conv2d(input, weight, bias, stride, padding, dilation, groups, activation)
        pooled: Tensor = max_pool2d(
            features, kernel_size, pool_stride, pool_padding, pool_dilation, ceil_mode
        )
        return pooled
    step = window if pool_stride is None else pair(pool_stride, "stride", "max_pool2d", 1)
    spread = pair(pool_dilation, "dilation", "max_pool2d", 1)
    stride_ = pair(stride, "stride", "conv2d", 1)
    padding_ = pair(padding, "padding", "conv2d")
    dilation_ = pair(dilation, "dilation", "conv2d", 1)
    check_conv2d(input, weight, bias, padding_, dilation_, groups)
    for i in (0, 1):
        size = output_size(data.shape[2 + i], w.shape[2 + i], stride_[i], padding_[i], dilation_[i])
        if size <= spread[i] * (window[i] - 1):
            map_shape = map_of(data.shape, w.shape, stride_, padding_, dilation_)
            check_window("max_pool2d", map_shape[2:], window, step, around, spread, ceil_mode)
    geometry = (stride_, padding_, dilation_, groups)
    recorded = mode.enabled and (
        input._requires_grad or weight._requires_grad or (bias is not None and bias._requires_grad)
    )
    b = None if bias is None else bias._data
    y, indices = by_type[type(data)].conv2d_max_pool2d(
        data, w, b, *geometry, activation, window, step, spread, recorded
    )
    if recorded:
        edges = (edge_of(input), edge_of(weight), None if bias is None else edge_of(bias))
        saved = (
            input if edges[1] is not None else None,
            weight if edges[0] is not None else None,
            None if activation is None else y,
            indices,
            data.shape,
            w.shape,
            geometry,
        )
        return make(y, ConvolutionMaxPoolBackward0(edges, saved))
    return make(y)
