"""Rows whose code is the same for fastnn and for PyTorch: it gets the library, and its nn.functional."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from .measure import Row

# (library, functional) -> what is timed
Make = Callable[[Any, Any], Callable[[], object]]


def row(group: str, name: str, make: Make, repeat: int = 1) -> Row:
    """The row that times ``make``'s function with both libraries, on the same random input."""

    def contestant(library: str) -> Callable[[], Callable[[], object]]:
        def build() -> Callable[[], object]:
            module = importlib.import_module(library)
            module.manual_seed(0)
            return make(module, importlib.import_module(f"{library}.nn.functional"))

        return build

    return Row(group, name, {who: contestant(who) for who in ("fastnn", "torch")}, repeat)


def forward_and_backward(
    library: Any, inputs: list[Any], function: Callable[..., Any]
) -> Callable[[], object]:
    """``function`` of the inputs and the gradients of those that want one."""
    with library.no_grad():
        g = library.ones_like(function(*inputs))

    def run() -> None:
        for x in inputs:
            x.grad = None
        function(*inputs).backward(g)

    return run


def image(library: Any, shape: tuple[int, ...], channels_last: bool) -> Any:
    """Random pixels that want a gradient, stored as NCHW or NHWC."""
    n, c, h, w = shape
    if channels_last:
        x = library.randn(n, h, w, c).permute(0, 3, 1, 2)
    else:
        x = library.randn(n, c, h, w)
    return x.detach().requires_grad_()
