"""GELU and SiLU kernels against functions in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from support import assert_close, assert_same_bits_for_any_threads, eps, kernel, layouts

from fastnn.backends import cpu
from fastnn.backends import numpy as spec

erfc = np.vectorize(math.erfc, otypes=[np.float64])
SHAPES: list[tuple[int, ...]] = [(), (0,), (1,), (33,), (5, 7), (2, 3, 4, 5), (70_001,)]


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    with np.errstate(all="ignore"):
        yield


def cdf(x: np.ndarray) -> np.ndarray:
    """P(X <= x), X standard normal, with all digits of small values."""
    return erfc(-x * math.sqrt(0.5)) / 2


def density(x: np.ndarray) -> np.ndarray:
    return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def values(rng: Any, shape: tuple[int, ...], dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """x over the whole curve, and a gradient."""
    x = rng.uniform(-6, 6, shape).astype(dtype)
    return x, rng.uniform(-1, 1, shape).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gelu(isa: str, dtype: Any, rng: Any, shape: tuple[int, ...]) -> None:
    x, g = values(rng, shape, dtype)
    wide, wide_g = x.astype(np.float64), g.astype(np.float64)
    # x^2 eps from the rounded square in exp(-x^2 / 2); near -1 one half minus nearly one half loses three bits
    rounding = (16 + wide**2) * eps(dtype)
    want = wide * cdf(wide)
    assert_close(kernel("gelu")(x, False), want, rounding * np.abs(want), "gelu")
    size = cdf(wide) + np.abs(wide) * density(wide)
    want = wide_g * (cdf(wide) + wide * density(wide))
    got = kernel("gelu_backward")(g, x, False)
    assert_close(got, want, rounding * size * np.abs(wide_g), "gradient")
    assert got.dtype == dtype


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gelu_by_tanh(isa: str, dtype: Any, rng: Any, shape: tuple[int, ...]) -> None:
    x, g = values(rng, shape, dtype)
    wide, wide_g = x.astype(np.float64), g.astype(np.float64)
    # tanh + 1 loses the digits of small values: 3 ulp of tanh and 4 roundings of its argument
    size = 8 * eps(dtype) * np.abs(wide)
    want = spec.gelu(wide, True)
    assert_close(kernel("gelu")(x, True), want, size + eps(dtype) * np.abs(want), "gelu")
    # 1 - tanh^2 has twice tanh's error, times the steepness
    size = 16 * eps(dtype) * np.abs(wide_g) * (1 + np.abs(wide) * (1 + 0.2 * wide**2))
    want = spec.gelu_backward(wide_g, wide, True)
    assert_close(kernel("gelu_backward")(g, x, True), want, size, "gradient")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_silu(isa: str, dtype: Any, rng: Any, shape: tuple[int, ...]) -> None:
    x, g = values(rng, shape, dtype)
    wide, wide_g = x.astype(np.float64), g.astype(np.float64)
    want = spec.silu(wide)
    assert_close(kernel("silu")(x), want, 4 * eps(dtype) * np.abs(want), "silu")
    s = spec.sigmoid(wide)
    # 1 - s has an absolute error of eps
    size = 8 * eps(dtype) * np.abs(wide_g) * s * (1 + np.abs(wide))
    want = spec.silu_backward(wide_g, wide)
    assert_close(kernel("silu_backward")(g, x), want, size, "gradient")


@pytest.mark.parametrize("name", ["gelu", "silu"])
def test_special_values(isa: str, dtype: Any, name: str) -> None:
    options = (False,) if name == "gelu" else ()
    x = np.array([np.nan, np.inf, 0.0, -0.0, 50.0, -1000.0, 1e-40], dtype)
    y = kernel(name)(x, *options)
    np.testing.assert_array_equal(y[:6], [np.nan, np.inf, 0.0, -0.0, 50.0, -0.0])
    assert np.signbit(y[3])
    np.testing.assert_allclose(y[6], x[6] / 2, atol=float(np.finfo(dtype).smallest_subnormal))
    gx = kernel(f"{name}_backward")(np.ones_like(x), x, *options)
    np.testing.assert_allclose(gx, [np.nan, gx[1], 0.5, 0.5, 1.0, -0.0, 0.5])


def test_layouts(isa: str, dtype: Any, rng: Any) -> None:
    base = rng.uniform(-4, 4, (3, 5, 4, 7)).astype(dtype)
    g = rng.standard_normal(base.shape).astype(dtype)
    want = spec.gelu(base.astype(np.float64), False)
    want_gx = spec.gelu_backward(g.astype(np.float64), base.astype(np.float64), False)
    for layout, x in layouts(base):
        # of values below 4 and slopes below 1.2: see test_gelu
        assert_close(cpu.gelu(x, False), want, 128 * eps(dtype), layout)
        assert_close(cpu.gelu_backward(g, x, False), want_gx, 128 * eps(dtype), layout)


def test_other_dtypes_and_keywords_go_to_numpy(rng: Any) -> None:
    x = rng.standard_normal((3, 4)).astype(np.float32)
    np.testing.assert_array_equal(cpu.gelu(x, approximate=True), spec.gelu(x, True))
    assert cpu.silu(x.astype(np.float16)).dtype == np.float16
    assert cpu.erf(x.astype(np.float16)).dtype == np.float16


def test_same_bits_for_any_threads(rng: Any) -> None:
    x = rng.standard_normal(100_001).astype(np.float32)
    assert_same_bits_for_any_threads(lambda: kernel("gelu")(x, False))
    assert_same_bits_for_any_threads(lambda: kernel("gelu_backward")(x, x, True))
