"""The accelerator of this machine, whatever it is: here CUDA, or none.

>>> import fastnn
>>> fastnn.accelerator.is_available() == fastnn.cuda.is_available()
True
"""

from __future__ import annotations

from typing import Any

from . import cuda
from ._device import device
from ._help import getattr_of

__all__ = [
    "current_accelerator",
    "current_device_index",
    "device_count",
    "is_available",
    "set_device_index",
    "synchronize",
]


def is_available() -> bool:
    """Whether there is one."""
    return cuda.is_available()


def device_count() -> int:
    """How many there are."""
    return cuda.device_count()


def current_accelerator(check_available: bool = False) -> device | None:
    """The kind of device, or None where there is none."""
    return device("cuda") if is_available() else None


def current_device_index() -> int:
    """The number of the current one.

    Raises:
        RuntimeError: there is none.
    """
    return cuda.current_device()


def set_device_index(index: int, /) -> None:
    """Choose one.

    Raises:
        RuntimeError: there is no such device.
    """
    cuda.set_device(index)


def synchronize(device: Any = None, /) -> None:
    """Wait until its work is done.

    Raises:
        RuntimeError: there is none.
    """
    cuda.synchronize(device)


__getattr__ = getattr_of(__name__)
