"""Making tensors: from data, filled, and counted."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from .. import _dtype
from .._core import make
from .._device import (
    CPU,
    channels_last,
    contiguous_format,
    is_device_array,
    of,
    place,
    place_beside,
    preserve_format,
    prototype,
    storage,
)
from .._dtype import FROM_NUMPY, as_numpy_dtype, from_numpy_dtype
from ..autograd.output import accepts_out

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

P = ParamSpec("P")
R = TypeVar("R")

__all__ = [
    "arange",
    "as_tensor",
    "asarray",
    "empty",
    "empty_like",
    "empty_strided",
    "eye",
    "from_dlpack",
    "from_numpy",
    "frombuffer",
    "full",
    "fill",
    "full_like",
    "logspace",
    "range",
    "scalar_tensor",
    "is_floating_point",
    "is_complex",
    "is_nonzero",
    "numel",
    "is_tensor",
    "linspace",
    "ones",
    "ones_like",
    "tensor",
    "vander",
    "zeros",
    "zeros_like",
]


def _array_of(data: Any, dtype: Any) -> Any:
    """A fresh array of ``data``, by PyTorch's choice of dtype where ``dtype`` is None."""
    if isinstance(data, Tensor):
        data = data._data
    if is_device_array(data):
        return data.copy() if dtype is None else data.astype(as_numpy_dtype(dtype))
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
        if isinstance(
            data, (list, tuple)
        ):  # numbers among typed elements count as the default dtype
            kinds = [_leaf_dtype(v) for v in _leaves(data)]
            return array.astype(functools.reduce(_dtype.promote_types, kinds).numpy)
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


def _leaf_dtype(value: Any) -> _dtype.dtype:
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        kind = value._data.dtype if isinstance(value, Tensor) else value.dtype
        return FROM_NUMPY.get(kind, _dtype.int64)
    if isinstance(value, bool):
        return _dtype.bool_
    return _dtype.int64 if isinstance(value, int) else _dtype.get_default_dtype()


def _plain(data: Any) -> Any:
    """Nested sequences with the tensors in them as arrays."""
    if isinstance(data, Tensor):
        return place(data._data, CPU)
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
        device: where it is made; None: the default device.
        requires_grad: record operations on it.

    Raises:
        ValueError: sequences of uneven lengths.
        TypeError: data that is not numeric.

    >>> import fastnn
    >>> fastnn.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    like = prototype(device, "tensor")
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
    return _finish(array, requires_grad, like)


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
    if isinstance(data, np.ndarray) and data.dtype in FROM_NUMPY:
        data = from_numpy(data)
    if isinstance(data, Tensor):
        return data.to(dtype=dtype, device=device)
    return tensor(data, dtype=dtype, device=device)


asarray = as_tensor


def from_dlpack(external: Any) -> Tensor:
    """A tensor that shares the memory of an object with ``__dlpack__``, on the CPU or a GPU."""
    if external.__dlpack_device__()[0] == 2:  # kDLCUDA
        from ..cuda import _runtime

        return make(_runtime.arrays().from_dlpack(external))
    return from_numpy(np.from_dlpack(external))


def takes_size(function: Callable[P, R]) -> Callable[P, R]:
    """``function`` of ``*size``, called with ``size=(...)`` too."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if "size" in kwargs:
            if args:
                raise TypeError(f"{function.__name__}: got the size twice")
            args = (kwargs.pop("size"),)  # type: ignore[assignment]
        return function(*args, **kwargs)

    return call


def _shape(size: tuple[Any, ...]) -> tuple[int, ...]:
    if len(size) == 1 and not isinstance(size[0], (int, np.integer)):
        only = size[0]
        size = (int(only),) if isinstance(only, Tensor) and only._data.ndim == 0 else tuple(only)
    shape = tuple(int(n) for n in size)
    if min(shape, default=0) < 0:
        raise RuntimeError(f"trying to create tensor with negative dimension: {shape}")
    return shape


def _finish(array: Any, requires_grad: bool, like: Any = None) -> Tensor:
    out = make(place_beside(array, like))
    return out.requires_grad_() if requires_grad else out


def _numpy_dtype(dtype: Any) -> np.dtype[Any]:
    return _dtype.get_default_dtype().numpy if dtype is None else as_numpy_dtype(dtype)


@accepts_out
@takes_size
def zeros(
    *size: Any,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Zeros of shape ``size``."""
    like = storage("zeros", device, layout, pin_memory)
    return _finish(np.zeros(_shape(size), _numpy_dtype(dtype), like=like), requires_grad)


@accepts_out
@takes_size
def ones(
    *size: Any,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Ones of shape ``size``."""
    like = storage("ones", device, layout, pin_memory)
    array = np.empty(_shape(size), _numpy_dtype(dtype), like=like)
    array.fill(1)  # np.ones of like= passes on parameters that CuPy's does not have
    return _finish(array, requires_grad)


@accepts_out
@takes_size
def empty(
    *size: Any,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = contiguous_format,
    out: Tensor | None = None,
) -> Tensor:
    """Uninitialised memory of shape ``size``."""
    like = storage("empty", device, layout, pin_memory)
    shape = _shape(size)
    if memory_format is channels_last:
        if len(shape) != 4:
            raise RuntimeError(f"empty: channels_last needs 4 dims, got {shape}")
        n, c, h, w = shape
        return _finish(
            np.empty((n, h, w, c), _numpy_dtype(dtype), like=like).transpose(0, 3, 1, 2),
            requires_grad,
        )
    return _finish(np.empty(shape, _numpy_dtype(dtype), like=like), requires_grad)


def empty_strided(
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Uninitialised memory of shape ``size`` and strides ``stride``, in elements.

    Raises:
        RuntimeError: sizes and strides of different lengths, or negative ones.
    """
    like = storage("empty_strided", device, layout, pin_memory)
    shape, steps = _shape((size,)), tuple(int(s) for s in stride)
    if len(shape) != len(steps) or min(steps, default=0) < 0:
        raise RuntimeError(f"empty_strided: sizes {shape} and strides {steps} do not fit")
    d = _numpy_dtype(dtype)
    count = 0 if 0 in shape else 1 + sum((n - 1) * s for n, s in zip(shape, steps, strict=True))
    memory = np.empty(count, d)
    return _finish(
        np.ndarray(shape, d, memory, 0, [s * d.itemsize for s in steps]), requires_grad, like
    )


@accepts_out
def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """``fill_value`` in every element of shape ``size``."""
    like = storage("full", device, layout, pin_memory)
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    d = tensor(fill_value).dtype.numpy if dtype is None else as_numpy_dtype(dtype)
    array = np.empty(_shape((size,)), d, like=like)
    array.fill(fill_value)
    return _finish(array, requires_grad)


def scalar_tensor(
    s: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A 0-d tensor of the default dtype."""
    like = storage("scalar_tensor", device, layout, pin_memory)
    return _finish(np.asarray(s, _numpy_dtype(dtype)), requires_grad, like)


def _like(
    operation: str,
    array: Any,
    layout: Any,
    device: Any,
    requires_grad: bool,
    pin_memory: bool,
    memory_format: Any,
) -> Tensor:
    like = storage(operation, of(array) if device is None else device, layout, pin_memory)
    out = make(place_beside(array, like))
    if memory_format is not preserve_format:
        out = out.contiguous(memory_format)
    return out.requires_grad_() if requires_grad else out


def _dtype_like(x: Tensor, dtype: Any) -> np.dtype[Any]:
    return x._data.dtype if dtype is None else as_numpy_dtype(dtype)


def zeros_like(
    input: Tensor,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """Zeros of input's shape, dtype and layout."""
    array = np.zeros_like(input._data, _dtype_like(input, dtype))
    return _like("zeros_like", array, layout, device, requires_grad, pin_memory, memory_format)


def ones_like(
    input: Tensor,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """Ones of input's shape, dtype and layout."""
    array = np.ones_like(input._data, _dtype_like(input, dtype))
    return _like("ones_like", array, layout, device, requires_grad, pin_memory, memory_format)


def empty_like(
    input: Tensor,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """Uninitialised memory of input's shape, dtype and layout."""
    array = np.empty_like(input._data, _dtype_like(input, dtype))
    return _like(
        "empty_like",
        array,
        layout,
        device,
        requires_grad,
        pin_memory,
        memory_format,
    )


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """``fill_value`` in input's shape, dtype and layout."""
    array = np.full_like(input._data, fill_value, _dtype_like(input, dtype))
    return _like("full_like", array, layout, device, requires_grad, pin_memory, memory_format)


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) else value


@accepts_out
def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """start, start + step, ... below ``end``; ``arange(end)`` starts at 0. Ints give int64.

    Raises:
        RuntimeError: a step of 0, or bounds on the wrong side of each other.
    """
    like = storage("arange", device, layout, pin_memory)
    start, end, step = _number(start), _number(end), _number(step)
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
    if d.kind in "iu":
        start, step = int(start), int(step)
    values = start + step * np.arange(n)
    return _finish(values.astype(d), requires_grad, like)


def _spaced(operation: str, start: Any, end: Any, steps: int, d: np.dtype[Any]) -> Any:
    if steps < 0:
        raise RuntimeError(f"{operation}: number of steps must be non-negative, got {steps}")
    for bound in (start, end):
        if isinstance(bound, Tensor) and bound._data.ndim:
            raise RuntimeError(
                f"{operation}: start and end must be 0-dimensional, got shape {tuple(bound.shape)}"
            )
    values = np.linspace(_number(start), _number(end), steps)
    if d.kind in "iu" and operation == "linspace":
        # The middle is counted from both ends, each in whole numbers
        first, last = _number(start), _number(end)
        step = (last - first) / (steps - 1) if steps > 1 else 0.0
        index = np.arange(steps)
        near = np.trunc(first + step * index)
        far = np.trunc(last - step * (steps - 1 - index))
        values = np.where(index < steps / 2, near, far)
    return values


@accepts_out
def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """``steps`` evenly spaced values from ``start`` to ``end``, both included."""
    like = storage("linspace", device, layout, pin_memory)
    d = _numpy_dtype(dtype)
    return _finish(_spaced("linspace", start, end, steps, d).astype(d), requires_grad, like)


@accepts_out
def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """``base`` to the power of ``steps`` evenly spaced exponents from ``start`` to ``end``."""
    like = storage("logspace", device, layout, pin_memory)
    d = _numpy_dtype(dtype)
    with np.errstate(all="ignore"):
        powers = np.power(float(base), _spaced("logspace", start, end, steps, d))
        return _finish(powers.astype(d), requires_grad, like)


@accepts_out
def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """The n x m matrix with ones on its diagonal."""
    like = storage("eye", device, layout, pin_memory)
    return _finish(np.eye(n, m, dtype=_numpy_dtype(dtype)), requires_grad, like)


def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor of input's shape and dtype filled with ``value``, a number or a 0-d tensor."""
    return input.clone().fill_(value)


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A 1-d tensor over the memory of an object with Python's buffer protocol.

    Raises:
        ValueError: count and offset do not fit the buffer.
    """
    return _finish(np.frombuffer(buffer, as_numpy_dtype(dtype), count, offset), requires_grad)


def range(start: Any = 0, end: Any = None, step: Any = 1, *, dtype: Any = None) -> Tensor:
    """``arange`` with ``end`` included, in the default dtype; ``arange`` is the better choice."""
    if end is None:
        start, end = 0, start
    count = int((end - start) / step) + 1
    d = _dtype.get_default_dtype() if dtype is None else dtype
    return tensor(start + step * np.arange(count)).to(d)


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """Powers of the elements of a vector in columns, from the highest; ``increasing``: from 0."""
    n = x._data.shape[0] if N is None else N
    exponents = np.arange(n)
    powers: Tensor = x.unsqueeze(-1) ** make(exponents if increasing else exponents[::-1].copy())
    return powers


def is_floating_point(input: Tensor) -> bool:
    """True for a tensor of a floating dtype."""
    return input.is_floating_point()


def is_complex(input: Tensor) -> bool:
    """False: tensors hold real numbers."""
    return False


def is_nonzero(input: Tensor) -> bool:
    """Whether the only element of ``input`` is not 0."""
    return bool(input)


def numel(input: Tensor) -> int:
    """The number of elements."""
    return input.numel()


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
    return make((data[..., None] == np.arange(num_classes, like=data)).astype(np.int64))
