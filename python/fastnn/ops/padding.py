"""Padding: with a constant, and with values of the input itself (reflect, replicate, circular)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import Scalar, make
from ..autograd.grad_mode import mode as grad_mode
from ..autograd.node import Node, edge_of

if TYPE_CHECKING:
    from ..tensor import Tensor

Widths = tuple[tuple[int, int], ...]  # (before, after) of every axis; negative ones cut


def _cut(widths: Widths) -> tuple[Any, ...]:
    """What remains of an axis where ``widths`` are negative."""
    return tuple(
        slice(-before if before < 0 else None, after if after < 0 else None)
        for before, after in widths
    )


def _filled(data: Any, widths: Widths, value: Scalar) -> Any:
    """``data`` with ``value`` around it."""
    data = data[_cut(widths)]
    added = [(max(before, 0), max(after, 0)) for before, after in widths]
    shape = [n + before + after for n, (before, after) in zip(data.shape, added, strict=True)]
    out = np.full_like(data, value, order="C", shape=shape)
    out[tuple(slice(b, b + n) for n, (b, _) in zip(data.shape, added, strict=True))] = data
    return out


class ConstantPadNdBackward0(Node):
    """The gradient is the part that was not padding: a padding by the negative widths."""

    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (_filled(g, _negative(self.saved[0]), 0),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        return (_constant(g, _negative(self.saved[0]), 0),)


def _negative(widths: Widths) -> Widths:
    return tuple((-before, -after) for before, after in widths)


def _constant(x: Tensor, widths: Widths, value: Scalar) -> Tensor:
    out = _filled(x._data, widths, value)
    if x._requires_grad and grad_mode.enabled:
        return make(out, ConstantPadNdBackward0((edge_of(x),), (widths,)))
    return make(out)


def _widths(pad: Sequence[int], shape: tuple[int, ...]) -> Widths:
    """PyTorch's ``pad`` (last axis first) as widths of every axis.

    Raises:
        RuntimeError: an odd count, more than there are axes, or nothing would remain.
    """
    ndim = len(shape)
    if len(pad) % 2:
        raise RuntimeError(f"pad: Padding length must be divisible by 2, got {tuple(pad)}")
    pairs = [(int(pad[i]), int(pad[i + 1])) for i in range(0, len(pad), 2)]
    if len(pairs) > ndim:
        raise RuntimeError(
            f"pad: Padding length should be at most twice the input's {ndim} dims, got {len(pad)} numbers"
        )
    widths = ((0, 0),) * (ndim - len(pairs)) + tuple(reversed(pairs))
    for n, (before, after) in zip(shape, widths, strict=True):
        if n + before + after < 0 or -before > n or -after > n:
            raise RuntimeError(
                f"pad: input of shape {tuple(shape)} with padding {tuple(pad)} results in a negative output size"
            )
    return widths


def constant_pad(x: Tensor, pad: Sequence[int], value: Scalar = 0) -> Tensor:
    """``x`` with ``value`` around it; ``pad`` is (last axis before, after, the axis before that, ...)."""
    return _constant(x, _widths(pad, x._data.shape), value)


# -- padding with the input's own values: a gather along each axis -------------------------------------


def _sources(mode: str, n: int, before: int, after: int) -> Any:
    """Which position of an axis of ``n`` each position of the padded axis reads."""
    if mode == "circular":  # around what remains where a width is negative
        first, end = max(-before, 0), n - max(-after, 0)
        around = np.arange(-max(before, 0), end - first + max(after, 0))
        return first + around % max(end - first, 1)
    at = np.arange(-before, n + after)
    if mode == "replicate":
        return at.clip(0, n - 1)
    at = np.abs(at)
    return np.where(at >= n, 2 * (n - 1) - at, at)


def _gathered(data: Any, mode: str, widths: Widths) -> Any:
    for axis, (before, after) in enumerate(widths):
        if before or after:
            data = data.take(_sources(mode, data.shape[axis], before, after), axis)
    return data


def _returned(g: Any, mode: str, widths: Widths, shape: tuple[int, ...]) -> Any:
    """The adjoint of ``_gathered``: every value goes back to where it was read, and is added there."""
    for axis in reversed(range(len(widths))):
        before, after = widths[axis]
        if not (before or after):
            continue
        n = shape[axis]
        padded = np.moveaxis(g, axis, 0)
        to = _sources(mode, n, before, after)
        head, tail = max(before, 0), len(to) - max(after, 0)
        out = np.zeros((n, *padded.shape[1:]), g.dtype, like=g)
        out[max(-before, 0) : n - max(-after, 0)] = padded[head:tail]
        for part in (slice(0, head), slice(tail, None)):
            if mode == "replicate":
                out[to[part][:1]] += padded[part].sum(0, keepdims=True)[: len(to[part])]
            else:
                out[to[part]] += padded[part]  # a side reads no position twice
        g = np.moveaxis(out, 0, axis)
    return g


class PadBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (_returned(g, *self.saved),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        mode, widths, shape = self.saved
        out = _returned(g._data, mode, widths, shape)
        if g._requires_grad and grad_mode.enabled:
            return (make(out, PadReturnBackward0((edge_of(g),), (mode, widths))),)
        return (make(out),)


class PadReturnBackward0(Node):
    """The gradient of padding is linear; its own gradient is the padding."""

    __slots__ = ()

    def backward(self, gg: Any) -> tuple[Any, ...]:
        return (_gathered(gg, *self.saved),)

    def backward_graph(self, gg: Tensor) -> tuple[Any, ...]:
        return (_own_values(gg, *self.saved),)


def _own_values(x: Tensor, mode: str, widths: Widths) -> Tensor:
    out = _gathered(x._data, mode, widths)
    if x._requires_grad and grad_mode.enabled:
        return make(out, PadBackward0((edge_of(x),), (mode, widths, x._data.shape)))
    return make(out)


def _check_own_values(x: Tensor, pad: Sequence[int], mode: str, widths: Widths) -> None:
    ndim = x._data.ndim
    pairs = len(pad) // 2
    if pairs not in (1, 2, 3) or ndim - pairs not in (1, 2):
        raise NotImplementedError(
            f"pad: mode {mode!r} pads the last 1, 2 or 3 dims of (N, C, ...) or (C, ...), got input of shape "
            f"{tuple(x.shape)} and pad {tuple(pad)}"
        )
    for n, (before, after) in zip(x._data.shape[-pairs:], widths[-pairs:], strict=True):
        most = max(before, after)
        if mode == "reflect" and most >= n:
            raise RuntimeError(
                f"pad: Padding size should be less than the corresponding input dimension, got padding "
                f"({before}, {after}) for a dim of size {n} of input {tuple(x.shape)}"
            )
        if mode == "circular" and most > n + min(before, 0) + min(after, 0):
            raise RuntimeError(
                "pad: Padding value causes wrapping around more than once, got padding "
                f"({before}, {after}) for a dim of size {n} of input {tuple(x.shape)}"
            )
        if n == 0 and most > 0:
            raise RuntimeError(f"pad: mode {mode!r} needs values, got input {tuple(x.shape)}")


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """``input`` with values around it.

    Args:
        pad: (before, after) of the last axis, then of the one before it, and so on; negative numbers cut.
        mode: "constant" (any axes), or "reflect", "replicate", "circular" (the last 1, 2 or 3 axes of a batch).
        value: of the constant padding; 0 by default.

    Raises:
        RuntimeError: widths that do not fit the input.
        NotImplementedError: a mode that does not exist, or axes that it does not pad.
        ValueError: a ``value`` for another mode than "constant".

    >>> import fastnn
    >>> fastnn.nn.functional.pad(fastnn.tensor([[1., 2., 3.]]), (2, 1), mode="reflect")
    tensor([[3., 2., 1., 2., 3., 2.]])
    """
    widths = _widths(pad, input._data.shape)
    if mode == "constant":
        return _constant(input, widths, 0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(
            f"pad: unrecognised padding mode {mode!r}; use constant, reflect, replicate or circular"
        )
    if value is not None and value != 0:
        raise ValueError(f'pad: Padding mode "{mode}" doesn\'t take in value argument')
    _check_own_values(input, pad, mode, widths)
    return _own_values(input, mode, widths)
