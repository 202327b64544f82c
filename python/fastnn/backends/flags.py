"""Switches that scripts set for other libraries: each keeps what it was told.

Two change something here, for float32 on a GPU: ``cuda.matmul.allow_tf32`` lowers the precision of matrix products and
convolutions, and ``cudnn.allow_tf32 = False`` keeps convolutions at full precision, whatever products have.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any


class Flags(ModuleType):
    """The switches of a library that is not available; a name that the library does not have raises.

    >>> from fastnn import backends
    >>> backends.cudnn.benchmark = True
    >>> backends.cudnn.benchmark, backends.cudnn.is_available()
    (True, False)
    """

    def __init__(self, name: str, **switches: Any) -> None:
        super().__init__(f"{__package__}.{name}", self.__class__.__doc__)
        self.__dict__.update(switches, _name=name, _switches=frozenset(switches))

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._switches and not name.startswith("__"):  # __spec__: the import system
            raise AttributeError(
                f"backends.{self._name} has no switch {name!r}; it has {', '.join(sorted(self._switches))}"
            )
        self.__dict__[name] = value

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"backends.{self.__dict__.get('_name')} has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"backends.{self._name}"

    def is_available(self) -> bool:
        """False: the library is not part of fastnn."""
        return False

    def is_built(self) -> bool:
        """False: the library is not part of fastnn."""
        return False

    def version(self) -> int | None:
        """None: there is no library."""
        return None

    def set_flags(self, **switches: Any) -> tuple[Any, ...]:
        """Set switches by name; returns what they were."""
        before = tuple(getattr(self, name) for name in switches)
        for name, value in switches.items():
            setattr(self, name, value)
        return before

    @contextlib.contextmanager
    def flags(self, **switches: Any) -> Iterator[None]:
        """Set switches inside of a ``with`` block."""
        before = self.set_flags(**switches)
        try:
            yield
        finally:
            self.set_flags(**dict(zip(switches, before, strict=True)))


class AttentionFlags(Flags):
    """``backends.cuda``: which kernels attention may choose from; there is one here, chosen by shapes."""

    def enable_flash_sdp(self, enabled: bool) -> None:
        """Remember whether fused attention may run."""
        self.flash = enabled

    def flash_sdp_enabled(self) -> bool:
        """What ``enable_flash_sdp`` was told."""
        return bool(self.flash)

    def enable_mem_efficient_sdp(self, enabled: bool) -> None:
        """Remember whether memory-efficient attention may run."""
        self.mem_efficient = enabled

    def mem_efficient_sdp_enabled(self) -> bool:
        """What ``enable_mem_efficient_sdp`` was told."""
        return bool(self.mem_efficient)

    def enable_math_sdp(self, enabled: bool) -> None:
        """Remember whether attention by matrix products may run."""
        self.math = enabled

    def math_sdp_enabled(self) -> bool:
        """What ``enable_math_sdp`` was told."""
        return bool(self.math)


cudnn = Flags(
    "cudnn", enabled=True, benchmark=False, deterministic=False, allow_tf32=True, benchmark_limit=10
)
mps = Flags("mps")
mkldnn = Flags("mkldnn", enabled=True, deterministic=False, allow_tf32=True, verbose=0)
mkl = Flags("mkl", verbose=0)
openmp = Flags("openmp")
cuda = AttentionFlags(
    "cuda",
    matmul=Flags(
        "cuda.matmul",
        allow_tf32=False,
        allow_fp16_reduced_precision_reduction=True,
        allow_bf16_reduced_precision_reduction=True,
    ),
    flash=True,
    mem_efficient=True,
    math=True,
)
SWITCHES = {
    "cudnn": cudnn,
    "mps": mps,
    "mkldnn": mkldnn,
    "mkl": mkl,
    "openmp": openmp,
    "cuda": cuda,
}
