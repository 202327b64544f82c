"""The GPU: whether there is one, its memory, its streams.

Arrays on a GPU are CuPy's, which is imported when the first is made; kernels run on CuPy's current stream.

>>> import fastnn
>>> device = "cuda" if fastnn.cuda.is_available() else "cpu"
>>> fastnn.zeros(2, device=device).device.type == device
True
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from .. import random as _random
from .._device import device as _device_class
from .._help import getattr_of
from . import _runtime, amp
from .memory import (
    empty_cache,
    max_memory_allocated,
    max_memory_reserved,
    mem_get_info,
    memory_allocated,
    memory_reserved,
    reset_max_memory_allocated,
    reset_peak_memory_stats,
)
from .streams import Event, Stream, current_stream, default_stream, stream

__all__ = [
    "Event",
    "Stream",
    "amp",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_rng_state",
    "init",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "reset_max_memory_allocated",
    "reset_peak_memory_stats",
    "seed",
    "seed_all",
    "set_device",
    "set_rng_state",
    "stream",
    "synchronize",
]


def is_available() -> bool:
    """Whether tensors can be moved to a GPU here: kernels were built, and a driver and CuPy are there."""
    return device_count() > 0


def is_initialized() -> bool:
    """Whether the GPU was used already."""
    return _runtime.is_initialized()


def init() -> None:
    """Load what the GPU needs; the first use does it otherwise.

    Raises:
        RuntimeError: there is no GPU that this build can use.
    """
    _runtime.arrays()


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether there is a GPU: the kernels need one of compute capability 8.0, which has bfloat16."""
    return is_available()


def device_count() -> int:
    """The number of GPUs that this build can use."""
    return _runtime.device_count()


def _index_of(device: Any) -> int:
    """The number of a GPU: of the current one for None."""
    if device is None:
        return current_device()
    if isinstance(device, int):
        return device
    named = _device_class(device)
    if named.type != "cuda":
        raise ValueError(f"expected a CUDA device, got {named}")
    return current_device() if named.index is None else named.index


def current_device() -> int:
    """The number of the GPU on which "cuda" makes tensors."""
    library = _runtime.arrays()
    return 0 if _runtime.emulated() else int(library.cuda.Device().id)


def set_device(device: Any) -> None:
    """Make "cuda" mean this GPU.

    Raises:
        RuntimeError: there is no such GPU.
    """
    index = _index_of(device)
    _check_index(index, "set_device")
    if not _runtime.emulated():
        _runtime.arrays().cuda.Device(index).use()


def _check_index(index: int, operation: str) -> None:
    _runtime.arrays()
    if not 0 <= index < device_count():
        raise RuntimeError(
            f"{operation}: device {index} is not available: there are {device_count()} devices"
        )


class device:
    """A context in which "cuda" means one GPU.

    Args:
        device: its number or name.
    """

    def __init__(self, device: Any) -> None:
        self.idx = _index_of(device)

    def __enter__(self) -> None:
        self._outer = current_device()
        set_device(self.idx)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        set_device(self._outer)


def get_device_name(device: Any = None) -> str:
    """The name of a GPU.

    Raises:
        RuntimeError: there is none.
    """
    index = _index_of(device)
    _check_index(index, "get_device_name")
    if _runtime.emulated():
        return "fastnn's CUDA emulator"
    properties = _runtime.arrays().cuda.runtime.getDeviceProperties(index)
    return str(properties["name"].decode())


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability of a GPU, such as (8, 0).

    Raises:
        RuntimeError: there is none.
    """
    index = _index_of(device)
    _check_index(index, "get_device_capability")
    if _runtime.emulated():
        return 8, 0
    digits = str(_runtime.arrays().cuda.Device(index).compute_capability)
    return int(digits[:-1]), int(digits[-1])


def synchronize(device: Any = None) -> None:
    """Wait until the GPU has done its work; under the emulator it always has.

    Raises:
        RuntimeError: there is no GPU.
    """
    index = _index_of(device)
    _check_index(index, "synchronize")
    if not _runtime.emulated():
        _runtime.arrays().cuda.Device(index).synchronize()


# One stream of random numbers serves all devices: it is a function of seed and position alone.


def manual_seed(seed: int) -> None:
    """Seed the generator, which the devices share."""
    _random.manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Seed the generator, which the devices share."""
    _random.manual_seed(seed)


def seed() -> None:
    """Seed the generator, which the devices share, unpredictably."""
    _random.seed()


def seed_all() -> None:
    """Seed the generator, which the devices share, unpredictably."""
    _random.seed()


def get_rng_state(device: Any = "cuda") -> Any:
    """The state of the generator, which the devices share."""
    return _random.get_rng_state()


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Set the state of the generator, which the devices share."""
    _random.set_rng_state(new_state)


__getattr__ = getattr_of(__name__)
