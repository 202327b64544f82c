"""How tensors print: as PyTorch does, four digits, in columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .tensor import Tensor

_THRESHOLD = 1000  # more elements than this are summarised
_EDGE = 3


def _formatter(data: Any) -> Any:
    """A function that formats one element, with all elements in one width."""
    if data.dtype.kind in "iu":
        width = max((len(str(v)) for v in data.ravel().tolist()), default=0)
        return lambda v: str(int(v)).rjust(width)
    if data.dtype.kind == "b":
        width = 5 if data.size and not data.all() else 4
        return lambda v: str(bool(v)).rjust(width)
    values = data.astype(np.float64).ravel()
    finite = np.abs(values[np.isfinite(values) & (values != 0)])
    if finite.size == 0 or bool(np.all(finite == np.trunc(finite))):
        scientific = finite.size > 0 and bool(
            finite.max() / finite.min() > 1000 or finite.max() > 1e8
        )
        pattern = "{:.4e}" if scientific else "{:.0f}."
    else:
        scientific = bool(
            finite.max() / finite.min() > 1000 or finite.max() > 1e8 or finite.min() < 1e-4
        )
        pattern = "{:.4e}" if scientific else "{:.4f}"

    def one(v: float) -> str:
        return pattern.format(v) if np.isfinite(v) else str(float(v))

    width = max((len(one(v)) for v in values.tolist()), default=0)
    return lambda v: one(float(v)).rjust(width)


def _summary(data: Any) -> Any:
    """Only the elements that are printed, of a large array."""
    if data.size <= _THRESHOLD:
        return data
    for axis, n in enumerate(data.shape):
        if n > 2 * _EDGE:
            data = data.take([*range(_EDGE), *range(n - _EDGE, n)], axis)
    return data


def _lines(data: Any, one: Callable[[Any], str], indent: int, cut: bool) -> str:
    if data.ndim == 0:
        return str(one(data.item() if data.dtype.kind != "V" else float(data)))
    n = data.shape[0]
    shown = range(n)
    dots = cut and n > 2 * _EDGE
    if data.ndim == 1:
        parts = (
            [one(v) for v in data]
            if not dots
            else [
                *(one(v) for v in data[:_EDGE]),
                " ...",
                *(one(v) for v in data[-_EDGE:]),
            ]
        )
        per_line = max(1, (80 - indent) // (max(len(p) for p in parts) + 2)) if parts else 1
        rows = [", ".join(parts[i : i + per_line]) for i in range(0, len(parts), per_line)]
        inner: str = (",\n" + " " * (indent + 1)).join(rows)
        return f"[{inner}]"
    if dots:
        shown = [*range(_EDGE), -1, *range(n - _EDGE, n)]  # type: ignore[assignment]
    parts = ["..." if i == -1 else _lines(data[i], one, indent + 1, cut) for i in shown]
    gap = "," + "\n" * (data.ndim - 1) + " " * (indent + 1)
    inner = gap.join(parts)
    return f"[{inner}]"


def tensor_str(x: Tensor, name: str = "tensor") -> str:
    """The text of ``x``, such as ``tensor([1., 2.], requires_grad=True)``."""
    from ._dtype import bool_, get_default_dtype, int64

    data = x._data
    body = (
        "[]"
        if data.size == 0
        else _lines(data, _formatter(_summary(data)), len(name) + 1, data.size > _THRESHOLD)
    )
    notes = []
    if data.size == 0 and data.shape != (0,):
        notes.append(f"size={tuple(data.shape)}")
    if x.dtype not in (get_default_dtype(), int64, bool_) or (data.size == 0 and x.dtype is int64):
        notes.append(f"dtype={x.dtype!r}")
    if x._node is not None:
        notes.append(f"grad_fn=<{x._node.name()}>")
    elif x._requires_grad:
        notes.append("requires_grad=True")
    return f"{name}({', '.join([body, *notes])})"
