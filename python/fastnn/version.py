"""The version, and the versions of what it was built with."""

from __future__ import annotations

from ._version import __version__

__all__ = ["__version__", "cuda", "debug", "hip"]

cuda: str | None = None
hip: str | None = None
debug = False
