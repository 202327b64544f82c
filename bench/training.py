"""Training steps: forward, loss, backward and optimizer of whole models, on random data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import models
from .measure import Row


def _adam(lib: Any, parameters: Any, fused: Any) -> Any:
    return lib.optim.Adam(parameters, **fused)


def _momentum(lib: Any, parameters: Any, fused: Any) -> Any:
    return lib.optim.SGD(parameters, lr=0.001, momentum=0.9, **fused)


def _step(
    library: str,
    build: Callable[[Any], Any],
    shape: tuple[int, ...],
    optimizer_of: Callable[[Any, Any, Any], Any],
    loss_name: str,
    setting: str = "eager",
) -> Callable[[], Callable[[], object]]:
    """A maker of one training step on random images of ``shape`` (N, C, H, W)."""

    def make() -> Callable[[], object]:
        lib = __import__(library)
        nn = __import__(f"{library}.nn", fromlist=["nn"])
        rng = np.random.default_rng(0)
        x = lib.from_numpy(rng.random(shape, np.float32))
        y = lib.from_numpy(rng.integers(0, 10, shape[0]))
        model = build(nn)
        fused = {}
        if library == "torch":
            if setting != "eager":
                fused["fused"] = True
            if setting == "channels_last":
                model = model.to(memory_format=lib.channels_last)
                x = x.contiguous(memory_format=lib.channels_last)
        optimizer = optimizer_of(lib, model.parameters(), fused)
        loss_function = getattr(nn, loss_name)()

        def step() -> None:
            optimizer.zero_grad()
            loss_function(model(x), y).backward()
            optimizer.step()

        if setting == "channels_last":
            try:
                step()
            except RuntimeError as error:  # a view that this layout does not allow
                raise ImportError(
                    f"PyTorch's model does not run in channels_last: {error}"
                ) from None
        return step

    return make


def _row(
    name: str,
    build: Callable[[Any], Any],
    shape: tuple[int, ...],
    repeat: int,
    optimizer: Callable[[Any, Any, Any], Any] = _adam,
    loss: str = "CrossEntropyLoss",
) -> Row:
    return Row(
        "training",
        f"{name}, batch {shape[0]}",
        {
            "fastnn": _step("fastnn", build, shape, optimizer, loss),
            "torch eager": _step("torch", build, shape, optimizer, loss),
            "torch fused": _step("torch", build, shape, optimizer, loss, "fused"),
            "torch channels_last": _step("torch", build, shape, optimizer, loss, "channels_last"),
        },
        repeat,
    )


def _inference(library: str, batch: int) -> Callable[[], Callable[[], object]]:
    def make() -> Callable[[], object]:
        lib = __import__(library)
        model = models.mnist_cnn(__import__(f"{library}.nn", fromlist=["nn"])).eval()
        x = lib.from_numpy(np.random.default_rng(0).random((batch, 1, 28, 28), np.float32))

        def run() -> None:
            with lib.no_grad():
                model(x)

        return run

    return make


ROWS = [
    _row("MNIST CNN step", models.mnist_cnn, (32, 1, 28, 28), 1),
    _row("MNIST CNN step", models.mnist_cnn, (128, 1, 28, 28), 1),
    _row("MNIST MLP step", models.mnist_mlp, (1, 1, 28, 28), 20),
    _row("MNIST MLP step", models.mnist_mlp, (64, 1, 28, 28), 10),
    _row(
        "MNIST CNN with log_softmax step",
        models.mnist_cnn_log_softmax,
        (64, 1, 28, 28),
        1,
        _momentum,
        "NLLLoss",
    ),
    _row(
        "MNIST CNN with Dropout2d step",
        models.mnist_cnn_dropout,
        (64, 1, 28, 28),
        2,
        _momentum,
        "NLLLoss",
    ),
    _row("CIFAR LeNet step", models.cifar_lenet, (128, 3, 32, 32), 1, _momentum),
    Row(
        "inference",
        "MNIST CNN, batch 128",
        {"fastnn": _inference("fastnn", 128), "torch eager": _inference("torch", 128)},
    ),
]
