"""Making tensors: from data, filled, and counted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _dtype
from .._core import make
from .._device import check_device
from .._dtype import FROM_NUMPY, as_numpy_dtype, from_numpy_dtype

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "arange",
    "as_tensor",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "is_tensor",
    "linspace",
    "ones",
    "ones_like",
    "tensor",
    "zeros",
    "zeros_like",
]


def _array_of(data: Any, dtype: Any) -> Any:
    """A fresh array of ``data``, by PyTorch's choice of dtype where ``dtype`` is None."""
    if isinstance(data, Tensor):
        data = data._data
    if dtype is not None:
        wanted = as_numpy_dtype(dtype)
        if isinstance(data, np.ndarray):
            return data.astype(wanted)
        return np.array(_plain(data)).astype(wanted)
    if isinstance(data, (np.ndarray, np.generic)):
        if data.dtype not in FROM_NUMPY:
            return _from_foreign(np.asarray(data))
        return np.array(data)
    array = np.array(_plain(data))
    if array.dtype.kind == "f":
        floats = {v.dtype for v in _leaves(data) if hasattr(v, "dtype")}
        if not floats:
            return array.astype(_dtype.get_default_dtype().numpy)
    elif array.size == 0 and array.dtype.kind != "b":
        return array.astype(_dtype.get_default_dtype().numpy)
    elif array.dtype.kind in "iu" and not isinstance(data, np.ndarray):
        has_types = any(hasattr(v, "dtype") for v in _leaves(data))
        return array if has_types else array.astype(np.int64)
    return array if array.dtype in FROM_NUMPY else _from_foreign(array)


def _leaves(data: Any) -> list[Any]:
    """The elements of nested sequences, down to numbers and arrays."""
    if isinstance(data, (list, tuple)):
        return [leaf for item in data for leaf in _leaves(item)]
    return [data]


def _plain(data: Any) -> Any:
    """Nested sequences with the tensors in them as arrays."""
    if isinstance(data, Tensor):
        return data._data
    if isinstance(data, (list, tuple)):
        return [_plain(item) for item in data]
    return data


def _from_foreign(array: Any) -> Any:
    """An array of a dtype that no tensor holds: uint16-64 become int64, others are refused."""
    if array.dtype.kind == "u":
        return array.astype(np.int64)
    if not array.dtype.isnative:
        return array.astype(array.dtype.newbyteorder("="))
    from_numpy_dtype(array.dtype)  # raises
    return array


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor with a copy of ``data``: numbers, nested sequences, arrays or tensors.

    Args:
        data: floats become the default dtype, ints int64; arrays keep theirs.
        dtype: the dtype instead.
        device: None or "cpu".
        requires_grad: record operations on it.

    Raises:
        ValueError: sequences of uneven lengths.
        TypeError: data that is not numeric.

    >>> import fastnn
    >>> fastnn.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    check_device(device, "tensor")
    try:
        array = _array_of(data, dtype)
    except ValueError as error:
        raise ValueError(
            f"tensor: expected sequences of equal length and numbers ({error})"
        ) from None
    except TypeError as error:
        raise TypeError(f"tensor: cannot make a tensor of {type(data).__name__}: {error}") from None
    if array.dtype not in FROM_NUMPY:
        raise TypeError(f"tensor: cannot make a tensor of {type(data).__name__} ({array.dtype})")
    out = make(array)
    return out.requires_grad_() if requires_grad else out


def from_numpy(array: Any) -> Tensor:
    """A tensor that shares the memory of a NumPy array.

    Raises:
        TypeError: not an array, or of a dtype that no tensor holds.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected np.ndarray (got {type(array).__name__})")
    from_numpy_dtype(array.dtype)
    return make(array.view(np.ndarray) if type(array) is not np.ndarray else array)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """``data`` as a tensor, sharing memory where it is a tensor or an array of the wanted dtype."""
    check_device(device, "as_tensor")
    if isinstance(data, np.ndarray) and data.dtype in FROM_NUMPY:
        data = from_numpy(data)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    return tensor(data, dtype=dtype)


asarray = as_tensor


def from_dlpack(external: Any) -> Tensor:
    """A tensor that shares the memory of an object with ``__dlpack__``."""
    return from_numpy(np.from_dlpack(external))


def _shape(size: tuple[Any, ...]) -> tuple[int, ...]:
    if len(size) == 1 and not isinstance(size[0], (int, np.integer)):
        size = tuple(size[0])
    shape = tuple(int(n) for n in size)
    if min(shape, default=0) < 0:
        raise RuntimeError(f"trying to create tensor with negative dimension: {shape}")
    return shape


def _finish(array: Any, requires_grad: bool) -> Tensor:
    out = make(array)
    return out.requires_grad_() if requires_grad else out


def _numpy_dtype(dtype: Any) -> np.dtype[Any]:
    return _dtype.get_default_dtype().numpy if dtype is None else as_numpy_dtype(dtype)


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of shape ``size``."""
    check_device(device, "zeros")
    return _finish(np.zeros(_shape(size), _numpy_dtype(dtype)), requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of shape ``size``."""
    check_device(device, "ones")
    return _finish(np.ones(_shape(size), _numpy_dtype(dtype)), requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uninitialised memory of shape ``size``."""
    check_device(device, "empty")
    return _finish(np.empty(_shape(size), _numpy_dtype(dtype)), requires_grad)


def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``fill_value`` in every element of shape ``size``."""
    check_device(device, "full")
    d = tensor(fill_value).dtype.numpy if dtype is None else as_numpy_dtype(dtype)
    return _finish(np.full(_shape((size,)), fill_value, d), requires_grad)


def zeros_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of input's shape, dtype and layout."""
    return _finish(np.zeros_like(input._data, _like(input, dtype)), requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of input's shape, dtype and layout."""
    return _finish(np.ones_like(input._data, _like(input, dtype)), requires_grad)


def empty_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Uninitialised memory of input's shape, dtype and layout."""
    return _finish(np.empty_like(input._data, _like(input, dtype)), requires_grad)


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """``fill_value`` in input's shape, dtype and layout."""
    return _finish(np.full_like(input._data, fill_value, _like(input, dtype)), requires_grad)


def _like(x: Tensor, dtype: Any) -> np.dtype[Any]:
    return x._data.dtype if dtype is None else as_numpy_dtype(dtype)


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... below ``end``; ``arange(end)`` starts at 0. Ints give int64.

    Raises:
        RuntimeError: a step of 0, or bounds on the wrong side of each other.
    """
    check_device(device, "arange")
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("arange: step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("arange: upper bound and lower bound inconsistent with step sign")
    if dtype is None:
        whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
        d = np.dtype(np.int64) if whole else _dtype.get_default_dtype().numpy
    else:
        d = as_numpy_dtype(dtype)
    n = math.ceil((end - start) / step)
    values = start + step * np.arange(n)
    return _finish(values.astype(d), requires_grad)


def linspace(
    start: float,
    end: float,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``steps`` evenly spaced values from ``start`` to ``end``, both included."""
    check_device(device, "linspace")
    if steps < 0:
        raise RuntimeError(f"linspace: number of steps must be non-negative, got {steps}")
    return _finish(np.linspace(start, end, steps).astype(_numpy_dtype(dtype)), requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None) -> Tensor:
    """The n x m matrix with ones on its diagonal."""
    check_device(device, "eye")
    return make(np.eye(n, m, dtype=_numpy_dtype(dtype)))


def is_tensor(value: object) -> bool:
    """True for a Tensor."""
    return isinstance(value, Tensor)


def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """Class indices (int64, any shape) as rows with a 1 (int64) at the class.

    Raises:
        RuntimeError: a negative index, or one beyond ``num_classes``.
    """
    data = input._data
    if data.dtype != np.int64:
        raise RuntimeError(
            f"one_hot is only applicable to index tensors of int64, got {input.dtype}"
        )
    if data.size and data.min() < 0:
        raise RuntimeError("one_hot: class values must be non-negative")
    largest = int(data.max()) + 1 if data.size else 0
    if num_classes == -1:
        num_classes = largest
    if largest > num_classes:
        raise RuntimeError(
            f"one_hot: class {largest - 1} is not smaller than num_classes {num_classes}"
        )
    return make((data[..., None] == np.arange(num_classes)).astype(np.int64))
