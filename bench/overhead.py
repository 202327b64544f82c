"""What little things cost: chains on 4x4 tensors, where only the library's own work counts, and the import."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from .measure import Maker, Row


def _chain(library: str) -> Callable[[], Callable[[], object]]:
    def make() -> Callable[[], object]:
        nn = __import__(library)
        x = nn.rand(4, 4)
        x.requires_grad = True

        def run() -> None:
            x.grad = None
            ((x * x + x).relu()).sum().backward()

        return run

    return make


def _forward(library: str) -> Callable[[], Callable[[], object]]:
    def make() -> Callable[[], object]:
        nn = __import__(library)
        x = nn.rand(4, 4)
        return lambda: ((x * x + x).relu()).sum()

    return make


def _minimal() -> Callable[[], object]:
    """The least that an engine in Python over NumPy does for the chain: no checks, no broadcasting, no modes."""
    import numpy as np

    class Value:
        __slots__ = ("backward", "data", "grad", "parents")

        def __init__(self, data: Any, parents: tuple[Any, ...] = (), backward: Any = None) -> None:
            self.data, self.parents, self.backward, self.grad = data, parents, backward, None

    def mul(a: Value, b: Value) -> Value:
        return Value(a.data * b.data, (a, b), lambda g: (g * b.data, g * a.data))

    def add(a: Value, b: Value) -> Value:
        return Value(a.data + b.data, (a, b), lambda g: (g, g))

    def relu(a: Value) -> Value:
        y = np.maximum(a.data, 0)
        return Value(y, (a,), lambda g: (g * (y > 0),))

    def total(a: Value) -> Value:
        return Value(a.data.sum(), (a,), lambda g: (np.broadcast_to(g, a.data.shape),))

    x = Value(np.random.default_rng(0).random((4, 4), np.float32))

    def run() -> None:
        x.grad = None
        root = total(relu(add(mul(x, x), x)))
        root.grad = np.float32(1)
        stack = [root]
        while stack:
            v = stack.pop()
            if v.backward is None:
                continue
            for p, g in zip(v.parents, v.backward(v.grad), strict=True):
                p.grad = g if p.grad is None else p.grad + g
                if p.backward is not None:
                    stack.append(p)

    return run


def _import(library: str) -> Maker:
    """A process that imports the library and ends."""

    def make() -> Callable[[], object]:
        if importlib.util.find_spec(library) is None:
            raise ImportError(f"no module named {library!r}")
        command = [sys.executable, "-c", f"import {library}"]
        return lambda: subprocess.run(command, check=True)

    return make


ROWS = [
    Row(
        "overhead",
        "chain of four 4x4 operations, forward and backward",
        {
            "fastnn": _chain("fastnn"),
            "torch": _chain("torch"),
            "minimal Python engine": lambda: _minimal(),
        },
        repeat=500,
        threads=1,
        floors=("minimal Python engine",),
    ),
    Row(
        "overhead",
        "chain of four 4x4 operations, forward",
        {"fastnn": _forward("fastnn"), "torch": _forward("torch")},
        repeat=500,
        threads=1,
    ),
    Row(
        "overhead",
        "import, in a process of its own",
        {who: _import(who) for who in ("fastnn", "numpy", "torch", "onnxruntime")},
        floors=("numpy",),
    ),
]
