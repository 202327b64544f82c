"""Connectionist temporal classification: the likelihood of a label sequence, summed over all its alignments.

A. Graves et al., "Connectionist temporal classification: labelling unsegmented sequence data with recurrent neural
networks", 2006 (sections 4.1 and 4.2; the names alpha and beta are theirs).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from ..autograd.grad_mode import mode
from ..autograd.node import Node, edge_of
from .softmax import reduction_of
from .transfer import on_host

if TYPE_CHECKING:
    from ..tensor import Tensor


def _lengths(value: Any, n: int, name: str) -> Any:
    """Lengths as an (N,) array of ints.

    Raises:
        RuntimeError: another count of them, or a negative one.
    """
    given = np.asarray(getattr(value, "_data", value)).reshape(-1).astype(np.int64)
    if given.shape != (n,):
        raise RuntimeError(f"ctc_loss: {name} must be of size batch_size {n}, got {given.shape}")
    if given.size and given.min() < 0:
        raise RuntimeError(f"ctc_loss: {name} must not be negative, got {given.min()}")
    return given


def _states(targets: Any, lengths: Any, blank: int) -> tuple[Any, Any]:
    """(N, 2 S + 1) labels with blanks around each, and where a state may be reached past the blank before it."""
    n = len(lengths)
    longest = int(lengths.max(initial=0))
    states = np.full((n, 2 * longest + 1), blank, np.int64)
    if targets.ndim == 2:
        states[:, 1::2] = targets[:, :longest]
    else:
        for i, (end, length) in enumerate(zip(np.cumsum(lengths), lengths, strict=True)):
            states[i, 1 : 2 * length : 2] = targets[end - length : end]
    skips = np.zeros(states.shape, np.bool_)
    skips[:, 2:] = (states[:, 2:] != blank) & (states[:, 2:] != states[:, :-2])
    return states, skips


def _shifted(a: Any, steps: int) -> Any:
    """``a`` moved along the states, -inf where nothing comes from."""
    out = np.full_like(a, -np.inf)
    if steps > 0:
        out[:, steps:] = a[:, :-steps]
    else:
        out[:, :steps] = a[:, -steps:]
    return out


class CtcLossBackward0(Node):
    """The gradient with respect to log-probabilities that are normalised, as PyTorch has it: exp(lp) - posterior."""

    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, logp, alpha, states, skips, frames, labels, loss, zero_infinity = self.saved
        steps, n, _ = logp.shape
        rows = np.arange(n)
        beta = np.full(states.shape, -np.inf)
        grad = np.zeros(logp.shape)
        with np.errstate(invalid="ignore", over="ignore"):
            for t in range(steps - 1, -1, -1):
                jump = np.where(skips, beta, -np.inf)
                beta = np.logaddexp(np.logaddexp(beta, _shifted(beta, -1)), _shifted(jump, -2))
                ends = t == frames - 1
                beta[ends] = -np.inf
                beta[ends, 2 * labels[ends]] = 0
                some = ends & (labels > 0)
                beta[some, 2 * labels[some] - 1] = 0
                share = np.exp(alpha[t] + beta + loss[:, None])
                grad[t] = np.exp(logp[t])
                np.subtract.at(grad[t], (rows[:, None], states), share)
                beta = beta + np.take_along_axis(logp[t], states, 1)
                beta[t >= frames] = -np.inf
        grad *= g[:, None] if g.ndim else g
        grad[np.arange(steps)[:, None] >= frames] = 0
        if zero_infinity:
            grad[:, np.isinf(loss)] = 0
        return (grad.astype(x.dtype),)


@on_host
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """The negative log-likelihood of label sequences under every alignment to frames.

    Args:
        log_probs: (T, N, C) or (T, C): log-probabilities of the classes in each frame, from ``log_softmax``.
        targets: labels (int64), (N, S) padded, or all of them in a row.
        input_lengths, target_lengths: (N,): how many frames and labels each sample has.
        blank: the class that stands for no label.
        reduction: "mean" (each loss over its target's length, then over the batch), "sum" or "none".
        zero_infinity: losses of targets that do not fit their frames are 0, and so are their gradients.

    Raises:
        RuntimeError: shapes or lengths that do not fit.

    The gradient is not differentiable again.
    """
    reduction = reduction_of(reduction)
    data = log_probs._data
    if data.ndim == 2:
        single = targets.reshape(1, -1)
        out = ctc_loss(
            log_probs.unsqueeze(1), single, input_lengths, target_lengths, blank, reduction,
            zero_infinity,
        )  # fmt: skip
        return out.squeeze(0) if reduction == "none" else out
    if data.ndim != 3 or data.dtype.kind in "iub":
        raise RuntimeError(
            f"ctc_loss: expected floating log_probs (T, N, C), got {log_probs.dtype} {tuple(data.shape)}"
        )
    steps, n, classes = data.shape
    frames = _lengths(input_lengths, n, "input_lengths")
    labels = _lengths(target_lengths, n, "target_lengths")
    if not 0 <= blank < classes:
        raise RuntimeError(f"ctc_loss: blank must be in label range 0..{classes - 1}, got {blank}")
    if frames.max(initial=0) > steps:
        raise RuntimeError(
            f"ctc_loss: expected input_lengths to have value at most {steps}, but got value {frames.max()}"
        )
    known = targets._data
    room = known.shape[1] if known.ndim == 2 else known.size
    needed = labels.max(initial=0) if known.ndim == 2 else labels.sum()
    if needed > room or (known.ndim == 2 and len(known) != n):
        raise RuntimeError(
            f"ctc_loss: targets of shape {tuple(known.shape)} do not hold target_lengths {labels.tolist()}"
        )
    states, skips = _states(known, labels, blank)
    logp = data.astype(np.float64)
    alpha = np.full((steps, *states.shape), -np.inf)
    rows = np.arange(n)
    with np.errstate(invalid="ignore"):
        before = np.full(states.shape, -np.inf)
        before[:, 0] = 0  # so that the first frame is in state 0 or 1
        for t in range(steps):
            jump = np.where(skips, _shifted(before, 2), -np.inf)
            reached = np.logaddexp(np.logaddexp(before, _shifted(before, 1)), jump)
            before = alpha[t] = reached + np.take_along_axis(logp[t], states, 1)
        last = alpha[np.maximum(frames - 1, 0), rows] if steps else before
        final = last[rows, 2 * labels]
        inner = np.where(labels > 0, last[rows, np.maximum(2 * labels - 1, 0)], -np.inf)
        loss = -np.logaddexp(final, inner)
    loss = np.where(frames == 0, np.where(labels == 0, 0.0, np.inf), loss)
    value = np.where(np.isinf(loss), 0.0, loss) if zero_infinity else loss
    result = value.astype(data.dtype)
    if log_probs._requires_grad and mode.enabled:
        saved = (data, logp, alpha, states, skips, frames, labels, loss, zero_infinity)
        each = make(result, CtcLossBackward0((edge_of(log_probs),), saved))
    else:
        each = make(result)
    if reduction == "mean":
        return (each / make(np.maximum(labels, 1).astype(data.dtype))).mean()
    return each.sum() if reduction == "sum" else each
