"""Layer and RMS norm kernels against NumPy in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support import assert_close, assert_same_bits_for_any_threads, eps, kernel, layouts

from fastnn.backends import cpu
from fastnn.backends import numpy as spec

SHAPES: list[tuple[int, int]] = [(1, 1), (3, 1), (1, 7), (4, 16), (5, 33), (70, 100), (300, 64), (7, 520), (3, 9001), (2100, 5)]  # fmt: skip
EPS = 1e-5


def wide(*arrays: Any) -> list[Any]:
    return [None if a is None else a.astype(np.float64) for a in arrays]


def arrays(rng: Any, shape: tuple[int, int], dtype: Any, affine: str, offset: float) -> Any:
    x = (rng.standard_normal(shape) + offset).astype(dtype)
    g = rng.standard_normal(shape).astype(dtype)
    weight = rng.uniform(0.5, 2, shape[1]).astype(dtype) if "w" in affine else None
    bias = rng.standard_normal(shape[1]).astype(dtype) if "b" in affine else None
    return x, g, weight, bias


def check_gradients(
    got: Any, want: Any, x: Any, g: Any, weight: Any, mean: Any, scale: Any
) -> None:
    """The gradients of one of the two, whose statistics are ``mean`` and ``scale``."""
    dtype = x.dtype
    xhat = (x - mean) * scale
    h = np.abs(g.astype(np.float64) * (1 if weight is None else weight))
    # a row's sums: blocks of up to 4096 elements in four accumulators of a vector, float64 beyond; the mean's own rounding
    # is eps |mean| scale of xhat
    loss = eps(dtype) * (1 + np.abs(mean) * scale)
    rows = 16 + min(x.shape[1], 4096) / 16
    share = h.mean(1, keepdims=True) + np.abs(xhat) * (h * np.abs(xhat)).mean(1, keepdims=True)
    assert_close(got[0], want[0], rows * loss * scale * (h + share), "gx")
    # over at most 64 rows in T, float64 beyond
    size = (np.abs(g) * (np.abs(xhat) + 1) * loss).sum(0)
    assert_close(got[1], want[1], 70 * size, "gweight")
    if len(want) == 3:
        assert_close(got[2], want[2], 70 * eps(dtype) * np.abs(g).sum(0), "gbias")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("affine", ["", "w", "b", "wb"])
@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_layer_norm(
    isa: str, dtype: Any, rng: Any, shape: tuple[int, int], affine: str, offset: float
) -> None:
    x, g, weight, bias = arrays(rng, shape, dtype, affine, offset)
    y, mean, invstd = kernel("layer_norm")(x, weight, bias, EPS)
    want, want_mean, want_invstd = spec.layer_norm(*wide(x, weight, bias), EPS)
    rows = 8 + min(shape[1], 4096) / 16
    size = np.abs(x).mean(1)
    assert_close(mean, want_mean, rows * eps(dtype) * size, "mean")
    # the deviations from a rounded mean: eps |mean| each
    loss = rows * eps(dtype) * (1 + size * want_invstd)
    assert_close(invstd, want_invstd, loss * want_invstd, "invstd")
    factor = 1 if weight is None else np.abs(weight)
    xhat = np.abs((x - want_mean[:, None]) * want_invstd[:, None])
    limit = loss[:, None] * (1 + xhat) * factor + 2 * eps(dtype) * np.abs(want)
    if bias is not None:
        limit = limit + 2 * eps(dtype) * np.abs(bias)
    assert_close(y, want, limit, "y")
    got = kernel("layer_norm_backward")(g, x, weight, mean, invstd)
    # of the statistics that the kernel was given
    wants = spec.layer_norm_backward(*wide(g, x, weight, mean, invstd))
    check_gradients(got, wants, x, g, weight, *wide(mean[:, None], invstd[:, None]))
    assert {a.dtype for a in (y, mean, invstd, *got)} == {np.dtype(dtype)}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("affine", ["", "w"])
def test_rms_norm(isa: str, dtype: Any, rng: Any, shape: tuple[int, int], affine: str) -> None:
    x, g, weight, _ = arrays(rng, shape, dtype, affine, 1.0)
    y, scale = kernel("rms_norm")(x, weight, EPS)
    want, want_scale = spec.rms_norm(*wide(x, weight), EPS)
    rows = (8 + min(shape[1], 4096) / 16) * eps(dtype)
    assert_close(scale, want_scale, rows * want_scale, "scale")
    assert_close(y, want, rows * np.abs(want), "y")
    got = kernel("rms_norm_backward")(g, x, weight, scale)
    wants = spec.rms_norm_backward(*wide(g, x, weight, scale))
    check_gradients(got, wants, x, g, weight, np.zeros((shape[0], 1)), wide(scale[:, None])[0])


def test_non_finite_rows_stay_apart(isa: str, dtype: Any, rng: Any) -> None:
    x = rng.standard_normal((5, 20)).astype(dtype)
    x[1, 3], x[3, 19] = np.nan, np.inf
    with np.errstate(all="ignore"):
        y, _, _ = kernel("layer_norm")(x, None, None, EPS)
        z, _ = kernel("rms_norm")(x, None, EPS)
    assert np.isnan(y[[1, 3]]).all()
    assert np.isnan(z[1]).all()
    assert np.isfinite(y[[0, 2, 4]]).all()
    assert np.isfinite(z[[0, 2, 4]]).all()


def test_a_constant_row_is_zero(isa: str, dtype: Any) -> None:
    y, mean, _ = kernel("layer_norm")(np.full((2, 40), 3.0, dtype), None, None, EPS)
    assert (y == 0).all()
    assert (mean == 3).all()


def test_layouts_and_empty(isa: str, dtype: Any, rng: Any) -> None:
    base, g, weight, bias = arrays(rng, (6, 21), dtype, "wb", 0.0)
    y, mean, invstd = kernel("layer_norm")(base, weight, bias, EPS)
    gx = kernel("layer_norm_backward")(g, base, weight, mean, invstd)[0]
    for layout, x in layouts(base):
        # equal but for unaligned rows, which NumPy takes: values below 8, sums of 21
        got = cpu.layer_norm(x, weight, bias, EPS)[0]
        assert_close(got, y, 256 * eps(dtype), layout)
        got = cpu.layer_norm_backward(g, x, weight, mean, invstd)[0]
        assert_close(got, gx, 256 * eps(dtype), layout)
    empty = np.zeros((0, 4), dtype)
    assert cpu.layer_norm(empty, None, None, EPS)[0].shape == (0, 4)
    assert cpu.rms_norm_backward(empty, empty, None, np.zeros(0, dtype))[1].tolist() == [0] * 4


@pytest.mark.parametrize("shape", [(700, 90), (64, 4000)], ids=str)
def test_same_bits_for_any_threads(rng: Any, shape: tuple[int, int]) -> None:
    x, g, weight, bias = arrays(rng, shape, np.float32, "wb", 0.0)
    _, mean, invstd = kernel("layer_norm")(x, weight, bias, EPS)
    assert_same_bits_for_any_threads(lambda: kernel("layer_norm")(x, weight, bias, EPS))
    assert_same_bits_for_any_threads(
        lambda: kernel("layer_norm_backward")(g, x, weight, mean, invstd)
    )
