"""Reduction kernels against NumPy in float64."""

from __future__ import annotations

from itertools import chain, combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support import (
    assert_close,
    assert_same_bits_for_any_threads,
    channels_last,
    eps,
    kernel,
    layouts,
)

from fastnn.backends import cpu
from fastnn.backends import numpy as spec

# csrc/reduction/reduction.h: at most 64 additions in T along one accumulator, and 8 to join the accumulators
STEPS = 72

# (shape, axis) that the kernels have to serve themselves
SERVED: list[tuple[tuple[int, ...], Any]] = [
    ((1000,), None),
    ((300_007,), None),
    ((1,), None),
    ((), None),
    ((3, 5), 1),
    ((3, 5), 0),
    ((7, 300), (0, 1)),
    ((500, 33), 0),
    ((500, 33), -1),
    ((3, 70_000), 1),
    ((70_000, 3), 0),
    ((70_000, 3), 1),
    ((4, 50_001), 0),
    ((128, 1000), 0),
    ((3000, 200), 0),
    ((5, 6, 7), 1),
    ((40, 3, 200), 1),
    ((3, 900, 40), 1),
    ((16, 8, 9, 11), (0, 2, 3)),
    ((3, 2, 150, 150), (0, 2, 3)),
    ((30, 64, 5, 5), (0, 2, 3)),
    ((2, 3, 40, 40), (2, 3)),
    ((2, 3, 4, 5), (1, 2, 3)),
    ((1, 4, 1, 5), 3),
]


def reference(name: str, x: np.ndarray, axis: Any, keepdims: bool) -> tuple[Any, Any]:
    """The result in float64, and the error that the kernel may make."""
    want = getattr(spec, name)(x.astype(np.float64), axis, keepdims)
    if name in ("amax", "amin"):
        return want, 0.0
    bound = STEPS * eps(x.dtype) * getattr(spec, name)(np.abs(x.astype(np.float64)), axis, keepdims)
    return want, bound


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin"])
@pytest.mark.parametrize(("shape", "axis"), SERVED, ids=str)
def test_served(
    isa: str, dtype: Any, rng: Any, name: str, shape: tuple[int, ...], axis: Any
) -> None:
    x = rng.uniform(-1, 2, shape).astype(dtype)
    for keepdims in (False, True):
        for image in (x, channels_last(x)) if x.ndim == 4 and axis == (0, 2, 3) else (x,):
            got = kernel(name)(image, axis, keepdims)
            assert got.dtype == dtype
            assert_close(got, *reference(name, x, axis, keepdims), f"{name} {shape} {axis}")


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin"])
def test_any_axes_and_layouts(isa: str, dtype: Any, rng: Any, name: str) -> None:
    base = rng.uniform(-1, 2, (2, 3, 4, 5)).astype(dtype)
    axes = chain.from_iterable(combinations(range(4), n) for n in range(5))
    for axis in (None, *range(-4, 4), *axes):
        for layout, x in layouts(base):
            before = x.copy()
            got = getattr(cpu, name)(x, axis, True)
            assert_close(got, *reference(name, base, axis, True), f"{name} {axis} {layout}")
            np.testing.assert_array_equal(x, before)


@settings(max_examples=80, deadline=None)
@given(data=st.data(), shape=hnp.array_shapes(min_dims=1, max_dims=5, max_side=6))
def test_any_shape_and_strides(data: st.DataObject, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(1).integers(-9, 9, shape).astype(np.float32)
    order = data.draw(st.permutations(range(x.ndim)))
    x = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
    axis = data.draw(st.lists(st.integers(0, x.ndim - 1), unique=True).map(tuple))
    keepdims = data.draw(st.booleans())
    for name in ("sum", "amax", "amin"):  # exact on small integers
        got = getattr(cpu, name)(x, axis, keepdims)
        np.testing.assert_array_equal(got, getattr(spec, name)(x, axis, keepdims))
    last = data.draw(st.integers(0, x.ndim - 1))
    np.testing.assert_array_equal(cpu.argmax(x, last), spec.argmax(x, last))
    np.testing.assert_array_equal(cpu.argmin(x, last, True), spec.argmin(x, last, True))


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_special_values(isa: str, dtype: Any, name: str, value: float) -> None:
    for n in (1, 5, 40, 5000):
        for at in {0, n // 2, n - 1}:
            x = np.ones((3, n), dtype)
            x[1, at] = value
            for axis in (None, 0, 1):
                got = np.asarray(kernel(name)(x, axis))
                want = getattr(spec, name)(x.astype(np.float64), axis)
                assert_close(got, want, 0.0 if name != "mean" else eps(dtype), f"{name} {n} {at}")


def test_sum_of_many_is_accurate(isa: str, rng: Any) -> None:
    # a running float32 sum of 4 million values near 1 would be off by thousands
    x = rng.uniform(1, 1.001, 1 << 22).astype(np.float32)
    exact = x.astype(np.float64).sum()
    for y in (x, x.reshape(-1, 1), x.reshape(-1, 4)):
        got = np.asarray(kernel("sum")(y, 0)).astype(np.float64).sum()
        assert abs(got - exact) <= STEPS * eps(np.float32) * exact


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("n", [1, 2, 10, 16, 17, 100, 1000, 100_003])
def test_positions(isa: str, dtype: Any, rng: Any, name: str, n: int) -> None:
    rows = 1 if n > 50_000 else 7
    x = rng.integers(0, max(n // 3, 2), (rows, n)).astype(dtype)  # with ties
    got = kernel(name)(x, 1)
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, getattr(spec, name)(x, 1))
    np.testing.assert_array_equal(kernel(name)(x), getattr(spec, name)(x))
    assert kernel(name)(x, -1, True).shape == (rows, 1)
    x[0, n // 2] = np.nan
    x[0, n - 1] = np.nan
    np.testing.assert_array_equal(kernel(name)(x, 1), getattr(spec, name)(x, 1))
    infinite = np.full((2, n), -np.inf if name == "argmax" else np.inf, dtype)
    np.testing.assert_array_equal(kernel(name)(infinite, 1), [0, 0])


def test_other_dtypes_go_to_numpy() -> None:
    assert cpu.sum(np.ones((3, 3), bool)) == 9
    assert cpu.sum(np.arange(4, dtype=np.int32)).dtype == np.int64
    assert cpu.amax(np.arange(4)) == 3
    assert cpu.sum(np.ones(3, np.float16)).dtype == np.float16


def test_empty_and_errors(dtype: Any) -> None:
    empty = np.empty((0, 3), dtype)
    assert cpu.sum(empty).dtype == dtype
    np.testing.assert_array_equal(cpu.sum(empty, 0), np.zeros(3))
    assert cpu.sum(empty, 1).shape == (0,)
    assert np.isnan(cpu.mean(empty, 0)).all()
    for name in ("amax", "amin", "argmax"):
        with pytest.raises(ValueError, match=r"zero-size|empty"):
            getattr(cpu, name)(empty)
    with pytest.raises(ValueError, match="out of bounds"):
        cpu.sum(np.ones((2, 2), dtype), 2)


@pytest.mark.parametrize(("shape", "axis"), [s for s in SERVED if np.prod(s[0]) > 20_000], ids=str)
def test_same_bits_for_any_threads(rng: Any, shape: tuple[int, ...], axis: Any) -> None:
    x = rng.standard_normal(shape).astype(np.float32)
    assert_same_bits_for_any_threads(lambda: kernel("sum")(x, axis))
