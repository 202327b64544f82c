"""Questions about tensors as functions, and PyTorch's names that real tensors answer trivially."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _dtype
from .._core import make
from . import creation, shape

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "adjoint",
    "angle",
    "bartlett_window",
    "blackman_window",
    "conj",
    "conj_physical",
    "detach",
    "frombuffer",
    "get_device",
    "hamming_window",
    "hann_window",
    "is_conj",
    "is_inference",
    "is_neg",
    "is_same_size",
    "is_signed",
    "kaiser_window",
    "range",
    "real",
    "resolve_conj",
    "resolve_neg",
    "typename",
    "unsafe_chunk",
    "unsafe_split",
    "vander",
]


def adjoint(input: Tensor) -> Tensor:
    """The last two dims exchanged."""
    return input.adjoint()


def angle(input: Tensor) -> Tensor:
    """pi where negative, else 0; its gradient is 0."""
    return input.angle()


def conj(input: Tensor) -> Tensor:
    """The tensor itself: real numbers are their own conjugates."""
    return input


def conj_physical(input: Tensor) -> Tensor:
    """The tensor itself: real numbers are their own conjugates."""
    return input


def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself: nothing is left to conjugate."""
    return input


def resolve_neg(input: Tensor) -> Tensor:
    """The tensor itself: nothing is left to negate."""
    return input


def real(input: Tensor) -> Tensor:
    """The tensor itself: it holds real numbers."""
    return input


def detach(input: Tensor) -> Tensor:
    """The same memory, outside the graph."""
    return input.detach()


def get_device(input: Tensor) -> int:
    """-1: the number that stands for the CPU."""
    return -1


def is_conj(input: Tensor) -> bool:
    """False: tensors hold real numbers."""
    return False


def is_neg(input: Tensor) -> bool:
    """False: negation is always carried out."""
    return False


def is_inference(input: Tensor) -> bool:
    """False: tensors made under ``inference_mode`` are like those made under ``no_grad``."""
    return False


def is_signed(input: Tensor) -> bool:
    """True for dtypes with negative numbers."""
    return input.is_signed()


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """True where both have the same shape."""
    return input.is_same_size(other)


def typename(obj: Any) -> str:
    """The name of a tensor's type, or of an object's class with its module."""
    from .._core import TensorBase

    if isinstance(obj, TensorBase):
        return str(obj.type())  # type: ignore[attr-defined]
    return f"{type(obj).__module__}.{type(obj).__qualname__}"


def unsafe_chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """``chunk``."""
    return shape.chunk(input, chunks, dim)


def unsafe_split(input: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """``split``."""
    return shape.split(input, split_size, dim)


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A 1-d tensor over the memory of an object with Python's buffer protocol.

    Raises:
        ValueError: count and offset do not fit the buffer.
    """
    out = make(np.frombuffer(buffer, _dtype.as_numpy_dtype(dtype), count, offset))
    return out.requires_grad_() if requires_grad else out


def range(start: Any = 0, end: Any = None, step: Any = 1, *, dtype: Any = None) -> Tensor:
    """``arange`` with ``end`` included, in the default dtype; ``arange`` is the better choice."""
    if end is None:
        start, end = 0, start
    count = int((end - start) / step) + 1
    d = _dtype.get_default_dtype() if dtype is None else dtype
    return creation.tensor(start + step * np.arange(count)).to(d)


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """Powers of the elements of a vector in columns, from the highest; ``increasing``: from 0."""
    n = x._data.shape[0] if N is None else N
    exponents = np.arange(n)
    powers: Tensor = x.unsqueeze(-1) ** make(exponents if increasing else exponents[::-1].copy())
    return powers


def _window(
    name: str, window_length: int, periodic: bool, options: dict[str, Any], **parameters: Any
) -> Tensor:
    from ..signal import windows

    found: Tensor = getattr(windows, name)(window_length, sym=not periodic, **parameters, **options)
    return found


def hann_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """``signal.windows.hann``, periodic by default."""
    return _window("hann", window_length, periodic, options)


def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    **options: Any,
) -> Tensor:
    """alpha - beta cos(2 pi n / N), periodic by default."""
    from ..signal import windows

    return windows.general_cosine(window_length, a=[alpha, beta], sym=not periodic, **options)


def blackman_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """``signal.windows.blackman``, periodic by default."""
    return _window("blackman", window_length, periodic, options)


def bartlett_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """``signal.windows.bartlett``, periodic by default."""
    return _window("bartlett", window_length, periodic, options)


def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, **options: Any
) -> Tensor:
    """``signal.windows.kaiser``, periodic by default."""
    return _window("kaiser", window_length, periodic, options, beta=beta)
