"""Embedding kernels against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import assert_close, assert_same_bits_for_any_threads, eps, kernel

from fastnn.backends import cpu
from fastnn.backends import numpy as spec

# (rows, size, shape of the indices)
CASES: list[tuple[int, int, tuple[int, ...]]] = [
    (1, 1, (1,)),
    (5, 3, ()),
    (5, 3, (0,)),
    (7, 8, (4, 6)),
    (65, 33, (20, 31)),
    (3000, 100, (2, 50, 9)),
    (4, 0, (3,)),
    (10, 700, (900,)),
    (9, 128, (70,)),
]


@pytest.mark.parametrize(("rows", "size", "shape"), CASES, ids=str)
def test_embedding(
    isa: str, dtype: Any, rng: Any, rows: int, size: int, shape: tuple[int, ...]
) -> None:
    table = rng.standard_normal((rows, size)).astype(dtype)
    index = rng.integers(0, rows, shape)
    y = kernel("embedding")(table, index)
    np.testing.assert_array_equal(y, table[index])
    assert y.shape == (*shape, size)


@pytest.mark.parametrize(("rows", "size", "shape"), CASES, ids=str)
@pytest.mark.parametrize("padding", [-1, 0])
@pytest.mark.parametrize("by_frequency", [False, True])
def test_gradient(
    isa: str, dtype: Any, rng: Any, rows: int, size: int, shape: tuple[int, ...], padding: int,
    by_frequency: bool,
) -> None:  # fmt: skip
    index = rng.integers(0, rows, int(np.prod(shape)))
    g = rng.standard_normal((index.size, size)).astype(dtype)
    got = kernel("embedding_backward")(g, index, rows, padding, by_frequency)
    want = spec.embedding_backward(g.astype(np.float64), index, rows, padding, by_frequency)
    # a row's terms, added one after the other
    most = np.bincount(index, minlength=rows)[:, None]
    size_of_terms = spec.embedding_backward(
        np.abs(g).astype(np.float64), index, rows, padding, False
    )
    assert_close(got, want, (most + 2) * eps(dtype) * size_of_terms, "gradient")
    assert got.dtype == dtype


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), max_size=30), st.integers(-1, 6), st.booleans())
def test_any_indices(indices: list[int], padding: int, by_frequency: bool) -> None:
    index = np.array(indices, np.int64)
    g = np.arange(3.0 * index.size).reshape(-1, 3)  # sums of small integers are exact
    got = cpu.embedding_backward(g, index, 7, padding, by_frequency)
    want = spec.embedding_backward(g, index, 7, padding, by_frequency)
    np.testing.assert_allclose(got, want, rtol=2 * eps(np.float64))


@pytest.mark.parametrize("bad", [-1, 5, np.iinfo(np.int64).max, np.iinfo(np.int64).min])
def test_indices_out_of_range(bad: int) -> None:
    table, index = np.ones((5, 3), np.float32), np.array([0, bad])
    with pytest.raises(IndexError, match=rf"embedding: index {bad} is out of range for 5 rows"):
        cpu.embedding(table, index)


def test_other_layouts_and_dtypes(rng: Any) -> None:
    table = rng.standard_normal((9, 6)).astype(np.float32)
    index = np.array([[1, 2, 8], [0, 1, 1]])
    for t in (table.T.copy().T, table[::-1], table[:, ::2], table.astype(np.float16), table.astype(">f4")):  # fmt: skip
        for i in (index, index.T, index.astype(np.int32), index[:, ::-1]):
            np.testing.assert_array_equal(cpu.embedding(t, i), t[i])
    g = rng.standard_normal((6, 6)).astype(np.float32)
    flat = index.ravel()
    want = spec.embedding_backward(g, flat, 9, -1, False)
    for i in (flat.astype(np.int32), np.repeat(flat, 2)[::2]):
        assert_close(cpu.embedding_backward(g, i, 9, -1, False), want, 4 * eps(np.float32) * 10)
    assert_close(cpu.embedding_backward(np.asfortranarray(g), flat, 9, -1, False), want, 4e-6)


def test_same_bits_for_any_threads(rng: Any) -> None:
    index = rng.integers(0, 3000, 5000)
    g = rng.standard_normal((5000, 64)).astype(np.float32)
    assert_same_bits_for_any_threads(lambda: kernel("embedding_backward")(g, index, 3000, -1, True))
