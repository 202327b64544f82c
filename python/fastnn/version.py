"""The version, and the versions of what it was built with."""

from __future__ import annotations

from ._version import __version__

__all__ = ["__version__", "cuda", "debug", "hip"]

cuda: (
    str | None
)  # the CUDA version of the compiler that built the kernels; None: built without them
hip: str | None = None
debug = False


def __getattr__(name: str) -> str | None:
    if name == "cuda":
        from ._config import build_info

        nvcc = build_info().get("nvcc")
        return ".".join(nvcc.split(".")[:2]) if nvcc else None
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
