"""The GPU's kernels beside cuBLAS and cuDNN (through PyTorch and CuPy) and FlashAttention; nothing runs without a GPU.

All contestants use the device's default stream; the time of a round goes to the end of its last kernel.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from fastnn import cuda

from . import models
from .measure import Maker, Row
from .same_code import Make, compiled_by, forward_and_backward
from .softmax import cross_entropy


def _on_device(library: str, make: Make, settings: str = "") -> Maker:
    """``make`` with the arrays of ``library`` on the GPU."""

    def build() -> Callable[[], object]:
        module = importlib.import_module(library)
        if not module.cuda.is_available():
            raise ImportError(f"this {library} has no CUDA device")
        module.manual_seed(0)
        with module.device("cuda"):
            function = make(module, importlib.import_module(f"{library}.nn.functional"))
        return compiled_by(module, function) if settings == "compile" else function

    return build


def _row(
    group: str, name: str, make: Make, repeat: int = 20, others: Mapping[str, Maker] | None = None
) -> Row:
    contestants = {
        "fastnn": _on_device("fastnn", make),
        "torch": _on_device("torch", make),
        **(others or {}),
    }
    return Row(f"cuda {group}", name, contestants, repeat, finish=cuda.synchronize)


def _product(n: int, dtype: str, precision: str = "highest") -> Make:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        library.set_float32_matmul_precision(precision)
        a, b = (library.randn(n, n).to(getattr(library, dtype)) for _ in range(2))

        def run() -> object:
            library.set_float32_matmul_precision(precision)
            return a @ b

        return run

    return make


def _cublas(n: int, dtype: str) -> Maker:
    def build() -> Callable[[], object]:
        import cupy  # type: ignore[import-not-found,unused-ignore]

        a, b = (cupy.random.standard_normal((n, n)).astype(dtype) for _ in range(2))
        return lambda: a @ b

    return build


def _gemm_rows() -> list[Row]:
    rows = []
    for n in (256, 512, 1024, 2048, 4096, 8192):
        for dtype in ("float16", "bfloat16"):
            others = {} if dtype == "bfloat16" else {"cupy": _cublas(n, dtype)}
            rows.append(_row("gemm", f"{n} x {n}, {dtype}", _product(n, dtype), others=others))
        for precision in ("highest", "high", "medium"):
            others = {"cupy": _cublas(n, "float32")} if precision == "highest" else {}
            make = _product(n, "float32", precision)
            rows.append(_row("gemm", f"{n} x {n}, float32 {precision}", make, others=others))
    return rows


def _linear(batch: int, features: int, outputs: int, dtype: str) -> Make:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        kind = getattr(library, dtype)
        shapes = ((batch, features), (outputs, features), (outputs,))
        inputs = [library.randn(*s).to(kind).requires_grad_() for s in shapes]
        return forward_and_backward(library, inputs, functional.linear)

    return make


def _conv(shape: tuple[int, ...], outputs: int, kernel: int, dtype: str, last: bool) -> Make:
    n, c, h, w = shape

    def make(library: Any, functional: Any) -> Callable[[], object]:
        kind = getattr(library, dtype)
        x = library.randn(n, h, w, c).permute(0, 3, 1, 2) if last else library.randn(*shape)
        weight = library.randn(outputs, c, kernel, kernel)
        inputs = [v.to(kind).detach().requires_grad_() for v in (x, weight)]
        return forward_and_backward(
            library, inputs, lambda x, w: functional.conv2d(x, w, padding=kernel // 2)
        )

    return make


def _conv_rows() -> list[Row]:
    return [
        _row(
            "conv",
            f"{shape} to {outputs}, {kernel} x {kernel}, {dtype}, {'NHWC' if last else 'NCHW'}, with gradients",
            _conv(shape, outputs, kernel, dtype, last),
        )
        for shape, outputs, kernel in (
            ((64, 1, 28, 28), 32, 3),
            ((128, 32, 26, 26), 64, 3),
            ((64, 64, 56, 56), 64, 3),
            ((64, 256, 14, 14), 1024, 1),
        )
        for dtype in ("float32", "bfloat16")
        for last in (False, True)
    ]


def _attention(shape: tuple[int, ...], dtype: str, gradients: bool) -> Make:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        q, k, v = (library.randn(*shape).to(getattr(library, dtype)) for _ in range(3))
        call = functional.scaled_dot_product_attention
        if not gradients:
            return lambda: call(q, k, v, is_causal=True)
        inputs = [x.detach().requires_grad_() for x in (q, k, v)]
        return forward_and_backward(library, inputs, lambda *x: call(*x, is_causal=True))

    return make


def _flash_attention(shape: tuple[int, ...], dtype: str, gradients: bool) -> Maker:
    """Dao's package, which wants (batch, time, heads, size)."""

    def build() -> Callable[[], object]:
        import torch

        function = importlib.import_module("flash_attn").flash_attn_func
        batch, heads, time, size = shape
        kind = getattr(torch, dtype)
        inputs = [torch.randn(batch, time, heads, size, dtype=kind, device="cuda") for _ in "qkv"]
        if not gradients:
            return lambda: function(*inputs, causal=True)
        inputs = [x.requires_grad_() for x in inputs]
        return forward_and_backward(torch, inputs, lambda *x: function(*x, causal=True))

    return build


def _attention_rows() -> list[Row]:
    rows = []
    for shape in ((8, 16, 512, 64), (8, 16, 2048, 64), (4, 16, 4096, 128)):
        for dtype in ("float16", "bfloat16", "float32"):
            for gradients in (False, True):
                name = f"causal {shape}, {dtype}{', with gradients' if gradients else ''}"
                case = (shape, dtype, gradients)
                others = {} if dtype == "float32" else {"flash-attn": _flash_attention(*case)}
                rows.append(_row("attention", name, _attention(*case), 5, others=others))
    return rows


def _call(name: str, *shapes: tuple[int, ...], **options: Any) -> Make:
    """A function of nn.functional of random inputs, with their gradients."""

    def make(library: Any, functional: Any) -> Callable[[], object]:
        inputs = [library.randn(*s).requires_grad_() for s in shapes]
        function = getattr(functional, name)
        return forward_and_backward(library, inputs, lambda *x: function(*x, **options))

    return make


def _recurrent(kind: str, time: int, batch: int, size: int) -> Make:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        layer = getattr(library.nn, kind)(size, size).to("cuda")
        x = library.randn(time, batch, size).requires_grad_()
        inputs = [x, *layer.parameters()]
        return forward_and_backward(library, inputs, lambda x, *weights: layer(x)[0])

    return make


def _embedding(rows: int, size: int, words: int) -> Make:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        table = library.randn(rows, size).requires_grad_()
        at = library.randint(0, rows, (words,))
        return forward_and_backward(library, [table], lambda table: functional.embedding(at, table))

    return make


def _reduced(name: str, *shape: int, **options: int) -> Make:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        x = library.randn(*shape)
        return lambda: getattr(library, name)(x, **options)

    return make


def _training(build: Callable[[Any], Any], shape: tuple[int, ...]) -> Make:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        x = library.rand(*shape)
        y = library.randint(0, 10, (shape[0],))
        model = build(library.nn).to("cuda")
        fused = {"fused": True} if library.__name__ == "torch" else {}
        optimizer = library.optim.Adam(model.parameters(), **fused)

        def step() -> None:
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()

        return step

    return make


def _training_rows() -> list[Row]:
    cases = [
        ("MNIST CNN", models.mnist_cnn, (128, 1, 28, 28)),
        ("MNIST MLP", models.mnist_mlp, (64, 1, 28, 28)),
        ("CIFAR LeNet", models.cifar_lenet, (128, 3, 32, 32)),
    ]
    return [
        _row(
            "training",
            f"{name} step, batch {shape[0]}",
            _training(build, shape),
            5,
            {"torch compile": _on_device("torch", _training(build, shape), "compile")},
        )
        for name, build, shape in cases
    ]


ROWS = [
    *_gemm_rows(),
    *(
        _row("gemm", f"linear {shape}, {dtype}, with gradients", _linear(*shape, dtype))
        for shape in ((128, 9216, 128), (64, 784, 512), (8192, 1024, 4096))
        for dtype in ("float32", "bfloat16")
    ),
    *_conv_rows(),
    *_attention_rows(),
    _row("softmax", "(8192, 4096)", _call("softmax", (8192, 4096), dim=1)),
    _row("softmax", "cross-entropy (8192, 50257)", cross_entropy(8192, 50257), 5),
    _row("norm", "layer_norm (16384, 1024)", _call("layer_norm", (16384, 1024), normalized_shape=(1024,))),
    _row("pool", "max 2 x 2, (128, 64, 24, 24)", _call("max_pool2d", (128, 64, 24, 24), kernel_size=2)),
    _row("elementwise", "gelu, 16 M", _call("gelu", (4096, 4096))),
    *(
        _row("reduction", f"{name} of (8192, 4096), {options}", _reduced(name, 8192, 4096, **options))
        for name in ("sum", "argmax")
        for options in ({"dim": 1}, {"dim": 0}, {})
    ),
    _row("embedding", "16384 of 50257 rows of 768", _embedding(50257, 768, 16384)),
    *(
        _row("recurrent", f"{kind}, {time} steps of {batch} samples, {size} units", _recurrent(kind, time, batch, size), 5)
        for kind in ("LSTM", "GRU")
        for time, batch, size in ((50, 32, 128), (100, 64, 512), (50, 256, 1024))
    ),
    *_training_rows(),
]  # fmt: skip
