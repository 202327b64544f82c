"""Training steps: forward, loss, backward and optimizer of whole models, on random data."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from . import language_models, models
from .measure import Maker, Row
from .same_code import compiled_by

# (library) -> model
Build = Callable[[Any], Any]


def images(*shape: int) -> Callable[[int], tuple[Any, Any]]:
    """A batch of random images of ``shape`` (C, H, W), and their classes."""

    def make(batch: int) -> tuple[Any, Any]:
        rng = np.random.default_rng(0)
        return rng.random((batch, *shape), np.float32), rng.integers(0, 10, batch)

    return make


def text(length: int, vocabulary: int, classes: int) -> Callable[[int], tuple[Any, Any]]:
    """A batch of random texts, and a class for each of their places."""

    def make(batch: int) -> tuple[Any, Any]:
        rng = np.random.default_rng(0)
        return rng.integers(0, vocabulary, (batch, length)), rng.integers(
            0, classes, batch * length
        )

    return make


def _adam(lib: Any, parameters: Any, fused: Any) -> Any:
    return lib.optim.Adam(parameters, **fused)


def _momentum(lib: Any, parameters: Any, fused: Any) -> Any:
    return lib.optim.SGD(parameters, lr=0.001, momentum=0.9, **fused)


def _step(
    library: str,
    build: Build,
    arrays: tuple[Any, Any],
    optimizer_of: Callable[[Any, Any, Any], Any],
    loss_name: str,
    setting: str,
) -> Maker:
    def make() -> Callable[[], object]:
        lib = importlib.import_module(library)
        x, y = (lib.from_numpy(a) for a in arrays)
        model = build(lib)
        fused = {"fused": True} if setting else {}
        if setting == "channels_last":
            model = model.to(memory_format=lib.channels_last)
            x = x.contiguous(memory_format=lib.channels_last)
        optimizer = optimizer_of(lib, model.parameters(), fused)
        loss_function = getattr(lib.nn, loss_name)()
        run = compiled_by(lib, model) if setting == "compile" else model

        def step() -> None:
            optimizer.zero_grad()
            loss_function(run(x), y).backward()
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
    build: Build,
    data: Callable[[int], tuple[Any, Any]],
    batch: int,
    repeat: int = 1,
    *,
    optimizer: Callable[[Any, Any, Any], Any] = _adam,
    loss: str = "CrossEntropyLoss",
    **facts: Any,
) -> Row:
    arrays = data(batch)
    settings = ["", "fused", "compile"] + ["channels_last"] * (arrays[0].ndim == 4)
    peers = {
        f"torch {s or 'eager'}": _step("torch", build, arrays, optimizer, loss, s) for s in settings
    }
    return Row(
        "training",
        f"{name}, batch {batch}",
        {"fastnn": _step("fastnn", build, arrays, optimizer, loss, ""), **peers},
        repeat,
        memory=True,
        **facts,
    )


def _gan(batch: int) -> Row:
    """A step of the discriminator on real and made images, then one of the generator."""

    def step_of(library: str, fused: bool) -> Maker:
        def make() -> Callable[[], object]:
            lib = importlib.import_module(library)
            generator, discriminator = models.dcgan(lib.nn)
            options = {"lr": 2e-4, "betas": (0.5, 0.999), **({"fused": True} if fused else {})}
            for_generator = lib.optim.Adam(generator.parameters(), **options)
            for_discriminator = lib.optim.Adam(discriminator.parameters(), **options)
            loss = lib.nn.BCEWithLogitsLoss()
            real = lib.from_numpy(images(1, 28, 28)(batch)[0])
            ones, zeros = lib.ones(batch, 1), lib.zeros(batch, 1)

            def step() -> None:
                made = generator(lib.randn(batch, 64))
                for_discriminator.zero_grad()
                (
                    loss(discriminator(real), ones) + loss(discriminator(made.detach()), zeros)
                ).backward()
                for_discriminator.step()
                for_generator.zero_grad()
                loss(discriminator(made), ones).backward()
                for_generator.step()

            return step

        return make

    contestants = {
        "fastnn": step_of("fastnn", False),
        "torch eager": step_of("torch", False),
        "torch fused": step_of("torch", True),
    }
    return Row("training", f"DCGAN step, batch {batch}", contestants, memory=True)


def _modules(build: Callable[[Any], Any]) -> Build:
    return lambda lib: build(lib.nn)


_MNIST, _CIFAR = images(1, 28, 28), images(3, 32, 32)
_CNN, _MLP = _modules(models.mnist_cnn), _modules(models.mnist_mlp)
_CHARACTERS = text(64, language_models.VOCABULARY, language_models.VOCABULARY)

ROWS = [
    *(
        _row("MNIST CNN step", _CNN, _MNIST, batch, series=("MNIST CNN step: batch", batch))
        for batch in (8, 32, 128, 512)
    ),
    *(
        _row(f"MNIST CNN step, {n} thread{'s' if n > 1 else ''}", _CNN, _MNIST, 128, threads=n)
        for n in (1, 2)
    ),
    *(
        _row("MNIST MLP step", _MLP, _MNIST, batch, 20, series=("MNIST MLP step: batch", batch))
        for batch in (1, 16, 64, 256)
    ),
    _row(
        "MNIST CNN with log_softmax step",
        _modules(models.mnist_cnn_log_softmax),
        _MNIST,
        64,
        optimizer=_momentum,
        loss="NLLLoss",
    ),
    _row(
        "MNIST CNN with Dropout2d step",
        _modules(models.mnist_cnn_dropout),
        _MNIST,
        64,
        2,
        optimizer=_momentum,
        loss="NLLLoss",
    ),
    _row("CIFAR LeNet step", _modules(models.cifar_lenet), _CIFAR, 128, optimizer=_momentum),
    _row("CIFAR CNN step", _modules(models.cifar_cnn), _CIFAR, 32, optimizer=_momentum),
    _row("ResNet-20 step", _modules(models.resnet20), _CIFAR, 32, optimizer=_momentum),
    _gan(64),
    _row("LSTM language model step", language_models.lstm, _CHARACTERS, 32),
    _row("GPT step", language_models.gpt, _CHARACTERS, 32),
    _row("BiLSTM tagger step", language_models.tagger, text(32, 10_000, 13), 16),
]
