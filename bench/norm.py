"""Batch normalisation with the batch's statistics, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .same_code import Make, forward_and_backward, image, row


def _make(shape: tuple[int, ...], last: bool) -> Make:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        x = image(library, shape, last)
        weight = library.ones(shape[1]).requires_grad_()
        bias = library.zeros(shape[1]).requires_grad_()
        return forward_and_backward(
            library,
            [x, weight, bias],
            lambda x, w, b: functional.batch_norm(x, None, None, w, b, training=True),
        )

    return make


ROWS = [
    row("norm", f"batch norm {shape} {'NHWC' if last else 'NCHW'}", _make(shape, last), 2)
    for shape in ((128, 32, 26, 26), (64, 256, 7, 7))
    for last in (False, True)
]
