"""Softmax, and cross-entropy with its gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .same_code import Make, forward_and_backward, row


def _softmax(name: str, shape: tuple[int, ...]) -> Make:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        x = library.randn(*shape)
        return lambda: getattr(functional, name)(x, 1)

    return make


def cross_entropy(n: int, classes: int) -> Make:
    """The loss of random logits, and its gradient."""

    def make(library: Any, functional: Any) -> Callable[[], object]:
        x = library.randn(n, classes).requires_grad_()
        target = library.arange(n) % classes
        return forward_and_backward(library, [x], lambda x: functional.cross_entropy(x, target))

    return make


_SHAPES = (((128, 10), 100), ((128, 1000), 30), ((4096, 1000), 2), ((16, 21, 128, 128), 2))

ROWS = [
    row(
        "softmax",
        f"{name} {shape}",
        _softmax(name, shape),
        repeat,
        bytes=8.0 * math.prod(shape),
    )
    for shape, repeat in _SHAPES
    for name in ("softmax", "log_softmax")
] + [
    row(
        "softmax",
        f"cross-entropy and gradient {shape}",
        cross_entropy(*shape),
        repeat,
        bytes=12.0 * math.prod(shape),
    )
    for shape, repeat in _SHAPES
    if len(shape) == 2
]
