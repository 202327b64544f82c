"""Reductions on the CUDA kernels, along any axes: those that lie beside each other in memory are one to the kernel."""

from __future__ import annotations

from math import prod

import numpy as np

from fastnn.backends.gpu._arrays import (
    accumulator,
    contiguous,
    empty,
    is_float,
    kernels,
    memory_order,
    stream,
)
from fastnn.backends.numpy import reduction as spec
from fastnn.backends.protocol import Array, Axis


def _pass(op: str, x: Array, dtype: type | np.dtype[np.generic], divisor: float = 1.0) -> Array:
    """Reduces axis 1 of x (outer, reduced, inner) to 1; few results of many elements in two steps."""
    outer, reduced, inner = x.shape
    parts = kernels.reduction_parts(outer, reduced, inner)
    if parts > 1:
        partial = empty((outer, parts, inner), accumulator(x.dtype), like=x)
        kernels.reduce(op, x, partial, None, None, 1.0, stream())
        x = partial
    y: Array = empty((outer, 1, inner), dtype, like=x)
    kernels.reduce(op, x, y, None, None, divisor, stream())
    return y


def _reduce(op: str, x: Array, axis: Axis, keepdims: bool, mean: bool = False) -> Array:
    """Reduces the groups of neighbouring axes one by one, the fastest first; sums stay in the accumulator's dtype."""
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    reduced = {a % x.ndim for a in axes}
    order = memory_order(x)
    sizes: list[int] = []  # of groups of neighbours, either all reduced or all kept
    flags: list[bool] = []
    for a in order:
        if x.shape[a] == 1:
            continue
        if flags and flags[-1] == (a in reduced):
            sizes[-1] *= x.shape[a]
        else:
            sizes.append(x.shape[a])
            flags.append(a in reduced)
    if True not in flags:
        sizes.append(1)
        flags.append(True)
    divisor = float(prod(x.shape[a] for a in reduced)) if mean else 1.0
    y = x.transpose(order)
    while True in flags:
        i = len(flags) - 1 - flags[::-1].index(True)
        sides = prod(sizes[:i]), prod(sizes[i + 1 :])
        flags[i] = False
        y = y.reshape(sides[0], sizes[i], sides[1])
        y = (
            _pass(op, y, accumulator(x.dtype), 1.0)
            if True in flags
            else _pass(op, y, x.dtype, divisor)
        )
        sizes[i] = 1
    kept = [a for a in order if keepdims or a not in reduced]
    y = y.reshape([1 if a in reduced else x.shape[a] for a in kept])
    return y.transpose(sorted(range(len(kept)), key=kept.__getitem__))


def _arg(op: str, x: Array, axis: int | None, keepdims: bool) -> Array:
    """The position of the first extreme along an axis, or in C order."""
    if axis is None:
        order, at = tuple(range(x.ndim)), 0
        view = contiguous(x).reshape(1, -1, 1)
    else:
        axis %= x.ndim
        order = memory_order(x)
        at = order.index(axis)
        sizes = [x.shape[a] for a in order]
        view = x.transpose(order).reshape(prod(sizes[:at]), sizes[at], prod(sizes[at + 1 :]))
    outer, n, inner = view.shape
    parts = kernels.reduction_parts(outer, n, inner)
    positions = None
    if parts > 1:
        extremes = empty((outer, parts, inner), accumulator(x.dtype), like=x)
        positions = empty(extremes.shape, np.int64, like=x)
        kernels.reduce(op, view, extremes, None, positions, 1.0, stream())
        view = extremes
    y: Array = empty((outer, 1, inner), np.int64, like=x)
    kernels.reduce(op, view, None, positions, y, 1.0, stream())
    if axis is None:
        return y.reshape((1,) * x.ndim if keepdims else ())
    kept = [a for a in order if keepdims or a != axis]
    y = y.reshape([1 if a == axis else x.shape[a] for a in kept])
    return y.transpose(sorted(range(len(kept)), key=kept.__getitem__))


def _served(x: Array) -> bool:
    return is_float(x) and x.ndim > 0 and x.size > 0


def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The sum over the axes."""
    return _reduce("sum", x, axis, keepdims) if _served(x) else spec.sum(x, axis, keepdims)


def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The mean over the axes."""
    if not _served(x):
        return spec.mean(x, axis, keepdims)
    return _reduce("sum", x, axis, keepdims, mean=True)


def amax(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The maximum over the axes; NaN where there is one."""
    return _reduce("max", x, axis, keepdims) if _served(x) else spec.amax(x, axis, keepdims)


def amin(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The minimum over the axes; NaN where there is one."""
    return _reduce("min", x, axis, keepdims) if _served(x) else spec.amin(x, axis, keepdims)


def argmax(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """Position of the first maximum (the first NaN where there is one)."""
    return _arg("argmax", x, axis, keepdims) if _served(x) else spec.argmax(x, axis, keepdims)


def argmin(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """Position of the first minimum (the first NaN where there is one)."""
    return _arg("argmin", x, axis, keepdims) if _served(x) else spec.argmin(x, axis, keepdims)
