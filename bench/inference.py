"""Inference of the models that training.py trains, in evaluation mode and without gradients."""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Callable
from typing import Any

from . import language_models, models
from .measure import Maker, Row
from .same_code import compiled_by
from .training import Build, images, text


def _model(library: str, build: Build, x: Any, setting: str = "") -> Maker:
    def make() -> Callable[[], object]:
        lib = importlib.import_module(library)
        model, inputs = build(lib).eval(), lib.from_numpy(x)
        if setting == "channels_last":
            model = model.to(memory_format=lib.channels_last)
            inputs = inputs.contiguous(memory_format=lib.channels_last)
        run = compiled_by(lib, model) if setting == "compile" else model

        def infer() -> None:
            with lib.no_grad():
                run(inputs)

        if setting == "channels_last":
            try:
                infer()
            except RuntimeError as error:
                raise ImportError(
                    f"PyTorch's model does not run in channels_last: {error}"
                ) from None
        return infer

    return make


def _onnx(build: Build, x: Any) -> Maker:
    """PyTorch's model, exported, in ONNX Runtime."""

    def make() -> Callable[[], object]:
        torch: Any = importlib.import_module("torch")
        runtime: Any = importlib.import_module("onnxruntime")
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter warns of its own successor
            try:
                torch.onnx.export(
                    build(torch).eval(),
                    (torch.from_numpy(x),),
                    file,
                    input_names=["x"],
                    dynamo=False,
                )
            except torch.onnx.errors.OnnxExporterError as error:
                raise ImportError(f"PyTorch cannot export the model: {error}") from None
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = runtime.InferenceSession(
            file.getvalue(), options, providers=["CPUExecutionProvider"]
        )
        return lambda: session.run(None, {"x": x})

    return make


def _row(name: str, build: Build, x: Any, repeat: int = 1, **facts: Any) -> Row:
    settings = ["", "compile"] + ["channels_last"] * (x.ndim == 4)
    peers = {f"torch {s or 'eager'}": _model("torch", build, x, s) for s in settings}
    contestants = {"fastnn": _model("fastnn", build, x), **peers, "onnxruntime": _onnx(build, x)}
    return Row("inference", f"{name}, batch {len(x)}", contestants, repeat, **facts)


def _images(build: Callable[[Any], Any], name: str, batch: int, *shape: int, **facts: Any) -> Row:
    repeat = max(1, 64 // batch)
    return _row(name, lambda lib: build(lib.nn), images(*shape)(batch)[0], repeat, **facts)


_CHARACTERS = text(64, language_models.VOCABULARY, 1)

ROWS = [
    *(
        _images(models.mnist_cnn, "MNIST CNN", batch, 1, 28, 28, series=("MNIST CNN inference: batch", batch))
        for batch in (1, 8, 32, 128, 512)
    ),
    *(_images(models.mnist_mlp, "MNIST MLP", batch, 1, 28, 28) for batch in (1, 128)),
    _images(models.mnist_cnn_log_softmax, "MNIST CNN with log_softmax", 64, 1, 28, 28),
    _images(models.mnist_cnn_dropout, "MNIST CNN with Dropout2d", 64, 1, 28, 28),
    _images(models.cifar_lenet, "CIFAR LeNet", 128, 3, 32, 32),
    _images(models.cifar_cnn, "CIFAR CNN", 32, 3, 32, 32),
    *(_images(models.resnet20, "ResNet-20", batch, 3, 32, 32) for batch in (1, 32)),
    *(
        _row(name, build, _CHARACTERS(batch)[0])
        for name, build in (("LSTM language model", language_models.lstm), ("GPT", language_models.gpt))
        for batch in (1, 32)
    ),
    _row("BiLSTM tagger", language_models.tagger, text(32, 10_000, 1)(16)[0]),
]  # fmt: skip
