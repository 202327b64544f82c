"""Matrix products: squares, the shapes of Linear layers, forward and both gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .same_code import Make, forward_and_backward, row


def _square(n: int) -> Make:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        a, b = library.randn(n, n), library.randn(n, n)
        return lambda: a @ b

    return make


def _linear(batch: int, features: int, outputs: int, gradients: bool) -> Make:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        x, bias = library.randn(batch, features), library.randn(outputs)
        weight = library.randn(outputs, features)
        if not gradients:
            return lambda: functional.linear(x, weight, bias)
        inputs = [v.requires_grad_() for v in (x, weight, bias)]
        return forward_and_backward(library, inputs, functional.linear)

    return make


ROWS = [
    row("gemm", f"{n} x {n}", _square(n), max(1, 20_000_000 // n**3))
    for n in (16, 32, 64, 128, 256, 512, 1024, 2048)
] + [
    row(
        "gemm",
        f"linear {batch} x {features} to {outputs}{', with gradients' if gradients else ''}",
        _linear(batch, features, outputs, gradients),
        max(1, 5_000_000 // (batch * features * outputs)),
    )
    for batch, features, outputs in (
        (1, 128, 10),
        (1, 1600, 128),
        (8, 768, 3072),
        (64, 784, 512),
        (128, 128, 10),
        (128, 1600, 128),
        (128, 9216, 128),
    )
    for gradients in (False, True)
]
