"""The CUDA backend for tests that hold NumPy arrays: under the emulator as it is, on a GPU with arrays that go there and back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.backends import emulated
from fastnn.backends import gpu as backend


class _Moved:
    """The device's arrays of one call, by the host's memory that they stand for: views of one array stay views of one."""

    def __init__(self) -> None:
        self.roots: dict[int, tuple[Any, Any]] = {}

    def to_device(self, x: Any) -> Any:
        if isinstance(x, list | tuple):
            return type(x)(self.to_device(item) for item in x)
        if not isinstance(x, np.ndarray):
            return x
        import cupy  # type: ignore[import-not-found,unused-ignore]

        root = x
        while isinstance(root.base, np.ndarray):
            root = root.base
        if id(root) not in self.roots:
            dense = np.ascontiguousarray(root) if not root.flags.forc else root
            self.roots[id(root)] = root, cupy.asarray(dense, order="A")
        moved = self.roots[id(root)][1]
        if x is root or not root.flags.forc:
            return moved if x is root else cupy.asarray(x)
        offset = x.__array_interface__["data"][0] - root.__array_interface__["data"][0]
        return cupy.ndarray(x.shape, x.dtype, moved.data + offset, x.strides)

    def write_back(self) -> None:
        """What a call wrote into its arguments, into the host's arrays."""
        for root, moved in self.roots.values():
            if root.flags.writeable:
                root[...] = moved.get()


def to_host(x: Any) -> Any:
    """NumPy arrays in place of the device's."""
    if isinstance(x, list | tuple):
        return type(x)(to_host(item) for item in x)
    return x.get() if hasattr(x, "get") and hasattr(x, "strides") else x


def with_host_arrays(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` of device arrays, for NumPy arrays."""
    if emulated():
        return function

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        moved = _Moved()
        result = function(
            *moved.to_device(args), **{name: moved.to_device(x) for name, x in kwargs.items()}
        )
        moved.write_back()
        return to_host(result)

    return call


class _Backend:
    def __getattr__(self, name: str) -> Any:
        value = getattr(backend, name)
        return with_host_arrays(value) if callable(value) else value


gpu: Any = backend if emulated() else _Backend()
