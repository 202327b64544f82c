"""Optimizer steps: PyTorch's fused implementations beside fastnn's, or those over lists where it has no fused one."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

from .measure import Row

# Name, options, and arrays of state for each parameter.
OPTIMIZERS: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("SGD", {"momentum": 0.9}, 1),
    ("Adam", {}, 2),
    ("AdamW", {}, 2),
    ("Adagrad", {}, 1),
    ("RMSprop", {}, 1),
    ("Adadelta", {}, 2),
    ("Adamax", {}, 2),
    ("NAdam", {}, 2),
    ("RAdam", {}, 2),
    ("Rprop", {}, 2),
    ("ASGD", {}, 1),
)
FUSED = ("SGD", "Adam", "AdamW", "Adagrad")
MODELS: dict[str, list[tuple[int, ...]]] = {
    "MNIST CNN": [(32, 1, 3, 3), (32,), (64, 32, 3, 3), (64,), (128, 1600), (128,), (10, 128)],
    "200 parameters of 64": [(64,)] * 200,
    "one of 4 million": [(2000, 2000)],
}


def _make(library: str, name: str, shapes: list[tuple[int, ...]], options: dict[str, Any]) -> Any:
    def make() -> Callable[[], object]:
        module = importlib.import_module(library)
        parameters = [module.randn(*shape).requires_grad_() for shape in shapes]
        for p in parameters:
            p.grad = module.ones_like(p.detach())
        best = {"fused" if name in FUSED else "foreach": True} if library == "torch" else {}
        optimizer = getattr(module.optim, name)(parameters, lr=1e-3, **options, **best)
        return lambda: optimizer.step()

    return make


ROWS = [
    Row(
        "optim",
        f"{name} {model}",
        {who: _make(who, name, shapes, options) for who in ("fastnn", "torch")},
        20 if shapes[0] != (2000, 2000) else 3,
        # parameter and state are read and written, the gradient is read
        bytes=4.0 * (2 + 1 + 2 * states) * sum(math.prod(s) for s in shapes),
    )
    for model, shapes in MODELS.items()
    for name, options, states in OPTIMIZERS
]
