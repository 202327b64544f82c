"""Devices and memory formats, by PyTorch's names."""

from __future__ import annotations

from typing import Any

import numpy as np

_TYPES = ("cpu", "cuda")


class device:
    """Where a tensor lives: "cpu", "cuda" (the current GPU) or "cuda:1".

    A device can be named where there is none; making or moving a tensor there raises.

    Args:
        type: the name, with or without an index; a device; or an index of a GPU.
        index: which GPU.

    Raises:
        RuntimeError: a name that is no device.

    >>> import fastnn
    >>> fastnn.device("cuda:0")
    device(type='cuda', index=0)
    """

    __slots__ = ("_outer", "index", "type")
    type: str
    index: int | None

    def __init__(self, type: Any, index: int | None = None) -> None:
        if isinstance(type, device):
            self.type, self.index = type.type, type.index
            return
        name = f"cuda:{type}" if isinstance(type, int) else str(type)
        kind, colon, number = name.partition(":")
        if kind not in _TYPES or (colon and not number.isdigit()):
            raise RuntimeError(
                f"device: {name!r} is not known; fastnn computes on 'cpu' and 'cuda', with an index as in 'cuda:0'"
            )
        if number and index is not None:
            raise RuntimeError(f"device: {name!r} has an index already, got index={index}")
        self.type = kind
        self.index = int(number) if number else index

    def __repr__(self) -> str:
        at = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{at})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (other.type, other.index) == (self.type, self.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> Any:
        return device, (self.type, self.index)

    def __enter__(self) -> device:
        self._outer = default.device
        default.device = self
        return self

    def __exit__(self, *exc: object) -> None:
        default.device = self._outer


CPU = device("cpu")


class _Default:
    """Where tensors are made that no argument places."""

    device = CPU


default = _Default()


def of(array: Any) -> device:
    """The device of an array."""
    if isinstance(array, np.ndarray):
        return CPU
    return device("cuda", array.device.id)


def resolve(wanted: Any) -> device:
    """The device that an argument names: the default for None."""
    if wanted is None:
        return default.device
    return wanted if isinstance(wanted, device) else device(wanted)


def place(array: Any, wanted: device) -> Any:
    """``array`` on a device; itself where it is there.

    Raises:
        RuntimeError: there is no such device.
    """
    if wanted.type == "cpu":
        return array if isinstance(array, np.ndarray) else array.get()
    from .cuda import _runtime

    return _runtime.to_device(array, wanted.index)


def prototype(wanted: Any, operation: str) -> Any:
    """What ``like=`` of NumPy's functions takes to make an array on a device: None for the CPU.

    Raises:
        RuntimeError: there is no such device.
    """
    if wanted is None or wanted is CPU:
        found = default.device if wanted is None else CPU
    else:
        found = resolve(wanted)
    if found.type == "cpu":
        return None
    try:
        return place(np.empty(0), found)
    except RuntimeError as error:
        raise RuntimeError(f"{operation}: {error}") from None


def is_device_array(array: Any) -> bool:
    """True for an array on a GPU."""
    return not isinstance(array, (np.ndarray, np.generic)) and hasattr(
        array, "__cuda_array_interface__"
    )


def place_beside(array: Any, like: Any) -> Any:
    """``array`` on the device of ``like`` (None: where it is)."""
    if like is None or type(like) is np.ndarray or not isinstance(array, (np.ndarray, np.generic)):
        return array
    return place(np.asarray(array), of(like))


def address(array: Any) -> int:
    """Where an array's first element lies in memory."""
    interface = (
        array.__array_interface__
        if isinstance(array, np.ndarray)
        else array.__cuda_array_interface__
    )
    return int(interface["data"][0])


def is_writeable(array: Any) -> bool:
    """False for what must not be written in place: read-only arrays, and expanded views."""
    if isinstance(array, np.ndarray):
        return array.flags.writeable
    return all(step or n <= 1 for n, step in zip(array.shape, array.strides, strict=True))


def as_strided(array: Any, shape: Any, strides: Any) -> Any:
    """The memory of ``array`` by other sizes and strides (in bytes)."""
    if isinstance(array, np.ndarray):
        return np.lib.stride_tricks.as_strided(
            array, shape, strides, writeable=array.flags.writeable
        )
    from .cuda import _runtime

    return _runtime.arrays().lib.stride_tricks.as_strided(array, shape, strides)


def scatter(ufunc: Any, target: Any, index: Any, values: Any) -> None:
    """``ufunc.at``, in a wider dtype where a GPU has no atomic operation for that of ``target``."""
    name = target.dtype.name
    if isinstance(target, np.ndarray) or name in ("float32", "float64", "int32", "int64"):
        ufunc.at(target, index, values)
        return
    wide = np.float32 if name in ("float16", "bfloat16") else np.int64
    total = target.astype(wide)
    ufunc.at(total, index, values if np.isscalar(values) else values.astype(wide))
    target[...] = total.astype(target.dtype)


class memory_format:
    """How an image's axes lie in memory."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"fastnn.{self.name}"


contiguous_format = memory_format("contiguous_format")
channels_last = memory_format("channels_last")
preserve_format = memory_format("preserve_format")


class layout:
    """How a tensor's elements are stored: ``fastnn.strided`` is the only way."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"fastnn.{self.name}"


strided = layout("strided")


def storage(operation: str, device: Any, layout: Any, pin_memory: bool) -> Any:
    """The ``like=`` of arrays made for these arguments.

    Raises:
        RuntimeError: a place or a way of storing that this build does not have.
    """
    if layout is not None and layout is not strided:
        raise RuntimeError(
            f"{operation}: layout {layout!r} is not supported; tensors are fastnn.strided"
        )
    like = prototype(device, operation)
    if pin_memory:
        from .cuda import _runtime

        reason = _runtime.why_unavailable()
        if reason:
            raise RuntimeError(f"{operation}: pin_memory=True needs an accelerator: {reason}")
        if like is not None:
            raise RuntimeError(f"{operation}: only the memory of CPU tensors can be pinned")
    return like
