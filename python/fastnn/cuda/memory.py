"""Memory of the GPU: what CuPy's pool holds and uses. Under the emulator device memory is the host's, and counts as 0."""

from __future__ import annotations

from typing import Any

from . import _runtime

_peak = {"used": 0, "held": 0}  # the most that was seen when somebody asked


def _pool() -> Any:
    """CuPy's pool; None where it holds nothing yet, or under the emulator."""
    if not _runtime.is_initialized() or _runtime.emulated():
        return None
    return _runtime.arrays().get_default_memory_pool()


def memory_allocated(device: Any = None) -> int:
    """Bytes of GPU memory that arrays take."""
    pool = _pool()
    used = 0 if pool is None else int(pool.used_bytes())
    _peak["used"] = max(_peak["used"], used)
    return used


def memory_reserved(device: Any = None) -> int:
    """Bytes of GPU memory that the pool holds, for arrays and for reuse."""
    pool = _pool()
    held = 0 if pool is None else int(pool.total_bytes())
    _peak["held"] = max(_peak["held"], held)
    return held


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that arrays took when this module was asked; CuPy keeps no record of its own."""
    memory_allocated(device)
    return _peak["used"]


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes that the pool held when this module was asked; a pool gives memory back only when told to."""
    memory_reserved(device)
    return _peak["held"]


def reset_peak_memory_stats(device: Any = None) -> None:
    """Forget the most that was seen."""
    _peak["used"] = _peak["held"] = 0


def reset_max_memory_allocated(device: Any = None) -> None:
    """Forget the most that was seen."""
    reset_peak_memory_stats(device)


def empty_cache() -> None:
    """Give the memory that the pool does not use back to the GPU."""
    pool = _pool()
    if pool is not None:
        pool.free_all_blocks()


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and total bytes of a GPU.

    Raises:
        RuntimeError: there is none, or it is the emulator, which has no memory of its own.
    """
    library = _runtime.arrays()
    if _runtime.emulated():
        raise RuntimeError("mem_get_info: the emulator's memory is the host's")
    free, total = library.cuda.runtime.memGetInfo()
    return int(free), int(total)
