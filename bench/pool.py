"""Pooling forward and backward, both layouts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .measure import Row
from .same_code import channels_last, forward_and_backward, image, row


def _row(kind: str, shape: tuple[int, ...], window: tuple[int, ...], last: bool) -> Row:
    def make(library: Any, functional: Any, last: bool = last) -> Callable[[], object]:
        pool = getattr(functional, f"{kind}_pool2d")
        x = image(library, shape, last)
        return forward_and_backward(library, [x], lambda x: pool(x, *window))

    return row(
        "pool",
        f"{kind} {shape} window {window[0]} stride {window[1]} {'NHWC' if last else 'NCHW'}",
        make,
        2,
        peers={} if last else channels_last(make),
        bytes=8.0 * math.prod(shape) * (1 + 1 / window[1] ** 2),
    )


ROWS = [
    _row(kind, shape, window, last)
    for shape, window in (
        ((128, 32, 26, 26), (2, 2, 0)),
        ((128, 64, 11, 11), (2, 2, 0)),
        ((16, 64, 112, 112), (3, 2, 1)),
    )
    for kind in ("max", "avg")
    for last in (False, True)
]
