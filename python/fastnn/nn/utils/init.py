"""Modules made without drawing their initial values."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..module import Module


def skip_init(module_cls: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """``module_cls(*args, **kwargs)`` whose parameters and buffers hold whatever the memory holds.

    Raises:
        RuntimeError: ``module_cls`` is no module class, or takes no ``device``, as in PyTorch.
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    device = kwargs.get("device") or "cpu"
    return module_cls(*args, **kwargs).to_empty(device=device)
