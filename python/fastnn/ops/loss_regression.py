"""Losses of regression and of distributions."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from .binary import xlogy
from .loss import broadcast_pair, reduced
from .select import where
from .softmax import reduction_of

if TYPE_CHECKING:
    from ..tensor import Tensor


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Half the squared difference over ``beta`` where \\|x - target\\| < beta, else \\|x - target\\| - beta / 2.

    Raises:
        RuntimeError: a negative ``beta``.

    R. Girshick, "Fast R-CNN", 2015.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta, got {beta}")
    a, b = broadcast_pair("smooth_l1_loss", input, target)
    difference = a - b
    size = difference.abs()
    if beta == 0:
        return reduced(size, reduction)
    small = make(size._data < beta)
    inside = difference * difference * (0.5 / beta)
    return reduced(where(small, inside, size - 0.5 * beta), reduction)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Half the squared difference where \\|x - target\\| <= delta, else delta * (\\|x - target\\| - delta / 2).

    Args:
        weight: factors of input's shape, or None; they do not count in the mean's divisor.

    Raises:
        ValueError: ``delta`` is not positive, or a weight of another shape.

    P. J. Huber, "Robust estimation of a location parameter", 1964.
    """
    reduction = reduction_of(reduction)
    if delta <= 0:
        raise ValueError(f"huber_loss does not support non-positive values for delta, got {delta}")
    a, b = broadcast_pair("huber_loss", input, target)
    difference = a - b
    size = difference.abs()
    loss = where(
        make(size._data <= delta),
        difference * difference * 0.5,
        (size - 0.5 * delta) * delta,
    )
    if weight is not None:
        if weight._data.shape != input._data.shape:
            raise ValueError("huber_loss: Weights and input must have the same size.")
        loss = loss * weight
    return reduced(loss, reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """target * (log(target) - x), for log-probabilities ``input``.

    Args:
        reduction: "batchmean" (the sum over the batch's size, which is the divergence), "mean", "sum" or "none".
        log_target: ``target`` holds log-probabilities too.

    >>> import fastnn
    >>> p = fastnn.tensor([[0.5, 0.5]])
    >>> fastnn.nn.functional.kl_div(p.log(), p, reduction="batchmean")
    tensor(0.)
    """
    batch = reduction == "batchmean"
    reduction = reduction_of("sum" if batch else reduction, size_average, reduce)
    if reduction == "mean" and size_average is None and reduce is None:
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size. "
            "'batchmean' divides only by the batch size, and aligns with the KL math definition.",
            stacklevel=2,
        )
    loss = target.exp() * (target - input) if log_target else xlogy(target, target) - target * input
    result = reduced(loss, reduction)
    if batch and input._data.ndim:
        result = result / input._data.shape[0]
    return result


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of counts ``target`` under Poisson distributions.

    Args:
        input: the logarithm of the mean, or the mean itself where ``log_input`` is False.
        full: add Stirling's approximation of log(target!).
        eps: keeps the logarithm of a mean of 0 finite.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        many = make(target._data > 1)
        t = where(many, target, target * 0 + 2)
        stirling = t * t.log() - t + 0.5 * (2 * math.pi * t).log()
        loss = loss + where(many, stirling, 0)
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of ``target`` under normal distributions: (log var + (x - target)**2 / var) / 2.

    Args:
        input: the means.
        var: the variances: one, one an element, or one for the last dim.
        full: add the constant log(2 pi) / 2.
        eps: the smallest variance; the gradient does not see it.

    Raises:
        ValueError: negative variances, or a shape that does not fit.

    D. Nix, A. Weigend, "Estimating the mean and variance of the target probability distribution", 1994.
    """
    reduction = reduction_of(reduction)
    shape = input._data.shape
    variance: Any = var
    if isinstance(var, (int, float)):
        variance = make(np.full(shape, var, input._data.dtype))
    given = variance._data
    if (given < 0).any():
        raise ValueError("gaussian_nll_loss: var has negative entry/entries")
    if given.shape != shape:
        if given.shape == shape[:-1]:
            variance = variance.unsqueeze(-1)
        elif given.ndim != len(shape) or [
            a for a, b in zip(given.shape, shape, strict=True) if a != b
        ] != [1]:
            raise ValueError(
                f"gaussian_nll_loss: var is of incorrect size {tuple(given.shape)} for input {tuple(shape)}"
            )
    lifted = np.maximum(variance._data, variance._data.dtype.type(eps)) - variance._data
    variance = variance + make(lifted)
    difference = input - target
    loss = 0.5 * (variance.log() + difference * difference / variance)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)
