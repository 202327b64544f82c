"""Softmax, log-softmax and cross-entropy, each shifted by the row's maximum so that exp cannot overflow."""

from __future__ import annotations

import numpy as np

from fastnn.backends.protocol import Array


def softmax(x: Array, axis: int) -> Array:
    if x.size == 0:
        return np.empty_like(x)
    with np.errstate(invalid="ignore"):  # a row that holds inf, or nothing but -inf, gives NaN
        e = np.exp(x - x.max(axis, keepdims=True))
        y: Array = e / e.sum(axis, keepdims=True)
        return y


def softmax_backward(g: Array, y: Array, axis: int) -> Array:
    gx: Array = y * (g - (g * y).sum(axis, keepdims=True))
    return gx


def _log_sum_exp(x: Array, axis: int) -> Array:
    """log(sum(exp(x))), with the axis kept."""
    with np.errstate(invalid="ignore"):
        top = x.max(axis, keepdims=True)
        lse: Array = top + np.log(np.exp(x - top).sum(axis, keepdims=True))
        return lse


def log_softmax(x: Array, axis: int) -> Array:
    if x.size == 0:
        return np.empty_like(x)
    with np.errstate(invalid="ignore"):
        shifted = x - x.max(axis, keepdims=True)
        y: Array = shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))
        return y


def log_softmax_backward(g: Array, y: Array, axis: int) -> Array:
    gx: Array = g - np.exp(y) * g.sum(axis, keepdims=True)
    return gx


def _valid_targets(target: Array, classes: int, ignore_index: int) -> tuple[Array, Array]:
    """(target with 0 in place of ignore_index, which ones count). IndexError for one that is no class."""
    counts = target != ignore_index
    wrong = counts & ((target < 0) | (target >= classes))
    if wrong.any():
        raise IndexError(
            f"cross_entropy: target {target[wrong][0]} is out of bounds for {classes} classes"
        )
    return np.where(counts, target, 0), counts


def cross_entropy(
    logits: Array,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    label_smoothing: float,
    reduction: str,
) -> tuple[Array, Array, Array]:
    """(loss, lse, scale): logits (N, C), target int64 (N,), weight (C,); lse (N,), scale ().

    loss[n] = (1 - s) * w[t] * (lse - x[t]) + s / C * sum_c w[c] * (lse - x[c]); 0 where t == ignore_index.
    lse[n] = log(sum_c exp(logits[n, c])). Raises IndexError for a target outside 0..C-1.
    """
    n, classes = logits.shape
    label, counts = _valid_targets(target, classes, ignore_index)
    if n == 0 or not classes:
        loss = np.zeros(n, logits.dtype, like=logits)
        lse = np.full_like(logits, -np.inf, shape=n)
    else:
        w = np.ones_like(logits, shape=classes) if weight is None else weight
        column = _log_sum_exp(logits, 1)
        nll = column - logits  # -log_softmax
        loss = w[label] * nll[np.arange(n, like=logits), label]
        if label_smoothing:
            s = label_smoothing
            loss = (1 - s) * loss + (s / classes) * (w * nll).sum(1)
        loss, lse = np.where(counts, loss, 0).astype(logits.dtype), column[:, 0]
    value, scale = reduce_loss(loss, target, weight, ignore_index, reduction)
    return value, lse, scale


def reduce_loss(
    loss: Array, target: Array, weight: Array | None, ignore_index: int, reduction: str
) -> tuple[Array, Array]:
    """(value, scale) of the losses (N,): for "mean" over the targets' weights, for "sum", or for "none"."""
    one = np.ones_like(loss, shape=())
    if reduction == "none":
        return loss, one
    if reduction == "sum":
        return loss.sum(), one
    kept = target != ignore_index
    total = (kept if weight is None else weight[target[kept]]).sum().astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):  # of no targets: NaN
        return (loss.sum() / total).astype(loss.dtype), (one / total).astype(loss.dtype)


def cross_entropy_backward(
    g: Array,
    scale: Array,
    logits: Array,
    target: Array,
    lse: Array,
    weight: Array | None,
    ignore_index: int,
    label_smoothing: float,
) -> Array:
    """Gradient (N, C) with respect to the logits; g, (N,) or (), is that of the loss, lse and scale its results.

    A sample's loss is sum_c q[c] * (lse - x[c]) with weights q[c] = w[c] * ((1 - s) * [c == t] + s / C), so its
    gradient is sum(q) * softmax(x) - q.
    """
    n, classes = logits.shape
    label, counts = _valid_targets(target, classes, ignore_index)
    if logits.size == 0:
        return np.empty_like(logits)
    q = np.full_like(logits, label_smoothing / classes)
    q[np.arange(n, like=logits), label] += 1 - label_smoothing
    if weight is not None:
        q *= weight
    gx = q.sum(1, keepdims=True) * np.exp(logits - lse[:, None]) - q
    gx *= np.where(counts, g * scale, 0)[:, None]
    return np.where(counts[:, None], gx, 0).astype(logits.dtype)
