"""Losses that compare a prediction and a target element by element."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from .promotion import broadcast_error, promote
from .softmax import reduction_of

if TYPE_CHECKING:
    from ..tensor import Tensor


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """``loss`` averaged, summed or as it is."""
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss


def weighted(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """``loss`` with factors, averaged over them, summed or as it is."""
    if weight is None:
        return reduced(loss, reduction)
    loss = loss * weight
    if reduction == "mean":
        return loss.sum() / weight.expand(loss._data.shape).sum()
    return reduced(loss, reduction)


def broadcast_pair(operation: str, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both with their common dtype; a warning where their shapes differ."""
    if x._data.shape != target._data.shape:
        warnings.warn(
            f"{operation}: using a target size {tuple(target.shape)} that is different to the input size "
            f"{tuple(x.shape)}; they are broadcast, which is probably not what you want",
            stacklevel=3,
        )
        try:
            np.broadcast_shapes(x._data.shape, target._data.shape)
        except ValueError:
            raise broadcast_error(operation, x._data, target._data) from None
    return promote(x, target, floating=True)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(x - target)**2, averaged, summed or as it is.

    >>> import fastnn
    >>> fastnn.nn.functional.mse_loss(fastnn.zeros(2), fastnn.tensor([1., 3.]))
    tensor(5.)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    a, b = broadcast_pair("mse_loss", input, target)
    difference = a - b
    return weighted(difference * difference, weight, reduction)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """\\|x - target\\|, averaged, summed or as it is."""
    reduction = reduction_of(reduction, size_average, reduce)
    a, b = broadcast_pair("l1_loss", input, target)
    return weighted((a - b).abs(), weight, reduction)


def _same_shape(operation: str, x: Tensor, target: Tensor) -> None:
    if x._data.shape != target._data.shape:
        raise ValueError(
            f"{operation}: target size ({tuple(target.shape)}) must be the same as input size ({tuple(x.shape)})"
        )


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(t log x + (1 - t) log(1 - x)) for probabilities ``input``; logarithms are limited to -100.

    Raises:
        ValueError: shapes that differ.
        RuntimeError: an x outside [0, 1].
    """
    reduction = reduction_of(reduction, size_average, reduce)
    _same_shape("binary_cross_entropy", input, target)
    data = input._data
    if data.size and not (data.min() >= 0 and data.max() <= 1):
        raise RuntimeError("binary_cross_entropy: all elements of input should be between 0 and 1")
    loss = -(
        target * input.log().clamp(min=-100) + (1 - target) * (1 - input).log().clamp(min=-100)
    )
    return reduced(loss if weight is None else loss * weight, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """binary_cross_entropy of sigmoid(x), without overflow; ``pos_weight`` weighs the positive targets.

    Raises:
        ValueError: shapes that differ.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    _same_shape("binary_cross_entropy_with_logits", input, target)
    # log(1 + exp(-x)) = max(-x, 0) + log(1 + exp(-|x|))
    softplus = (-input).relu() + (-(input.abs())).exp().log1p()
    if pos_weight is None:
        loss = (1 - target) * input + softplus
    else:
        loss = (1 - target) * input + (1 + (pos_weight - 1) * target) * softplus
    return reduced(loss if weight is None else loss * weight, reduction)
