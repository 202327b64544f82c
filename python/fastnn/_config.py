"""What this installation is made of, and how many threads it uses.

Standard modules are imported by the functions that use them: importing fastnn should cost little.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from . import backends
from ._version import __version__


def get_num_threads() -> int:
    """The number of threads that the CPU kernels use."""
    kernels = backends.cpu_kernels()
    return int(kernels.get_num_threads()) if kernels is not None else 1


def set_num_threads(n: int) -> None:
    """Let the CPU kernels use ``n`` threads; results have the same bits for any number.

    Raises:
        RuntimeError: ``n`` is not positive.
    """
    if n < 1:
        raise RuntimeError(f"set_num_threads expects a positive integer, got {n}")
    kernels = backends.cpu_kernels()
    if kernels is not None:
        kernels.set_num_threads(n)


def build_info() -> dict[str, Any]:
    """What the build wrote down: compiler, ISA levels, and why kernels are missing."""
    import json
    from importlib import resources

    file = resources.files(__package__).joinpath("_build_info.json")
    try:
        info: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:
        missing = "this source tree has not been built"
        return {"cpu": False, "cpu_missing": missing, "cuda": False, "cuda_missing": missing}
    return info


def _cuda_lines(info: dict[str, Any]) -> list[str]:
    """What the kernels for the GPU were built for, and the names of the GPUs or why there is none."""
    from . import cuda
    from .cuda import _runtime

    reason = _runtime.why_unavailable()
    if reason:
        lines = [f"  cuda: missing: {reason}"]
    else:
        names = [cuda.get_device_name(i) for i in range(cuda.device_count())]
        lines = [f"  cuda: {', '.join(names)}"]
    if info.get("cuda"):
        lines.append(
            f"  cuda kernels: built by nvcc {info['nvcc']} for {', '.join(info['cuda_archs'])}"
        )
    return lines


def show_config() -> None:
    """Print the version, the backends and why one is missing, the instruction set, and the threads."""
    import platform

    info = build_info()
    kernels = backends.cpu_kernels()
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
    lines += _cuda_lines(info)
    print("\n".join(lines))


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    import platform

    return platform.processor() or platform.machine()


def _caches() -> str:
    """The sizes of the first core's caches, where the system tells."""
    from pathlib import Path

    found = []
    folder = Path("/sys/devices/system/cpu/cpu0/cache")
    for index in sorted(folder.glob("index*")):
        try:
            level = (index / "level").read_text().strip()
            kind = (index / "type").read_text().strip()
            size = (index / "size").read_text().strip()
        except OSError:
            continue
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return ", ".join(found) or "not told by the system"


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return "not told by the system"
    return f"{total / 2**30:.1f} GiB"


def _blas() -> str:
    """The library behind NumPy's matrix products, which the NumPy backend uses."""
    config: Any = np.show_config(mode="dicts")
    blas = config.get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()


def print_runtime_info() -> None:
    """Print ``show_config`` and the machine: system, CPU, cores, caches, memory, NumPy's BLAS, optional packages."""
    import importlib.util
    import platform

    show_config()
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count()
    optional = []
    for name in ("cupy", "matplotlib", "PIL", "tensorboard", "torch"):
        there = importlib.util.find_spec(name) is not None
        optional.append(f"{name} {'found' if there else 'not installed'}")
    print(
        f"system: {platform.platform()}\n"
        f"CPU: {_cpu_model()}, {cores} cores for this process\n"
        f"caches: {_caches()}\n"
        f"memory: {_memory()}\n"
        f"NumPy's BLAS: {_blas()}\n"
        f"optional: {', '.join(optional)}"
    )
