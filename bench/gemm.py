"""Matrix products: squares, awkward sizes, transposed and batched ones, and Linear layers with both gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .measure import Maker, Row
from .same_code import Make, forward_and_backward, jax_function, row

_SQUARES = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
_AWKWARD = (33, 65, 127, 255, 257, 513, 1023, 1025)
_LINEAR = (
    (1, 128, 10),
    (1, 1600, 128),
    (8, 768, 3072),
    (64, 784, 512),
    (128, 128, 10),
    (128, 1600, 128),
    (128, 9216, 128),
)
_BATCHED = ((64, 32, 32, 32), (16, 128, 64, 128), (96, 64, 64, 64), (8, 512, 512, 64))


def _repeat(flops: float) -> int:
    return max(1, int(4e7 / flops))


def _matmul(m: int, k: int, n: int, transposed: str = "", batch: tuple[int, ...] = ()) -> Make:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        a = library.randn(*batch, *((k, m) if "a" in transposed else (m, k)))
        b = library.randn(*batch, *((n, k) if "b" in transposed else (k, n)))
        a = a.transpose(-1, -2) if "a" in transposed else a
        b = b.transpose(-1, -2) if "b" in transposed else b
        return lambda: a @ b

    return make


def _numpy(m: int, k: int, n: int) -> Maker:
    def build() -> Callable[[], object]:
        rng = np.random.default_rng(0)
        a, b = rng.random((m, k), np.float32), rng.random((k, n), np.float32)
        return lambda: a @ b

    return build


def _jax(m: int, k: int, n: int) -> Maker:
    def make(jax: Any, jnp: Any) -> Callable[[], object]:
        key = jax.random.key(0)
        a, b = jax.random.normal(key, (m, k)), jax.random.normal(key, (k, n))
        product = jax.jit(jnp.matmul)
        return lambda: product(a, b)

    return jax_function(make)


def _product(name: str, m: int, k: int, n: int, **facts: Any) -> Row:
    flops = 2.0 * m * k * n
    peers = {"numpy": _numpy(m, k, n), "jax": _jax(m, k, n)}
    return row(
        "gemm",
        name,
        _matmul(m, k, n),
        _repeat(flops),
        peers=peers,
        flops=flops,
        bytes=4.0 * (m * k + k * n + m * n),
        **facts,
    )


def _linear(batch: int, features: int, outputs: int, gradients: bool) -> Row:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        x, bias = library.randn(batch, features), library.randn(outputs)
        weight = library.randn(outputs, features)
        if not gradients:
            return lambda: functional.linear(x, weight, bias)
        inputs = [v.requires_grad_() for v in (x, weight, bias)]
        return forward_and_backward(library, inputs, functional.linear)

    times = 3 if gradients else 1
    flops = 2.0 * batch * features * outputs * times
    operands = batch * features + features * outputs + batch * outputs
    return row(
        "gemm",
        f"linear {batch} x {features} to {outputs}{', with gradients' if gradients else ''}",
        make,
        _repeat(flops),
        flops=flops,
        bytes=4.0 * operands * times,
    )


def _bfloat16(n: int) -> Make:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        a, b = (library.randn(n, n).to(library.bfloat16) for _ in range(2))
        return lambda: a @ b

    return make


def _int8(n: int) -> Make:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        a, b = (library.randint(-128, 128, (n, n), dtype=library.int8) for _ in range(2))
        return lambda: library._int_mm(a, b)

    return make


def _precision(n: int, precision: str) -> Make:
    """A float32 product with less precision; PyTorch's are its own at the name, or at "highest" where it has no such."""

    def make(library: Any, functional: Any) -> Callable[[], object]:
        a, b = library.randn(n, n), library.randn(n, n)
        known = library.__name__ == "fastnn" or precision != "bfloat16_x6"

        def run() -> object:
            library.set_float32_matmul_precision(precision if known else "highest")
            try:
                return a @ b
            finally:
                library.set_float32_matmul_precision("highest")

        return run

    return make


ROWS = [
    *(_product(f"{n} x {n}", n, n, n, series=("Square matrices: n", n)) for n in _SQUARES),
    *(_product(f"{n} x {n}", n, n, n) for n in _AWKWARD),
    *(
        row(
            "gemm",
            f"512 x 512, {what} transposed",
            _matmul(512, 512, 512, which),
            flops=2.0 * 512**3,
            bytes=12.0 * 512**2,
        )
        for which, what in (("a", "A"), ("b", "B"), ("ab", "both"))
    ),
    *(
        row(
            "gemm",
            f"{batch} products {m} x {k} x {n}",
            _matmul(m, k, n, batch=(batch,)),
            _repeat(2.0 * batch * m * k * n),
            flops=2.0 * batch * m * k * n,
            bytes=4.0 * batch * (m * k + k * n + m * n),
        )
        for batch, m, k, n in _BATCHED
    ),
    *(
        row(
            "gemm",
            f"512 x 512, {threads} thread{'s' if threads > 1 else ''}",
            _matmul(512, 512, 512),
            threads=threads,
            flops=2.0 * 512**3,
            series=("512 x 512 matrices: threads", threads),
        )
        for threads in (1, 2, 4, 8)
    ),
    *(_linear(*shape, gradients) for shape in _LINEAR for gradients in (False, True)),
    *(
        row("gemm", f"{n} x {n}, {name}", make(n), flops=2.0 * n**3, bytes=1.0 * size * n**2)
        for name, make, size in (("bfloat16", _bfloat16, 6), ("int8 in int32", _int8, 6))
        for n in (64, 128, 256, 512)
    ),
    *(
        row(
            "gemm",
            f"{n} x {n}, precision {name}",
            _precision(n, name),
            flops=2.0 * n**3,
            bytes=12.0 * n**2,
            peers={"numpy": _numpy(n, n, n)},
        )
        for name in ("high", "medium", "bfloat16_x6")
        for n in (256, 512, 1024)
    ),
]
