"""Reductions: sum, mean, extrema, products, variance, norms, any and all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _dtype
from .._core import as_array, make, normalize_dim
from ..autograd.grad_mode import mode
from ..autograd.node import ComposedNode, Node, edge_of
from ..autograd.output import accepts_out
from ..backends import by_type
from .promotion import cast

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "sum",
    "var",
]

Dim = int | tuple[int, ...] | list[int] | None


def normalize_dims(dim: Dim, ndim: int) -> tuple[int, ...] | None:
    """``dim`` as a tuple of non-negative axes; None (all) for None and for an empty tuple."""
    if dim is None:
        return None
    if isinstance(dim, (tuple, list)):
        axes = tuple(normalize_dim(d, ndim) for d in dim)
        if len(set(axes)) != len(axes):
            raise RuntimeError(f"a dim appears several times in the list of dims {tuple(dim)}")
        return axes if axes and ndim else None
    return (normalize_dim(dim, ndim),) if ndim else None


def _expanded(g: Any, shape: tuple[int, ...], axes: tuple[int, ...] | None, keepdim: bool) -> Any:
    """The gradient of a reduced result, as a view of the shape that was reduced (arrays and tensors)."""
    if not keepdim and axes is not None:
        kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
        g = g.reshape(kept)
    elif axes is None and g.ndim and not keepdim:
        g = g.reshape((1,) * len(shape))
    if isinstance(g, Tensor):
        return g.expand(shape)
    if g.size == 1 and type(g) is np.ndarray and math.prod(shape) <= 4096:
        # broadcast_to costs ten times as much as filling so few
        out = np.empty(shape, g.dtype)
        out.fill(g if g.ndim == 0 else g.item())
        return out
    return np.broadcast_to(g, shape)


class SumBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        shape, axes, keepdim = self.saved
        return (_expanded(g, shape, axes, keepdim),)

    backward_graph = backward


@accepts_out
def sum(
    input: Tensor,
    dim: Dim = None,
    keepdim: bool = False,
    *,
    dtype: _dtype.dtype | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The sum over ``dim`` (None: all). Integers and bools are summed in int64.

    >>> import fastnn
    >>> fastnn.sum(fastnn.tensor([[1., 2.], [3., 4.]]), dim=0)
    tensor([4., 6.])
    """
    if dtype is not None:
        input = cast(input, dtype.numpy)
    elif input._data.dtype.kind in "iub":
        input = cast(input, np.dtype(np.int64))
    data = input._data
    axes = None if dim is None else normalize_dims(dim, data.ndim)
    out = by_type[type(data)].sum(data, axes, keepdim)
    if input._requires_grad and mode.enabled:
        return make(out, SumBackward0((edge_of(input),), (data.shape, axes, keepdim)))
    return make(out)


class MeanBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        shape, axes, keepdim, count = self.saved
        return (_expanded(g * g.dtype.type(1.0 / count), shape, axes, keepdim),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        shape, axes, keepdim, count = self.saved
        return (_expanded(g * (1.0 / count), shape, axes, keepdim),)


@accepts_out
def mean(
    input: Tensor,
    dim: Dim = None,
    keepdim: bool = False,
    *,
    dtype: _dtype.dtype | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The mean over ``dim`` (None: all).

    Raises:
        RuntimeError: an integer tensor and no floating ``dtype``.
    """
    if dtype is not None:
        input = cast(input, dtype.numpy)
    data = input._data
    if data.dtype.kind in "iub":
        raise RuntimeError(
            f"mean: expects a floating tensor, got {input.dtype}; pass dtype= or cast first"
        )
    axes = None if dim is None else normalize_dims(dim, data.ndim)
    count = math.prod(data.shape if axes is None else (data.shape[a] for a in axes))
    if count == 0:
        with np.errstate(all="ignore"):
            out = np.full_like(np.sum(data, axis=axes, keepdims=keepdim), np.nan)
    else:
        out = by_type[type(data)].mean(data, axes, keepdim)
    if input._requires_grad and mode.enabled:
        return make(
            out, MeanBackward0((edge_of(input),), (data.shape, axes, keepdim, count or np.nan))
        )
    return make(out)


class AmaxBackward0(Node):
    """amax and amin over dims: ties share the gradient evenly."""

    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, y, axes, keepdim = self.saved
        mask = x._data == _expanded(y, x._data.shape, axes, keepdim)
        count = mask.sum(axes, keepdims=True)
        full = _expanded(g, x._data.shape, axes, keepdim)
        return ((full * mask / count).astype(g.dtype),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        x, y, axes, keepdim = self.saved
        mask = x._data == _expanded(y, x._data.shape, axes, keepdim)
        share = (mask / mask.sum(axes, keepdims=True)).astype(x._data.dtype)
        return (_expanded(g, x._data.shape, axes, keepdim) * make(share),)


def _extremum(x: Tensor, dim: Dim, keepdim: bool, name: str) -> Tensor:
    data = x._data
    axes = normalize_dims(dim, data.ndim)
    counted = data.shape if axes is None else [data.shape[a] for a in axes]
    if 0 in counted:
        raise IndexError(
            f"{name}: cannot reduce over zero elements, got shape {tuple(data.shape)}, dim {dim}"
        )
    out = as_array(getattr(by_type[type(data)], name)(data, axes, keepdim))
    if x._requires_grad and mode.enabled:
        return make(out, AmaxBackward0((edge_of(x),), (x, out, axes, keepdim)))
    return make(out)


@accepts_out
def amax(
    input: Tensor, dim: Dim = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The largest value over ``dim``; equal maxima share the gradient."""
    return _extremum(input, dim, keepdim, "amax")


@accepts_out
def amin(
    input: Tensor, dim: Dim = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The smallest value over ``dim``; equal minima share the gradient."""
    return _extremum(input, dim, keepdim, "amin")


class ValuesIndices(NamedTuple):
    """What ``max`` and ``min`` over one dimension return."""

    values: Tensor
    indices: Tensor

    def __repr__(self) -> str:
        return f"fastnn.return_types.ValuesIndices(\nvalues={self.values!r},\nindices={self.indices!r})"


class SelectBackward0(Node):
    """The gradient of ``max(dim)``: it goes to the chosen element."""

    __slots__ = ()

    def name(self) -> str:
        return "MaxBackward0"

    def backward(self, g: Any) -> tuple[Any, ...]:
        indices, shape, axis, keepdim = self.saved
        out = np.zeros(shape, g.dtype, like=as_array(g))
        if not keepdim:
            g, indices = np.expand_dims(g, axis), np.expand_dims(indices, axis)
        np.put_along_axis(out, indices, g, axis)
        return (out,)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        indices, shape, axis, keepdim = self.saved
        chosen = np.zeros(shape, g._data.dtype, like=g._data)
        if not keepdim:
            g, indices = g.unsqueeze(axis), np.expand_dims(indices, axis)
        np.put_along_axis(chosen, indices, 1, axis)
        return (g.expand(shape) * make(chosen),)


def _extremum_with_index(x: Tensor, dim: int, keepdim: bool, which: str) -> ValuesIndices:
    data = x._data
    if data.ndim == 0:
        normalize_dim(dim, 0)
        return ValuesIndices(x.clone(), make(np.zeros((), np.int64, like=x._data)))
    axis = normalize_dim(dim, data.ndim)
    if data.shape[axis] == 0:
        raise IndexError(
            f"{which}: cannot reduce over zero elements, got shape {tuple(data.shape)}, dim {dim}"
        )
    indices = as_array(getattr(by_type[type(data)], "arg" + which)(data, axis, True)).astype(
        np.int64, copy=False
    )
    values = np.take_along_axis(data, indices, axis)
    if not keepdim:
        values, indices = values.squeeze(axis), indices.squeeze(axis)
    if x._requires_grad and mode.enabled:
        node = SelectBackward0((edge_of(x),), (indices, data.shape, axis, keepdim))
        return ValuesIndices(make(values, node), make(indices))
    return ValuesIndices(make(values), make(indices))


@accepts_out
def max(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    other: Tensor | None = None,
    out: Any = None,
) -> Any:
    """The largest value (``dim`` None), values and indices over ``dim``, or ``maximum`` with a tensor.

    >>> import fastnn
    >>> values, indices = fastnn.max(fastnn.tensor([[1., 5.], [7., 2.]]), 1)
    >>> indices
    tensor([1, 0])
    """
    if other is not None:
        dim = other
    if isinstance(dim, Tensor):
        from .elementwise import maximum

        return maximum(input, dim)
    return amax(input) if dim is None else _extremum_with_index(input, dim, keepdim, "max")


@accepts_out
def min(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    other: Tensor | None = None,
    out: Any = None,
) -> Any:
    """The smallest value (``dim`` None), values and indices over ``dim``, or ``minimum`` with a tensor."""
    if other is not None:
        dim = other
    if isinstance(dim, Tensor):
        from .elementwise import minimum

        return minimum(input, dim)
    return amin(input) if dim is None else _extremum_with_index(input, dim, keepdim, "min")


def _arg(x: Tensor, dim: int | None, keepdim: bool, name: str) -> Tensor:
    data = x._data
    axis = None if dim is None else normalize_dim(dim, data.ndim)
    if data.size == 0 and (axis is None or data.shape[axis] == 0):
        raise IndexError(
            f"{name}: cannot reduce over zero elements, got shape {tuple(data.shape)}, dim {dim}"
        )
    if data.ndim == 0:
        return make(np.zeros((), np.int64, like=x._data))
    out = getattr(by_type[type(data)], name)(data, axis, keepdim)
    return make(as_array(out).astype(np.int64, copy=False))


@accepts_out
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the largest value (the first of equals) over ``dim``, or in the flattened tensor."""
    return _arg(input, dim, keepdim, "argmax")


@accepts_out
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the smallest value (the first of equals) over ``dim``, or in the flattened tensor."""
    return _arg(input, dim, keepdim, "argmin")


class ProdBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, axis, keepdim = self.saved
        lanes = np.moveaxis(x._data, axis, -1)
        # The product of all others: exclusive products from both ends, exact where elements are 0
        left = np.cumprod(lanes, axis=-1)
        right = np.cumprod(lanes[..., ::-1], axis=-1)[..., ::-1]
        others = np.ones_like(lanes)
        others[..., 1:] *= left[..., :-1]
        others[..., :-1] *= right[..., 1:]
        others = np.moveaxis(others, -1, axis)
        return ((g if keepdim else np.expand_dims(g, axis)) * others,)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        from .shape import cat

        x, axis, keepdim = self.saved
        full = g if keepdim else g.unsqueeze(axis)
        n = x._data.shape[axis]
        if (x._data != 0).all():
            return (full * (x.prod(axis, keepdim=True) / x),)
        parts = []
        for i in range(n):
            others = cat([x.narrow(axis, 0, i), x.narrow(axis, i + 1, n - i - 1)], axis)
            parts.append(others.prod(axis, keepdim=True))
        return (full * cat(parts, axis),)


@accepts_out
def prod(
    input: Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    dtype: _dtype.dtype | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The product over ``dim`` (None: all). Integers and bools are multiplied in int64."""
    if dtype is not None:
        input = cast(input, dtype.numpy)
    elif input._data.dtype.kind in "iub":
        input = cast(input, np.dtype(np.int64))
    ndim = input._data.ndim
    if dim is None or ndim == 0:
        if dim is not None:
            normalize_dim(dim, 0)
        flat = input.reshape(-1)
        total = prod(flat, 0)
        return total.reshape((1,) * ndim) if keepdim else total
    axis = normalize_dim(dim, ndim)
    data = input._data
    y = np.prod(data, axis=axis, keepdims=keepdim, dtype=data.dtype)
    if input._requires_grad and mode.enabled:
        return make(y, ProdBackward0((edge_of(input),), (input, axis, keepdim)))
    return make(y)


@accepts_out
def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The variance over ``dim``: squared deviations over (count - correction); the default correction is 1.

    Raises:
        RuntimeError: an integer tensor.
    """
    if isinstance(dim, bool):  # var(x, unbiased)
        dim, unbiased = None, dim
    if input._data.dtype.kind in "iub":
        raise RuntimeError(f"var: expects a floating tensor, got {input.dtype}")
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    centred = input - mean(input, dim, keepdim=True)
    axes = normalize_dims(dim, input._data.ndim)
    shape = input._data.shape
    count = math.prod(shape if axes is None else (shape[a] for a in axes))
    total = sum(centred * centred, dim, keepdim)
    left = count - correction
    return total / (
        left if left > 0 else 0.0
    )  # PyTorch's 0 / 0 = nan, and inf where deviations are left


class StdBackward0(ComposedNode):
    """The square root's slope is infinite at 0; as in PyTorch the gradient there is 0."""

    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        (y,) = self.saved
        result = self.output(y)
        return ((g / (result * 2)).masked_fill(make(y == 0), 0.0),)


@accepts_out
def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The standard deviation: the square root of ``var``."""
    v = var(input, dim, unbiased, keepdim, correction=correction)
    with np.errstate(invalid="ignore"):
        y = as_array(np.sqrt(v._data))
    if v._requires_grad and mode.enabled:
        return make(y, StdBackward0((edge_of(v),), (y,)))
    return make(y)


@accepts_out
def any(
    input: Tensor, dim: Dim = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """True where any element over ``dim`` is nonzero."""
    axes = normalize_dims(dim, input._data.ndim)
    found = as_array(np.any(input._data, axis=axes, keepdims=keepdim))
    return make(
        found.astype(np.uint8) if input._data.dtype == np.uint8 else found
    )  # PyTorch keeps uint8


@accepts_out
def all(
    input: Tensor, dim: Dim = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """True where all elements over ``dim`` are nonzero."""
    axes = normalize_dims(dim, input._data.ndim)
    found = as_array(np.all(input._data, axis=axes, keepdims=keepdim))
    return make(
        found.astype(np.uint8) if input._data.dtype == np.uint8 else found
    )  # PyTorch keeps uint8
