"""Elementwise functions of an image (memory-bound) and of a small batch (overhead)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .same_code import Make, row

# (function of the library, x and y, operands that it reads)
FUNCTIONS: dict[str, tuple[Callable[[Any, Any, Any], Any], int]] = {
    "add": (lambda F, x, y: x + y, 2),
    "multiply by a channel": (lambda F, x, y: x * y[0, :, :1, :1] if y.ndim == 4 else x * y[0], 1),
    "relu": (lambda F, x, y: x.relu(), 1),
    "exp": (lambda F, x, y: x.exp(), 1),
    "tanh": (lambda F, x, y: x.tanh(), 1),
    "sigmoid": (lambda F, x, y: x.sigmoid(), 1),
    "gelu": (lambda F, x, y: F.gelu(x), 1),
    "silu": (lambda F, x, y: F.silu(x), 1),
    "three operations": (lambda F, x, y: (x * y + x).relu(), 2),
}


def _make(function: Callable[[Any, Any, Any], Any], shape: tuple[int, ...]) -> Make:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        x, y = library.randn(*shape), library.randn(*shape)
        return lambda: function(functional, x, y)

    return make


ROWS = [
    row(
        "elementwise",
        f"{name} {shape}",
        _make(function, shape),
        repeat,
        compiled=len(shape) == 4,
        bytes=4.0 * (operands + 1) * math.prod(shape),
    )
    for shape, repeat in (((128, 64, 24, 24), 5), ((128, 1000), 50), ((64, 128), 200))
    for name, (function, operands) in FUNCTIONS.items()
]
