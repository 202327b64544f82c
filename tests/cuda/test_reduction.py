"""Reductions on the CUDA kernels, against NumPy in float64."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tests.cuda.common import DTYPES, eps, exact, normal
from tests.cuda.hardware import gpu, with_host_arrays
from tests.cuda.memory_use import memory_used_well, needs_counters

from fastnn.backends import numpy as spec
from fastnn.backends.gpu._arrays import kernels

# (shape, axis): rows of 1 to 32 lanes and of a block, with and without whole vectors; columns, few and many; a middle axis; groups
# of axes in turn; two passes over rows, columns and the whole array; axes of size 1
CASES: list[tuple[tuple[int, ...], Any]] = [
    ((5, 1), 1),
    ((67, 3), 1),
    ((9, 49), -1),
    ((37, 64), 1),
    ((3, 700), 1),
    ((2, 5003), 1),
    ((2, 35000), 1),
    ((100003,), 0),
    ((40, 300), None),
    ((64, 10), 0),
    ((3, 1000), 0),
    ((1025, 33), 0),
    ((2, 70, 35), 1),
    ((300, 7, 3), 1),
    ((3, 5, 4, 6), (0, 2, 3)),
    ((3, 5, 4, 6), (1, 3)),
    ((3, 5, 4, 6), (0, 2)),
    ((3, 1, 4, 1), (1, 3)),
    ((3, 1, 4, 1), (0, 1)),
    ((3, 4), ()),
    ((1,), 0),
]
VALUES = ["sum", "mean", "amax", "amin"]


def arrangements(x: Any) -> list[Any]:
    """The same numbers in other layouts: C order, Fortran order, every second element, reversed, shifted from alignment."""
    apart = np.zeros([2 * n for n in x.shape], x.dtype)
    view = apart[tuple(slice(None, None, 2) for _ in x.shape)]
    view[...] = x
    turned = np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    shifted = np.empty(x.size + 1, x.dtype)[1:].reshape(x.shape)
    shifted[...] = x
    return [x, np.asfortranarray(x), view, turned, shifted]


def check_values(name: str, x: Any, axis: Any, keepdims: bool) -> None:
    """Sums: sqrt(n) roundings of the accumulator, with room of a factor 4, and one of the result. Extremes: none."""
    got = getattr(gpu, name)(x, axis, keepdims)
    x64 = exact(x)
    wanted = getattr(np, name)(x64, axis=axis, keepdims=keepdims)
    assert got.dtype == x.dtype
    assert got.shape == wanted.shape
    if name in ("amax", "amin"):
        np.testing.assert_array_equal(exact(got), wanted)
        return
    size = getattr(np, name)(np.abs(x64), axis=axis, keepdims=keepdims)
    n = x.size / max(wanted.size, 1)
    unit = 2.0**-53 if x.dtype == np.float64 else 2.0**-24
    bound = 4 * (np.sqrt(n) + 1) * unit * size + eps(x.dtype) / 2 * np.abs(wanted)
    assert np.all(np.abs(exact(got) - wanted) <= bound)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "axis"), CASES)
def test_values(shape: tuple[int, ...], axis: Any, dtype: Any) -> None:
    x = normal(shape, dtype)
    for i, arranged in enumerate(arrangements(x) if x.size < 5000 else [x]):
        for name in VALUES:
            check_values(name, arranged, axis, keepdims=i % 2 == 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "axis"), [c for c in CASES if c[1] is None or isinstance(c[1], int)]
)
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_positions(name: str, shape: tuple[int, ...], axis: Any, dtype: Any) -> None:
    x = np.round(normal(shape, np.float32)).astype(dtype)  # few values, so that there are ties
    for i, arranged in enumerate(arrangements(x) if x.size < 5000 else [x]):
        keepdims = i % 2 == 1
        got = getattr(gpu, name)(arranged, axis, keepdims)
        wanted = getattr(np, name)(exact(x), axis=axis, keepdims=keepdims)
        assert got.dtype == np.int64
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "axis"), [((4, 40000), 1), ((3000, 5), 0), ((6, 40), 1)])
def test_nan_and_infinities(shape: tuple[int, ...], axis: int, dtype: Any) -> None:
    x = normal(shape, dtype)
    lines = np.moveaxis(x, axis, -1)
    n = lines.shape[-1]
    lines[0, [n // 2, n - 1]] = np.nan  # wins, wherever it is; the first of two
    lines[1] = -np.inf
    lines[2, 3] = np.inf
    lines[3, [2, 5]] = np.inf, np.nan
    for name in ["amax", "amin", "argmax", "argmin"]:
        np.testing.assert_array_equal(
            exact(getattr(gpu, name)(x, axis)), getattr(np, name)(exact(x), axis=axis)
        )
    np.testing.assert_array_equal(
        np.isnan(exact(gpu.sum(x, axis))), np.isnan(np.sum(exact(x), axis=axis))
    )


def test_sum_of_float16_does_not_overflow_on_the_way() -> None:
    x = np.full((2, 3000), 30.0, np.float16)
    x[:, 1500:] = -30.0
    np.testing.assert_array_equal(gpu.sum(x, 1), np.zeros(2, np.float16))
    np.testing.assert_array_equal(gpu.mean(np.full((3000, 3), 30.0, np.float16), 0), np.full(3, 30))


@pytest.mark.parametrize("name", [*VALUES, "argmax", "argmin"])
def test_what_the_specification_serves(name: str) -> None:
    for x in (np.arange(12).reshape(3, 4), np.eye(3, dtype=bool), np.float32(3) + np.zeros(())):
        if name == "mean" and x.dtype == bool:
            continue
        wanted = getattr(spec, name)(x)
        got = getattr(gpu, name)(x)
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)


def test_of_nothing() -> None:
    x = np.zeros((0, 3), np.float32)
    np.testing.assert_array_equal(gpu.sum(x, 0), np.zeros(3))
    assert gpu.sum(x, 1).shape == (0,)
    assert np.isnan(gpu.mean(x))
    assert gpu.amax(x, 1).shape == (0,)
    with pytest.raises(ValueError, match="zero-size"):
        gpu.amax(x, 0)
    with pytest.raises(ValueError, match="empty"):
        gpu.argmax(x)


@pytest.mark.parametrize("shape", [(100003,), (4, 40011), (5000, 9)])
def test_the_same_bits_every_time(shape: tuple[int, ...]) -> None:
    x = normal(shape, np.float32)
    np.testing.assert_array_equal(gpu.sum(x, 0), gpu.sum(x, 0))
    assert gpu.sum(x) == gpu.sum(x)


@needs_counters
@pytest.mark.parametrize("dtype", [np.float32, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name", ["sum", "argmax"])
@pytest.mark.parametrize(
    ("shape", "axis"), [((64, 512), 1), ((4, 8192), 1), ((65536,), 0), ((600, 128), 0)]
)
def test_memory_is_used_well(
    name: str, shape: tuple[int, ...], axis: int, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = normal(shape, dtype)
    with memory_used_well(monkeypatch, "reduce_", exempt=True):
        getattr(gpu, name)(x, axis)


def test_errors() -> None:
    reduce = with_host_arrays(kernels.reduce)
    x, y = np.ones((2, 3, 4), np.float32), np.empty((2, 1, 4), np.float32)
    at = np.empty((2, 1, 4), np.int64)
    reduce("sum", x, y, None, None, 1.0, 0)
    np.testing.assert_array_equal(y, np.full((2, 1, 4), 3))
    with pytest.raises(ValueError, match="op must be"):
        reduce("prod", x, y, None, None, 1.0, 0)
    with pytest.raises(ValueError, match="x must have 3 dims"):
        reduce("sum", x[0], y, None, None, 1.0, 0)
    with pytest.raises(TypeError, match="x must be of a floating dtype"):
        reduce("sum", x.astype(np.int32), y, None, None, 1.0, 0)
    with pytest.raises(ValueError, match=r"y \(2, 0, 4\) does not fit"):
        reduce("sum", x, y[:, :0], None, None, 1.0, 0)
    with pytest.raises(ValueError, match="does not fit"):
        reduce("sum", x, np.empty((2, 1, 5), np.float32), None, None, 1.0, 0)
    with pytest.raises(TypeError, match="y_positions must be"):
        reduce("argmax", x, None, None, None, 1.0, 0)
    with pytest.raises(TypeError, match="y_positions must be int64"):
        reduce("argmax", x, None, None, at.astype(np.int32), 1.0, 0)
    with pytest.raises(ValueError, match="positions must have 24 elements"):
        reduce("argmax", x, None, at, at.copy(), 1.0, 0)
    with pytest.raises(ValueError, match="differ"):
        reduce("argmax", x, np.empty((2, 2, 4), np.float32), None, at, 1.0, 0)
