"""Training steps: forward, loss, backward and optimizer of whole models, on random data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .measure import Row


def mnist_cnn(nn: Any) -> Any:
    """Conv 32 - pool - Conv 64 - pool - Dense 128 - Dropout - Dense 10, in the modules of ``nn``."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1600, 128),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(128, 10),
    )


def mnist_mlp(nn: Any) -> Any:
    """Dense 784-128-64-10."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 128),
        nn.ReLU(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def _step(
    library: str, build: Callable[[Any], Any], batch: int, setting: str = "eager"
) -> Callable[[], Callable[[], object]]:
    """A maker of one training step with Adam and cross-entropy, on MNIST's shapes."""

    def make() -> Callable[[], object]:
        lib = __import__(library)
        nn = __import__(f"{library}.nn", fromlist=["nn"])
        rng = np.random.default_rng(0)
        x = lib.from_numpy(rng.random((batch, 1, 28, 28), np.float32))
        y = lib.from_numpy(rng.integers(0, 10, batch))
        model = build(nn)
        options = {}
        if library == "torch":
            options["fused"] = setting != "eager"
            if setting == "channels_last":
                model = model.to(memory_format=lib.channels_last)
                x = x.contiguous(memory_format=lib.channels_last)
        optimizer = lib.optim.Adam(model.parameters(), **options)
        loss_function = nn.CrossEntropyLoss()

        def step() -> None:
            optimizer.zero_grad()
            loss_function(model(x), y).backward()
            optimizer.step()

        return step

    return make


def _row(name: str, build: Callable[[Any], Any], batch: int, repeat: int) -> Row:
    return Row(
        "training",
        f"{name}, batch {batch}",
        {
            "fastnn": _step("fastnn", build, batch),
            "torch eager": _step("torch", build, batch),
            "torch fused": _step("torch", build, batch, "fused"),
            "torch channels_last": _step("torch", build, batch, "channels_last"),
        },
        repeat,
    )


def _inference(library: str, batch: int) -> Callable[[], Callable[[], object]]:
    def make() -> Callable[[], object]:
        lib = __import__(library)
        model = mnist_cnn(__import__(f"{library}.nn", fromlist=["nn"])).eval()
        x = lib.from_numpy(np.random.default_rng(0).random((batch, 1, 28, 28), np.float32))

        def run() -> None:
            with lib.no_grad():
                model(x)

        return run

    return make


ROWS = [
    _row("MNIST CNN step", mnist_cnn, 32, 1),
    _row("MNIST CNN step", mnist_cnn, 128, 1),
    _row("MNIST MLP step", mnist_mlp, 1, 20),
    _row("MNIST MLP step", mnist_mlp, 64, 10),
    Row(
        "inference",
        "MNIST CNN, batch 128",
        {"fastnn": _inference("fastnn", 128), "torch eager": _inference("torch", 128)},
    ),
]
