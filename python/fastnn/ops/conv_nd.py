"""Convolution in one and three dims, and transposed convolution in one, two and three."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._core import make
from ..autograd.grad_mode import mode
from ..autograd.node import ComposedNode, edge_of
from ..backends import by_type
from .conv import conv2d, conv2d_input_grad, numbers, padding_of
from .padding import constant_pad
from .promotion import same_device

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "conv1d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]
IntOrInts = int | tuple[int, ...]


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrInts = 1,
    padding: IntOrInts | str = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
) -> Tensor:
    """1-d convolution (cross-correlation): a 2-d one of images one pixel high.

    Args:
        input: (N, C, L), or (C, L) for one sequence.
        weight: (O, C / groups, K).
        bias: (O,) or None.
        stride, dilation, groups: as ``conv2d``.
        padding: zeros on both sides, "valid" (none) or "same" (the length stays).

    Returns:
        (N, O, (L + 2 * padding - dilation * (K - 1) - 1) // stride + 1).

    Raises:
        RuntimeError: shapes or dtypes that do not fit.
        ValueError: arguments out of range.

    >>> import fastnn
    >>> fastnn.conv1d(fastnn.ones(1, 1, 4), fastnn.ones(1, 1, 3))
    tensor([[[3., 3.]]])
    """
    _check_dims("conv1d", input, weight, 1)
    if input._data.ndim == 2:
        batch = input.unsqueeze(0)
        return conv1d(batch, weight, bias, stride, padding, dilation, groups).squeeze(0)
    (step,) = numbers(stride, 1, "stride", "conv1d", 1)
    (spread,) = numbers(dilation, 1, "dilation", "conv1d", 1)
    kernel = weight._data.shape[2:]
    input, (width,) = padding_of(input, kernel, (step,), padding, (spread,), "conv1d")
    image = conv2d(
        input.unsqueeze(2),
        weight.unsqueeze(2),
        bias,
        (1, step),
        (0, width),
        (1, spread),
        groups,
    )
    return image.squeeze(2)


def _check_dims(operation: str, x: Tensor, weight: Tensor, spatial: int) -> None:
    same_device(x, weight)
    if x._data.ndim not in (spatial + 1, spatial + 2):
        raise RuntimeError(
            f"{operation}: expected {spatial + 1}D (unbatched) or {spatial + 2}D (batched) input, got "
            f"{tuple(x._data.shape)}"
        )
    if weight._data.ndim != spatial + 2:
        raise RuntimeError(
            f"{operation}: weight must have {spatial + 2} dims, got {tuple(weight._data.shape)}"
        )
    if x._data.dtype != weight._data.dtype:
        raise RuntimeError(
            f"{operation}: input and weight must have one dtype, got {x.dtype} and {weight.dtype}"
        )


# -- three dims: three operations, each linear in two arguments, each the gradient of the others -------


class Convolution3DBackward0(ComposedNode):
    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        x, weight, geometry = self.saved
        to_x, to_weight, to_bias = self.edges
        return (
            None if to_x is None else _input_grad(g, weight, x._data.shape, geometry),
            None if to_weight is None else _weight_grad(g, x, weight._data.shape, geometry),
            None if to_bias is None else g.sum((0, 2, 3, 4)),
        )


def _conv3d(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Any) -> Tensor:
    data = x._data
    b = None if bias is None else bias._data
    out = by_type[type(data)].conv3d(data, weight._data, b, *geometry)
    wanted = x._requires_grad or weight._requires_grad or (bias is not None and bias._requires_grad)
    if mode.enabled and wanted:
        edges = (edge_of(x), edge_of(weight), None if bias is None else edge_of(bias))
        return make(out, Convolution3DBackward0(edges, (x, weight, geometry)))
    return make(out)


class Conv3DInputGradBackward0(ComposedNode):
    __slots__ = ()

    def backward_graph(self, gg: Tensor) -> tuple[Any, ...]:
        g, weight, geometry = self.saved
        to_g, to_weight = self.edges
        return (
            None if to_g is None else _conv3d(gg, weight, None, geometry),
            None if to_weight is None else _weight_grad(g, gg, weight._data.shape, geometry),
        )


def _input_grad(g: Tensor, weight: Tensor, x_shape: Any, geometry: Any) -> Tensor:
    data = g._data
    out = by_type[type(data)].conv3d_input_grad(data, weight._data, x_shape, *geometry)
    if mode.enabled and (g._requires_grad or weight._requires_grad):
        edges = (edge_of(g), edge_of(weight))
        return make(out, Conv3DInputGradBackward0(edges, (g, weight, geometry)))
    return make(out)


class Conv3DWeightGradBackward0(ComposedNode):
    __slots__ = ()

    def backward_graph(self, gw: Tensor) -> tuple[Any, ...]:
        g, x, geometry = self.saved
        to_g, to_x = self.edges
        return (
            None if to_g is None else _conv3d(x, gw, None, geometry),
            None if to_x is None else _input_grad(g, gw, x._data.shape, geometry),
        )


def _weight_grad(g: Tensor, x: Tensor, w_shape: Any, geometry: Any) -> Tensor:
    data = g._data
    out = by_type[type(data)].conv3d_weight_grad(data, x._data, w_shape, *geometry)
    if mode.enabled and (g._requires_grad or x._requires_grad):
        edges = (edge_of(g), edge_of(x))
        return make(out, Conv3DWeightGradBackward0(edges, (g, x, geometry)))
    return make(out)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrInts = 1,
    padding: IntOrInts | str = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
) -> Tensor:
    """3-d convolution (cross-correlation) of volumes.

    Args:
        input: (N, C, D, H, W), or (C, D, H, W) for one volume.
        weight: (O, C / groups, KD, KH, KW).
        bias: (O,) or None.
        stride, padding, dilation: one int or (depth, height, width); padding also "valid" or "same".
        groups: blocks of channels that are convolved apart.

    Raises:
        RuntimeError: shapes or dtypes that do not fit.
        ValueError: arguments out of range.
    """
    _check_dims("conv3d", input, weight, 3)
    if input._data.ndim == 4:
        batch = input.unsqueeze(0)
        return conv3d(batch, weight, bias, stride, padding, dilation, groups).squeeze(0)
    step = numbers(stride, 3, "stride", "conv3d", 1)
    spread = numbers(dilation, 3, "dilation", "conv3d", 1)
    kernel = weight._data.shape[2:]
    input, width = padding_of(input, kernel, step, padding, spread, "conv3d")
    x, w = input._data, weight._data
    if groups < 1 or w.shape[0] % groups:
        raise RuntimeError(
            f"conv3d: {w.shape[0]} output channels cannot be divided into {groups} groups"
        )
    if x.shape[1] != w.shape[1] * groups:
        raise RuntimeError(
            f"conv3d: weight of shape {w.shape} with groups={groups} expects input of {w.shape[1] * groups} "
            f"channels, got {tuple(x.shape)}"
        )
    _check_bias("conv3d", weight, bias, w.shape[0])
    padded = tuple(n + 2 * p for n, p in zip(x.shape[2:], width, strict=True))
    if any(n < d * (k - 1) + 1 for n, d, k in zip(padded, spread, kernel, strict=True)):
        raise RuntimeError(
            f"conv3d: kernel of {tuple(kernel)} (dilation {spread}) is larger than the padded input {padded}"
        )
    return _conv3d(input, weight, bias, (step, width, spread, groups))


def _check_bias(operation: str, weight: Tensor, bias: Tensor | None, channels: int) -> None:
    if bias is None:
        return
    if bias._data.shape != (channels,):
        raise RuntimeError(
            f"{operation}: bias must have shape ({channels},), got {tuple(bias._data.shape)}"
        )
    if bias._data.dtype != weight._data.dtype:
        raise RuntimeError(
            f"{operation}: weight and bias must have one dtype, got {weight.dtype} and {bias.dtype}"
        )


# -- transposed ----------------------------------------------------------------------------------------


def transposed(
    operation: str,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
    spatial: int,
) -> Tensor:
    """Transposed convolution: the gradient of a convolution with respect to its input, as an operation of its own."""
    _check_dims(operation, x, weight, spatial)
    if x._data.ndim == spatial + 1:
        batch = x.unsqueeze(0)
        given = (weight, bias, stride, padding, output_padding, groups, dilation, spatial)
        return transposed(operation, batch, *given).squeeze(0)
    step = numbers(stride, spatial, "stride", operation, 1)
    width = numbers(padding, spatial, "padding", operation)
    extra = numbers(output_padding, spatial, "output_padding", operation)
    spread = numbers(dilation, spatial, "dilation", operation, 1)
    shape, w_shape = x._data.shape, weight._data.shape
    if groups < 1 or w_shape[0] % groups or shape[1] != w_shape[0]:
        raise RuntimeError(
            f"{operation}: weight of shape {tuple(w_shape)} with groups={groups} expects input of {w_shape[0]} "
            f"channels, divisible by the groups; got {tuple(shape)}"
        )
    channels = w_shape[1] * groups
    _check_bias(operation, weight, bias, channels)
    for e, s, d in zip(extra, step, spread, strict=True):
        if e >= s and e >= d:
            raise RuntimeError(
                f"{operation}: output padding must be smaller than either stride or dilation, got output_padding "
                f"{extra}, stride {step}, dilation {spread}"
            )
    sizes = [
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(shape[2:], step, width, spread, w_shape[2:], extra, strict=True)
    ]
    if min(sizes) < 1:
        raise RuntimeError(
            f"{operation}: input of {tuple(shape[2:])} gives an output of {tuple(sizes)}, which is too small"
        )
    # A convolution of an output so much larger would have more rows than x: they are zeros
    missing = [e // s for e, s in zip(extra, step, strict=True)]
    if any(missing):
        x = constant_pad(x, [n for m in reversed(missing) for n in (0, m)])
    out_shape = (shape[0], channels, *sizes)
    if spatial == 3:
        out = _input_grad(x, weight, out_shape, (step, width, spread, groups))
    elif spatial == 2:
        out = conv2d_input_grad(x, weight, out_shape, (step, width, spread, groups))
    else:
        geometry = ((1, *step), (0, *width), (1, *spread), groups)
        flat = (shape[0], channels, 1, *sizes)
        out = conv2d_input_grad(x.unsqueeze(2), weight.unsqueeze(2), flat, geometry).squeeze(2)
    return out if bias is None else out + bias.reshape(-1, *(1,) * spatial)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrInts = 1,
    padding: IntOrInts = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
) -> Tensor:
    """Transposed 1-d convolution; arguments as ``conv_transpose2d``, with one spatial axis."""
    given = (stride, padding, output_padding, groups, dilation, 1)
    return transposed("conv_transpose1d", input, weight, bias, *given)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrInts = 1,
    padding: IntOrInts = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
) -> Tensor:
    """Transposed 2-d convolution: every input pixel adds the kernel, scaled by it, to the output.

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        weight: (C, O / groups, KH, KW).
        bias: (O,) or None.
        stride: the step of the kernel in the output.
        padding: rows and columns cut from both sides of the output.
        output_padding: rows and columns more at the end; less than the stride or the dilation.
        groups: blocks of channels that are convolved apart.
        dilation: the step inside the kernel.

    Returns:
        (N, O, H', W') with H' = (H - 1) * stride - 2 * padding + dilation * (KH - 1) + output_padding + 1.

    Raises:
        RuntimeError: shapes, dtypes or sizes that do not fit.
        ValueError: arguments out of range.

    >>> import fastnn
    >>> fastnn.conv_transpose2d(fastnn.ones(1, 1, 1, 2), fastnn.ones(1, 1, 1, 2), stride=2)
    tensor([[[[1., 1., 1., 1.]]]])
    """
    given = (stride, padding, output_padding, groups, dilation, 2)
    return transposed("conv_transpose2d", input, weight, bias, *given)


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrInts = 1,
    padding: IntOrInts = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
) -> Tensor:
    """Transposed 3-d convolution; arguments as ``conv_transpose2d``, with three spatial axes."""
    given = (stride, padding, output_padding, groups, dilation, 3)
    return transposed("conv_transpose3d", input, weight, bias, *given)
