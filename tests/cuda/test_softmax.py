"""Softmax and cross-entropy on the CUDA kernels, against the specification in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.cuda import memory_use
from tests.cuda.common import DTYPES, assert_close, exact, normal
from tests.cuda.hardware import gpu
from tests.cuda.memory_use import memory_used_well, needs_counters

from fastnn.backends import numpy as spec

# Every way of holding a row (1, 4, 16 registers of a warp; a block; memory), several blocks with a ragged last one, and columns
SHAPES: list[tuple[tuple[int, ...], int]] = [
    ((0, 5), 1),
    ((19, 10), 1),
    ((9, 100), -1),
    ((9, 333), 1),
    ((3, 1500), 1),
    ((2, 4500), 1),
    ((2, 3, 7, 50), 1),
    ((3, 400), 0),
]
# exp of a difference of up to 10 magnifies the rounding of it ten times; then a sum and a division
ROUNDINGS = 20


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_value(name: str, shape: tuple[int, ...], axis: int, dtype: Any) -> None:
    x = normal(shape, dtype, scale=2)
    y = getattr(gpu, name)(x, axis)
    assert y.dtype == dtype
    assert_close(y, getattr(spec, name)(exact(x), axis), dtype, ROUNDINGS)
    g = normal(shape, dtype, seed=1)
    gx = getattr(gpu, name + "_backward")(g, y, axis)
    assert gx.dtype == dtype
    # the sum of up to 4500 gradients of size one in float32, read from rounded inputs; its size is up to 200
    wanted = getattr(spec, name + "_backward")(exact(g), exact(y), axis)
    assert_close(gx, wanted, dtype, ROUNDINGS)


@pytest.mark.parametrize("columns", [5, 700, 5000])
def test_special_values(columns: int) -> None:
    x = np.zeros((6, columns), np.float32)
    x[1] = -np.inf
    x[2, 3] = np.nan
    x[3, 2] = np.inf
    x[4] = 3e38
    x[5, 1] = -np.inf
    for name in ("softmax", "log_softmax"):
        np.testing.assert_allclose(getattr(gpu, name)(x, 1), getattr(spec, name)(x, 1), rtol=1e-6)


def test_not_contiguous() -> None:
    x = normal((40, 30), np.float32)[::2, ::-3]
    np.testing.assert_allclose(gpu.softmax(x, 1), spec.softmax(x, 1), rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [10, 77, 1500])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_cross_entropy(
    reduction: str, weighted: bool, smoothing: float, classes: int, dtype: Any
) -> None:
    rows = 21
    logits = normal((rows, classes), dtype, scale=2)
    rng = np.random.default_rng(1)
    target = rng.integers(0, classes, rows)
    target[[2, 20]] = -100
    weight = rng.uniform(0.5, 2, classes).astype(dtype) if weighted else None
    loss, lse, scale = gpu.cross_entropy(logits, target, weight, -100, smoothing, reduction)
    wanted = spec.cross_entropy(exact(logits), target, exact(weight), -100, smoothing, reduction)
    assert loss.dtype == dtype
    assert_close(loss, wanted[0], dtype, ROUNDINGS)
    assert_close(lse, wanted[1], lse.dtype, ROUNDINGS)
    assert_close(scale, wanted[2], dtype, ROUNDINGS)
    for shape in ((rows,), ()):
        g = normal(shape, dtype, seed=2)
        gx = gpu.cross_entropy_backward(g, scale, logits, target, lse, weight, -100, smoothing)
        wanted_gx = spec.cross_entropy_backward(
            exact(g),
            exact(scale),
            exact(logits),
            target,
            exact(lse),
            exact(weight),
            -100,
            smoothing,
        )
        assert_close(gx, wanted_gx, dtype, ROUNDINGS)
        assert not gx[[2, 20]].any()


def test_target_that_is_no_class() -> None:
    logits = normal((300, 10), np.float32)
    target = np.zeros(300, np.int64)
    target[270] = 10
    with pytest.raises(IndexError, match="target 10 is out of bounds for 10 classes"):
        gpu.cross_entropy(logits, target, None, -100, 0.0, "mean")


# Held in registers by a warp or a block, read again; columns
@needs_counters
@pytest.mark.parametrize("dtype", memory_use.DTYPES)
@pytest.mark.parametrize(
    ("shape", "axis"), [((32, 512), 1), ((2, 2048), 1), ((1, 8192), 1), ((2, 8, 128), 1)]
)
def test_memory_is_used_well(
    shape: tuple[int, ...], axis: int, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = normal(shape, dtype)
    with memory_used_well(monkeypatch, "softmax_rows" if axis == len(shape) - 1 else "softmax_col"):
        for name in ("softmax", "log_softmax"):
            getattr(gpu, name + "_backward")(x, getattr(gpu, name)(x, axis), axis)


@needs_counters
@pytest.mark.parametrize("dtype", memory_use.DTYPES)
@pytest.mark.parametrize("shape", [(32, 512), (3, 2048)])
def test_memory_is_used_well_by_cross_entropy(
    shape: tuple[int, int], dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits, target = normal(shape, dtype), np.arange(shape[0])
    weight, g = normal(shape[1:], dtype, seed=1), normal(shape[:1], dtype, seed=2)
    with memory_used_well(monkeypatch, "cross_entropy_rows<", "cross_entropy_rows_backward<"):
        _, lse, scale = gpu.cross_entropy(logits, target, weight, -100, 0.1, "none")
        gpu.cross_entropy_backward(g, scale, logits, target, lse, weight, -100, 0.1)
