"""Nests of dicts, lists and tuples with tensors in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._core import TensorBase


def is_tensor(value: Any) -> bool:
    """True for tensors."""
    return isinstance(value, TensorBase)


def leaves(nest: Any) -> list[Any]:
    """What is in the nest that is no container, in order."""
    if isinstance(nest, dict):
        return [x for v in nest.values() for x in leaves(v)]
    if isinstance(nest, (list, tuple)):
        return [x for v in nest for x in leaves(v)]
    return [nest]


def mapped(function: Callable[..., Any], nest: Any, *others: Any) -> Any:
    """The nest with ``function`` of each leaf (and of those at its place in ``others``) for it."""
    if isinstance(nest, dict):
        return type(nest)(
            (k, mapped(function, v, *(o[k] for o in others))) for k, v in nest.items()
        )
    if isinstance(nest, (list, tuple)):
        items = [mapped(function, *parts) for parts in zip(nest, *others, strict=True)]
        return type(nest)(*items) if hasattr(nest, "_fields") else type(nest)(items)
    return function(nest, *others)
