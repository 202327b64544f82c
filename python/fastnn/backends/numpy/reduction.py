"""Reductions: ufunc.reduce itself, which costs half of what np.sum and its like cost to call."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from fastnn.backends.protocol import Array, Axis

# (x, axis, dtype, out, keepdims)
_add: Callable[..., Array] = np.add.reduce
_maximum: Callable[..., Array] = np.maximum.reduce
_minimum: Callable[..., Array] = np.minimum.reduce


def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return _add(x, axis, None, None, keepdims)


def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    if axis is None:
        count = x.size
    else:
        count = prod(x.shape[a] for a in (axis if isinstance(axis, tuple) else (axis,)))
    total = _add(x, axis, None, None, keepdims)
    with np.errstate(invalid="ignore"):  # the mean of nothing is NaN, as in PyTorch
        y: Array = np.true_divide(total, x.dtype.type(count))
        return y


def amax(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    if type(x) is np.ndarray:
        return _maximum(x, axis, None, None, keepdims)
    y: Array = np.max(x, axis, keepdims=keepdims)  # CuPy's maximum has no reduce
    return y


def amin(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    if type(x) is np.ndarray:
        return _minimum(x, axis, None, None, keepdims)
    y: Array = np.min(x, axis, keepdims=keepdims)
    return y


def argmax(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """Position of the first maximum (the first NaN where there is one)."""
    at: Array = np.argmax(x, axis, keepdims=keepdims)
    return at


def argmin(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    at: Array = np.argmin(x, axis, keepdims=keepdims)
    return at
