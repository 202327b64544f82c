"""What the transforms share: they are modules, and find the image among several inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastnn import nn

from ._images import is_image

__all__ = ["Transform"]


class Transform(nn.Module):
    """Base of the transforms: a module whose ``forward`` takes one image.

    Called with several inputs, or with a tuple, list or dict of them, it transforms the image among them and
    returns the others as they are.

    Raises:
        NotImplementedError: There are several images: their transforms would have to agree.

    >>> import numpy as np
    >>> from fastnn.vision.transforms import RandomHorizontalFlip
    >>> RandomHorizontalFlip(p=1.0)(np.array([[1, 2]]), 7)
    (array([[2, 1]]), 7)
    """

    def __call__(self, *inputs: Any) -> Any:
        if len(inputs) == 1 and not isinstance(inputs[0], (tuple, list, dict)):
            return super().__call__(inputs[0])
        sample = inputs[0] if len(inputs) == 1 else inputs
        return on_image(super().__call__, sample, type(self).__name__)


def on_image(function: Callable[[Any], Any], sample: Any, name: str) -> Any:
    """The nested sample with its one image transformed."""
    found = _count(sample)
    if found != 1:
        raise NotImplementedError(
            f"{name}: expected one image among the inputs, found {found}; transform the images one by one "
            "with the functions of fastnn.vision.transforms.functional, which take their parameters as arguments"
        )
    return _apply(function, sample)


def _count(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(_count, value.values()))
    if isinstance(value, (tuple, list)):
        return sum(map(_count, value))
    return int(_is_picture(value))


def _is_picture(value: Any) -> bool:
    """An image, and no label: a tensor or array of fewer than 2 dimensions passes through."""
    return is_image(value) and getattr(value, "ndim", 2) >= 2


def _apply(function: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _apply(function, item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_apply(function, item) for item in value))
    if isinstance(value, (tuple, list)):
        return type(value)(_apply(function, item) for item in value)
    return function(value) if _is_picture(value) else value


def check_probability(p: float) -> float:
    """``p``, if it is a probability."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(
            f"`p` should be a floating point value in the interval [0.0, 1.0], got {p}"
        )
    return p


def interval(
    name: str, value: float | Sequence[float], center: float | None = None, bounds: Any = None
) -> tuple[float, float]:
    """(low, high) of one number (about ``center``, not below 0 if that is not 0) or of two."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(f"If {name} is a single number, it must be non negative, got {value}")
        middle = 0.0 if center is None else center
        low, high = middle - value, middle + value
        if center:
            low = max(low, 0.0)
    elif len(value) == 2:
        low, high = float(value[0]), float(value[1])
    else:
        raise ValueError(f"{name} should be a single number or a sequence of length 2, got {value}")
    if low > high or (bounds is not None and not bounds[0] <= low <= high <= bounds[1]):
        raise ValueError(f"{name} values should be between {bounds}, but got {[low, high]}")
    return float(low), float(high)
