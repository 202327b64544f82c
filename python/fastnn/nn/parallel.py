"""PyTorch's containers for several devices: none is here, and asking for one says so."""

from __future__ import annotations

from .._help import getattr_of

__all__: list[str] = []

__getattr__ = getattr_of(__name__)
