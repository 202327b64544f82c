"""Sliding windows along a dim, as a view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import normalize_dim
from .._device import as_strided
from ..autograd.node import ComposedNode
from . import indexing, shape
from .shape import _view

if TYPE_CHECKING:
    from ..tensor import Tensor


class UnfoldBackward0(ComposedNode):
    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        sizes, axis, places = self.saved
        if not sizes:
            return (g.reshape(()),)
        # (..., windows, ..., size) -> (..., windows, size, ...): the two dims of ``places``
        moved = shape.movedim(g, -1, axis + 1)
        index = (*(slice(None),) * axis, places)
        return (indexing.scatter(moved, index, sizes, False),)


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """A view of all windows of ``size`` along ``dimension``, ``step`` apart; the window's elements are the last dim.

    Raises:
        RuntimeError: a window larger than the dim, or a step below 1.
    """
    data = input._data
    axis = normalize_dim(dimension, data.ndim)
    n = data.shape[axis] if data.ndim else 1
    if not 0 <= size <= n:
        raise RuntimeError(
            f"unfold: maximum size for tensor at dimension {axis} is {n} but size is {size}"
        )
    if step <= 0:
        raise RuntimeError(f"unfold: step is {step} but must be > 0")
    if data.ndim == 0:
        array = data.reshape(1)[:size]
        return _view(input, array, UnfoldBackward0, (), 0, None)
    count = (n - size) // step + 1
    sizes = (*data.shape[:axis], count, *data.shape[axis + 1 :], size)
    steps = (
        *data.strides[:axis],
        data.strides[axis] * step,
        *data.strides[axis + 1 :],
        data.strides[axis],
    )
    array = as_strided(data, sizes, steps)
    places = np.arange(count)[:, None] * step + np.arange(size)
    return _view(input, array, UnfoldBackward0, data.shape, axis, places)
