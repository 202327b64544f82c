"""Batch normalisation kernels against NumPy in float64."""

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

SHAPES: list[tuple[int, ...]] = [
    (2, 1),
    (64, 33),
    (300, 70),
    (3, 4, 5),
    (2, 3, 4, 5),
    (8, 40, 7, 9),
    (2, 3, 100, 130),
    (130, 5, 1, 1),
    (2, 3, 2, 3, 4),
]
EPS = 1e-5


def wide(*arrays: Any) -> list[Any]:
    return [None if a is None else a.astype(np.float64) for a in arrays]


def check(x: np.ndarray, g: np.ndarray, weight: Any, bias: Any, forward: Any, back: Any) -> None:
    dtype = x.dtype
    want, want_mean, want_var = spec.batch_norm(*wide(x, weight, bias), EPS)
    y, mean, var = forward(x, weight, bias, EPS)
    # float32: the statistics are right to a few roundings, since blocks are joined in float64. float64: blocks of 64
    # additions, as the reference itself
    steps = 4 if dtype == np.float32 else 72
    scale = np.abs(want_mean) + np.sqrt(want_var + EPS)
    assert_close(mean, want_mean, steps * eps(dtype) * scale, "mean")
    assert_close(var, want_var, 16 * steps * eps(dtype) * (want_var + eps(dtype) * scale**2), "var")
    # x - mean loses what the mean's rounding loses: eps |mean| / std
    std = np.sqrt(want_var + EPS)
    loss = 2 * steps * eps(dtype) * (1 + np.abs(want_mean) / std)
    shape = (1, -1, *(1,) * (x.ndim - 2))
    assert_close(y, want, loss.reshape(shape) * (np.abs(want) + 4), "y")

    gx, gweight, gbias = back(g, x, weight, mean, var, EPS)
    wants = spec.batch_norm_backward(*wide(g, x, weight, want_mean, want_var), EPS)
    axes = (0, *range(2, x.ndim))
    total = np.abs(g.astype(np.float64)).sum(axes)
    xhat = (x.astype(np.float64) - want_mean.reshape(shape)) / std.reshape(shape)
    products = np.abs(g * xhat).sum(axes)
    rounding = 72 * eps(dtype) * (1 + np.abs(want_mean) / std)  # blocks of 64 additions
    assert_close(gbias, wants[2], rounding * total, "gbias")
    assert_close(gweight, wants[1], rounding * (products + total), "gweight")
    factor = (1 if weight is None else np.abs(weight)) / std
    size = factor * (np.abs(g).max() + total.max() / total.size + products.max() / total.size)
    limit = (rounding * size).reshape(shape) * (1 + np.abs(xhat))
    assert_close(gx, wants[0], limit, "gx")
    assert {a.dtype for a in (y, mean, var, gx, gweight, gbias)} == {dtype}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_batch_norm(
    isa: str, dtype: Any, rng: Any, shape: tuple[int, ...], affine: bool, offset: float
) -> None:
    x = (rng.standard_normal(shape) + offset).astype(dtype)
    g = rng.standard_normal(shape).astype(dtype)
    weight, bias = rng.uniform(0.5, 2, (2, shape[1])).astype(dtype) if affine else (None, None)
    functions = kernel("batch_norm"), kernel("batch_norm_backward")
    check(x, g, weight, bias, *functions)
    if x.ndim == 4:
        check(channels_last(x), channels_last(g), weight, bias, *functions)


def test_layouts(isa: str, dtype: Any, rng: Any) -> None:
    base, other = rng.standard_normal((2, 3, 5, 4, 6)).astype(dtype)
    weight, bias = rng.uniform(0.5, 2, (2, 5)).astype(dtype)
    for (_, x), (_, g) in zip(layouts(base), reversed(list(layouts(other))), strict=True):
        before = x.copy(), g.copy()
        check(x, g, weight[::-1], bias[::-1], cpu.batch_norm, cpu.batch_norm_backward)
        np.testing.assert_array_equal(x, before[0])
        np.testing.assert_array_equal(g, before[1])
    image = channels_last(base)
    assert kernel("batch_norm")(image, weight, bias, EPS)[0].strides == image.strides


def test_variance_with_a_large_mean(isa: str, rng: Any) -> None:
    # E[x^2] - E[x]^2 in float32 would have no digit left
    x = (1e4 + rng.standard_normal((16, 8, 40, 40))).astype(np.float32)
    for image in (x, channels_last(x)):
        _, _, var = kernel("batch_norm")(image, None, None, EPS)
        np.testing.assert_allclose(var, x.astype(np.float64).var((0, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_special_values_stay_in_their_channel(isa: str, dtype: Any, value: float) -> None:
    x = np.random.default_rng(0).standard_normal((4, 3, 5, 5)).astype(dtype)
    clean = kernel("batch_norm")(x, None, None, EPS)
    x[1, 1, 2, 2] = value
    for image in (x, channels_last(x)):
        y, _, var = kernel("batch_norm")(image, None, None, EPS)
        assert np.isnan(var[1])
        assert np.isnan(y[:, 1]).all()
        assert_close(y[:, ::2], clean[0][:, ::2], 32 * eps(dtype) * 4)


def test_constant_and_empty(isa: str, dtype: Any) -> None:
    y, mean, var = kernel("batch_norm")(np.full((5, 2, 3, 3), 0.1, dtype), None, None, EPS)
    assert_close(mean, np.full(2, dtype(0.1)), eps(dtype) / 8)
    assert (var >= 0).all()
    assert np.abs(y).max() < 1e-4
    x = np.empty((4, 0), dtype)
    assert cpu.batch_norm(x, None, None, EPS)[0].shape == (4, 0)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), shape=hnp.array_shapes(min_dims=2, max_dims=4, max_side=18))
def test_any_shape(data: st.DataObject, shape: tuple[int, ...]) -> None:
    x, g = np.random.default_rng(2).standard_normal((2, *shape)).astype(np.float64)
    if x.size // shape[1] < 2:
        return
    if x.ndim == 4 and data.draw(st.booleans()):
        x = channels_last(x)
    check(x, g, None, None, cpu.batch_norm, cpu.batch_norm_backward)


@pytest.mark.parametrize("shape", [(5000, 37), (9, 20, 40, 30)])
def test_same_bits_for_any_threads(rng: Any, shape: tuple[int, ...]) -> None:
    x, g = rng.standard_normal((2, *shape)).astype(np.float32)
    pairs = [(x, g)] if x.ndim == 2 else [(x, g), (channels_last(x), channels_last(g))]
    for a, b in pairs:
        _, mean, var = kernel("batch_norm")(a, None, None, EPS)
        assert_same_bits_for_any_threads(lambda a=a: kernel("batch_norm")(a, None, None, EPS))
        assert_same_bits_for_any_threads(
            lambda a=a, b=b, mean=mean, var=var: kernel("batch_norm_backward")(
                b, a, None, mean, var, EPS
            )
        )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_batch_norm_inference(
    isa: str, dtype: Any, rng: Any, shape: tuple[int, ...], affine: bool, activation: Any
) -> None:
    channels = shape[1]
    mean, weight, bias = (rng.standard_normal(channels).astype(dtype) for _ in range(3))
    var = rng.uniform(0.1, 3, channels).astype(dtype)
    weight, bias = (weight, bias) if affine else (None, None)
    for name, x in layouts(rng.standard_normal(shape).astype(dtype)):
        dense = name in ("contiguous", "channels last")
        run = kernel("batch_norm_inference") if dense else cpu.batch_norm_inference
        y = run(x, weight, bias, mean, var, EPS, activation)
        want = spec.batch_norm_inference(*wide(x, weight, bias, mean, var), EPS, activation)
        # three roundings of the difference times the scale, one of the sum
        size = (np.abs(x).max() + np.abs(mean).max()) / np.sqrt(0.1) * 5
        assert_close(y, want, 4 * eps(dtype) * (size + np.abs(want)), name)
        assert y.dtype == dtype
        assert y.strides == x.strides or not dense


def test_batch_norm_inference_keeps_nan_and_falls_back(rng: Any) -> None:
    one, zero = np.ones(2, np.float32), np.zeros(2, np.float32)
    x = np.array([[np.nan, -1.0], [2.0, np.inf]], np.float32)
    y = cpu.batch_norm_inference(x, None, None, zero, one, 0.0, "relu")
    np.testing.assert_array_equal(y, [[np.nan, 0], [2, np.inf]])
    big = rng.standard_normal((4, 6)).astype(np.float32)
    np.testing.assert_allclose(
        cpu.batch_norm_inference(big[:, ::3], None, None, zero, one, 0.0), big[:, ::3]
    )
    statistics = zero.astype(np.float64), one.astype(np.float64)
    assert cpu.batch_norm_inference(x, None, None, *statistics, 0.0).dtype == np.float32
