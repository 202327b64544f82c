"""Running reductions along a dim: cumulative sums, products, extrema, differences and integrals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _dtype
from .._core import make, normalize_dim
from ..autograd.grad_mode import mode
from ..autograd.node import ComposedNode, Node, edge_of
from ..autograd.output import accepts_out
from . import indexing, shape, unary
from .promotion import cast
from .reduction import ValuesIndices
from .transfer import on_host

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "cumulative_trapezoid",
    "diff",
    "gradient",
    "logcumsumexp",
    "trapezoid",
    "trapz",
]


def _cast(input: Tensor, dtype: _dtype.dtype | None) -> Tensor:
    if dtype is not None:
        return cast(input, dtype.numpy)
    return cast(input, np.dtype(np.int64)) if input._data.dtype.kind in "iub" else input


class CumsumBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        (axis,) = self.saved
        return (np.flip(np.cumsum(np.flip(g, axis), axis, dtype=g.dtype), axis),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        (axis,) = self.saved
        return (indexing.flip(cumsum(indexing.flip(g, axis), axis), axis),)


@accepts_out
def cumsum(
    input: Tensor, dim: int, *, dtype: _dtype.dtype | None = None, out: Tensor | None = None
) -> Tensor:
    """The sums of all elements up to each along ``dim``; integers and bools in int64.

    >>> import fastnn
    >>> fastnn.cumsum(fastnn.tensor([1., 2., 3.]), 0)
    tensor([1., 3., 6.])
    """
    x = _cast(input, dtype)
    data = x._data
    axis = normalize_dim(dim, data.ndim)
    if data.ndim == 0:
        return x.clone()
    y = np.cumsum(data, axis, dtype=data.dtype)
    if x._requires_grad and mode.enabled:
        return make(y, CumsumBackward0((edge_of(x),), (axis,)))
    return make(y)


class CumprodBackward0(ComposedNode):
    """y_i = x_1 ... x_i. With no zero in x: sum_{i >= j} g_i y_i / x_j. Else the sums of products without x_j."""

    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        x, axis = self.saved
        if (x._data != 0).all() and not (mode.enabled and x._requires_grad):
            y = make(np.cumprod(x._data, axis, dtype=x._data.dtype))
            tail = indexing.flip(cumsum(indexing.flip(g * y, axis), axis), axis)
            return (tail / x,)
        n = x._data.shape[axis]
        parts = []
        for j in range(n):
            # The product of the others up to each i >= j: with x_j replaced by one
            others = shape.cat(
                [
                    x.narrow(axis, 0, j),
                    x.narrow(axis, j, 1) * 0 + 1,
                    x.narrow(axis, j + 1, n - j - 1),
                ],
                axis,
            )
            products = cumprod(others, axis).narrow(axis, j, n - j)
            parts.append((g.narrow(axis, j, n - j) * products).sum(axis, keepdim=True))
        return (shape.cat(parts, axis),) if parts else (x * 0,)


@accepts_out
def cumprod(
    input: Tensor, dim: int, *, dtype: _dtype.dtype | None = None, out: Tensor | None = None
) -> Tensor:
    """The products of all elements up to each along ``dim``; integers and bools in int64."""
    x = _cast(input, dtype)
    data = x._data
    axis = normalize_dim(dim, data.ndim)
    if data.ndim == 0:
        return x.clone()
    y = np.cumprod(data, axis, dtype=data.dtype)
    if x._requires_grad and mode.enabled:
        return make(y, CumprodBackward0((edge_of(x),), (x, axis)))
    return make(y)


def _extremum(input: Tensor, dim: int, name: str) -> ValuesIndices:
    data = input._data
    axis = normalize_dim(dim, data.ndim)
    if data.ndim == 0:
        return ValuesIndices(input.clone(), make(np.zeros((), np.int64)))
    if not data.size:
        return ValuesIndices(input.clone(), make(np.zeros(data.shape, np.int64)))
    best = (np.maximum if name == "cummax" else np.minimum).accumulate(data, axis)
    new = data == best  # the last of equals, as in PyTorch
    if data.dtype.kind == "f":
        new |= np.isnan(data)
    places = np.arange(data.shape[axis]).reshape((-1,) + (1,) * (data.ndim - 1 - axis))
    indices = np.maximum.accumulate(np.where(new, places, 0), axis)
    chosen = make(indices)
    return ValuesIndices(indexing.gather(input, axis, chosen), chosen)


@accepts_out
@on_host
def cummax(input: Tensor, dim: int, *, out: Any = None) -> ValuesIndices:
    """The largest element up to each along ``dim``, and its index (the last of equals)."""
    return _extremum(input, dim, "cummax")


@accepts_out
@on_host
def cummin(input: Tensor, dim: int, *, out: Any = None) -> ValuesIndices:
    """The smallest element up to each along ``dim``, and its index (the last of equals)."""
    return _extremum(input, dim, "cummin")


class LogcumsumexpBackward0(Node):
    """dx_j = sum_{i >= j} g_i exp(x_j - y_i), where no exponent is above 0."""

    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, y, axis = self.saved
        total = np.zeros_like(y)
        with np.errstate(
            all="ignore"
        ):  # in logarithms, the positive and the negative part of g apart
            for sign in (1, -1):
                part = np.flip(np.log(np.maximum(g * sign, 0)) - y, axis)
                tail = np.flip(np.logaddexp.accumulate(part, axis), axis)
                total += sign * np.exp(tail + x._data)
        return (total,)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        x, y, axis = self.saved
        n = y.shape[axis]
        rows = shape.movedim(x, axis, -1).unsqueeze(-1)
        columns = shape.movedim(self.output(y), axis, -1).unsqueeze(-2)
        later = make(np.tri(n, dtype=bool).T)
        pairs = unary.exp((rows - columns).masked_fill(~later, -np.inf))
        total = (pairs * shape.movedim(g, axis, -1).unsqueeze(-2)).sum(-1)
        return (shape.movedim(total, -1, axis),)


@accepts_out
@on_host
def logcumsumexp(input: Tensor, dim: int, *, out: Tensor | None = None) -> Tensor:
    """The logarithm of the running sum of exponentials along ``dim``, without overflow."""
    x = (
        input
        if input._data.dtype.kind not in "iub"
        else cast(input, _dtype.get_default_dtype().numpy)
    )
    data = x._data
    axis = normalize_dim(dim, data.ndim)
    if data.ndim == 0:
        return x.clone()
    with np.errstate(all="ignore"):
        y = np.logaddexp.accumulate(data, axis) if data.size else data.copy()
    if x._requires_grad and mode.enabled:
        return make(y, LogcumsumexpBackward0((edge_of(x),), (x, y, axis)))
    return make(y)


@accepts_out
def diff(
    input: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """The n-th difference of neighbours along ``dim``, with ``prepend`` and ``append`` joined to the ends first.

    Raises:
        RuntimeError: a 0-d tensor, or a negative ``n``.
    """
    if input._data.ndim == 0:
        raise RuntimeError("diff: expects at least one dimension")
    if n < 0:
        raise RuntimeError(f"diff: order must be non-negative, got {n}")
    axis = normalize_dim(dim, input._data.ndim)
    parts = [p for p in (prepend, input, append) if p is not None]
    x = shape.cat(parts, axis) if len(parts) > 1 else input
    if n == 0:
        return input.clone()
    for _ in range(n):
        count = x._data.shape[axis]
        if count == 0:
            break
        later, earlier = x.narrow(axis, 1, count - 1), x.narrow(axis, 0, count - 1)
        x = later ^ earlier if x._data.dtype.kind == "b" else later - earlier
    return x


def _widths(x: Any, axis: int, ndim: int) -> Any:
    """The distances of neighbours: of sample places ``x`` (1-d, or of the samples' shape)."""
    if x._data.ndim == 1:
        places: Any = x.diff()
        return places.reshape((-1,) + (1,) * (ndim - 1 - axis))
    return x.diff(dim=axis if x._data.ndim == ndim else -1)


def _panels(y: Tensor, x: Any, dx: Any, dim: int) -> tuple[Tensor, int]:
    axis = normalize_dim(dim, y._data.ndim)
    n = y._data.shape[axis]
    if n == 0:
        return y * (1.0 if y._data.dtype.kind in "iub" else 1), axis
    sums = y.narrow(axis, 1, n - 1) + y.narrow(axis, 0, n - 1)
    if x is not None:
        return sums * _widths(x, axis, y._data.ndim) / 2, axis
    return sums * (dx / 2), axis


def trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1
) -> Tensor:
    """The integral of samples ``y`` along ``dim`` by the trapezoidal rule; ``x`` their places, or ``dx`` their distance."""
    panels, axis = _panels(y, x, 1 if dx is None else dx, dim)
    total: Tensor = panels.sum(axis)
    return total


def trapz(y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1) -> Tensor:
    """``trapezoid``, by its old name."""
    return trapezoid(y, x, dx=dx, dim=dim)


def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1
) -> Tensor:
    """The integral up to each sample but the first, by the trapezoidal rule."""
    panels, axis = _panels(y, x, 1 if dx is None else dx, dim)
    return cumsum(panels, axis)


def _slope(y: Tensor, axis: int, spacing: Any, edge_order: int) -> Tensor:
    """Second-order central differences inside, differences of ``edge_order`` at the ends."""
    n = y._data.shape[axis]

    def at(first: int, count: int) -> Tensor:
        return y.narrow(axis, first, count)

    if isinstance(spacing, Tensor):
        h = spacing.diff().reshape((-1,) + (1,) * (y._data.ndim - 1 - axis))
        left, right = h[: n - 2], h[1:]
        inner = (
            at(0, n - 2) * (-right / (left * (left + right)))
            + at(1, n - 2) * ((right - left) / (left * right))
            + at(2, n - 2) * (left / (right * (left + right)))
        )
        h0, h1, k0, k1 = h[:1], h[1:2], h[-2:-1], h[-1:]
    else:
        inner = (at(2, n - 2) - at(0, n - 2)) / (2 * spacing)
        h0 = h1 = k0 = k1 = spacing
    if edge_order == 1:
        first = (at(1, 1) - at(0, 1)) / h0
        last = (at(n - 1, 1) - at(n - 2, 1)) / k1
    else:
        first = (
            at(0, 1) * (-(2 * h0 + h1) / (h0 * (h0 + h1)))
            + at(1, 1) * ((h0 + h1) / (h0 * h1))
            + at(2, 1) * (-h0 / (h1 * (h0 + h1)))
        )
        last = (
            at(n - 3, 1) * (k1 / (k0 * (k0 + k1)))
            + at(n - 2, 1) * (-(k0 + k1) / (k0 * k1))
            + at(n - 1, 1) * ((k0 + 2 * k1) / (k1 * (k0 + k1)))
        )
    return shape.cat([first, inner, last], axis)


def gradient(
    input: Tensor, *, spacing: Any = None, dim: Any = None, edge_order: int = 1
) -> tuple[Tensor, ...]:
    """The derivative of samples along each of ``dim``: central differences, one-sided at the ends.

    Args:
        input: the samples.
        spacing: their distance (default 1; one number, or one a dim), or their places (a 1-d tensor a dim).
        dim: an int or several; None: all.
        edge_order: 1 or 2, the order of the differences at the ends.

    Raises:
        RuntimeError: fewer samples than edge_order + 1, or a spacing for each of another number of dims.
    """
    ndim = input._data.ndim
    dims = tuple(range(ndim)) if dim is None else ((dim,) if isinstance(dim, int) else tuple(dim))
    axes = [normalize_dim(d, ndim) for d in dims]
    if edge_order not in (1, 2):
        raise RuntimeError(f"gradient: edge_order must be 1 or 2, got {edge_order}")
    if spacing is None:
        spacing = 1
    steps = list(spacing) if isinstance(spacing, (list, tuple)) else [spacing] * len(axes)
    if len(steps) != len(axes):
        raise RuntimeError(f"gradient: got {len(steps)} spacings for {len(axes)} dims")
    if input._data.dtype.kind in "iub":
        input = cast(input, _dtype.get_default_dtype().numpy)
    for a in axes:
        if input._data.shape[a] < edge_order + 1:
            raise RuntimeError(
                f"gradient: each dim needs at least edge_order + 1 = {edge_order + 1} samples, got shape "
                f"{tuple(input.shape)}"
            )
    return tuple(_slope(input, a, s, edge_order) for a, s in zip(axes, steps, strict=True))
