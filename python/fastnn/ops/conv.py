"""2-d convolution (cross-correlation) and its gradients, each differentiable by the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._core import make
from ..autograd.grad_mode import mode
from ..autograd.node import Node, edge_of
from ..backends import by_type
from .padding import constant_pad
from .promotion import same_device

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "conv2d",
]
IntOrPair = int | tuple[int, int]


def numbers(value: Any, count: int, name: str, operation: str, minimum: int = 0) -> tuple[int, ...]:
    """``value`` as ``count`` ints, one for each spatial axis.

    Raises:
        ValueError: neither an int nor ``count`` of them, or below ``minimum``.
    """
    if isinstance(value, int):
        result = (value,) * count
    else:
        result = tuple(int(v) for v in value)
        if len(result) == 1:
            result = result * count
        if len(result) != count:
            raise ValueError(f"{operation}: {name} must be an int or {count} ints, got {value!r}")
    if min(result) < minimum:
        raise ValueError(f"{operation}: {name} must be at least {minimum}, got {value!r}")
    return result


def pair(value: Any, name: str, operation: str, minimum: int = 0) -> tuple[int, int]:
    """``value`` as (height, width); ValueError as ``numbers``."""
    if type(value) is tuple and len(value) == 2:  # as layers hold it
        first, second = value
        if type(first) is int and type(second) is int and first >= minimum and second >= minimum:
            return value
    elif type(value) is int and value >= minimum:
        return (value, value)
    first, second = numbers(value, 2, name, operation, minimum)
    return first, second


class ConvolutionBackward0(Node):
    """conv2d, with the gradient of its fused activation."""

    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, weight, y, x_shape, w_shape, geometry = self.saved
        backend = by_type[type(g)]
        if y is not None:
            g = backend.relu_backward(g, y)
        to_x, to_weight, to_bias = self.edges
        return (
            None
            if to_x is None
            else backend.conv2d_input_grad(g, weight._data, x_shape, *geometry),
            None
            if to_weight is None
            else backend.conv2d_weight_grad(g, x._data, w_shape, *geometry),
            None if to_bias is None else backend.sum(g, (0, 2, 3)),
        )

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        x, weight, y, x_shape, w_shape, geometry = self.saved
        if y is not None:
            g = g * make((y > 0).astype(y.dtype))
        to_x, to_weight, to_bias = self.edges
        return (
            None if to_x is None else conv2d_input_grad(g, weight, x_shape, geometry),
            None if to_weight is None else conv2d_weight_grad(g, x, w_shape, geometry),
            None if to_bias is None else g.sum((0, 2, 3)),
        )


class ConvInputGradBackward0(Node):
    """The gradient with respect to the input is linear in g and in the weight."""

    __slots__ = ()

    def backward(self, gg: Any) -> tuple[Any, ...]:
        g, weight, geometry = self.saved
        backend = by_type[type(gg)]
        w = weight._data
        return (
            None if self.edges[0] is None else backend.conv2d(gg, w, None, *geometry),
            None
            if self.edges[1] is None
            else backend.conv2d_weight_grad(g._data, gg, w.shape, *geometry),
        )

    def backward_graph(self, gg: Tensor) -> tuple[Any, ...]:
        g, weight, geometry = self.saved
        return (
            None if self.edges[0] is None else conv2d(gg, weight, None, *geometry),
            None
            if self.edges[1] is None
            else conv2d_weight_grad(g, gg, weight._data.shape, geometry),
        )


def conv2d_input_grad(g: Tensor, weight: Tensor, x_shape: Any, geometry: Any) -> Tensor:
    """The gradient of conv2d with respect to its input, as a differentiable operation."""
    out = by_type[type(g._data)].conv2d_input_grad(g._data, weight._data, x_shape, *geometry)
    if mode.enabled and (g._requires_grad or weight._requires_grad):
        node = ConvInputGradBackward0((edge_of(g), edge_of(weight)), (g, weight, geometry))
        return make(out, node)
    return make(out)


class ConvWeightGradBackward0(Node):
    """The gradient with respect to the weight is linear in g and in the input."""

    __slots__ = ()

    def backward(self, gw: Any) -> tuple[Any, ...]:
        g, x, geometry = self.saved
        backend = by_type[type(gw)]
        return (
            None if self.edges[0] is None else backend.conv2d(x._data, gw, None, *geometry),
            None
            if self.edges[1] is None
            else backend.conv2d_input_grad(g._data, gw, x._data.shape, *geometry),
        )

    def backward_graph(self, gw: Tensor) -> tuple[Any, ...]:
        g, x, geometry = self.saved
        return (
            None if self.edges[0] is None else conv2d(x, gw, None, *geometry),
            None if self.edges[1] is None else conv2d_input_grad(g, gw, x._data.shape, geometry),
        )


def conv2d_weight_grad(g: Tensor, x: Tensor, w_shape: Any, geometry: Any) -> Tensor:
    """The gradient of conv2d with respect to its weight, as a differentiable operation."""
    out = by_type[type(g._data)].conv2d_weight_grad(g._data, x._data, w_shape, *geometry)
    if mode.enabled and (g._requires_grad or x._requires_grad):
        return make(out, ConvWeightGradBackward0((edge_of(g), edge_of(x)), (g, x, geometry)))
    return make(out)


def padding_of(
    x: Tensor, kernel: Any, stride: Any, padding: Any, dilation: Any, operation: str
) -> tuple[Tensor, tuple[int, ...]]:
    """``padding`` as numbers, and the input they are for.

    "same" pads by dilation * (kernel - 1) in all; where that is odd, the larger half is at the end and goes into the
    input itself.

    Raises:
        ValueError: another word, or "same" with a stride.
    """
    count = len(kernel)
    if not isinstance(padding, str):
        return x, numbers(padding, count, "padding", operation)
    if padding not in ("same", "valid"):
        raise ValueError(
            f'{operation}: padding must be a number, "same" or "valid", got {padding!r}'
        )
    if padding == "valid":
        return x, (0,) * count
    if any(s != 1 for s in stride):
        raise ValueError(f'{operation}: padding="same" is not supported for strided convolutions')
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if any(t % 2 for t in total):
        x = constant_pad(x, [n for t in reversed(total) for n in (0, t % 2)])
    return x, tuple(t // 2 for t in total)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair | str = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
    activation: str | None = None,
) -> Tensor:
    """2-d convolution (cross-correlation) of images, with bias and activation in the same kernel.

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        weight: (O, C / groups, KH, KW).
        bias: (O,) or None.
        stride, dilation: one int or (height, width).
        padding: zeros on both sides, an int or (height, width); "valid" is 0, "same" keeps the size.
        groups: blocks of channels that are convolved apart.
        activation: None or "relu".

    Returns:
        (N, O, H', W') with H' = (H + 2 * padding - dilation * (KH - 1) - 1) // stride + 1.

    Raises:
        RuntimeError: shapes or dtypes that do not fit.
        ValueError: arguments out of range.

    >>> import fastnn
    >>> fastnn.nn.functional.conv2d(fastnn.ones(1, 1, 5, 5), fastnn.ones(2, 1, 3, 3)).shape
    fastnn.Size([1, 2, 3, 3])
    """
    stride_ = pair(stride, "stride", "conv2d", 1)
    dilation_ = pair(dilation, "dilation", "conv2d", 1)
    data, w = input._data, weight._data
    if data.ndim == 3:
        out3 = conv2d(
            input.unsqueeze(0), weight, bias, stride, padding, dilation, groups, activation
        )
        return out3.squeeze(0)
    if isinstance(padding, str):
        input, widths = padding_of(input, w.shape[2:], stride_, padding, dilation_, "conv2d")
        data = input._data
        padding_ = (widths[0], widths[1])
    else:
        padding_ = pair(padding, "padding", "conv2d")
    b = None if bias is None else bias._data
    check_conv2d(input, weight, bias, padding_, dilation_, groups)
    geometry = (stride_, padding_, dilation_, groups)
    out = by_type[type(data)].conv2d(data, w, b, *geometry, activation)
    if mode.enabled and (
        input._requires_grad or weight._requires_grad or (bias is not None and bias._requires_grad)
    ):
        edges = (edge_of(input), edge_of(weight), None if bias is None else edge_of(bias))
        saved = (
            input if edges[1] is not None else None,
            weight if edges[0] is not None else None,
            None if activation is None else out,
            data.shape,
            w.shape,
            geometry,
        )
        return make(out, ConvolutionBackward0(edges, saved))
    return make(out)


def _fit(x: Any, w: Any, bias: Any, padding: Any, dilation: Any, groups: int) -> bool:
    """Whether nothing is wrong: in one expression, as every call asks."""
    shape, kernel = x.shape, w.shape
    return (
        len(shape) == len(kernel) == 4
        and groups > 0
        and shape[1] == kernel[1] * groups
        and kernel[0] % groups == 0
        and x.dtype == w.dtype
        and type(x) is type(w)
        and (
            bias is None
            or (bias.shape == kernel[:1] and bias.dtype == w.dtype and type(bias) is type(w))
        )
        and kernel[2] > 0
        and kernel[3] > 0
        and shape[2] + 2 * padding[0] > dilation[0] * (kernel[2] - 1)
        and shape[3] + 2 * padding[1] > dilation[1] * (kernel[3] - 1)
    )


def check_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, padding: Any, dilation: Any, groups: int
) -> None:
    """RuntimeError for tensors that do not fit together."""
    data, w = x._data, weight._data
    if _fit(data, w, None if bias is None else bias._data, padding, dilation, groups):
        return
    same_device(x, weight, bias)
    if data.ndim != 4:
        raise RuntimeError(
            f"conv2d: expected 3D (unbatched) or 4D (batched) input, got {tuple(data.shape)}"
        )
    if w.ndim != 4:
        raise RuntimeError(f"conv2d: weight must be (O, C / groups, KH, KW), got {tuple(w.shape)}")
    if groups < 1 or w.shape[0] % groups:
        raise RuntimeError(
            f"conv2d: {w.shape[0]} output channels cannot be divided into {groups} groups"
        )
    if data.shape[1] != w.shape[1] * groups:
        raise RuntimeError(
            f"conv2d: weight of shape {tuple(w.shape)} with groups={groups} expects input of "
            f"{w.shape[1] * groups} channels, got {tuple(data.shape)}"
        )
    if data.dtype != w.dtype or (bias is not None and bias._data.dtype != w.dtype):
        kinds = f"{x.dtype}, {weight.dtype}" + (f", {bias.dtype}" if bias is not None else "")
        raise RuntimeError(f"conv2d: input, weight and bias must have one dtype, got {kinds}")
    if bias is not None and bias._data.shape != (w.shape[0],):
        raise RuntimeError(f"conv2d: bias must have shape ({w.shape[0]},), got {tuple(bias.shape)}")
    for i in (0, 1):
        size = data.shape[2 + i] + 2 * padding[i]
        kernel = dilation[i] * (w.shape[2 + i] - 1) + 1
        if w.shape[2 + i] < 1 or size < kernel:
            raise RuntimeError(
                f"conv2d: kernel of {tuple(w.shape[2:])} (dilation {dilation}) is larger than the padded input "
                f"{(data.shape[2] + 2 * padding[0], data.shape[3] + 2 * padding[1])}"
            )
