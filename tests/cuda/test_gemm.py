"""Matrix products on the CUDA kernels, against float64."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tests.cuda.common import KINDS
from tests.cuda.hardware import gpu, with_host_arrays
from tests.cuda.memory_use import memory_used_well, needs_counters

import fastnn
from fastnn.backends import emulated, flags
from fastnn.backends.gpu import gemm

product = with_host_arrays(gemm.product)
BFLOAT16 = ml_dtypes.bfloat16
# More than one 64 x 64 tile and 128 x 128 tile, ragged; the sum takes at least six steps of 32 (16 bits), 13 of 16, 25 of 8.
# Sizes are whole vectors (of 8 elements) or not.
ALIGNED = (136, 152, 200)
RAGGED = (131, 67, 195)


@pytest.fixture(autouse=True)
def _restore_precision() -> Any:
    before = fastnn.get_float32_matmul_precision()
    yield
    fastnn.set_float32_matmul_precision(before)


def matrix(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Any:
    return rng.normal(size=shape).astype(dtype)


def transposed(x: Any) -> Any:
    """The same values, contiguous along the other of the last two axes."""
    return np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2)


def check(got: Any, a: Any, b: Any, precision: str, extra: Any = 0.0, relu: bool = False) -> None:
    """A sum of K products, each off by a unit of the factors' rounding, summed in float32 (or float64).

    |error| <= (K u + factors) |a| |b| + a rounding of the result, u the unit of the sum: the worst case of K roundings; the factors are exact
    but in TF32 (two of them rounded to 11 bits, 2 * 2^-11; of the split ones 2^-22 and the dropped term remain).
    """
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    wanted = a64 @ b64 + extra
    if relu:
        wanted = np.maximum(wanted, 0)
    size = np.abs(a64) @ np.abs(b64) + np.abs(extra)
    u = 2.0**-53 if a.dtype == np.float64 else 2.0**-24
    if not emulated() and u == 2.0**-24:
        u *= 4  # a tensor core cuts off what lies below the last bit of a step's largest addend, towards zero
    factors = (
        {"highest": 0.0, "high": 2.0**-21, "medium": 2.0**-10}[precision]
        if a.dtype == np.float32
        else 0.0
    )
    rounding = float(ml_dtypes.finfo(a.dtype).eps) / 2
    # roundings of random signs: sqrt(K) of them, with room of a factor 4, is far below the worst case K
    bound = (4 * np.sqrt(a.shape[-1]) * u + factors) * size + rounding * np.abs(wanted)
    assert got.dtype == a.dtype
    assert got.shape == wanted.shape
    error = np.abs(got.astype(np.float64) - wanted)
    assert np.all(error <= bound), f"{np.max(error / (bound + 1e-300))} of the bound"


@pytest.mark.parametrize(("dtype", "precision"), KINDS)
@pytest.mark.parametrize("transposes", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("sizes", [ALIGNED, RAGGED])
@pytest.mark.parametrize("tile", ["small", "large"])
def test_layouts(
    dtype: Any, precision: str, transposes: tuple[bool, bool], sizes: Any, tile: str
) -> None:
    if tile == "large" and (dtype == np.float64 or (sizes is RAGGED and dtype != np.float32)):
        pytest.skip("the same kernel as the small tile")
    m, n, k = sizes
    rng = np.random.default_rng(0)
    a, b = matrix(rng, (m, k), dtype), matrix(rng, (k, n), dtype)
    left = transposed(a) if transposes[0] else a
    right = transposed(b) if transposes[1] else b
    fastnn.set_float32_matmul_precision(precision)
    check(product(left, right, tile=tile), a, b, precision)


@pytest.mark.parametrize(("dtype", "precision"), KINDS)
@pytest.mark.parametrize("sizes", [(70, 72, 100), (67, 37, 99)])
@pytest.mark.parametrize("splits", [1, 3])
@pytest.mark.parametrize("relu", [False, True])
def test_bias_activation_accumulation(
    dtype: Any, precision: str, sizes: Any, splits: int, relu: bool
) -> None:
    m, n, k = sizes
    rng = np.random.default_rng(1)
    a, b, c = (matrix(rng, s, dtype) for s in ((m, k), (k, n), (m, n)))
    bias = matrix(rng, (n,), dtype)
    fastnn.set_float32_matmul_precision(precision)
    got = product(a, b, bias, relu=relu, out=c.copy(), splits=splits)
    check(got, a, b, precision, c.astype(np.float64) + bias.astype(np.float64), relu)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, BFLOAT16])
def test_split_sums_keep_their_bits(dtype: Any) -> None:
    rng = np.random.default_rng(2)
    a, b = matrix(rng, (5, 1027), dtype), matrix(rng, (1027, 9), dtype)  # four parts by its shape
    first = gpu.matmul(a, b)
    check(first, a, b, "highest")
    np.testing.assert_array_equal(first, gpu.matmul(a, b))
    np.testing.assert_array_equal(first, product(a, b, splits=4))


SHAPES = [
    ((7,), (7,)),
    ((7,), (7, 5)),
    ((3, 7), (7,)),
    ((2, 3, 4, 7), (7, 5)),
    ((2, 1, 4, 7), (3, 7, 5)),
    ((4, 7), (2, 3, 7, 5)),
    ((2, 3, 4, 0), (0, 5)),
    ((0, 7), (7, 5)),
    ((2, 0, 7), (7, 5)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize(("left", "right"), SHAPES)
def test_numpy_rules(left: tuple[int, ...], right: tuple[int, ...], dtype: Any) -> None:
    rng = np.random.default_rng(3)
    a, b = matrix(rng, left, dtype), matrix(rng, right, dtype)
    check(gpu.matmul(a, b), a, b, "highest")


@pytest.mark.parametrize("dtype", [np.float32, BFLOAT16])
def test_strides(dtype: Any) -> None:
    rng = np.random.default_rng(4)
    a = matrix(rng, (3, 140, 90), dtype)[:, ::2, 5:75]
    b = matrix(rng, (70, 3, 33), dtype).transpose(1, 0, 2)[::-1, ::-1, ::3]
    check(gpu.matmul(a, b), a, b, "highest")
    swapped = matrix(rng, (4, 3, 2, 8, 16), dtype).transpose(
        2, 0, 1, 3, 4
    )  # dims that are not one batch
    check(
        gpu.matmul(swapped, swapped.swapaxes(-1, -2)), swapped, swapped.swapaxes(-1, -2), "highest"
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, BFLOAT16])
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("bias", [False, True])
def test_linear(dtype: Any, activation: str | None, bias: bool) -> None:
    rng = np.random.default_rng(5)
    x, w = matrix(rng, (3, 23, 40), dtype), matrix(rng, (10, 40), dtype)
    v = matrix(rng, (10,), dtype) if bias else None
    extra = 0.0 if v is None else v.astype(np.float64)
    check(gpu.linear(x, w, v, activation), x, w.T, "highest", extra, activation == "relu")
    assert gpu.linear(x[:0], w, v, activation).shape == (0, 23, 10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("relu", [False, True])
def test_linear_backward(dtype: Any, relu: bool) -> None:
    rng = np.random.default_rng(5)
    g, x = matrix(rng, (3, 23, 10), dtype), matrix(rng, (3, 23, 40), dtype)
    w, y = matrix(rng, (10, 40), dtype), np.maximum(matrix(rng, (3, 23, 10), dtype), 0)
    passed = g * (y > 0) if relu else g
    gx, gw, gb = gpu.linear_backward(g, x, w, y if relu else None, True)
    check(gx, passed, w, "highest")
    rows = passed.reshape(-1, 10)
    check(gw, rows.T, x.reshape(-1, 40), "highest")
    check(gb, rows.T, np.ones(69, dtype), "highest")
    assert gpu.linear_backward(g, None, None, None, False) == (None, None, None)


def test_precision_of_float32() -> None:
    """Three TF32 products are about as good as float32's FMA; one is some thousand times worse, and is what allow_tf32 takes."""
    rng = np.random.default_rng(6)
    a, b = matrix(rng, (64, 256), np.float32), matrix(rng, (256, 64), np.float32)
    exact = a.astype(np.float64) @ b.astype(np.float64)

    def error(precision: str) -> float:
        fastnn.set_float32_matmul_precision(precision)
        return float(np.max(np.abs(gpu.matmul(a, b) - exact)))

    highest, high, medium = (error(p) for p in ("highest", "high", "medium"))
    assert high <= 2 * highest
    assert medium >= 100 * highest
    fastnn.set_float32_matmul_precision("highest")
    flags.cuda.matmul.allow_tf32 = True
    try:
        assert float(np.max(np.abs(gpu.matmul(a, b) - exact))) == medium
    finally:
        flags.cuda.matmul.allow_tf32 = False


def test_infinities_and_nan() -> None:
    a = np.eye(64, dtype=np.float32)
    a[3, 3], a[5, 5] = np.inf, np.nan
    b = np.ones((64, 64), np.float32)
    fastnn.set_float32_matmul_precision("high")
    got = gpu.matmul(a, b)
    assert not np.any(
        np.isfinite(got[[3, 5]])
    )  # the parts of an infinity meet zeros, which gives NaN
    assert np.all(np.delete(got, [3, 5], 0) == 1)


def test_errors() -> None:
    matmul = with_host_arrays(gemm.kernels.matmul)
    x, y = np.ones((3, 4), np.float32), np.ones((4, 5), np.float32)
    c = np.empty((3, 5), np.float32)
    rest = (False, False, "highest", "auto", 0, None, 0)
    with pytest.raises(ValueError, match=r"a \(3, 4\) and b \(3, 4\) do not give c \(3, 5\)"):
        matmul(x, x, c, None, *rest)
    with pytest.raises(TypeError, match="b must be float32, got float64"):
        matmul(x, y.astype(np.float64), c, None, *rest)
    with pytest.raises(ValueError, match="bias must have 5 elements"):
        matmul(x, y, c, np.ones(4, np.float32), *rest)
    with pytest.raises(ValueError, match="precision must be"):
        matmul(x, y, c, None, False, False, "low", "auto", 0, None, 0)
    with pytest.raises(ValueError, match="matmul"):
        gpu.matmul(x, x)


@needs_counters
@pytest.mark.parametrize(("dtype", "precision"), KINDS)
@pytest.mark.parametrize("tile", ["small", "large"])
def test_memory_is_used_well(
    dtype: Any, precision: str, tile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every layout of the operands, bias, accumulation, splits and batches; operands that are not whole vectors."""
    if tile == "large" and dtype == np.float64:
        pytest.skip("the same kernel as the small tile")
    rng = np.random.default_rng(0)
    fastnn.set_float32_matmul_precision(precision)
    cuda_cores = dtype == np.float64 or (dtype == np.float32 and precision == "highest")
    n = 64 if tile == "small" else 128
    a, b, c, bias = (matrix(rng, s, dtype) for s in ((n, 64), (64, n), (n, n), (n,)))
    with memory_used_well(monkeypatch, "fma_kernel" if cuda_cores else "mma_kernel"):
        for left in (a, transposed(a)):
            for right in (b, transposed(b)):
                product(left, right, tile=tile)
        product(a, b, bias, relu=True, out=c.copy(), tile=tile)
    if tile == "large":
        return  # the others are small
    with memory_used_well(monkeypatch, "finish_splits"):
        product(a, b, bias, out=c.copy(), splits=2)
    batch = matrix(rng, (2, 64, 64), dtype)
    with memory_used_well(monkeypatch):
        product(batch, batch.swapaxes(-1, -2))
    a, b = (matrix(rng, (64, 65), dtype)[:, 1:] for _ in range(2))
    with memory_used_well(monkeypatch, exempt=True) as rows:
        product(a, b)
        product(a, b.T)
        product(a.T, b)
    assert any("false>" in row["kernel"] for row in rows)
