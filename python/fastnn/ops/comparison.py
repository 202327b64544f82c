"""Comparisons and logic: bool tensors, and whole-tensor tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from ..autograd.output import accepts_out
from .promotion import broadcast_error, promote

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "allclose",
    "bitwise_left_shift",
    "bitwise_right_shift",
    "greater",
    "greater_equal",
    "isclose",
    "isin",
    "isneginf",
    "isposinf",
    "isreal",
    "less",
    "less_equal",
    "logical_xor",
    "not_equal",
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
    """True for what ``==`` compares with a tensor: tensors, arrays and numbers."""
    return isinstance(value, (Tensor, int, float, np.number, np.bool_, np.ndarray))


def _compare(name: str, a: Any, b: Any) -> Tensor:
    a, b = promote(a, b)
    try:
        return make(getattr(np, name)(a._data, b._data))
    except ValueError:
        raise broadcast_error(name, a._data, b._data) from None


@accepts_out
def eq(input: Tensor, other: Any, *, out: Tensor | None = None) -> Tensor:
    """a == b, element by element."""
    return _compare("equal", input, other)


@accepts_out
def ne(input: Tensor, other: Any, *, out: Tensor | None = None) -> Tensor:
    """a != b, element by element."""
    return _compare("not_equal", input, other)


@accepts_out
def lt(input: Tensor, other: Any, *, out: Tensor | None = None) -> Tensor:
    """a < b, element by element."""
    return _compare("less", input, other)


@accepts_out
def le(input: Tensor, other: Any, *, out: Tensor | None = None) -> Tensor:
    """a <= b, element by element."""
    return _compare("less_equal", input, other)


@accepts_out
def gt(input: Tensor, other: Any, *, out: Tensor | None = None) -> Tensor:
    """a > b, element by element."""
    return _compare("greater", input, other)


@accepts_out
def ge(input: Tensor, other: Any, *, out: Tensor | None = None) -> Tensor:
    """a >= b, element by element."""
    return _compare("greater_equal", input, other)


def _bitwise(name: str, a: Any, b: Any) -> Tensor:
    a, b = promote(a, b)
    if a._data.dtype.kind not in "iub":
        raise RuntimeError(f"{name}: expects integer or bool tensors, got {a.dtype}")
    return _compare(name, a, b)


@accepts_out
def bitwise_and(input: Tensor, other: Any, *, out: Tensor | None = None) -> Tensor:
    """a & b, bit by bit."""
    return _bitwise("bitwise_and", input, other)


@accepts_out
def bitwise_or(input: Tensor, other: Any, *, out: Tensor | None = None) -> Tensor:
    """a | b, bit by bit."""
    return _bitwise("bitwise_or", input, other)


@accepts_out
def bitwise_xor(input: Tensor, other: Any, *, out: Tensor | None = None) -> Tensor:
    """a ^ b, bit by bit."""
    return _bitwise("bitwise_xor", input, other)


@accepts_out
def bitwise_not(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """~x, bit by bit.

    Raises:
        TypeError: a floating tensor.
    """
    if input._data.dtype.kind not in "iub":
        raise TypeError(
            f"~ (bitwise_not) is only implemented on integer and bool tensors, got {input.dtype}"
        )
    return make(np.invert(input._data))


@accepts_out
def logical_not(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """True where x is 0."""
    return make(np.logical_not(input._data))


@accepts_out
def logical_and(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """True where both are nonzero."""
    return make(np.logical_and(input._data, other._data))


@accepts_out
def logical_or(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """True where either is nonzero."""
    return make(np.logical_or(input._data, other._data))


@accepts_out
def logical_xor(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """True where just one is nonzero."""
    return make(np.logical_xor(input._data, other._data))


@accepts_out
def bitwise_left_shift(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """a << b, of integers."""
    return _bitwise("left_shift", input, other)


@accepts_out
def bitwise_right_shift(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """a >> b, of integers."""
    return _bitwise("right_shift", input, other)


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


@accepts_out
def isposinf(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """True where x is +inf."""
    return make(_wide(input) == np.inf)


@accepts_out
def isneginf(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """True where x is -inf."""
    return make(_wide(input) == -np.inf)


def isreal(input: Tensor) -> Tensor:
    """True everywhere: tensors hold no complex numbers."""
    return make(np.ones_like(input._data, np.bool_))


def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """True where \\|a - b\\| <= atol + rtol * \\|b\\|.

    Raises:
        RuntimeError: different dtypes, or a negative tolerance.
    """
    if input._data.dtype != other._data.dtype:
        raise RuntimeError(f"isclose: dtypes differ, {input.dtype} and {other.dtype}")
    if rtol < 0 or atol < 0:
        raise RuntimeError(f"isclose: rtol and atol must not be negative, got {rtol} and {atol}")
    with np.errstate(invalid="ignore"):
        return make(np.isclose(_wide(input), _wide(other), rtol, atol, equal_nan))


def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False
) -> Tensor:
    """True where an element of ``elements`` is among ``test_elements`` (tensors or a number)."""
    a, b = (x._data if isinstance(x, Tensor) else np.asarray(x) for x in (elements, test_elements))
    return make(np.isin(a, b, assume_unique=assume_unique, invert=invert))


def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """True where all \\|a - b\\| <= atol + rtol * \\|b\\|."""
    return bool(np.allclose(_wide(input), _wide(other), rtol, atol, equal_nan))


def equal(input: Tensor, other: Tensor) -> bool:
    """True where both have the same shape and elements."""
    return bool(np.array_equal(input._data, other._data))


greater = gt
greater_equal = ge
less = lt
less_equal = le
not_equal = ne
