"""Recurrent layers over whole sequences: inference, and forward and backward of a training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .measure import Row
from .same_code import Make, row

# (steps, batch, input size, hidden size, layers)
SHAPES = [
    (35, 20, 200, 200, 2),
    (28, 128, 28, 128, 1),
    (100, 32, 64, 256, 1),
    (50, 64, 128, 512, 1),
    (20, 1, 32, 64, 1),
    (128, 16, 256, 256, 1),
]

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def _inference(kind: str, shape: tuple[int, ...]) -> Make:
    steps, batch, size, hidden, layers = shape

    def make(library: Any, functional: Any) -> Callable[[], object]:
        layer = getattr(library.nn, kind)(size, hidden, layers)
        x = library.randn(steps, batch, size)

        def run() -> None:
            with library.no_grad():
                layer(x)

        return run

    return make


def _gradients(kind: str, shape: tuple[int, ...]) -> Make:
    steps, batch, size, hidden, layers = shape

    def make(library: Any, functional: Any) -> Callable[[], object]:
        layer = getattr(library.nn, kind)(size, hidden, layers)
        x = library.randn(steps, batch, size).requires_grad_()
        g = library.randn(steps, batch, hidden)

        def run() -> None:
            layer.zero_grad()
            x.grad = None
            layer(x)[0].backward(g)

        return run

    return make


def _rows(kind: str) -> list[Row]:
    out = []
    for shape in SHAPES:
        steps, batch, size, hidden, layers = shape
        weights = _GATES[kind] * hidden * (size + hidden + (layers - 1) * 2 * hidden)
        flops = 2.0 * steps * batch * weights
        repeat = 20 if batch == 1 else 1
        for name, make, times in (("inference", _inference, 1), ("with gradients", _gradients, 3)):
            title = f"{kind} {shape}, {name}"
            out.append(row("rnn", title, make(kind, shape), repeat, flops=times * flops))
    return out


ROWS = [*_rows("LSTM"), *_rows("GRU"), *_rows("RNN")]
