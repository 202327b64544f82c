"""Pooling forward and backward, both layouts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .same_code import Make, forward_and_backward, image, row


def _make(kind: str, shape: tuple[int, ...], window: tuple[int, ...], last: bool) -> Make:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        pool = getattr(functional, f"{kind}_pool2d")
        x = image(library, shape, last)
        return forward_and_backward(library, [x], lambda x: pool(x, *window))

    return make


ROWS = [
    row(
        "pool",
        f"{kind} {shape} window {window[0]} stride {window[1]} {'NHWC' if last else 'NCHW'}",
        _make(kind, shape, window, last),
        2,
        bytes=8.0 * math.prod(shape) * (1 + 1 / window[1] ** 2),
    )
    for shape, window in (
        ((128, 32, 26, 26), (2, 2, 0)),
        ((128, 64, 11, 11), (2, 2, 0)),
        ((16, 64, 112, 112), (3, 2, 1)),
    )
    for kind in ("max", "avg")
    for last in (False, True)
]
