"""Pooling on the CUDA kernels, against the specification in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.cuda import memory_use
from tests.cuda.common import DTYPES, assert_close, exact, normal
from tests.cuda.hardware import gpu
from tests.cuda.memory_use import memory_used_well, needs_counters

from fastnn.backends import numpy as spec

# (shape, kernel, stride, padding, dilation, ceil_mode): plain; overlapping and padded; dilated; ragged with ceil_mode
CASES: list[tuple[Any, ...]] = [
    ((2, 3, 8, 10), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((3, 37, 9, 7), (3, 3), (2, 1), (1, 1), (1, 1), False),
    ((1, 5, 11, 13), (2, 3), (1, 2), (1, 1), (2, 3), False),
    ((2, 4, 7, 8), (3, 2), (2, 3), (1, 0), (1, 1), True),
    ((2, 3, 7, 8), (3, 4), (1, 2), (1, 2), (1, 1), True),  # pairs of columns, some in the padding
    ((0, 4, 7, 8), (2, 2), (2, 2), (0, 0), (1, 1), False),
]
# An average of up to nine values, and a sum of up to nine averages, each rounded in the dtype in the specification's order
ROUNDINGS = 12


def stored(x: Any, last: bool) -> Any:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) if last else x


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_max_pool(case: tuple[Any, ...], last: bool, dtype: Any) -> None:
    shape, *window = case
    # few values, so that there are ties; and NaN
    x = np.round(normal(shape, np.float32)).astype(dtype)
    if x.size:
        x[0, 0, 2, 3] = np.nan
    x = stored(x, last)
    y, indices = gpu.max_pool2d(x, *window)
    wanted, wanted_indices = spec.max_pool2d(stored(exact(x), last), *window)
    np.testing.assert_array_equal(exact(y), wanted)
    np.testing.assert_array_equal(indices, wanted_indices)
    assert y.dtype == dtype
    assert [s // y.itemsize for s in y.strides] == [s // 8 for s in wanted.strides]
    g = stored(normal(y.shape, dtype, seed=1), last)
    gx = gpu.max_pool2d_backward(g, indices, shape)
    assert gx.dtype == dtype
    assert_close(gx, spec.max_pool2d_backward(exact(g), indices, shape), dtype, ROUNDINGS)
    np.testing.assert_array_equal(exact(gx), exact(gpu.max_pool2d_backward(g, indices, shape)))


def test_gradients_that_meet_in_one_element() -> None:
    indices = np.full((1, 2, 9, 9), 5, np.int32)
    indices[0, 0, 3] = 2
    indices[0, 1, 8] = -1
    g = normal(indices.shape, np.float32)
    gx = gpu.max_pool2d_backward(g, indices, (1, 2, 3, 3))
    # 81 values of size one are added one after the other
    assert_close(gx, spec.max_pool2d_backward(exact(g), indices, (1, 2, 3, 3)), np.float32, 81)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("divisor", [None, 5])
@pytest.mark.parametrize("case", [case for case in CASES if case[4] == (1, 1)])
def test_avg_pool(
    case: tuple[Any, ...], divisor: int | None, include: bool, last: bool, dtype: Any
) -> None:
    shape, kernel, stride, padding, _, ceil_mode = case
    window = (kernel, stride, padding, ceil_mode, include, divisor)
    x = stored(normal(shape, dtype), last)
    y = gpu.avg_pool2d(x, *window)
    assert_close(y, spec.avg_pool2d(exact(x), *window), dtype, ROUNDINGS)
    g = stored(normal(y.shape, dtype, seed=1), last)
    gx = gpu.avg_pool2d_backward(g, shape, *window)
    assert gx.strides == x.strides or not x.size
    assert_close(gx, spec.avg_pool2d_backward(exact(g), shape, *window), dtype, ROUNDINGS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("last", [False, True])
# bins of a warp, whole rows and not; elements; bins that overlap
@pytest.mark.parametrize(
    ("plane", "size"),
    [((7, 9), size) for size in [(1, 1), (3, 5), (7, 9), (10, 4)]] + [((20, 37), (2, 3))],
)
def test_adaptive_avg_pool(
    plane: tuple[int, int], size: tuple[int, int], last: bool, dtype: Any
) -> None:
    shape = (2, 5, *plane)
    x = stored(normal(shape, dtype), last)
    y = gpu.adaptive_avg_pool2d(x, size)
    assert_close(y, spec.adaptive_avg_pool2d(exact(x), size), dtype, ROUNDINGS)
    g = stored(normal(y.shape, dtype, seed=1), last)
    gx = gpu.adaptive_avg_pool2d_backward(g, shape)
    assert_close(gx, spec.adaptive_avg_pool2d_backward(exact(g), shape), dtype, ROUNDINGS)


@needs_counters
@pytest.mark.parametrize("dtype", memory_use.DTYPES)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [((2, 2), (2, 2), (0, 0)), ((3, 3), (2, 2), (1, 1))]
)
def test_memory_is_used_well(
    kernel: Any, stride: Any, padding: Any, last: bool, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = stored(normal((2, 32, 16, 32), dtype), last)
    names = ["max_pool_kernel", "max_pool_scatter", "avg_pool_kernel", "avg_pool_gradient"]
    with memory_used_well(monkeypatch, *names, exempt=True) as rows:
        y, indices = gpu.max_pool2d(x, kernel, stride, padding, (1, 1), False)
        gpu.max_pool2d_backward(y, indices, x.shape)
        window = (kernel, stride, padding, False, True, None)
        gpu.avg_pool2d_backward(gpu.avg_pool2d(x, *window), x.shape, *window)
    pairs = kernel == (2, 2) and not last  # read without an exemption
    assert any(row["kernel"].startswith("max_pool_kernel<2,") for row in rows) == pairs


@needs_counters
@pytest.mark.parametrize("dtype", memory_use.DTYPES)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("size", [1, 8])
def test_memory_is_used_well_by_adaptive_pooling(
    size: int, last: bool, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = stored(normal((2, 32, 32, 32), dtype), last)
    with memory_used_well(monkeypatch, "adaptive_kernel", "adaptive_gradient", exempt=True) as rows:
        y = gpu.adaptive_avg_pool2d(x, (size, size))
        gpu.adaptive_avg_pool2d_backward(y, x.shape)
    warps = size == 1 and not last  # read without an exemption
    assert any(row["kernel"].startswith("adaptive_kernel<32,") for row in rows) == warps
