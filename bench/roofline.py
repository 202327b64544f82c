"""The machine: what it is, and the roofs under which its kernels run."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path

import fastnn

# Copies of these sizes in all show the caches and then the memory.
_COPIES = (16 << 10, 256 << 10, 4 << 20, 256 << 20)
_LIBRARIES = ("numpy", "torch", "jax", "onnxruntime")


@dataclass
class Machine:
    """What a run's figures depend on.

    Attributes:
        cpu, cores, isa: the processor, the CPUs that this process may use, the level of fastnn's kernels.
        system, python: the operating system and the interpreter.
        versions: of fastnn and its peers, as far as installed.
        build: how fastnn was built.
        threads: that each contestant may use.
        flops: FLOP/s of fused multiply-adds in registers, for each dtype, on all threads.
        copies: bytes read and written a second by copies of so many bytes.
        sizes: bytes that each installed library takes, without what it depends on.
    """

    cpu: str
    cores: int
    isa: str
    system: str
    python: str
    versions: dict[str, str]
    build: dict[str, str]
    threads: int
    flops: dict[str, float] = field(default_factory=dict)
    copies: dict[str, float] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    @property
    def bandwidth(self) -> float:
        """Bytes a second to and from memory."""
        return self.copies[str(_COPIES[-1])]


def _cpu_name() -> str:
    import cpuinfo  # some tenths of a second

    return str(cpuinfo.get_cpu_info().get("brand_raw") or platform.machine())


def _versions() -> dict[str, str]:
    found = {"fastnn": fastnn.__version__}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _installed_size(name: str) -> int:
    """Bytes of the folder that a package is imported from, without compiled Python files and emulated kernels."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    folder = Path(str(spec.origin)).parent
    files = (
        f
        for f in folder.rglob("*")
        if "__pycache__" not in f.parts and "_cuda_emulated" not in f.name and f.is_file()
    )
    return sum(f.stat().st_size for f in files)


def describe(threads: int) -> Machine:
    """This machine, its roofs measured with so many threads (some seconds).

    Raises:
        ValueError: fastnn has no C++ kernels here.
    """
    try:
        from fastnn import _cpu
    except ImportError as error:
        raise ValueError(f"the benchmarks need fastnn's C++ kernels: {error}") from None
    fastnn.set_num_threads(threads)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = _versions()
    config = fastnn._config.build_info()
    return Machine(
        cpu=_cpu_name(),
        cores=cores or 1,
        isa=_cpu.isa(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions=versions,
        build={key: str(config[key]) for key in ("compiler", "build_type") if key in config},
        threads=threads,
        flops={dtype: _cpu.peak_flops(dtype) for dtype in ("float32", "float64")},
        copies={str(size): _cpu.copy_bandwidth(size) for size in _COPIES},
        sizes={name: _installed_size(name) for name in versions},
    )
