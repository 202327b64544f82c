"""The array library of the device: CuPy, or its stand-in under the emulator; imported when it is first needed."""

from __future__ import annotations

import importlib
from typing import Any

from .. import backends
from ..backends import emulated as emulated

_arrays: Any = None  # the array library, once it is used


def _kernels() -> Any:
    return importlib.import_module("fastnn._cuda_emulated" if emulated() else "fastnn._cuda")


def why_unavailable() -> str:
    """Why there is no device; "" where there is one."""
    try:
        kernels = _kernels()
    except ModuleNotFoundError as error:
        from .._config import build_info

        return f"fastnn has no CUDA kernels: {build_info()['cuda_missing'] or error}"
    except ImportError as error:
        return f"fastnn's CUDA kernels cannot be loaded: {error}"
    reason = str(kernels.device_error())
    if reason or emulated():
        return reason
    try:
        importlib.import_module("cupy")
    except ImportError:
        return "CuPy is not installed (pip install 'fastnn[cuda]')"
    return ""


def is_initialized() -> bool:
    """True once the array library is in use."""
    return _arrays is not None


def device_count() -> int:
    """The number of devices that can be used."""
    return 0 if why_unavailable() else int(_kernels().device_count())


def arrays() -> Any:
    """The array library of the device.

    Raises:
        RuntimeError: there is no device.
    """
    global _arrays
    if _arrays is None:
        reason = why_unavailable()
        if reason:
            raise RuntimeError(f"device 'cuda' is not available: {reason}")
        library = (
            importlib.import_module("fastnn.cuda._emulated")
            if emulated()
            else importlib.import_module("cupy")
        )
        backends.by_type[library.ndarray] = importlib.import_module("fastnn.backends.gpu")
        _arrays = library
    return _arrays


def to_device(array: Any, index: int | None) -> Any:
    """An array on device ``index`` (None: the current one), itself where it is there."""
    library = arrays()
    if isinstance(array, library.ndarray) and index in (None, array.device.id):
        return array
    if emulated():
        if index:
            raise RuntimeError(
                f"device 'cuda:{index}' is not available: the emulator has one device"
            )
        return library.asarray(array)
    count = device_count()
    if index is not None and index >= count:
        raise RuntimeError(f"device 'cuda:{index}' is not available: there are {count} devices")
    with library.cuda.Device(index):
        return library.asarray(array)


def pinned(array: Any) -> Any:
    """A copy of a host array in page-locked memory (under the emulator: in ordinary memory).

    Raises:
        RuntimeError: there is no device.
    """
    arrays()
    if emulated():
        return array.copy()
    import cupyx  # type: ignore[import-not-found,unused-ignore]

    copy = cupyx.empty_like_pinned(array)
    copy[...] = array
    return copy
