"""softmax, log_softmax and the losses made of them: cross-entropy and negative log-likelihood."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import as_array, make, normalize_dim
from ..autograd.grad_mode import mode
from ..autograd.node import Node, edge_of
from ..backends import by_type
from .activation import _floating
from .promotion import cast, same_device

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "log_softmax",
    "softmax",
]


def _axis(dim: int | None, ndim: int, operation: str) -> int:
    """``dim`` as an axis; None, which PyTorch deprecates, is 0 for 0, 1 and 3 dims, else 1."""
    if dim is None:
        warnings.warn(
            f"{operation}: the implicit choice of dim is deprecated, pass dim=", stacklevel=3
        )
        dim = 0 if ndim in (0, 1, 3) else 1
    return normalize_dim(dim, ndim)


class SoftmaxBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        y, axis = self.saved
        return (by_type[type(g)].softmax_backward(g, y, axis),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        array, axis = self.saved
        y = self.output(array)
        gy = g * y
        return (gy - y * gy.sum(axis, keepdim=True),)


def softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) along ``dim``, without overflow.

    >>> import fastnn
    >>> fastnn.softmax(fastnn.zeros(1, 4), dim=1)
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    if dtype is not None:
        input = cast(input, dtype.numpy)
    data = _floating(input, "softmax")._data
    axis = _axis(dim, data.ndim, "softmax")
    if data.ndim == 0:
        return softmax(input.reshape(1), 0).reshape(())
    y = by_type[type(data)].softmax(data, axis)
    if input._requires_grad and mode.enabled:
        return make(y, SoftmaxBackward0((edge_of(input),), (y, axis)))
    return make(y)


class LogSoftmaxBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        y, axis = self.saved
        return (by_type[type(g)].log_softmax_backward(g, y, axis),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        array, axis = self.saved
        return (g - self.output(array).exp() * g.sum(axis, keepdim=True),)


def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """log(softmax(x)) along ``dim``, accurate where softmax underflows."""
    if dtype is not None:
        input = cast(input, dtype.numpy)
    data = _floating(input, "log_softmax")._data
    axis = _axis(dim, data.ndim, "log_softmax")
    if data.ndim == 0:
        return log_softmax(input.reshape(1), 0).reshape(())
    y = by_type[type(data)].log_softmax(data, axis)
    if input._requires_grad and mode.enabled:
        return make(y, LogSoftmaxBackward0((edge_of(input),), (y, axis)))
    return make(y)


def _classes_last(x: Tensor) -> Tensor:
    """(N, C, d1, ...) as (N * d1 * ..., C)."""
    if x._data.ndim == 2:
        return x
    if x._data.ndim == 1:
        return x.unsqueeze(0)
    return x.movedim(1, -1).reshape(-1, x._data.shape[1])


def _check_target(operation: str, x: Tensor, target: Tensor, weight: Tensor | None) -> None:
    same_device(x, target, weight)
    shape = x._data.shape
    if len(shape) == 0:
        raise RuntimeError(f"{operation}: expected an input of at least 1 dim, got a scalar")
    classes = shape[0] if len(shape) == 1 else shape[1]
    wanted = shape[:1] + shape[2:] if len(shape) > 1 else ()
    if target._data.dtype.kind not in "iu":
        raise RuntimeError(
            f"{operation}: expected target of class indices (int64) or probabilities of shape {tuple(shape)}, got "
            f"{target.dtype} {tuple(target.shape)}"
        )
    if target._data.shape != wanted:
        if target._data.shape[:1] != wanted[:1] and wanted and target._data.ndim:
            raise ValueError(
                f"{operation}: expected input batch_size ({shape[0]}) to match target batch_size "
                f"({target._data.shape[0]})"
            )
        raise RuntimeError(
            f"{operation}: expected target of shape {wanted} for input {tuple(shape)}, got {tuple(target.shape)}"
        )
    if weight is not None and weight._data.shape != (classes,):
        raise RuntimeError(
            f"{operation}: weight must have shape ({classes},), one a class, got {tuple(weight.shape)}"
        )
    if weight is not None and weight._data.dtype != x._data.dtype:
        raise RuntimeError(
            f"{operation}: weight is {weight.dtype}, input is {x.dtype}; they must be the same"
        )


class CrossEntropyBackward0(Node):
    __slots__ = ()

    def name(self) -> str:
        return "NllLossBackward0"

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, target, lse, weight, ignore_index, smoothing, scale = self.saved
        data = x._data
        return (
            by_type[type(data)].cross_entropy_backward(
                as_array(g), scale, data, target, lse, weight, ignore_index, smoothing
            ),
        )

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        x, target, lse, weight, ignore_index, smoothing, scale = self.saved
        # d loss[n] / d x[n, c] = softmax[n, c] * total[n] - share[n, c], where share is each class's weight
        n, c = x._data.shape
        w = np.ones_like(lse, shape=c) if weight is None else weight
        kept = target != ignore_index
        share = np.tile(w * (smoothing / c), (n, 1)).astype(lse.dtype)
        rows = np.nonzero(kept)[0]
        share[rows, target[rows]] += (1 - smoothing) * w[target[rows]]
        share[~kept] = 0
        total = make(share.sum(1, keepdims=True))
        per_sample = (g * float(scale)).reshape(-1, 1)
        return (per_sample * (softmax(x, 1) * total - make(share)),)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy between logits and targets: log_softmax and nll_loss in one kernel.

    Args:
        input: logits (N, C), (C,) or (N, C, d1, ...).
        target: class indices (int64) of shape (N, d1, ...), or probabilities of input's shape.
        weight: (C,), a factor for each class.
        ignore_index: targets that count nothing.
        size_average, reduce: the old form of ``reduction``.
        reduction: "mean" (over the targets' weights), "sum" or "none".
        label_smoothing: the share, in [0, 1], that is spread over all classes.

    Raises:
        RuntimeError, ValueError: shapes, dtypes or arguments that do not fit.
        IndexError: a target outside 0..C-1.

    >>> import fastnn
    >>> fastnn.nn.functional.cross_entropy(fastnn.zeros(2, 4), fastnn.tensor([0, 3]))
    tensor(1.3863)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(
            f"cross_entropy: label_smoothing must be between 0.0 and 1.0, got {label_smoothing}"
        )
    _floating(input, "cross_entropy")
    if target._data.dtype.kind not in "iub" and target._data.shape == input._data.shape:
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    _check_target("cross_entropy", input, target, weight)
    rows = _classes_last(input)
    data = rows._data
    t = target._data
    if t.ndim != 1 or t.dtype != np.int64 or not t.flags.c_contiguous:
        t = np.ascontiguousarray(t.reshape(-1), np.int64, like=t)
    w = None if weight is None else weight._data
    value, lse, scale = by_type[type(data)].cross_entropy(
        data, t, w, ignore_index, label_smoothing, reduction
    )
    if rows._requires_grad and mode.enabled:
        saved = (rows, t, lse, w, ignore_index, label_smoothing, scale)
        out = make(value, CrossEntropyBackward0((edge_of(rows),), saved))
    else:
        out = make(value)
    return out.reshape(target._data.shape) if reduction == "none" else out


def _soft_cross_entropy(
    x: Tensor, target: Tensor, weight: Tensor | None, reduction: str, smoothing: float
) -> Tensor:
    """Cross-entropy with class probabilities as targets."""
    dim = 0 if x._data.ndim == 1 else 1
    classes = x._data.shape[dim]
    target = cast(target, x._data.dtype)
    if smoothing:
        target = target * (1.0 - smoothing) + smoothing / classes
    logp = log_softmax(x, dim)
    if weight is not None:
        if weight._data.shape != (classes,):
            raise RuntimeError(
                f"cross_entropy: weight must have shape ({classes},), got {tuple(weight.shape)}"
            )
        logp = logp * weight.reshape((classes,) + (1,) * (x._data.ndim - dim - 1))
    loss = -(logp * target).sum(dim)
    if reduction == "none":
        return loss
    total = loss.sum()
    return total / max(loss._data.size, 1) if reduction == "mean" else total


def reduction_of(
    reduction: str, size_average: bool | None = None, reduce: bool | None = None
) -> str:
    """The reduction: "mean", "sum" or "none"; the arguments that it replaced, ``size_average`` and ``reduce``, win.

    Raises:
        ValueError: another reduction.
    """
    if size_average is not None or reduce is not None:
        averages = size_average is None or size_average
        reduction = "none" if reduce is False else "mean" if averages else "sum"
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction={reduction!r} instead.",
            UserWarning,
            stacklevel=3,
        )
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction!r} is not a valid value for reduction: mean, sum or none")
    return reduction


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood: -weight[t] * logp[n, t], for log-probabilities ``input``.

    Args, Raises: as ``cross_entropy``.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    _check_target("nll_loss", input, target, weight)
    rows = _classes_last(input)
    t = target._data.reshape(-1).astype(np.int64)
    classes = rows._data.shape[1]
    kept = t != ignore_index
    bad = kept & ((t < 0) | (t >= classes))
    if bad.any():
        raise IndexError(f"nll_loss: Target {t[bad][0]} is out of bounds for {classes} classes")
    safe = np.where(kept, t, 0)
    w = np.ones_like(rows._data, shape=classes) if weight is None else weight._data
    factor = np.where(kept, w[safe], 0).astype(rows._data.dtype)
    picked = rows[make(np.arange(len(t), like=t)), make(safe)]
    loss = picked * make(-factor)
    if not kept.all():  # an ignored sample counts nothing, even where its log-probability is -inf
        loss = loss.masked_fill(make(~kept), 0.0)
    if reduction == "none":
        return loss.reshape(target._data.shape)
    total = loss.sum()
    return total / float(factor.sum()) if reduction == "mean" else total
