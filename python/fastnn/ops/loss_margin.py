"""Losses of rankings, similarities and margins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from .activation_table import logsigmoid
from .distance import pairwise_distance
from .loss import reduced
from .select import where
from .softmax import reduction_of

if TYPE_CHECKING:
    from ..tensor import Tensor


def _hinge(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return x.clamp(min=0)


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """x where the target is 1, max(0, margin - x) where it is -1."""
    reduction = reduction_of(reduction, size_average, reduce)
    far = where(make(target._data != 1), _hinge(margin - input), 0)
    near = where(make(target._data != -1), input, 0)
    return reduced(far + near, reduction)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1.

    Args:
        input1, input2: (N, D) or (D,).
        target: (N,) or a scalar, of 1 and -1.

    Raises:
        RuntimeError: other shapes.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    dims = target._data.ndim
    if dims not in (0, 1) or input1._data.ndim != dims + 1 or input2._data.ndim != dims + 1:
        raise RuntimeError(
            f"cosine_embedding_loss: {dims}D target tensor expects {dims + 1}D input tensors, but found inputs with "
            f"sizes {tuple(input1.shape)} and {tuple(input2.shape)}"
        )
    squares = [(x * x).sum(-1) + 1e-12 for x in (input1, input2)]
    cosine = (input1 * input2).sum(-1) / (squares[0] * squares[1]).sqrt()
    near = where(make(target._data == 1), 1 - cosine, 0)
    far = where(make(target._data == -1), _hinge(cosine - margin), 0)
    return reduced(near + far, reduction)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin - target * (x1 - x2)): a target of 1 wants x1 the larger, -1 the smaller.

    Raises:
        RuntimeError: inputs and target of different counts of dims.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if not input1._data.ndim == input2._data.ndim == target._data.ndim:
        raise RuntimeError(
            "margin_ranking_loss: all input tensors should have same dimension but got sizes: "
            f"{tuple(input1.shape)}, {tuple(input2.shape)} and {tuple(target.shape)}"
        )
    return reduced(_hinge(margin - target * (input1 - input2)), reduction)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + exp(-target * x)), for targets of 1 and -1."""
    reduction = reduction_of(reduction, size_average, reduce)
    if input._data.shape != target._data.shape:
        raise ValueError(
            f"soft_margin_loss: target of size {tuple(target.shape)} differs from input of {tuple(input.shape)}"
        )
    return reduced(-logsigmoid(target * input), reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin + |anchor - positive| - |anchor - negative|), with ``p``-norms along the last dim.

    Args:
        swap: take the distance of positive and negative where it is the smaller.

    Raises:
        RuntimeError: different counts of dims.
        ValueError: a ``margin`` that is not positive.

    V. Balntas et al., "Learning shallow convolutional feature descriptors with triplet losses", 2016 (the swap).
    """
    reduction = reduction_of(reduction, size_average, reduce)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return _triplet(
        "triplet_margin_loss", anchor, positive, negative, distance, margin, swap, reduction
    )


def _triplet(
    operation: str,
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    distance: Callable[[Tensor, Tensor], Tensor],
    margin: float,
    swap: bool,
    reduction: str,
) -> Tensor:
    if margin <= 0:
        raise ValueError(f"{operation}: margin must be greater than 0, got {margin}")
    if not anchor._data.ndim == positive._data.ndim == negative._data.ndim:
        raise RuntimeError(
            f"{operation}: the anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor._data.ndim}D, positive {positive._data.ndim}D, and negative "
            f"{negative._data.ndim}D inputs"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        other = distance(positive, negative)
        far = where(make(far._data < other._data), far, other)
    return reduced(_hinge(margin + near - far), reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """``triplet_margin_loss`` with any distance; None: ``pairwise_distance``."""
    return _triplet(
        "triplet_margin_with_distance_loss",
        anchor,
        positive,
        negative,
        distance_function or pairwise_distance,
        margin,
        swap,
        reduction_of(reduction),
    )


def _rows(operation: str, x: Tensor) -> Tensor:
    """(N, C) of (N, C), (C,) or a scalar."""
    if x._data.ndim > 2 or (x._data.ndim == 2 and not x._data.shape[1]):
        raise RuntimeError(
            f"{operation}: expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{tuple(x.shape)}"
        )
    return x if x._data.ndim == 2 else x.reshape(1, -1)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Mean over the wrong classes of max(0, margin - x[target] + x[class]) ** p, times weight[target].

    Args:
        input: scores (N, C) or (C,).
        target: class indices (int64), (N,) or a scalar.
        p: 1 or 2.
        weight: (C,) or None.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: only p == 1 and p == 2 supported, got {p}")
    rows = _rows("multi_margin_loss", input)
    at = target._data.reshape(-1)
    n, c = rows._data.shape
    if at.shape != (n,):
        raise RuntimeError(
            f"multi_margin_loss: inconsistent target size, expected {n} but got {tuple(target.shape)}"
        )
    if at.size and (at.min() < 0 or at.max() >= c):
        raise RuntimeError(f"multi_margin_loss: target out of range for {c} classes")
    own = rows.gather(1, make(at.reshape(-1, 1).astype(np.int64)))
    terms = _hinge(margin - own + rows)
    if p == 2:
        terms = terms * terms
    if weight is not None:
        terms = terms * weight[make(at)].reshape(-1, 1)
    wrong = make(np.arange(c, like=at) != at[:, None])
    loss: Tensor = where(wrong, terms, 0).sum(1) / c
    if reduction == "none":
        return loss.reshape(target._data.shape)
    return reduced(loss, reduction)


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Sum over all labels and all other classes of max(0, 1 - x[label] + x[class]), divided by C.

    Args:
        input: scores (N, C) or (C,).
        target: labels (int64) of the same shape; the first -1 ends a row's list.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    rows = _rows("multilabel_margin_loss", input)
    labels = target._data.reshape(rows._data.shape)
    n, c = rows._data.shape
    kept = np.cumsum(labels < 0, axis=1) == 0
    if (labels[kept] >= c).any():
        raise RuntimeError(f"multilabel_margin_loss: target out of range for {c} classes")
    safe = np.where(kept, labels, 0).astype(np.int64)
    is_label = np.zeros_like(labels, np.bool_)
    which, _ = np.nonzero(kept)
    is_label[which, safe[kept]] = True
    own = rows.gather(1, make(safe))
    terms = _hinge(1 - own.unsqueeze(2) + rows.unsqueeze(1))
    counted = make(kept[:, :, None] & ~is_label[:, None, :])
    loss: Tensor = where(counted, terms, 0).sum((1, 2)) / c
    if reduction == "none":
        return loss.reshape(input._data.shape[:-1])
    return reduced(loss, reduction)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross-entropy of logits (N, C), averaged over the classes."""
    reduction = reduction_of(reduction, size_average, reduce)
    loss: Any = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return reduced(loss.mean(-1), reduction)
