"""Questions about tensors, and PyTorch's names that real tensors on the CPU answer trivially."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import TensorBase, make
from . import shape

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "adjoint",
    "angle",
    "conj",
    "conj_physical",
    "detach",
    "get_device",
    "is_conj",
    "is_inference",
    "is_neg",
    "is_same_size",
    "is_signed",
    "real",
    "resolve_conj",
    "resolve_neg",
    "typename",
]


def adjoint(input: Tensor) -> Tensor:
    """The last two dims exchanged: the conjugate transpose of a real tensor.

    Raises:
        RuntimeError: less than two dims.
    """
    if input._data.ndim < 2:
        raise RuntimeError(f"adjoint: expects at least 2 dims, got shape {tuple(input.shape)}")
    return shape.transpose(input, -2, -1)


def angle(input: Tensor) -> Tensor:
    """pi where negative, else 0: the angle of a real number in the complex plane; its gradient is 0."""
    x = input if input._data.dtype.kind == "f" else input.float()
    return (x * 0).masked_fill(make(x._data < 0), np.pi)


def conj(input: Tensor) -> Tensor:
    """The tensor itself: real numbers are their own conjugates."""
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
    """The number of the GPU, or -1: the CPU."""
    at = input.device.index
    return -1 if at is None else at


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
    return input._data.dtype.kind not in "ub"


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """True where both have the same shape."""
    return bool(input._data.shape == other._data.shape)


def typename(obj: Any) -> str:
    """The name of a tensor's type, or of an object's class with its module."""
    if isinstance(obj, TensorBase):
        return f"fastnn.{obj.dtype.name}"
    return f"{type(obj).__module__}.{type(obj).__qualname__}"


conj_physical = resolve_conj = conj
