"""Functions of functions and of modules."""

from __future__ import annotations

from .nn.utils.stateless import functional_call

__all__ = ["functional_call"]
