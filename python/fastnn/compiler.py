"""``fastnn.compiler``: what scripts tell PyTorch's compiler, of which there is none."""

from __future__ import annotations

from typing import Any

from ._help import getattr_of
from ._settings import compile

__all__ = ["compile", "disable", "is_compiling", "reset"]


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """``fn`` itself (or a decorator): everything runs eagerly."""
    return (lambda function: function) if fn is None else fn


def is_compiling() -> bool:
    """False: nothing is compiled."""
    return False


def reset() -> None:
    """Forget what was compiled: nothing."""


__getattr__ = getattr_of(__name__)
