"""Comparisons and logic: bool tensors, and whole-tensor tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from .elementwise import broadcast_error, promote

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor


def comparable(value: object) -> bool:
    """True for what ``==`` compares with a tensor: tensors and numbers."""
    return isinstance(value, (Tensor, int, float, np.number, np.bool_))


def _compare(name: str, a: Any, b: Any) -> Tensor:
    a, b = promote(a, b)
    try:
        return make(getattr(np, name)(a._data, b._data))
    except ValueError:
        raise broadcast_error(name, a._data, b._data) from None


def eq(a: Tensor, b: Any) -> Tensor:
    """a == b, element by element."""
    return _compare("equal", a, b)


def ne(a: Tensor, b: Any) -> Tensor:
    """a != b, element by element."""
    return _compare("not_equal", a, b)


def lt(a: Tensor, b: Any) -> Tensor:
    """a < b, element by element."""
    return _compare("less", a, b)


def le(a: Tensor, b: Any) -> Tensor:
    """a <= b, element by element."""
    return _compare("less_equal", a, b)


def gt(a: Tensor, b: Any) -> Tensor:
    """a > b, element by element."""
    return _compare("greater", a, b)


def ge(a: Tensor, b: Any) -> Tensor:
    """a >= b, element by element."""
    return _compare("greater_equal", a, b)


def _bitwise(name: str, a: Any, b: Any) -> Tensor:
    a, b = promote(a, b)
    if a._data.dtype.kind not in "iub":
        raise RuntimeError(f"{name}: expects integer or bool tensors, got {a.dtype}")
    return _compare(name, a, b)


def bitwise_and(a: Tensor, b: Any) -> Tensor:
    """a & b, bit by bit."""
    return _bitwise("bitwise_and", a, b)


def bitwise_or(a: Tensor, b: Any) -> Tensor:
    """a | b, bit by bit."""
    return _bitwise("bitwise_or", a, b)


def bitwise_xor(a: Tensor, b: Any) -> Tensor:
    """a ^ b, bit by bit."""
    return _bitwise("bitwise_xor", a, b)


def bitwise_not(x: Tensor) -> Tensor:
    """~x, bit by bit.

    Raises:
        TypeError: a floating tensor.
    """
    if x._data.dtype.kind not in "iub":
        raise TypeError(
            f"~ (bitwise_not) is only implemented on integer and bool tensors, got {x.dtype}"
        )
    return make(np.invert(x._data))


def logical_not(x: Tensor) -> Tensor:
    """True where x is 0."""
    return make(np.logical_not(x._data))


def logical_and(a: Tensor, b: Tensor) -> Tensor:
    """True where both are nonzero."""
    return make(np.logical_and(a._data, b._data))


def logical_or(a: Tensor, b: Tensor) -> Tensor:
    """True where either is nonzero."""
    return make(np.logical_or(a._data, b._data))


def _wide(x: Tensor) -> Any:
    """The array, with bfloat16 (which NumPy's functions do not all know) as float32."""
    return x._data.astype(np.float32) if x._data.dtype.kind == "V" else x._data


def isnan(x: Tensor) -> Tensor:
    """True where x is NaN."""
    return make(np.isnan(_wide(x)))


def isinf(x: Tensor) -> Tensor:
    """True where x is infinite."""
    return make(np.isinf(_wide(x)))


def isfinite(x: Tensor) -> Tensor:
    """True where x is neither infinite nor NaN."""
    return make(np.isfinite(_wide(x)))


def allclose(
    a: Tensor, b: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """True where all \\|a - b\\| <= atol + rtol * \\|b\\|."""
    return bool(np.allclose(_wide(a), _wide(b), rtol, atol, equal_nan))


def equal(a: Tensor, b: Tensor) -> bool:
    """True where both have the same shape and elements."""
    return bool(np.array_equal(a._data, b._data))
