"""Padding layers."""

from __future__ import annotations

from typing import Any

from ..ops.conv import numbers
from ..ops.padding import pad
from ..tensor import Tensor
from .module import Module


class _Pad(Module):
    """Padding of the last ``_axes`` axes: one int, or (before, after) of the last axis, then of the one before it."""

    _axes: int
    _mode: str
    padding: tuple[int, ...]

    def __init__(self, padding: Any) -> None:
        super().__init__()
        name = type(self).__name__
        count = 2 * self._axes
        if not isinstance(padding, int) and len(tuple(padding)) != count:
            raise ValueError(f"{name}: padding must be an int or {count} ints, got {padding!r}")
        self.padding = numbers(padding, count, "padding", name, minimum=-(2**62))

    def forward(self, input: Tensor) -> Tensor:
        """The padded input."""
        return pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    _mode = "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """The padded input."""
        return pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """``value`` around the last axis; ``padding`` is an int or (left, right)."""

    _axes = 1


class ConstantPad2d(_ConstantPad):
    """``value`` around images; ``padding`` is an int or (left, right, top, bottom).

    >>> import fastnn
    >>> fastnn.nn.ConstantPad2d((1, 0, 0, 0), 7.)(fastnn.zeros(1, 1, 2))
    tensor([[[7., 0., 0.]]])
    """

    _axes = 2


class ConstantPad3d(_ConstantPad):
    """``value`` around volumes; ``padding`` is an int or (left, right, top, bottom, front, back)."""

    _axes = 3


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"{self.padding}"


class ZeroPad1d(_ZeroPad):
    """Zeros around the last axis; ``padding`` is an int or (left, right)."""

    _axes = 1


class ZeroPad2d(_ZeroPad):
    """Zeros around images; ``padding`` is an int or (left, right, top, bottom)."""

    _axes = 2


class ZeroPad3d(_ZeroPad):
    """Zeros around volumes; ``padding`` is an int or (left, right, top, bottom, front, back)."""

    _axes = 3


class ReflectionPad1d(_Pad):
    """The input mirrored at its ends, which are not repeated; ``padding`` is an int or (left, right)."""

    _axes, _mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Images mirrored at their borders; ``padding`` is an int or (left, right, top, bottom)."""

    _axes, _mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """Volumes mirrored at their borders; ``padding`` is an int or (left, right, top, bottom, front, back)."""

    _axes, _mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """The end values repeated; ``padding`` is an int or (left, right)."""

    _axes, _mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """The border values of images repeated; ``padding`` is an int or (left, right, top, bottom)."""

    _axes, _mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """The border values of volumes repeated; ``padding`` is an int or (left, right, top, bottom, front, back)."""

    _axes, _mode = 3, "replicate"


class CircularPad1d(_Pad):
    """The input continued from its other end; ``padding`` is an int or (left, right)."""

    _axes, _mode = 1, "circular"


class CircularPad2d(_Pad):
    """Images continued from their other side; ``padding`` is an int or (left, right, top, bottom)."""

    _axes, _mode = 2, "circular"


class CircularPad3d(_Pad):
    """Volumes continued from their other side; ``padding`` is an int or (left, right, top, bottom, front, back)."""

    _axes, _mode = 3, "circular"
