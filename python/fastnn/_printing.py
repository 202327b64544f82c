"""How tensors print: as PyTorch does, four digits, in columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _device

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = ["set_printoptions"]


class _Options:
    precision = 4
    threshold: float = 1000  # more elements than this are summarised
    edgeitems = 3
    linewidth = 80
    sci_mode: bool | None = None


_options = _Options()
_PROFILES: dict[str, tuple[int, float, int, int]] = {
    "default": (4, 1000, 3, 80),
    "short": (2, 1000, 2, 80),
    "full": (4, float("inf"), 3, 80),
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors print; what is not given stays, but ``sci_mode``, which returns to None.

    Args:
        precision: digits after the point.
        threshold: tensors of more elements are summarised.
        edgeitems: elements printed at each end of a summarised dim.
        linewidth: characters in a line.
        profile: "default", "short" or "full", which the other arguments adjust.
        sci_mode: scientific notation, always or never; None decides by the values.

    Raises:
        ValueError: another profile.

    >>> import fastnn
    >>> fastnn.set_printoptions(precision=2)
    >>> fastnn.tensor([0.12345])
    tensor([0.12])
    >>> fastnn.set_printoptions(profile="default")
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(
                f"set_printoptions: profile must be one of {', '.join(_PROFILES)}, got {profile!r}"
            )
        (
            _options.precision,
            _options.threshold,
            _options.edgeitems,
            _options.linewidth,
        ) = _PROFILES[profile]
    if precision is not None:
        _options.precision = precision
    if threshold is not None:
        _options.threshold = threshold
    if edgeitems is not None:
        _options.edgeitems = edgeitems
    if linewidth is not None:
        _options.linewidth = linewidth
    _options.sci_mode = sci_mode


def _formatter(data: Any) -> tuple[Callable[[Any], str], int]:
    """A function that formats one element, and the width that all elements of ``data`` take."""
    if data.dtype.kind in "iub":
        width = max((len(str(v)) for v in data.ravel().tolist()), default=1)
        return lambda v: str(v.item()).rjust(width), width
    values = data.astype(np.float64).ravel()
    values = values[np.isfinite(values) & (values != 0)]  # the others do not count for the width
    magnitude = np.abs(values)
    whole = bool(np.all(values == np.ceil(values)))
    scientific = False
    if values.size:
        low, high = float(magnitude.min()), float(magnitude.max())
        scientific = high / low > 1000 or high > 1e8 or (not whole and low < 1e-4)
        if _options.sci_mode is not None:
            scientific = _options.sci_mode
    if scientific:
        pattern = f"{{:.{_options.precision}e}}"
    elif whole:
        pattern = "{:.0f}."
    else:
        pattern = f"{{:.{_options.precision}f}}"
    width = max((len(pattern.format(v)) for v in values.tolist()), default=1)

    def one(v: Any) -> str:
        number = float(v)
        text = pattern.format(number) if np.isfinite(number) else str(number)
        return text.rjust(width)

    return one, width


def _summary(data: Any, cut: bool) -> Any:
    """Only the elements that are printed, of a large array."""
    if cut:
        edge = _options.edgeitems
        for axis, n in enumerate(data.shape):
            if n > 2 * edge:
                data = data.take([*range(edge), *range(n - edge, n)], axis)
    return data


def _vector(data: Any, one: Callable[[Any], str], width: int, indent: int, cut: bool) -> str:
    edge = _options.edgeitems
    if cut and not edge:
        parts = ["..."]
    elif cut and len(data) > 2 * edge:
        parts = [*(one(v) for v in data[:edge]), " ...", *(one(v) for v in data[-edge:])]
    else:
        parts = [one(v) for v in data]
    per_line = max(1, (_options.linewidth - indent) // (width + 2))
    rows = [", ".join(parts[i : i + per_line]) for i in range(0, len(parts), per_line)]
    gap = ",\n" + " " * (indent + 1)
    return f"[{gap.join(rows)}]"


def _lines(data: Any, one: Callable[[Any], str], width: int, indent: int, cut: bool) -> str:
    if data.ndim == 0:
        return one(data[()])
    if data.ndim == 1:
        return _vector(data, one, width, indent, cut)
    n, edge = data.shape[0], _options.edgeitems

    def rows(indices: range) -> list[str]:
        return [_lines(data[i], one, width, indent + 1, cut) for i in indices]

    if cut and n > 2 * edge:
        parts = [*rows(range(edge)), "...", *rows(range(n - edge, n))]
    else:
        parts = rows(range(n))
    gap = "," + "\n" * (data.ndim - 1) + " " * (indent + 1)
    return f"[{gap.join(parts)}]"


def _with_notes(body: str, notes: list[str], indent: int) -> str:
    """``body`` and the notes, in the same line while they fit."""
    used = len(body) - body.rfind("\n") + 1
    for note in notes:
        if used + len(note) + 2 > _options.linewidth:
            body += ",\n" + " " * indent + note
            used = indent + len(note)
        else:
            body += ", " + note
            used += len(note) + 2
    return body + ")"


def tensor_str(x: Tensor, name: str = "tensor") -> str:
    """The text of ``x``, such as ``tensor([1., 2.], requires_grad=True)``."""
    from ._dtype import bool_, get_default_dtype, int64

    data = _device.place(x._data, _device.CPU)
    indent = len(name) + 1
    notes = []
    if data.size == 0:
        body = "[]"
        if data.ndim != 1:
            notes.append(f"size={tuple(data.shape)}")
        if x.dtype is not get_default_dtype():
            notes.append(f"dtype={x.dtype!r}")
    else:
        cut = data.size > _options.threshold
        body = _lines(data, *_formatter(_summary(data, cut)), indent, cut)
        if x.dtype not in (get_default_dtype(), int64, bool_):
            notes.append(f"dtype={x.dtype!r}")
    if data is not x._data:
        notes.append(f"device='{x.device}'")
    if x._node is not None:
        notes.append(f"grad_fn=<{x._node.name()}>")
    elif x._requires_grad:
        notes.append("requires_grad=True")
    return _with_notes(f"{name}({body}", notes, indent)
