"""Rows whose code is the same for fastnn and for PyTorch: it gets the library, and its nn.functional."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

from .measure import Maker, Row

# (library, functional) -> what is timed
Make = Callable[[Any, Any], Callable[[], object]]


def compiled_by(torch: Any, function: Any) -> Any:
    """``function`` or a module through PyTorch's compiler, which gives up on code that it has compiled for 8 rows."""
    torch.compiler.reset()
    return torch.compile(function)


def contestant(library: str, make: Make, compiled: bool = False) -> Maker:
    """The maker of ``make``'s function with ``library``, through PyTorch's compiler where asked for."""

    def build() -> Callable[[], object]:
        module = importlib.import_module(library)
        module.manual_seed(0)
        function = make(module, importlib.import_module(f"{library}.nn.functional"))
        return compiled_by(module, function) if compiled else function

    return build


def channels_last(make: Callable[..., Callable[[], object]]) -> dict[str, Maker]:
    """PyTorch on images stored as NHWC, the peer of a row on NCHW; ``make`` takes ``last=True``."""
    return {"torch channels_last": contestant("torch", partial(make, last=True))}


def row(
    group: str,
    name: str,
    make: Make,
    repeat: int = 1,
    *,
    compiled: bool = False,
    peers: dict[str, Maker] | None = None,
    **facts: Any,
) -> Row:
    """The row that times ``make``'s function with both libraries, on the same random input.

    Args:
        group, name, repeat: of the row.
        make: makes the function.
        compiled: whether PyTorch's compiler is a contestant too.
        peers: makers for other contestants.
        facts: other attributes of the row, such as ``flops``.
    """
    contestants = {who: contestant(who, make) for who in ("fastnn", "torch")}
    if compiled:
        contestants["torch compile"] = contestant("torch", make, compiled=True)
    return Row(group, name, {**contestants, **(peers or {})}, repeat, **facts)


def jax_function(make: Callable[[Any, Any], Callable[[], Any]]) -> Maker:
    """The maker of a function that JAX has compiled: ``make`` gets jax and jax.numpy; the result is waited for."""

    def build() -> Callable[[], object]:
        jax = importlib.import_module("jax")
        function = make(jax, importlib.import_module("jax.numpy"))
        return lambda: jax.block_until_ready(function())

    return build


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
