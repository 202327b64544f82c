"""Norms and distances between vectors, with the gradient 0 where a vector is 0."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from ..autograd.output import accepts_out
from .promotion import cast, promote
from .select import where
from .shape import broadcast_tensors

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "cosine_similarity",
    "pairwise_distance",
    "pdist",
]


def vector_norm(x: Tensor, p: float, dim: int, keepdim: bool = False) -> Tensor:
    """The ``p``-norm along ``dim``; where it is 0, its gradient is 0 (a root would give NaN)."""
    if p == 0:
        return cast(x != 0, x._data.dtype).sum(dim, keepdim) + (x * 0).sum(dim, keepdim)
    if p == 1:
        return x.abs().sum(dim, keepdim)
    if p == math.inf:
        return x.abs().amax(dim, keepdim)
    if p == -math.inf:
        return x.abs().amin(dim, keepdim)
    absolute = x * x if p == 2 else x.abs()
    if p != 2:
        zero = make(x._data == 0)
        absolute = where(zero, absolute * 0, where(zero, absolute + 1, absolute) ** p)
    total = absolute.sum(dim, keepdim)
    empty = make(total._data == 0)
    safe = where(empty, total * 0 + 1, total)
    root = safe.sqrt() if p == 2 else safe ** (1.0 / p)
    return where(empty, total * 0, root)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along ``dim``; norms below ``eps`` count as ``eps``.

    >>> import fastnn
    >>> fastnn.cosine_similarity(fastnn.tensor([[1., 0.]]), fastnn.tensor([[1., 1.]]))
    tensor([0.7071])
    """
    a, b = promote(x1, x2)
    if a._data.dtype.kind in "iub":
        raise RuntimeError(
            f"cosine_similarity: expected common dtype to be floating point, yet common dtype is {a.dtype}"
        )
    a, b = broadcast_tensors(a, b)
    na = vector_norm(a, 2, dim, True).clamp(min=eps)
    nb = vector_norm(b, 2, dim, True).clamp(min=eps)
    return ((a / na) * (b / nb)).sum(dim)


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The ``p``-norm of x1 - x2 + eps along the last dim."""
    return vector_norm(x1 - x2 + eps, p, -1, keepdim)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The ``p``-norm distances between all pairs of rows of (N, M), as N * (N - 1) / 2 numbers.

    Raises:
        RuntimeError: not a matrix, or a negative ``p``.
    """
    if input._data.ndim != 2:
        raise RuntimeError(
            f"pdist only supports 2D tensors, got: {input._data.ndim}D (use cdist for two sets)"
        )
    if p < 0:
        raise RuntimeError(f"pdist only supports non-negative p values, got {p}")
    first, second = np.triu_indices(input._data.shape[0], 1)
    a, b = input[make(first)], input[make(second)]
    if not input._data.shape[1]:
        return (a - b).sum(1)
    return vector_norm(a - b, p, 1)


@accepts_out
def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None
) -> Tensor:
    """``input`` divided by its ``p``-norm along ``dim``, or by ``eps`` where that is larger.

    >>> import fastnn
    >>> fastnn.nn.functional.normalize(fastnn.tensor([[3., 4.]]))
    tensor([[0.6000, 0.8000]])
    """
    return input / vector_norm(input, p, dim, True).clamp(min=eps)
