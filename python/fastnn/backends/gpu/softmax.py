"""Softmax, log-softmax and cross-entropy on the CUDA kernels."""

from __future__ import annotations

import numpy as np

from fastnn.backends import numpy as spec
from fastnn.backends.gpu._arrays import (
    accumulator,
    contiguous,
    empty,
    empty_like,
    is_float,
    kernels,
    stream,
)
from fastnn.backends.numpy.softmax import reduce_loss
from fastnn.backends.protocol import Array


def _forward(log: bool, x: Array, axis: int) -> Array:
    y = empty_like(x)
    kernels.softmax(log, contiguous(x), y, axis % x.ndim, stream())
    return y


def softmax(x: Array, axis: int) -> Array:
    """exp(x) / sum(exp(x)) along an axis."""
    return _forward(False, x, axis) if x.ndim and is_float(x) else spec.softmax(x, axis)


def log_softmax(x: Array, axis: int) -> Array:
    """The logarithm of ``softmax``."""
    return _forward(True, x, axis) if x.ndim and is_float(x) else spec.log_softmax(x, axis)


def _backward(log: bool, g: Array, y: Array, axis: int) -> Array:
    gx = empty_like(g)
    kernels.softmax_backward(log, contiguous(g), contiguous(y), gx, axis % g.ndim, stream())
    return gx


def softmax_backward(g: Array, y: Array, axis: int) -> Array:
    """The gradient of ``softmax``; y is its result."""
    if not g.ndim or not is_float(g) or g.shape != y.shape:
        return spec.softmax_backward(g, y, axis)
    return _backward(False, g, y, axis)


def log_softmax_backward(g: Array, y: Array, axis: int) -> Array:
    """The gradient of ``log_softmax``; y is its result."""
    if not g.ndim or not is_float(g) or g.shape != y.shape:
        return spec.log_softmax_backward(g, y, axis)
    return _backward(True, g, y, axis)


def cross_entropy(
    logits: Array,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    label_smoothing: float,
    reduction: str,
) -> tuple[Array, Array, Array]:
    """(loss, lse, scale); reads one number back, to raise IndexError for a target that is no class."""
    n, classes = logits.shape
    if not n or not classes or not is_float(logits):
        return spec.cross_entropy(logits, target, weight, ignore_index, label_smoothing, reduction)
    loss = empty(n, logits.dtype, like=logits)
    lse = empty(n, accumulator(logits.dtype), like=logits)
    wrong = np.zeros(1, np.int32, like=logits)
    labels = contiguous(target)
    kernels.cross_entropy(
        contiguous(logits),
        labels,
        None if weight is None else contiguous(weight),
        ignore_index,
        label_smoothing,
        loss,
        lse,
        wrong,
        stream(),
    )
    row = int(wrong[0])
    if row:
        raise IndexError(
            f"cross_entropy: target {int(labels[row - 1])} is out of bounds for {classes} classes"
        )
    value, scale = reduce_loss(loss, target, weight, ignore_index, reduction)
    return value, lse, scale


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
    """Gradient (N, C) with respect to the logits."""
    if not logits.size or not is_float(logits):
        return spec.cross_entropy_backward(
            g, scale, logits, target, lse, weight, ignore_index, label_smoothing
        )
    gx = empty_like(logits)
    kernels.cross_entropy_backward(
        contiguous(np.broadcast_to((g * scale).astype(logits.dtype, copy=False), lse.shape)),
        contiguous(logits),
        contiguous(target),
        contiguous(lse),
        None if weight is None else contiguous(weight),
        ignore_index,
        label_smoothing,
        gx,
        stream(),
    )
    return gx
