"""Elementwise functions of an image (memory-bound) and of a small batch (overhead)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .same_code import Make, row

FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "multiply by a channel": lambda x, y: x * y[0, :, :1, :1] if y.ndim == 4 else x * y[0],
    "relu": lambda x, y: x.relu(),
    "exp": lambda x, y: x.exp(),
    "tanh": lambda x, y: x.tanh(),
    "sigmoid": lambda x, y: x.sigmoid(),
}


def _make(function: Callable[[Any, Any], Any], shape: tuple[int, ...]) -> Make:
    def make(library: Any, _: Any) -> Callable[[], object]:
        x, y = library.randn(*shape), library.randn(*shape)
        return lambda: function(x, y)

    return make


ROWS = [
    row("elementwise", f"{name} {shape}", _make(function, shape), repeat)
    for shape, repeat in (((128, 64, 24, 24), 5), ((128, 1000), 50), ((64, 128), 200))
    for name, function in FUNCTIONS.items()
]
