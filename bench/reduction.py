"""Reductions: all, the channels' sums (a bias gradient), rows, columns, positions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .same_code import Make, row


def _make(function: Callable[[Any], Any], shape: tuple[int, ...]) -> Make:
    def make(library: Any, _: Any) -> Callable[[], object]:
        x = library.randn(*shape)
        return lambda: function(x)

    return make


_IMAGE, _BATCH = (128, 32, 26, 26), (128, 1000)

ROWS = [
    row(
        "reduction",
        f"{name} {shape}",
        _make(function, shape),
        repeat,
        bytes=4.0 * math.prod(shape),
    )
    for name, function, shape, repeat in (
        ("sum of all", lambda x: x.sum(), _IMAGE, 20),
        ("sum over (0, 2, 3)", lambda x: x.sum((0, 2, 3)), _IMAGE, 20),
        ("sum over the channels", lambda x: x.sum(1), _IMAGE, 20),
        ("maximum of all", lambda x: x.amax(), _IMAGE, 20),
        ("sum of columns", lambda x: x.sum(0), _BATCH, 50),
        ("sum of rows", lambda x: x.sum(1), _BATCH, 50),
        ("position of the rows' maxima", lambda x: x.argmax(1), _BATCH, 50),
        ("sum of all", lambda x: x.sum(), (4, 4), 500),
    )
]
