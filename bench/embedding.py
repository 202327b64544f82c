"""Rows of a table, and the table's gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .measure import Row
from .same_code import forward_and_backward, row


def _row(vocabulary: int, size: int, batch: tuple[int, int], gradients: bool) -> Row:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        index = library.randint(0, vocabulary, batch)
        table = library.randn(vocabulary, size)
        if not gradients:
            return lambda: functional.embedding(index, table)
        return forward_and_backward(
            library, [table.requires_grad_()], lambda table: functional.embedding(index, table)
        )

    taken = 4.0 * batch[0] * batch[1] * size
    return row(
        "embedding",
        f"{batch} of {vocabulary} x {size}{', with gradient' if gradients else ''}",
        make,
        5,
        bytes=4 * taken + 4.0 * vocabulary * size if gradients else 2 * taken,
    )


ROWS = [
    _row(vocabulary, size, batch, gradients)
    for vocabulary, size, batch in (
        (65, 64, (64, 64)),
        (10_000, 128, (32, 64)),
        (50_000, 256, (16, 256)),
    )
    for gradients in (False, True)
]
