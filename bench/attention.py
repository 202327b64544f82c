"""Scaled dot-product attention, forward, and with the gradients of queries, keys and values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .measure import Row
from .same_code import forward_and_backward, row

# (batch, heads, length, size of a head)
_SHAPES = (
    (32, 4, 64, 16),
    (16, 4, 128, 32),
    (8, 8, 256, 64),
    (4, 8, 512, 64),
    (1, 8, 1024, 64),
    (1, 4, 2048, 128),
)


def _row(shape: tuple[int, int, int, int], what: str, gradients: bool) -> Row:
    batch, heads, length, size = shape

    def make(library: Any, functional: Any) -> Callable[[], object]:
        inputs = [library.randn(*shape) for _ in range(3)]
        options: dict[str, Any] = {"is_causal": what == "causal"}
        if what == "masked":  # some keys of each sequence are padding
            visible = library.arange(length) < length - library.arange(batch)[:, None] % length
            options["attn_mask"] = visible[:, None, None, :]

        def forward(*inputs: Any) -> Any:
            return functional.scaled_dot_product_attention(*inputs, **options)

        if gradients:
            return forward_and_backward(library, [x.requires_grad_() for x in inputs], forward)
        return lambda: forward(*inputs)

    # two products forward, four and one repeated backward; half of them where causal
    products = (2 + 5 if gradients else 2) / (2 if what == "causal" else 1)
    flops = products * 2.0 * batch * heads * length**2 * size
    return row(
        "attention",
        f"{shape}{f', {what}' if what else ''}{', with gradients' if gradients else ''}",
        make,
        max(1, int(2e7 / flops)),
        flops=flops,
        bytes=4.0 * (4 + 8 * gradients) * batch * heads * length * size,
        memory=not what and length >= 1024,
    )


ROWS = [
    _row(shape, what, gradients)
    for shape in _SHAPES
    for what in ("", "causal")
    for gradients in (False, True)
] + [_row((8, 8, 256, 64), "masked", gradients) for gradients in (False, True)]
