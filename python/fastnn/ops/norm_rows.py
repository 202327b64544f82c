"""Normalisation of every sample by its own statistics: layer, RMS, group, instance and local response."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from ..autograd import version
from ..autograd.grad_mode import mode
from ..autograd.node import Node, edge_of
from ..backends import by_type
from .norm import batch_norm
from .padding import constant_pad
from .pool import avg_pool2d
from .promotion import cast, same_device

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "group_norm",
    "layer_norm",
    "rms_norm",
]
Shape = int | Sequence[int]


def _wide(x: Tensor) -> Tensor:
    """float32 in place of the half-precision types, which the kernels do not know."""
    return cast(x, np.dtype(np.float32)) if x._data.dtype.itemsize < 4 else x


def _trailing(
    x: Tensor,
    normalized_shape: Shape,
    operation: str,
    weight: Tensor | None,
    bias: Tensor | None = None,
) -> tuple[int, ...]:
    """``normalized_shape`` as a tuple, once it is known to be the end of x's shape and that of the parameters.

    Raises:
        RuntimeError: it is not, or the dtypes differ.
    """
    data = x._data
    if type(normalized_shape) is tuple and list(map(type, normalized_shape)) == [int]:
        shape = normalized_shape  # as layers hold it
    elif isinstance(normalized_shape, int):
        shape = (normalized_shape,)
    else:
        shape = tuple(int(n) for n in normalized_shape)
    if not shape:
        raise RuntimeError(
            f"{operation}: expected normalized_shape to be at least 1-dimensional, got {shape}"
        )
    if data.dtype.kind in "iub":
        raise RuntimeError(f"{operation}: expects a floating tensor, got {x.dtype}")
    if data.shape[-len(shape) :] != shape:
        raise RuntimeError(
            f"{operation}: given normalized_shape={list(shape)}, expected input with shape [*, "
            f"{', '.join(map(str, shape))}], but got input of size {tuple(data.shape)}"
        )
    for name, t in (("weight", weight), ("bias", bias)):
        if t is None:
            continue
        own = t._data
        if own.shape == shape and own.dtype == data.dtype and type(own) is type(data):
            continue
        same_device(x, t)
        if own.shape != shape:
            raise RuntimeError(
                f"{operation}: expected {name} to be of same shape as normalized_shape {list(shape)}, got "
                f"{tuple(own.shape)}"
            )
        raise RuntimeError(
            f"{operation}: input is {x.dtype}, {name} is {t.dtype}; they must be the same"
        )
    return shape


class NativeLayerNormBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, weight, mean, invstd, _, shape = self.saved
        n = math.prod(shape)
        w = None if weight is None else weight._data.reshape(n)
        rows = (np.ascontiguousarray(g.reshape(-1, n), like=g), x._data.reshape(-1, n))
        gx, gw, gb = by_type[type(g)].layer_norm_backward(*rows, w, mean, invstd)
        return gx.reshape(x._data.shape), gw.reshape(shape), gb.reshape(shape)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        x, weight, _, _, eps, shape = self.saved
        n = math.prod(shape)
        rows, gy = x.reshape(-1, n), g.reshape(-1, n)
        centred = rows - rows.mean(1, keepdim=True)
        invstd = ((centred * centred).mean(1, keepdim=True) + eps).rsqrt()
        normed = centred * invstd
        h = gy if weight is None else gy * weight.reshape(n)
        share = (h * normed).mean(1, keepdim=True)
        gx = invstd * (h - h.mean(1, keepdim=True) - normed * share)
        return (
            gx.reshape(x._data.shape),
            (gy * normed).sum(0).reshape(shape),
            gy.sum(0).reshape(shape),
        )


def layer_norm(
    input: Tensor,
    normalized_shape: Shape,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, with mean and variance over the last dims.

    Args:
        input: (..., *normalized_shape).
        normalized_shape: the last dims, which are normalised together.
        weight, bias: of shape ``normalized_shape``, or None.

    Raises:
        RuntimeError: shapes or dtypes that do not fit.

    J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", 2016.

    >>> import fastnn
    >>> fastnn.layer_norm(fastnn.tensor([[1., 3.], [0., 4.]]), (2,))
    tensor([[-1.0000,  1.0000],
            [-1.0000,  1.0000]])
    """
    shape = _trailing(input, normalized_shape, "layer_norm", weight, bias)
    data = input._data
    if data.dtype.itemsize < 4:
        w32, b32 = (None if t is None else _wide(t) for t in (weight, bias))
        return cast(layer_norm(_wide(input), shape, w32, b32, eps), data.dtype)
    if not data.size:
        return input.clone()
    w = None if weight is None else weight._data
    b = None if bias is None else bias._data
    rows, n = data, shape[-1]
    if len(shape) > 1:
        n = math.prod(shape)
        w = None if w is None else w.reshape(n)
        b = None if b is None else b.reshape(n)
    if len(shape) > 1 or data.ndim != 2:
        rows = data.reshape(-1, n)
    y, mean, invstd = by_type[type(data)].layer_norm(rows, w, b, eps)
    if rows is not data:
        y = y.reshape(data.shape)
    if mode.enabled:
        edges = (
            edge_of(input),
            None if weight is None else edge_of(weight),
            None if bias is None else edge_of(bias),
        )
        if any(e is not None for e in edges):
            saved = (input, weight, mean, invstd, eps, shape)
            return make(y, NativeLayerNormBackward0(edges, saved))
    return make(y)


class RmsNormBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, weight, scale, _, shape = self.saved
        n = math.prod(shape)
        w = None if weight is None else weight._data.reshape(n)
        rows = (np.ascontiguousarray(g.reshape(-1, n), like=g), x._data.reshape(-1, n))
        gx, gw = by_type[type(g)].rms_norm_backward(*rows, w, scale)
        return gx.reshape(x._data.shape), None if weight is None else gw.reshape(shape)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        x, weight, _, eps, shape = self.saved
        n = math.prod(shape)
        rows, gy = x.reshape(-1, n), g.reshape(-1, n)
        scale = ((rows * rows).mean(1, keepdim=True) + eps).rsqrt()
        normed = rows * scale
        h = gy if weight is None else gy * weight.reshape(n)
        gx = scale * (h - normed * (h * normed).mean(1, keepdim=True))
        gw = None if weight is None else (gy * normed).sum(0).reshape(shape)
        return gx.reshape(x._data.shape), gw


def rms_norm(
    input: Tensor,
    normalized_shape: Shape,
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """x / sqrt(mean(x**2) + eps) * weight, with the mean over the last dims.

    Args:
        input: (..., *normalized_shape).
        normalized_shape: the last dims, which are normalised together.
        weight: of shape ``normalized_shape``, or None.
        eps: None: the dtype's machine epsilon.

    Raises:
        RuntimeError: shapes or dtypes that do not fit.

    B. Zhang, R. Sennrich, "Root mean square layer normalization", 2019.
    """
    shape = _trailing(input, normalized_shape, "rms_norm", weight)
    data = input._data
    if data.dtype.itemsize < 4:
        given = None if weight is None else _wide(weight)
        return cast(rms_norm(_wide(input), shape, given, eps), data.dtype)
    if eps is None:
        eps = float(np.finfo(data.dtype).eps)
    if not data.size:
        return input.clone()
    n = math.prod(shape)
    w = None if weight is None else weight._data.reshape(n)
    rows = np.ascontiguousarray(data.reshape(-1, n), like=data)
    y, scale = by_type[type(data)].rms_norm(rows, w, eps)
    y = y.reshape(data.shape)
    edges = (edge_of(input), None if weight is None else edge_of(weight))
    if mode.enabled and any(e is not None for e in edges):
        return make(y, RmsNormBackward0(edges, (input, weight, scale, eps, shape)))
    return make(y)


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """x * weight + bias, of (C,) along axis 1."""
    shape = (-1,) + (1,) * (x._data.ndim - 2)
    if weight is not None:
        x = x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


class NativeGroupNormBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, groups, weight, mean, invstd, _ = self.saved
        w = None if weight is None else weight._data
        gx, gw, gb = by_type[type(g)].group_norm_backward(g, x._data, groups, w, mean, invstd)
        return gx, gw, gb

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        x, groups, weight, _, _, eps = self.saved
        shape = x._data.shape
        n = math.prod(shape) // (shape[0] * groups)
        rows = x.reshape(-1, n)
        centred = rows - rows.mean(1, keepdim=True)
        invstd = ((centred * centred).mean(1, keepdim=True) + eps).rsqrt()
        normed = centred * invstd
        h = g if weight is None else g * weight.reshape((-1,) + (1,) * (len(shape) - 2))
        h = h.reshape(-1, n)
        share = (h * normed).mean(1, keepdim=True)
        gx = invstd * (h - h.mean(1, keepdim=True) - normed * share)
        axes = (0, *range(2, len(shape)))
        return gx.reshape(shape), (g * normed.reshape(shape)).sum(axes), g.sum(axes)


def _check_channels(operation: str, x: Tensor, **given: Tensor | None) -> None:
    data = x._data
    if data.dtype.kind in "iub":
        raise RuntimeError(f"{operation}: expects a floating tensor, got {x.dtype}")
    if data.ndim < 2:
        raise RuntimeError(
            f"{operation}: expected at least 2 dims (N, C, ...), got {tuple(data.shape)}"
        )
    for name, t in given.items():
        if t is not None and t._data.shape != (data.shape[1],):
            raise RuntimeError(
                f"{operation}: {name} must have shape ({data.shape[1]},) for input {tuple(data.shape)}, got "
                f"{tuple(t.shape)}"
            )


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each sample's groups of channels, then scale and shift each channel.

    Args:
        input: (N, C, ...).
        num_groups: into how many the C channels are divided.
        weight, bias: (C,) or None.

    Raises:
        RuntimeError: shapes that do not fit, or channels that the groups do not divide.

    Y. Wu, K. He, "Group normalization", 2018.
    """
    _check_channels("group_norm", input, weight=weight, bias=bias)
    shape = input._data.shape
    if num_groups < 1 or shape[1] % num_groups:
        raise RuntimeError(
            f"group_norm: expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {tuple(shape)} and num_groups={num_groups}"
        )
    return _group_norm(input, num_groups, weight, bias, eps)


def _group_norm(
    x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    data = x._data
    if data.dtype.itemsize < 4:
        w32, b32 = (None if t is None else _wide(t) for t in (weight, bias))
        return cast(_group_norm(_wide(x), groups, w32, b32, eps), data.dtype)
    if not data.size:
        return _affine(x.clone(), weight, bias)
    w, b = (None if t is None else t._data for t in (weight, bias))
    y, mean, invstd = by_type[type(data)].group_norm(data, groups, w, b, eps)
    edges = (
        edge_of(x),
        None if weight is None else edge_of(weight),
        None if bias is None else edge_of(bias),
    )
    if mode.enabled and any(e is not None for e in edges):
        return make(y, NativeGroupNormBackward0(edges, (x, groups, weight, mean, invstd, eps)))
    return make(y)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel of each sample of (N, C, ...).

    Args:
        running_mean, running_var: (C,), moved by ``momentum`` towards the batch's mean statistics; what is used
            where ``use_input_stats`` is False.
        weight, bias: (C,) or None.

    Raises:
        RuntimeError: shapes that do not fit.
        ValueError: one value a channel.

    D. Ulyanov, A. Vedaldi, V. Lempitsky, "Instance normalization", 2016.
    """
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    _check_channels(
        "instance_norm", input, weight=weight, bias=bias, running_mean=running_mean,
        running_var=running_var,
    )  # fmt: skip
    data = input._data
    shape = data.shape
    n = math.prod(shape[2:])
    if n == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {tuple(shape)}"
        )
    if data.size and running_mean is not None and running_var is not None:
        rows = data.reshape(shape[0], shape[1], n)
        means = rows.mean(2, dtype=np.float64)
        variances = np.square(rows - means[:, :, None]).sum(2) / (n - 1)
        for running, new in ((running_mean, means.mean(0)), (running_var, variances.mean(0))):
            old = running._data
            old *= old.dtype.type(1.0 - momentum)
            old += (new * momentum).astype(old.dtype)
            version.bump(old)
    return _group_norm(input, shape[1], weight, bias, eps)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha * (mean of x**2 over ``size`` neighbouring channels)) ** beta.

    Args:
        input: (N, C, ...).

    Raises:
        ValueError: fewer than 3 dims.

    A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet classification with deep convolutional neural networks", 2012.
    """
    shape = input._data.shape
    if len(shape) < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality input (got {len(shape)} dimensions)"
        )
    if not input._data.size:
        return input
    planes = (input * input).reshape(shape[0], 1, shape[1], -1)
    padded = constant_pad(planes, (0, 0, size // 2, (size - 1) // 2))
    means = avg_pool2d(padded, (size, 1), 1).reshape(shape)
    return input / (means * alpha + k).pow(beta)
