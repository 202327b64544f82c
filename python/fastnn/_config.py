"""What this installation is made of, and how many threads it uses."""

from __future__ import annotations

import json
import platform
from importlib import resources
from typing import Any

import numpy as np

from . import backends
from ._version import __version__


def _kernels() -> Any:
    """The compiled module, or None."""
    try:
        from . import _cpu
    except ImportError:
        return None
    return _cpu


def get_num_threads() -> int:
    """The number of threads that the CPU kernels use."""
    kernels = _kernels()
    return int(kernels.get_num_threads()) if kernels is not None else 1


def set_num_threads(n: int) -> None:
    """Let the CPU kernels use ``n`` threads; results have the same bits for any number.

    Raises:
        RuntimeError: ``n`` is not positive.
    """
    if n < 1:
        raise RuntimeError(f"set_num_threads expects a positive integer, got {n}")
    kernels = _kernels()
    if kernels is not None:
        kernels.set_num_threads(n)


def build_info() -> dict[str, Any]:
    """What the build wrote down: compiler, ISA levels, and why kernels are missing."""
    file = resources.files(__package__).joinpath("_build_info.json")
    try:
        info: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:
        return {"cpu": False, "cpu_missing": "this source tree has not been built"}
    return info


def show_config() -> None:
    """Print the version, the backends and why one is missing, the instruction set, and the threads."""
    info = build_info()
    kernels = _kernels()
    lines = [
        f"fastnn {__version__}, Python {platform.python_version()}, NumPy {np.__version__}",
        f"backend: {backends.get_backend()} (available: {', '.join(backends.available())})",
    ]
    if kernels is not None:
        lines += [
            f"  cpu: built by {info.get('compiler')} ({info.get('build_type')}) for {', '.join(info['isa_levels'])}",
            f"  ISA: {kernels.isa()} (this machine: {', '.join(kernels.isa_levels())}; FASTNN_ISA lowers it)",
            f"  threads: {kernels.get_num_threads()} (FASTNN_NUM_THREADS, set_num_threads)",
        ]
    else:
        lines.append(f"  cpu: missing: {info.get('cpu_missing') or backends.why_no_cpu}")
    lines.append("  cuda: missing: this version has no CUDA kernels")
    print("\n".join(lines))
