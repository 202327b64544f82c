"""Products of 16-bit matrices by the kernel for compute capability 9.0 (TMA, mbarriers, wgmma), against float64."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tests.cuda.common import counted
from tests.cuda.hardware import gpu, with_host_arrays
from tests.cuda.memory_use import memory_used_well, needs_counters
from tests.cuda.test_gemm import check, matrix, transposed

from fastnn.backends.gpu import gemm
from fastnn.backends.gpu._arrays import kernels

DTYPES = [np.float16, ml_dtypes.bfloat16]
KERNEL = "wgmma_kernel"
product = with_host_arrays(gemm.product)


@pytest.fixture(autouse=True)
def _hopper(monkeypatch: Any) -> None:
    monkeypatch.setenv("SIMT_ARCH", "90")


def pitched(x: Any) -> Any:
    """The same values in rows of whole 16 bytes, as TMA wants them; what lies between the rows is NaN."""
    rows, columns = x.shape[-2:]
    wide = np.full((*x.shape[:-2], rows, (columns + 7) // 8 * 8), np.nan, x.dtype)
    wide[..., :columns] = x
    return wide[..., :columns]


def layout(x: Any, transpose: bool) -> Any:
    return pitched(x.swapaxes(-1, -2)).swapaxes(-1, -2) if transpose else pitched(x)


def kernels_of(call: Any, monkeypatch: Any) -> str:
    """The names of the kernels that ran."""
    with counted(monkeypatch):
        call()
    return " ".join(kernels.emulator_kernels())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposes", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("tile", ["auto", "large"])
def test_layouts(dtype: Any, transposes: tuple[bool, bool], tile: str) -> None:
    """128 x 128 or 128 x 256 tiles, of which some blocks take two, with ragged edges on every side."""
    m, n, k = (131, 267, 195) if tile == "large" else (197, 267, 139)
    rng = np.random.default_rng(0)
    a, b = matrix(rng, (m, k), dtype), matrix(rng, (k, n), dtype)
    check(product(layout(a, transposes[0]), layout(b, transposes[1]), tile=tile), a, b, "highest")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("tile", "k"), [("auto", 13 * 64 + 8), ("large", 9 * 64 + 8)])
def test_twice_around_the_ring(dtype: Any, tile: str, k: int) -> None:
    """More than two rounds of the six (or four) stages; at most twice the error of NumPy's float32 sums."""
    rng = np.random.default_rng(1)
    a, b = matrix(rng, (136, k), dtype), matrix(rng, (k, 136), dtype)
    got = product(a, transposed(b), tile=tile)
    check(got, a, b, "highest")
    exact = a.astype(np.float64) @ b.astype(np.float64)
    plain = (a.astype(np.float32) @ b.astype(np.float32)).astype(dtype)

    def error(y: Any) -> float:
        return float(np.max(np.abs(y.astype(np.float64) - exact)))

    assert error(got) <= 2 * error(plain)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "splits"), [(136, 1), (131, 1), (136, 3), (131, 2)])
@pytest.mark.parametrize("relu", [False, True])
def test_bias_activation_accumulation(dtype: Any, n: int, splits: int, relu: bool) -> None:
    rng = np.random.default_rng(2)
    a, b, c = (matrix(rng, s, dtype) for s in ((130, 200), (200, n), (130, n)))
    bias = matrix(rng, (n,), dtype)
    got = product(a, layout(b, True), bias, relu=relu, out=c.copy(), splits=splits)
    check(got, a, b, "highest", c.astype(np.float64) + bias.astype(np.float64), relu)


@pytest.mark.parametrize("shared", [False, True])
def test_batches(shared: bool) -> None:
    rng = np.random.default_rng(3)
    a = matrix(rng, (3, 136, 72), np.float16)
    b = matrix(rng, (72, 136) if shared else (3, 72, 136), np.float16)
    swapped = np.ascontiguousarray(a.transpose(1, 0, 2)).transpose(1, 0, 2)  # rows of all batches
    for left in (a, swapped):
        check(gpu.matmul(left, b), a, b, "highest")
    check(
        gpu.matmul(np.broadcast_to(a[:1], a.shape), b),
        np.broadcast_to(a[:1], a.shape),
        b,
        "highest",
    )


@needs_counters
def test_which_products_it_serves(monkeypatch: Any) -> None:
    rng = np.random.default_rng(4)
    a, b = matrix(rng, (136, 72), np.float16), matrix(rng, (72, 136), np.float16)
    assert KERNEL in kernels_of(lambda: gpu.matmul(a, b), monkeypatch)
    odd = np.full((136, 73), np.nan, np.float16)[:, :72]  # rows of 146 bytes
    odd[:] = a
    for left, right in ((odd, b), (a[:64], b), (a[:, ::2], b[::2]), (a[:, ::-1], b[::-1])):
        assert KERNEL not in kernels_of(lambda x=left, y=right: gpu.matmul(x, y), monkeypatch)
        check(gpu.matmul(left, right), left, right, "highest")
    monkeypatch.setenv("SIMT_ARCH", "80")
    assert KERNEL not in kernels_of(lambda: gpu.matmul(a, b), monkeypatch)


@needs_counters
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("tile", ["auto", "large"])
def test_memory_is_used_well(transpose: bool, tile: str, monkeypatch: Any) -> None:
    rng = np.random.default_rng(5)
    a, b = matrix(rng, (256, 128), np.float16), matrix(rng, (128, 256), np.float16)
    with memory_used_well(monkeypatch, KERNEL) as rows:
        product(layout(a, transpose), layout(b, transpose), tile=tile)
    assert {row["access"] for row in rows} == {
        "tensor load",
        "shared store 8",
        "shared load 16",
        "global store 16",
    }
