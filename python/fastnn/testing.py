"""Comparisons for tests: ``assert_close``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import _dtype
from ._core import TensorBase
from ._help import getattr_of

__all__ = ["assert_close"]

# (rtol, atol) where none is given, by the coarser dtype: PyTorch's figures, about 10 ulp for float32
_TOLERANCES = {
    _dtype.float16: (1e-3, 1e-5),
    _dtype.bfloat16: (1.6e-2, 1e-5),
    _dtype.float32: (1.3e-6, 1e-5),
    _dtype.float64: (1e-7, 1e-7),
}


def _fail(message: str, msg: str | Callable[[str], str] | None, where: str) -> AssertionError:
    text = message + (f"\nThe failure is at {where}" if where else "")
    if callable(msg):
        return AssertionError(msg(text))
    return AssertionError(text if msg is None else msg)


def _tolerances(
    a: _dtype.dtype, b: _dtype.dtype, rtol: float | None, atol: float | None
) -> tuple[float, float]:
    if rtol is not None and atol is not None:
        return rtol, atol
    if (rtol is None) != (atol is None):
        raise ValueError("assert_close: give both of rtol and atol, or neither")
    pairs = [_TOLERANCES.get(a, (0.0, 0.0)), _TOLERANCES.get(b, (0.0, 0.0))]
    return max(p[0] for p in pairs), max(p[1] for p in pairs)


def _arrays_close(
    a: Any, b: Any, rtol: float, atol: float, equal_nan: bool
) -> tuple[Any, Any, Any]:
    """Where two arrays are close, the absolute and the relative differences."""
    exact = a.dtype.kind in "iub" and b.dtype.kind in "iub"
    wide: Any = np.int64 if exact else np.float64
    x, y = a.astype(wide), b.astype(wide)
    with np.errstate(all="ignore"):
        difference = np.abs(x - y)
        allowed = atol + rtol * np.abs(y)
        close = (x == y) | ((difference <= allowed) & np.isfinite(y) & np.isfinite(x))
        if equal_nan:
            close |= np.isnan(x) & np.isnan(y)
        relative = difference / np.abs(y)
    return close, difference, relative


def _compare_tensors(actual: Any, expected: Any, where: str, **o: Any) -> None:
    if actual.shape != expected.shape:
        raise _fail(
            f"The values for attribute 'shape' do not match: {actual.shape} != {expected.shape}.",
            o["msg"],
            where,
        )
    if o["check_dtype"] and actual.dtype is not expected.dtype:
        raise _fail(
            f"The values for attribute 'dtype' do not match: {actual.dtype} != {expected.dtype}.",
            o["msg"],
            where,
        )
    if o["check_stride"] and actual.stride() != expected.stride():
        raise _fail(
            f"The values for attribute 'stride()' do not match: {actual.stride()} != {expected.stride()}.",
            o["msg"],
            where,
        )
    rtol, atol = _tolerances(actual.dtype, expected.dtype, o["rtol"], o["atol"])
    close, difference, relative = _arrays_close(
        actual._data, expected._data, rtol, atol, o["equal_nan"]
    )
    if close.all():
        return
    wrong = ~close
    count = int(wrong.sum())
    if actual.dim() == 0:
        raise _fail(
            f"Scalars are not close!\n\nExpected {expected.item()} but got {actual.item()}.\n"
            f"Absolute difference: {float(difference)} (up to {atol} allowed)\n"
            f"Relative difference: {float(relative)} (up to {rtol} allowed)",
            o["msg"],
            where,
        )
    differences = np.where(wrong, np.nan_to_num(difference, nan=math.inf), -1.0)
    relatives = np.where(wrong, np.nan_to_num(relative, nan=math.inf), -1.0)
    at = tuple(int(i) for i in np.unravel_index(int(differences.argmax()), differences.shape))
    at_relative = tuple(int(i) for i in np.unravel_index(int(relatives.argmax()), relatives.shape))
    raise _fail(
        f"Tensor-likes are not close!\n\n"
        f"Mismatched elements: {count} / {wrong.size} ({100 * count / wrong.size:.1f}%)\n"
        f"Greatest absolute difference: {differences.max()} at index {at} (up to {atol} allowed)\n"
        f"Greatest relative difference: {relatives.max()} at index {at_relative} (up to {rtol} allowed)",
        o["msg"],
        where,
    )


def _as_tensor(value: Any) -> Any:
    from .ops.creation import as_tensor

    if isinstance(value, (float, int, bool)):
        # Python's numbers are compared as the widest of their kind
        kind = _dtype.float64 if isinstance(value, float) else None
        return as_tensor(value, dtype=kind)
    return as_tensor(value)


def _compare(actual: Any, expected: Any, where: str, **o: Any) -> None:
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        if set(actual) != set(expected):
            raise _fail(
                f"The keys of the mappings do not match: {list(actual)} != {list(expected)}",
                o["msg"],
                where,
            )
        for key in actual:
            _compare(actual[key], expected[key], f"{where}[{key!r}]", **o)
        return
    text = (str, bytes)
    if (
        isinstance(actual, Sequence)
        and isinstance(expected, Sequence)
        and not isinstance(actual, text)
        and not isinstance(expected, text)
    ):
        if len(actual) != len(expected):
            raise _fail(
                f"The length of the sequences mismatch: {len(actual)} != {len(expected)}",
                o["msg"],
                where,
            )
        for i, (a, e) in enumerate(zip(actual, expected, strict=True)):
            _compare(a, e, f"{where}[{i}]", **o)
        return
    if actual is None or expected is None:
        if actual is not expected:
            raise _fail(f"None mismatch: {actual!r} is not {expected!r}", o["msg"], where)
        return
    kinds = (TensorBase, np.ndarray, np.generic, float, int, bool)
    if not isinstance(actual, kinds) or not isinstance(expected, kinds):
        raise TypeError(
            f"assert_close: cannot compare {type(actual).__name__} with {type(expected).__name__}"
        )
    direct = not o["allow_subclasses"]
    if direct and type(actual) is not type(expected):
        raise TypeError(
            f"assert_close: the types differ: {type(actual).__name__} and {type(expected).__name__}"
        )
    numbers = (float, int, bool)
    if isinstance(actual, numbers) is not isinstance(expected, numbers) or isinstance(
        actual, TensorBase
    ) is not isinstance(expected, TensorBase):
        raise TypeError(
            f"assert_close: cannot compare {type(actual).__name__} with {type(expected).__name__}; "
            "make both tensors"
        )
    if isinstance(actual, numbers) and isinstance(expected, numbers):
        o = {**o, "check_dtype": False}
    _compare_tensors(_as_tensor(actual), _as_tensor(expected), where, **o)


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Assert ``|actual - expected| <= atol + rtol * |expected|`` for tensors, arrays, numbers, and what holds them.

    Args:
        actual, expected: tensors, arrays or numbers, or sequences or mappings of them.
        allow_subclasses: False wants the same types.
        rtol, atol: both or neither; without them by dtype (float32: 1.3e-6 and 1e-5).
        equal_nan: two NaN are equal.
        check_device, check_layout: there is one device and one layout.
        check_dtype: the dtypes must be the same.
        check_stride: the strides must be the same.
        msg: the error's message, or a function that makes it of the message.

    Raises:
        AssertionError: they differ.
        TypeError: they cannot be compared.
        ValueError: one of ``rtol`` and ``atol``.

    >>> import fastnn
    >>> fastnn.testing.assert_close(fastnn.tensor([1.0]), fastnn.tensor([1.0 + 1e-7]))
    """
    _compare(
        actual,
        expected,
        "",
        allow_subclasses=allow_subclasses,
        rtol=rtol,
        atol=atol,
        equal_nan=equal_nan,
        check_dtype=check_dtype,
        check_stride=check_stride,
        msg=msg,
    )


__getattr__ = getattr_of(__name__)
