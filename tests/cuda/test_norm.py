"""Normalisation on the CUDA kernels, against the specification in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.cuda import memory_use
from tests.cuda.common import DTYPES, assert_close, exact, normal
from tests.cuda.hardware import gpu
from tests.cuda.memory_use import memory_used_well, needs_counters

from fastnn.backends import numpy as spec

# Two values are subtracted, scaled by a square root and a division, scaled and shifted; sums of up to 5000 terms in float32
# are off by a rounding times the square root of their number
ROUNDINGS = 40


def channels_last(x: Any) -> Any:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("affine", [False, True])
# few channels split over blocks; more channels than a warp; a single position
@pytest.mark.parametrize("shape", [(3, 2, 37, 41), (5, 70, 3, 5), (4, 33, 1, 1)])
def test_batch_norm(shape: tuple[int, ...], affine: bool, last: bool, dtype: Any) -> None:
    x, g = normal(shape, dtype, scale=2), normal(shape, dtype, seed=1)
    if last:
        x, g = channels_last(x), channels_last(g)
    c = shape[1]
    weight = normal((c,), dtype, seed=2) if affine else None
    bias = normal((c,), dtype, seed=3) if affine else None
    y, mean, var = gpu.batch_norm(x, weight, bias, 1e-5)
    wanted = spec.batch_norm(exact(x), exact(weight), exact(bias), 1e-5)
    for got, value in zip((y, mean, var), wanted, strict=True):
        assert got.dtype == dtype
        assert_close(got, value, dtype, ROUNDINGS)
    assert y.strides == x.strides
    got_gradients = gpu.batch_norm_backward(g, x, weight, mean, var, 1e-5)
    gradients = spec.batch_norm_backward(
        exact(g), exact(x), exact(weight), exact(mean), exact(var), 1e-5
    )
    count = x.size // c
    scales = (1.0, count**0.5, count**0.5)  # sums of so many gradients of size one
    for got, value, scale in zip(got_gradients, gradients, scales, strict=True):
        assert got.dtype == dtype
        assert_close(got, value, dtype, ROUNDINGS, scale)


def test_batch_norm_of_a_large_mean() -> None:
    x = (normal((4, 3, 20, 20), np.float64) + 1e4).astype(np.float32)
    y, mean, var = gpu.batch_norm(x, None, None, 1e-5)
    wanted = spec.batch_norm(exact(x), None, None, 1e-5)
    # the mean is off by a few roundings of 1e4; the deviations, of size one, as much
    bound = 8 * 1e4 * np.finfo(np.float32).eps
    for got, value in zip((y, mean, var), wanted, strict=True):
        np.testing.assert_allclose(got, value, atol=bound, rtol=bound)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("shape", [(19, 7), (70, 300), (5, 1500), (0, 3)])  # warps; blocks; none
@pytest.mark.parametrize("kind", ["layer_norm", "rms_norm"])
def test_row_norm(kind: str, shape: tuple[int, int], affine: bool, dtype: Any) -> None:
    x, g = normal(shape, dtype, scale=2), normal(shape, dtype, seed=1)
    weight = normal(shape[1:], dtype, seed=2) if affine else None
    parameters: tuple[Any, ...] = (weight,)
    if kind == "layer_norm":
        parameters += (normal(shape[1:], dtype, seed=3) if affine else None,)
    got = getattr(gpu, kind)(x, *parameters, 1e-5)
    wanted = getattr(spec, kind)(exact(x), *map(exact, parameters), 1e-5)
    assert got[0].dtype == dtype
    assert_close(got[0], wanted[0], dtype, ROUNDINGS)
    for statistic, value in zip(got[1:], wanted[1:], strict=True):
        assert_close(statistic, value, statistic.dtype, ROUNDINGS)
    gradients = getattr(gpu, kind + "_backward")(g, x, weight, *got[1:])
    wanted = getattr(spec, kind + "_backward")(
        exact(g), exact(x), exact(weight), *(exact(s) for s in got[1:])
    )
    scales = (1.0, shape[0] ** 0.5, shape[0] ** 0.5)
    for gradient, value, scale in zip(gradients, wanted, scales, strict=False):
        assert gradient.dtype == dtype
        assert_close(gradient, value, dtype, ROUNDINGS, scale)


@needs_counters
@pytest.mark.parametrize("dtype", memory_use.DTYPES)
@pytest.mark.parametrize("last", [False, True])
def test_memory_is_used_well_by_batch_norm(
    last: bool, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, weight = normal((4, 32, 16, 16), dtype), normal((32,), dtype, seed=1)
    x = channels_last(x) if last else x
    with memory_used_well(monkeypatch, "moments_kernel", "gradient_sums", "merge_moments"):
        _, mean, var = gpu.batch_norm(x, weight, weight, 1e-5)
        gpu.batch_norm_backward(x, x, weight, mean, var, 1e-5)


@needs_counters
@pytest.mark.parametrize("dtype", memory_use.DTYPES)
@pytest.mark.parametrize("shape", [(32, 512), (8, 2048)])  # a warp to a row, or a block
def test_memory_is_used_well_by_row_norms(
    shape: tuple[int, int], dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, weight = normal(shape, dtype), normal(shape[1:], dtype, seed=1)
    with memory_used_well(
        monkeypatch, "row_norm_kernel", "row_norm_input_gradient", "weight_gradient_kernel"
    ):
        _, mean, scale = gpu.layer_norm(x, weight, weight, 1e-5)
        gpu.layer_norm_backward(x, x, weight, mean, scale)
        _, scale = gpu.rms_norm(x, weight, 1e-5)
        gpu.rms_norm_backward(x, x, weight, scale)
