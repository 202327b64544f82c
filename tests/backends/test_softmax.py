"""Softmax and cross-entropy kernels against NumPy in float64."""

from __future__ import annotations

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

CASES: list[tuple[tuple[int, ...], int]] = [
    ((1,), 0),
    ((5,), 0),
    ((3, 10), 1),
    ((3, 10), 0),
    ((70, 33), -1),
    ((2, 5, 4, 7), 1),
    ((2, 5, 4, 7), 3),
    ((2, 3, 40), 1),
    ((300, 1000), 1),
    ((20, 9, 500), 1),
    ((4, 1), 1),
]


def bound(dtype: Any, n: int) -> float:
    """Of a probability, or of a term of a sum of n of them: the sum's rounding, exp and the argument's rounding.

    x - max is exact to half an ulp of |x - max| <= 32 here, which exp turns into a relative error of 16 eps.
    """
    return (n / 2 + 24) * eps(dtype)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize(("shape", "axis"), CASES, ids=str)
def test_softmax(
    isa: str, dtype: Any, rng: Any, name: str, shape: tuple[int, ...], axis: int
) -> None:
    x = rng.uniform(-8, 8, shape).astype(dtype)
    g = rng.uniform(-1, 1, shape).astype(dtype)
    n = shape[axis]
    want = getattr(spec, name)(x.astype(np.float64), axis)
    y = kernel(name)(x, axis)
    tolerance = bound(dtype, n) * (np.abs(want) if name == "softmax" else 1 + np.abs(want))
    assert_close(y, want, tolerance, name)
    want_gx = getattr(spec, f"{name}_backward")(g.astype(np.float64), y.astype(np.float64), axis)
    gx = kernel(f"{name}_backward")(g, y, axis)
    total = np.abs(g).sum(axis, keepdims=True) if name != "softmax" else 1
    p = y if name == "softmax" else np.exp(y)
    assert_close(gx, want_gx, bound(dtype, n) * (p * total + np.abs(g) + eps(dtype)), name)
    assert y.dtype == gx.dtype == dtype


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_special_values(isa: str, dtype: Any, name: str) -> None:
    inf, nan = np.inf, np.nan
    rows = [
        [1e30, 0, -1e30, 5],
        [-inf, 0, 1, -inf],
        [-inf] * 4,
        [inf, 0, 1, 2],
        [nan, 0, 1, 2],
        [0, 1, nan, -inf],
        [3e38, 3e38, 0, -3e38],
        [-1000, -1001, -1002, -1003],
    ]
    x = np.array(rows, dtype)
    with np.errstate(all="ignore"):
        want = getattr(spec, name)(x.astype(np.float64), 1).astype(dtype)
    tolerance = 24 * eps(dtype) * (1 + np.abs(np.nan_to_num(want, posinf=0, neginf=0)))
    assert_close(kernel(name)(x, 1), want, tolerance, name)
    assert_close(kernel(name)(np.ascontiguousarray(x.T), 0), want.T, tolerance.T)
    wide = np.concatenate([x, np.full((8, 40), -inf, dtype)], 1)
    assert_close(kernel(name)(wide, 1)[:, :4], want, tolerance, name)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_layouts(isa: str, dtype: Any, rng: Any, name: str) -> None:
    base = rng.uniform(-8, 8, (2, 5, 4, 7)).astype(dtype)
    g = rng.uniform(-1, 1, base.shape).astype(dtype)
    for axis in range(-4, 4):
        want = getattr(spec, name)(base.astype(np.float64), axis)
        want_gx = getattr(spec, f"{name}_backward")(g.astype(np.float64), want, axis)
        for (layout, x), (_, grad) in zip(layouts(base), layouts(g), strict=True):
            before = x.copy()
            y = getattr(cpu, name)(x, axis)
            assert_close(y, want, bound(dtype, 7) * (1 + np.abs(want)), layout)
            gx = getattr(cpu, f"{name}_backward")(grad, y, axis)
            assert_close(gx, want_gx, bound(dtype, 7) * 8 * (1 + np.abs(want)), layout)
            np.testing.assert_array_equal(x, before)
    image = channels_last(base)
    assert kernel(name)(image, 1).strides == image.strides


@pytest.mark.parametrize(("rows", "classes"), [(1, 1), (7, 10), (64, 3), (5, 1000), (300, 77)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_cross_entropy(
    isa: str, dtype: Any, rng: Any, rows: int, classes: int, weighted: bool, smoothing: float, reduction: str
) -> None:  # fmt: skip
    x = rng.uniform(-8, 8, (rows, classes)).astype(dtype)
    target = rng.integers(0, classes, rows)
    target[rng.random(rows) < 0.2] = -100
    weight = rng.uniform(0.5, 2, classes).astype(dtype) if weighted else None
    weight64 = None if weight is None else weight.astype(np.float64)
    target[0] = 0  # so that one counts
    arguments = (-100, smoothing)
    loss, lse, scale = kernel("cross_entropy")(x, target, weight, *arguments, reduction)
    want, want_lse, want_scale = spec.cross_entropy(
        x.astype(np.float64), target, weight64, *arguments, reduction
    )
    # losses are below 16 + log(1000) = 23, times a weight below 2
    tolerance = bound(dtype, classes) * 46
    assert loss.shape == want.shape
    assert_close(loss, want, tolerance * (rows if reduction == "sum" else 1))
    assert_close(lse, want_lse, tolerance)
    assert_close(scale, want_scale, (rows + 2) * eps(dtype) * want_scale)  # one over a sum of rows
    for shape in ((rows,), ()):
        g = np.array(rng.uniform(-1, 1, shape), dtype)
        gx = kernel("cross_entropy_backward")(g, scale, x, target, lse, weight, *arguments)
        want_gx = spec.cross_entropy_backward(
            g.astype(np.float64), want_scale, x.astype(np.float64), target, want_lse, weight64,
            *arguments,
        )  # fmt: skip
        assert_close(gx, want_gx, tolerance)
    assert loss.dtype == lse.dtype == scale.dtype == gx.dtype == dtype


def test_mean_of_no_targets(isa: str, dtype: Any) -> None:
    x, target = np.zeros((3, 4), dtype), np.full(3, -100)
    for function in (kernel("cross_entropy"), spec.cross_entropy):
        loss, _, scale = function(x, target, None, -100, 0.0, "mean")
        assert np.isnan(loss)
        assert np.isposinf(scale)
        total, _, _ = function(x, target, None, -100, 0.0, "sum")
        assert total == 0


@pytest.mark.parametrize("wrong", [10, -1, 1 << 40, -(1 << 62)])
def test_target_out_of_range(isa: str, dtype: Any, rng: Any, wrong: int) -> None:
    for rows in (1, 5, 5000):
        x = rng.standard_normal((rows, 10)).astype(dtype)
        target = rng.integers(0, 10, rows)
        target[rows // 2] = wrong
        _, lse, one = cpu.cross_entropy(x, target % 10, None, -100, 0.0, "none")
        for name, arguments in (
            ("cross_entropy", (x, target, None, -100, 0.0, "none")),
            ("cross_entropy", (x, target, None, -100, 0.0, "mean")),
            ("cross_entropy_backward", (lse, one, x, target, lse, None, -100, 0.0)),
        ):
            with pytest.raises(IndexError, match=f"target {wrong} is out of bounds for 10 classes"):
                kernel(name)(*arguments)


def test_cross_entropy_layouts_and_empty(isa: str, dtype: Any, rng: Any) -> None:
    base = rng.uniform(-3, 3, (6, 5)).astype(dtype)
    target = rng.integers(0, 5, 12)[::2]
    want, want_lse, _ = spec.cross_entropy(base.astype(np.float64), target, None, -100, 0.0, "none")
    for layout, x in layouts(base):
        loss, lse, _ = cpu.cross_entropy(x, target, None, -100, 0.0, "none")
        assert_close(loss, want, bound(dtype, 5) * 8, layout)
        assert_close(lse, want_lse, bound(dtype, 5) * 8, layout)
    empty = np.empty((0, 5), dtype)
    loss, lse, _ = cpu.cross_entropy(empty, np.empty(0, np.int64), None, -100, 0.0, "none")
    assert loss.shape == lse.shape == (0,)
    assert cpu.softmax(empty, 0).shape == cpu.log_softmax(empty, 1).shape == (0, 5)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), shape=hnp.array_shapes(min_dims=1, max_dims=4, max_side=20))
def test_probabilities_sum_to_one(data: st.DataObject, shape: tuple[int, ...]) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = data.draw(hnp.arrays(np.float32, shape, elements=st.floats(-100, 100, width=32)))
    total = cpu.softmax(x, axis).sum(axis, dtype=np.float64)
    assert np.abs(total - 1).max() <= bound(np.float32, shape[axis])
    assert_close(np.exp(cpu.log_softmax(x, axis).astype(np.float64)), cpu.softmax(x, axis), 2e-5)


def test_same_bits_for_any_threads(rng: Any) -> None:
    x = rng.standard_normal((700, 91)).astype(np.float32)
    target = rng.integers(0, 91, 700)
    for axis in (0, 1):
        assert_same_bits_for_any_threads(lambda axis=axis: kernel("softmax")(x, axis))
    for reduction in ("none", "mean"):
        assert_same_bits_for_any_threads(
            lambda reduction=reduction: kernel("cross_entropy")(
                x, target, None, -100, 0.1, reduction
            )
        )
