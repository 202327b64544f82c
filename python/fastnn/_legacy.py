"""PyTorch's oldest types: ``FloatTensor([1, 2])``, ``LongTensor(3)``, ``x.type("fastnn.LongTensor")``.

Each name makes tensors of one dtype on the CPU, and tests for them by ``isinstance``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _dtype
from ._core import TensorBase, make
from .ops import creation

DTYPES = {
    "FloatTensor": _dtype.float32,
    "DoubleTensor": _dtype.float64,
    "HalfTensor": _dtype.float16,
    "BFloat16Tensor": _dtype.bfloat16,
    "LongTensor": _dtype.int64,
    "IntTensor": _dtype.int32,
    "ShortTensor": _dtype.int16,
    "CharTensor": _dtype.int8,
    "ByteTensor": _dtype.uint8,
    "BoolTensor": _dtype.bool_,
}
__all__ = list(DTYPES)
NAMES = {d: name for name, d in DTYPES.items()}


class LegacyType(type):
    """The class of ``FloatTensor`` and its like: they have no instances of their own."""

    dtype: _dtype.dtype

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, TensorBase) and instance.dtype is cls.dtype

    def __call__(cls, *data: Any) -> Any:
        return construct(data, cls.dtype, cls.__name__)

    def __repr__(cls) -> str:
        return f"<class 'fastnn.{cls.__name__}'>"


def construct(data: tuple[Any, ...], dtype: _dtype.dtype, name: str) -> Any:
    """What the old constructors make: zeros of a shape given as numbers or a Size, or a tensor of a sequence.

    Raises:
        TypeError: a tensor or array of another dtype.
    """
    from ._core import Size

    if len(data) == 1 and not isinstance(data[0], (int, np.integer, Size)):
        given = data[0]
        if isinstance(given, TensorBase):
            if given.dtype is not dtype:
                raise TypeError(
                    f"{name}: expected a tensor of {dtype} (got {given.dtype}); use to()"
                )
            return make(given._data)
        if isinstance(given, float):
            raise TypeError(f"{name}: expected a sequence or sizes (got float); use fastnn.tensor")
        return creation.tensor(given, dtype=dtype)
    shape = tuple(data[0]) if data and isinstance(data[0], Size) else data
    if not shape:
        shape = (0,)
    if not all(isinstance(n, (int, np.integer)) for n in shape):
        raise TypeError(f"{name}: expected a sequence or sizes, got {data!r}")
    return creation.zeros(*(int(n) for n in shape), dtype=dtype)


def named(name: str) -> _dtype.dtype | None:
    """The dtype of an old type's name, such as "fastnn.LongTensor" (PyTorch's prefix is read too), or None."""
    prefix, _, last = name.rpartition(".")
    return DTYPES.get(last) if prefix in ("", "fastnn", "torch") else None


def __getattr__(name: str) -> Any:
    if name in DTYPES:
        made = LegacyType(
            name,
            (),
            {
                "dtype": DTYPES[name],
                "__module__": "fastnn",
                "__doc__": f"Tensors of {DTYPES[name]}.",
            },
        )
        globals()[name] = made
        return made
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
