"""Data types: named as in PyTorch, each a thin name for a NumPy dtype."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np


class dtype:
    """A tensor's element type, such as ``fastnn.float32``.

    >>> import fastnn
    >>> fastnn.float32, fastnn.float32.itemsize, fastnn.float32.is_floating_point
    (fastnn.float32, 4, True)
    """

    __slots__ = ("_rank", "is_floating_point", "itemsize", "name", "numpy")

    def __init__(self, name: str, numpy_type: Any, is_floating_point: bool, rank: int) -> None:
        self.name = name
        self.numpy: np.dtype[Any] = np.dtype(numpy_type)
        self.is_floating_point = is_floating_point
        self.itemsize = self.numpy.itemsize
        self._rank = rank  # 0 bool, 1 integer, 2 floating: the category of type promotion

    def __repr__(self) -> str:
        return f"fastnn.{self.name}"

    def __reduce__(self) -> str:
        return self.name


bool_ = dtype("bool", np.bool_, False, 0)
uint8 = dtype("uint8", np.uint8, False, 1)
int8 = dtype("int8", np.int8, False, 1)
int16 = dtype("int16", np.int16, False, 1)
int32 = dtype("int32", np.int32, False, 1)
int64 = dtype("int64", np.int64, False, 1)
float16 = dtype("float16", np.float16, True, 2)
bfloat16 = dtype("bfloat16", ml_dtypes.bfloat16, True, 2)
float32 = dtype("float32", np.float32, True, 2)
float64 = dtype("float64", np.float64, True, 2)

ALL = (bool_, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64)
FROM_NUMPY: dict[np.dtype[Any], dtype] = {d.numpy: d for d in ALL}
_default = float32


def from_numpy_dtype(numpy_dtype: np.dtype[Any]) -> dtype:
    """The fastnn dtype of a NumPy dtype; TypeError for those that no tensor can hold."""
    found = FROM_NUMPY.get(numpy_dtype)
    if found is None:
        names = ", ".join(d.name for d in ALL)
        raise TypeError(f"a tensor cannot hold NumPy dtype {numpy_dtype}; supported: {names}")
    return found


def as_numpy_dtype(d: Any) -> np.dtype[Any]:
    """The NumPy dtype meant by ``d``: a fastnn dtype, a NumPy dtype or type, ``float`` (float64), ``int`` or ``bool``."""
    if isinstance(d, dtype):
        return d.numpy
    return from_numpy_dtype(np.dtype(d)).numpy


def get_default_dtype() -> dtype:
    """The floating type of new tensors made from Python floats (float32 unless it was changed)."""
    return _default


def set_default_dtype(d: dtype) -> None:
    """Make ``d``, a floating dtype, the type of new tensors made from Python floats.

    Raises:
        TypeError: ``d`` is not a floating dtype.
    """
    global _default
    if not isinstance(d, dtype) or not d.is_floating_point:
        raise TypeError(f"set_default_dtype expects a floating fastnn dtype, got {d!r}")
    _default = d


def promote_types(a: dtype, b: dtype) -> dtype:
    """The smallest type that both convert to, by PyTorch's rules (a floating type wins over integers).

    >>> import fastnn
    >>> fastnn.promote_types(fastnn.int64, fastnn.float16)
    fastnn.float16
    """
    if a is b:
        return a
    if a._rank != b._rank:
        return a if a._rank > b._rank else b
    if {a, b} == {float16, bfloat16}:
        return float32
    return from_numpy_dtype(np.promote_types(a.numpy, b.numpy))


def can_cast(source: dtype, target: dtype) -> bool:
    """True where PyTorch lets a ``source`` value be written into a ``target`` tensor in place."""
    return source._rank <= target._rank


class finfo:
    """The limits of a floating dtype (default: the default dtype): bits, eps, max, min, tiny, resolution.

    Raises:
        TypeError: an integer dtype; use ``iinfo``.

    >>> import fastnn
    >>> fastnn.finfo(fastnn.float32).eps
    1.1920928955078125e-07
    """

    __slots__ = ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny")

    def __init__(self, type: dtype | None = None) -> None:
        d = _default if type is None else type
        if not d.is_floating_point:
            raise TypeError(f"finfo expects a floating dtype, got {d}; use iinfo")
        limits: Any = ml_dtypes.finfo(d.numpy)  # type: ignore[no-untyped-call]
        self.bits = d.itemsize * 8
        self.dtype = d.name
        self.eps = float(limits.eps)
        self.max = float(limits.max)
        self.min = float(limits.min)
        self.tiny = self.smallest_normal = float(limits.smallest_normal)
        self.resolution = float(limits.resolution)

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:
    """The limits of an integer dtype: bits, max, min.

    Raises:
        TypeError: a floating or bool dtype.

    >>> import fastnn
    >>> fastnn.iinfo(fastnn.int8)
    iinfo(min=-128, max=127, dtype=int8)
    """

    __slots__ = ("bits", "dtype", "max", "min")

    def __init__(self, type: dtype) -> None:
        if type.is_floating_point or type is bool_:
            raise TypeError(
                f"iinfo expects an integer dtype, got {type}; use finfo for floating ones"
            )
        limits = np.iinfo(type.numpy)
        self.bits = type.itemsize * 8
        self.dtype = type.name
        self.max = int(limits.max)
        self.min = int(limits.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"
