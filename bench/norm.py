"""Normalisations, forward and backward: batch norm with the batch's statistics, layer, group and RMS norm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .measure import Row
from .same_code import forward_and_backward, image, row


def _batch(shape: tuple[int, ...], last: bool) -> Row:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        x = image(library, shape, last)
        weight = library.ones(shape[1]).requires_grad_()
        bias = library.zeros(shape[1]).requires_grad_()
        return forward_and_backward(
            library,
            [x, weight, bias],
            lambda x, w, b: functional.batch_norm(x, None, None, w, b, training=True),
        )

    return _row(f"batch norm {shape} {'NHWC' if last else 'NCHW'}", shape, make)


def _others(name: str, shape: tuple[int, ...]) -> Row:
    size = shape[1] if name == "group" else shape[-1]

    def apply(functional: Any, x: Any, *parameters: Any) -> Any:
        if name == "layer":
            return functional.layer_norm(x, (size,), *parameters)
        if name == "rms":
            return functional.rms_norm(x, (size,), parameters[0])
        return functional.group_norm(x, 8, *parameters)

    def make(library: Any, functional: Any) -> Callable[[], object]:
        inputs = [library.randn(*shape), library.ones(size), library.zeros(size)]
        inputs = [x.requires_grad_() for x in inputs[: 2 if name == "rms" else 3]]
        return forward_and_backward(library, inputs, lambda *inputs: apply(functional, *inputs))

    return _row(f"{name} norm {shape}", shape, make)


def _row(name: str, shape: tuple[int, ...], make: Any) -> Row:
    # forward reads and writes it, backward reads it and a gradient, and writes one
    return row("norm", name, make, 2, bytes=4.0 * 5 * math.prod(shape))


ROWS = [
    *(_batch(shape, last) for shape in ((128, 32, 26, 26), (64, 256, 7, 7)) for last in (False, True)),
    *(_others(name, shape) for shape in ((4096, 256), (512, 1024), (64, 64)) for name in ("layer", "rms")),
    *(_others("group", shape) for shape in ((32, 64, 16, 16), (8, 64, 56, 56))),
]  # fmt: skip
