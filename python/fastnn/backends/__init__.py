"""Backends: who computes. One protocol (``protocol.Backend``), a module for each implementation.

``FASTNN_BACKEND=numpy`` (or ``cpu``) chooses at import; else the compiled kernels serve where they were built.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import numpy as numpy_backend
from .protocol import Backend


class _ByType(dict[type, Any]):
    """The backend of an array by its type: one dictionary look-up on the way of every operation."""

    def __missing__(self, array_type: type) -> Any:
        if issubclass(array_type, (np.ndarray, np.generic)):
            return self[np.ndarray]
        raise TypeError(f"no backend computes on arrays of type {array_type.__name__}")


by_type = _ByType()
why_no_cpu: str | None = None  # the reason that the compiled kernels are missing


def _load_cpu() -> Backend | None:
    global why_no_cpu
    try:
        from . import cpu
    except ImportError as error:
        why_no_cpu = str(error)
        if why_no_cpu.startswith("FASTNN_"):  # a variable that asks for what there is not
            raise ValueError(why_no_cpu) from None
        return None
    except KeyError as error:
        raise ImportError(
            f"fastnn._cpu is older than the Python files beside it ({error.args[0]}): build it again"
        ) from None
    return cpu


_cpu_backend = _load_cpu()


def cpu_kernels() -> Any:
    """The module of the compiled kernels, or None where they are missing."""
    return None if _cpu_backend is None else sys.modules["fastnn._cpu"]


def emulated() -> bool:
    """Whether the CUDA kernels run under the emulator (FASTNN_CUDA_EMULATOR=1)."""
    return os.environ.get("FASTNN_CUDA_EMULATOR", "0") not in ("", "0")


def available() -> list[str]:
    """Names of the backends that can compute on CPU arrays here ("cuda": its kernels, under the emulator)."""
    found = ["numpy"] if _cpu_backend is None else ["numpy", "cpu"]
    return [*found, "cuda"] if emulated() else found


def set_backend(name: str) -> None:
    """Compute on CPU arrays with backend ``name``: "numpy", "cpu", or "cuda" under the emulator.

    Raises:
        RuntimeError: "cpu" was not built, or "cuda" where kernels are not emulated.
        ValueError: there is no such backend.
    """
    if name == "numpy":
        by_type[np.ndarray] = numpy_backend
    elif name == "cpu":
        if _cpu_backend is None:
            raise RuntimeError(f"the cpu backend is not available: {why_no_cpu}")
        by_type[np.ndarray] = _cpu_backend
    elif name == "cuda":
        if not emulated():
            raise RuntimeError(
                "the cuda backend computes on device arrays: move tensors with .to('cuda')"
            )
        by_type[np.ndarray] = importlib.import_module(".gpu", __name__)
    else:
        raise ValueError(f"unknown backend {name!r}; known: numpy, cpu, cuda")


def get_backend() -> str:
    """The name of the backend that computes on CPU arrays."""
    return str(by_type[np.ndarray].name)


@contextlib.contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Compute with backend ``name`` inside this block."""
    previous = get_backend()
    set_backend(name)
    try:
        yield
    finally:
        set_backend(previous)


set_backend(os.environ.get("FASTNN_BACKEND") or ("numpy" if _cpu_backend is None else "cpu"))


_FLAGS = (
    "cuda",
    "cudnn",
    "mkl",
    "mkldnn",
    "mps",
    "openmp",
)  # libraries that are not here: their switches


def __getattr__(name: str) -> Any:
    if name in _FLAGS:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
