"""Comparisons and logic: bool tensors, and whole-tensor tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from .promotion import broadcast_error, promote

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "allclose",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "eq",
    "equal",
    "ge",
    "gt",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "logical_and",
    "logical_not",
    "logical_or",
    "lt",
    "ne",
]


def comparable(value: object) -> bool:
    """True for what ``==`` compares with a tensor: tensors and numbers."""
    return isinstance(value, (Tensor, int, float, np.number, np.bool_))


def _compare(name: str, a: Any, b: Any) -> Tensor:
    a, b = promote(a, b)
    try:
        return make(getattr(np, name)(a._data, b._data))
    except ValueError:
        raise broadcast_error(name, a._data, b._data) from None


def eq(input: Tensor, other: Any) -> Tensor:
    """a == b, element by element."""
    return _compare("equal", input, other)


def ne(input: Tensor, other: Any) -> Tensor:
    """a != b, element by element."""
    return _compare("not_equal", input, other)


def lt(input: Tensor, other: Any) -> Tensor:
    """a < b, element by element."""
    return _compare("less", input, other)


def le(input: Tensor, other: Any) -> Tensor:
    """a <= b, element by element."""
    return _compare("less_equal", input, other)


def gt(input: Tensor, other: Any) -> Tensor:
    """a > b, element by element."""
    return _compare("greater", input, other)


def ge(input: Tensor, other: Any) -> Tensor:
    """a >= b, element by element."""
    return _compare("greater_equal", input, other)


def _bitwise(name: str, a: Any, b: Any) -> Tensor:
    a, b = promote(a, b)
    if a._data.dtype.kind not in "iub":
        raise RuntimeError(f"{name}: expects integer or bool tensors, got {a.dtype}")
    return _compare(name, a, b)


def bitwise_and(input: Tensor, other: Any) -> Tensor:
    """a & b, bit by bit."""
    return _bitwise("bitwise_and", input, other)


def bitwise_or(input: Tensor, other: Any) -> Tensor:
    """a | b, bit by bit."""
    return _bitwise("bitwise_or", input, other)


def bitwise_xor(input: Tensor, other: Any) -> Tensor:
    """a ^ b, bit by bit."""
    return _bitwise("bitwise_xor", input, other)


def bitwise_not(input: Tensor) -> Tensor:
    """~x, bit by bit.

    Raises:
        TypeError: a floating tensor.
    """
    if input._data.dtype.kind not in "iub":
        raise TypeError(
            f"~ (bitwise_not) is only implemented on integer and bool tensors, got {input.dtype}"
        )
    return make(np.invert(input._data))


def logical_not(input: Tensor) -> Tensor:
    """True where x is 0."""
    return make(np.logical_not(input._data))


def logical_and(input: Tensor, other: Tensor) -> Tensor:
    """True where both are nonzero."""
    return make(np.logical_and(input._data, other._data))


def logical_or(input: Tensor, other: Tensor) -> Tensor:
    """True where either is nonzero."""
    return make(np.logical_or(input._data, other._data))


def _wide(x: Tensor) -> Any:
    """The array, with bfloat16 (which NumPy's functions do not all know) as float32."""
    return x._data.astype(np.float32) if x._data.dtype.kind == "V" else x._data


def isnan(input: Tensor) -> Tensor:
    """True where x is NaN."""
    return make(np.isnan(_wide(input)))


def isinf(input: Tensor) -> Tensor:
    """True where x is infinite."""
    return make(np.isinf(_wide(input)))


def isfinite(input: Tensor) -> Tensor:
    """True where x is neither infinite nor NaN."""
    return make(np.isfinite(_wide(input)))


def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """True where all \\|a - b\\| <= atol + rtol * \\|b\\|."""
    return bool(np.allclose(_wide(input), _wide(other), rtol, atol, equal_nan))


def equal(input: Tensor, other: Tensor) -> bool:
    """True where both have the same shape and elements."""
    return bool(np.array_equal(input._data, other._data))
