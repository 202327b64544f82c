"""What scripts ask of a GPU: there is none, so questions answer no, and orders that change nothing do nothing.

>>> import fastnn
>>> "cuda" if fastnn.cuda.is_available() else "cpu"
'cpu'
"""

from __future__ import annotations

from typing import Any

from .._help import getattr_of
from . import amp

__all__ = [
    "amp",
    "device_count",
    "empty_cache",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "seed",
    "seed_all",
    "synchronize",
]


def is_available() -> bool:
    """False: this version computes on the CPU."""
    return False


def is_initialized() -> bool:
    """False: there is no GPU to initialize."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False: there is no GPU."""
    return False


def device_count() -> int:
    """0, the number of GPUs."""
    return 0


def manual_seed(seed: int) -> None:
    """Seed the GPU's generator, of which there is none; ``fastnn.manual_seed`` seeds the CPU's."""
    int(seed)


def manual_seed_all(seed: int) -> None:
    """Seed the generators of all GPUs, of which there are none."""
    int(seed)


def seed() -> None:
    """Seed the GPU's generator unpredictably: there is none."""


def seed_all() -> None:
    """Seed the generators of all GPUs unpredictably: there are none."""


def empty_cache() -> None:
    """Give cached GPU memory back: there is none."""


def synchronize(device: Any = None) -> None:
    """Wait for the GPU: operations on the CPU are done when they return."""


def memory_allocated(device: Any = None) -> int:
    """0, the bytes of GPU memory in use."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """0, the most bytes of GPU memory that were in use."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """0, the bytes of GPU memory that are held."""
    return 0


def max_memory_reserved(device: Any = None) -> int:
    """0, the most bytes of GPU memory that were held."""
    return 0


_suggest = getattr_of(__name__)
_GPU_ONLY = {
    "CUDAGraph",
    "Event",
    "FloatTensor",
    "HalfTensor",
    "LongTensor",
    "Stream",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_rng_state",
    "get_rng_state_all",
    "init",
    "ipc_collect",
    "mem_get_info",
    "memory_summary",
    "nvtx",
    "reset_max_memory_allocated",
    "reset_peak_memory_stats",
    "set_device",
    "set_per_process_memory_fraction",
    "set_rng_state",
    "set_rng_state_all",
    "stream",
}


def __getattr__(name: str) -> Any:
    if name in _GPU_ONLY:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}: there is no GPU; "
            "use it only where cuda.is_available()"
        )
    return _suggest(name)
