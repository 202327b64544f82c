"""Embedding on the CUDA kernels: rows exactly, gradients against sums in float64."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tests.cuda.common import DTYPES, eps, exact, normal
from tests.cuda.hardware import gpu, with_host_arrays
from tests.cuda.memory_use import memory_used_well, needs_counters

from fastnn.backends.gpu._arrays import kernels


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "width", [1, 3, 6, 10, 64, 300]
)  # units of 2 to 16 bytes; a lane to a warp
@pytest.mark.parametrize("shape", [(5,), (3, 41), (), (2, 0)])
def test_rows(shape: tuple[int, ...], width: int, dtype: Any) -> None:
    weight = normal((37, width), dtype)
    indices = np.random.default_rng(1).integers(0, 37, shape)
    for table in (weight, np.asfortranarray(weight), np.repeat(weight, 2, 0)[::2]):
        got = gpu.embedding(table, np.asarray(indices))
        assert got.dtype == dtype
        np.testing.assert_array_equal(exact(got), exact(weight)[indices])
    if width % 2:  # rows whose first is not aligned
        shifted = np.empty(weight.size + 1, dtype)[1:].reshape(weight.shape)
        shifted[...] = weight
        np.testing.assert_array_equal(
            exact(gpu.embedding(shifted, np.asarray(indices))), exact(weight)[indices]
        )


def test_other_dtypes_and_an_empty_table() -> None:
    table = np.arange(12).reshape(4, 3)
    np.testing.assert_array_equal(gpu.embedding(table, np.array([3, 0])), table[[3, 0]])
    empty = np.empty((4, 0), np.float32)
    assert gpu.embedding(empty, np.array([[1, 2]])).shape == (1, 2, 0)
    with pytest.raises(IndexError):
        gpu.embedding(np.empty((0, 3), np.float32), np.array([0]))


@pytest.mark.parametrize("bad", [-1, 7, 2**40, -(2**40)])
def test_index_out_of_range(bad: int) -> None:
    indices = np.full((30, 20), 6)
    indices[17, 3], indices[20, 1] = bad, 99
    with pytest.raises(IndexError, match=f"embedding: index {bad} is out of range for 7 rows"):
        gpu.embedding(np.ones((7, 5), np.float32), indices)


def check_gradient(
    g: Any, indices: Any, rows: int, padding: int = -1, by_frequency: bool = False
) -> None:
    """A row is a sum of k numbers: k roundings of the accumulator at most, of their sizes' sum, and one of the result."""
    got = gpu.embedding_backward(g, indices, rows, padding, by_frequency)
    assert got.dtype == g.dtype
    kept = indices != padding
    wanted, size = np.zeros((2, rows, g.shape[1]))
    np.add.at(wanted, indices[kept], exact(g)[kept])
    np.add.at(size, indices[kept], np.abs(exact(g))[kept])
    counts = np.bincount(indices, minlength=rows)[:, None]
    if by_frequency:
        wanted, size = wanted / np.maximum(counts, 1), size / np.maximum(counts, 1)
    unit = 2.0**-53 if g.dtype == np.float64 else 2.0**-24
    bound = (counts + 1) * unit * size + eps(g.dtype) / 2 * np.abs(wanted)
    assert np.all(np.abs(exact(got) - wanted) <= bound)
    again = gpu.embedding_backward(g, indices, rows, padding, by_frequency)
    np.testing.assert_array_equal(exact(got), exact(again))


# Positions: within a tile of 32, several tiles. Rows: runs that end within a tile, fill tiles, cross several, one row for all
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1, 10, 64, 264])
@pytest.mark.parametrize(("n", "rows"), [(5, 9), (32, 3), (331, 4), (200, 100), (97, 1)])
def test_gradient(n: int, rows: int, width: int, dtype: Any) -> None:
    indices = np.random.default_rng(n).integers(0, rows, n)
    g = normal((n, width), dtype)
    check_gradient(g, indices, rows)
    check_gradient(g, indices, rows, padding=rows // 2, by_frequency=True)
    check_gradient(np.asfortranarray(g), np.sort(indices), rows, by_frequency=True)


def test_runs_that_end_at_the_border_of_a_tile() -> None:
    indices = np.repeat([0, 2, 3, 4, 6], [32, 16, 16, 64, 1])
    g = normal((len(indices), 8), np.float32)
    check_gradient(g, indices, 8)
    check_gradient(g, indices, 8, padding=4)


def test_large_tiles() -> None:
    indices = np.random.default_rng(0).integers(0, 3, 70000)
    check_gradient(normal((70000, 2), np.float32), indices, 4)


def test_gradient_of_nothing() -> None:
    none = np.zeros(0, np.int64)
    got = gpu.embedding_backward(np.zeros((0, 3), np.float32), none, 4, -1, False)
    np.testing.assert_array_equal(got, np.zeros((4, 3)))
    assert gpu.embedding_backward(np.zeros((0, 3), np.float16), none, 0, -1, True).shape == (0, 3)
    assert gpu.embedding_backward(np.ones((2, 0)), np.array([1, 1]), 4, -1, True).shape == (4, 0)


@needs_counters
@pytest.mark.parametrize("dtype", [np.float32, np.float64, ml_dtypes.bfloat16])
def test_memory_is_used_well(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of whole vectors, each once or in runs that cross tiles."""
    rng = np.random.default_rng(2)
    x = normal((300, 128), dtype)
    with memory_used_well(monkeypatch, "gather_rows", "sum_tiles", "join_tiles", exempt=True):
        for indices in (rng.permutation(300), rng.integers(0, 10, 300)):
            gpu.embedding(x, indices)
            gpu.embedding_backward(x, indices, 300, -1, False)


def test_errors() -> None:
    gather = with_host_arrays(kernels.embedding)
    backward = with_host_arrays(kernels.embedding_backward)
    table, at = np.ones((4, 3), np.float32), np.array([1, 2])
    out, wrong = np.empty((2, 3), np.float32), np.full(1, 2, np.int32)
    with pytest.raises(TypeError, match="indices must be int64"):
        gather(table, at.astype(np.int32), out, wrong, 0)
    with pytest.raises(ValueError, match="out must have 6 elements"):
        gather(table, at, out[:1], wrong, 0)
    with pytest.raises(TypeError, match="first_wrong must be int32"):
        gather(table, at, out, at, 0)
    partial = np.empty((2, 1, 3), np.float32)
    with pytest.raises(ValueError, match="g must have 8 elements"):
        backward(out, at, at, partial, np.empty((4, 4), np.float32), -1, False, 0)
    with pytest.raises(ValueError, match="order must have 2 elements"):
        backward(out, at, at[:1], partial, table, -1, False, 0)
    with pytest.raises(ValueError, match="partial must have 6 elements"):
        backward(out, at, at, partial[:1], table, -1, False, 0)
