"""Pooling kernels against plain loops (forward) and against the NumPy specification."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
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
from fastnn.backends.numpy.pool import pooled_size

# (shape, kernel, stride, padding, dilation, ceil_mode)
WINDOWS: list[tuple[Any, ...]] = [
    ((2, 3, 6, 8), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((2, 3, 7, 9), (2, 2), (2, 2), (0, 0), (1, 1), True),
    ((1, 2, 26, 70), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((2, 20, 13, 13), (3, 3), (2, 2), (1, 1), (1, 1), False),
    ((1, 33, 9, 40), (3, 3), (1, 1), (1, 1), (1, 1), False),
    ((1, 5, 40, 45), (3, 2), (3, 3), (1, 1), (1, 1), True),
    ((1, 2, 12, 90), (3, 3), (2, 2), (0, 0), (2, 2), False),
    ((3, 2, 5, 4), (5, 4), (1, 1), (0, 0), (1, 1), False),
    ((1, 1, 4, 4), (4, 4), (2, 2), (2, 2), (1, 1), False),
    ((2, 17, 1, 1), (1, 1), (1, 1), (0, 0), (1, 1), False),
    ((1, 3, 2, 60), (2, 3), (1, 5), (1, 0), (1, 2), True),
    ((1, 1, 2, 2), (2, 2), (1, 1), (1, 1), (3, 3), False),  # windows that see no pixel
    ((1, 4, 300, 200), (2, 2), (2, 2), (0, 0), (1, 1), False),
]


def naive_max(x: np.ndarray, k: Any, s: Any, p: Any, d: Any, ceil_mode: bool) -> Any:
    n, c, h, w = x.shape
    oh = pooled_size(h, k[0], s[0], p[0], d[0], ceil_mode)
    ow = pooled_size(w, k[1], s[1], p[1], d[1], ceil_mode)
    y = np.full((n, c, oh, ow), -np.inf, x.dtype)
    at = np.full((n, c, oh, ow), -1, np.int32)
    for index in np.ndindex(n, c, oh, ow):
        for i in range(k[0]):
            for j in range(k[1]):
                r, q = index[2] * s[0] - p[0] + i * d[0], index[3] * s[1] - p[1] + j * d[1]
                if 0 <= r < h and 0 <= q < w:
                    v = x[index[0], index[1], r, q]
                    if at[index] < 0 or v > y[index] or np.isnan(v):
                        y[index], at[index] = v, r * w + q
    return y, at


def check_max(x: np.ndarray, window: Any, run: Any, run_backward: Any) -> None:
    want, want_at = spec.max_pool2d(x, *window)
    y, at = run(x, *window)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(at, want_at)
    assert at.dtype == np.int32
    assert y.dtype == x.dtype
    g = np.random.default_rng(1).integers(-8, 8, y.shape).astype(x.dtype)  # sums are exact
    g = channels_last(g) if y.strides[1] == y.itemsize and not y.flags.c_contiguous else g
    np.testing.assert_array_equal(
        run_backward(g, at, x.shape), spec.max_pool2d_backward(g, at, x.shape)
    )


@pytest.mark.parametrize("case", WINDOWS[:-1], ids=str)
def test_the_specification(rng: Any, case: tuple[Any, ...]) -> None:
    shape, *window = case
    x = rng.integers(0, 5, shape).astype(np.float64)
    x[rng.random(shape) < 0.1] = np.nan
    x[rng.random(shape) < 0.1] = -np.inf
    for got, want in zip(spec.max_pool2d(x, *window), naive_max(x, *window), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("case", WINDOWS, ids=str)
def test_max(isa: str, dtype: Any, rng: Any, case: tuple[Any, ...]) -> None:
    shape, *window = case
    x = rng.integers(0, 9, shape).astype(dtype)  # with ties
    for image in (x, channels_last(x)):
        check_max(image, window, kernel("max_pool2d"), kernel("max_pool2d_backward"))
    x[rng.random(shape) < 0.1] = np.nan
    x[rng.random(shape) < 0.3] = -np.inf
    for image in (x, channels_last(x)):
        y, at = kernel("max_pool2d")(image, *window)
        want, want_at = spec.max_pool2d(x, *window)
        np.testing.assert_array_equal(y, want)
        np.testing.assert_array_equal(at, want_at)


VALUES = [
    *WINDOWS,
    ((3, 5, 11, 11), (2, 2), (2, 2), (0, 0), (1, 1), False),  # rows of less than a vector
    ((2, 3, 5, 3), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((2, 1, 4, 18), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((1, 1, 2, 50), (2, 2), (2, 2), (0, 0), (1, 1), False),
]


@pytest.mark.parametrize("case", VALUES, ids=str)
def test_max_without_indices(isa: str, dtype: Any, rng: Any, case: tuple[Any, ...]) -> None:
    shape, *window = case
    x = rng.standard_normal(shape).astype(dtype)
    x[rng.random(shape) < 0.1] = np.nan
    x[rng.random(shape) < 0.3] = -np.inf
    want, _ = spec.max_pool2d(x, *window)
    for name, image in layouts(x):
        dense = name in ("contiguous", "channels last")
        y, at = (kernel("max_pool2d") if dense else cpu.max_pool2d)(image, *window, False)
        assert at is None
        np.testing.assert_array_equal(y, want, name)


def average_tolerance(x: np.ndarray, taps: int) -> float:
    """A sum of `taps` terms in any order, and a factor rounded three times."""
    return (taps + 4) * eps(x.dtype) * float(np.abs(x).max(initial=0))


AVERAGES = [
    *VALUES,
    ((5, 40, 11, 11), (2, 2), (2, 2), (0, 0), (1, 1), False),  # planes in whole vectors, and the last ones
    ((3, 9, 6, 33), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((2, 3, 9, 34), (5, 6), (2, 2), (2, 3), (1, 1), False),  # windows that overlap
    ((2, 3, 9, 37), (3, 16), (1, 1), (1, 8), (1, 1), True),
    ((2, 3, 9, 60), (3, 20), (2, 2), (1, 10), (1, 1), False),  # too wide for vectors of shares
]  # fmt: skip


@pytest.mark.parametrize("case", AVERAGES, ids=str)
@pytest.mark.parametrize("count_include_pad", [True, False])
@pytest.mark.parametrize("divisor", [None, 3])
def test_average(
    isa: str, dtype: Any, rng: Any, case: tuple[Any, ...], count_include_pad: bool, divisor: Any
) -> None:
    shape, k, s, p, d, ceil_mode = case
    if d != (1, 1):
        pytest.skip("average pooling has no dilation")
    window = (k, s, p, ceil_mode, count_include_pad, divisor)
    x = rng.uniform(-1, 1, shape).astype(dtype)
    with np.errstate(all="ignore"):
        want = spec.avg_pool2d(x.astype(np.float64), *window)
    g = rng.uniform(-1, 1, want.shape).astype(dtype)
    want_gx = spec.avg_pool2d_backward(g.astype(np.float64), shape, *window)
    for image, grad in ((x, g), (channels_last(x), channels_last(g))):
        y = kernel("avg_pool2d")(image, *window)
        assert_close(y, want, average_tolerance(x, k[0] * k[1]))
        gx = kernel("avg_pool2d_backward")(grad, shape, *window)
        assert_close(gx, want_gx, average_tolerance(g, k[0] * k[1]))
        assert y.dtype == gx.dtype == dtype


@pytest.mark.parametrize(
    ("shape", "output"),
    [
        ((2, 3, 7, 7), (1, 1)),
        ((2, 20, 8, 6), (4, 3)),
        ((1, 3, 7, 70), (5, 33)),
        ((2, 3, 4, 5), (6, 11)),
        ((1, 2, 150, 200), (7, 1)),
    ],
)
def test_adaptive(isa: str, dtype: Any, rng: Any, shape: Any, output: Any) -> None:
    x = rng.uniform(-1, 1, shape).astype(dtype)
    g = rng.uniform(-1, 1, (*shape[:2], *output)).astype(dtype)
    want = spec.adaptive_avg_pool2d(x.astype(np.float64), output)
    want_gx = spec.adaptive_avg_pool2d_backward(g.astype(np.float64), shape)
    # a window of `taps` pixels is summed by rows, then columns
    taps = (shape[2] // output[0] + 2) + (shape[3] // output[1] + 2)
    for image, grad in ((x, g), (channels_last(x), channels_last(g))):
        tolerance = average_tolerance(x, taps if image.flags.c_contiguous else taps**2)
        assert_close(kernel("adaptive_avg_pool2d")(image, output), want, tolerance)
        gx = kernel("adaptive_avg_pool2d_backward")(grad, shape)
        assert_close(gx, want_gx, average_tolerance(g, taps))


def test_any_layout(isa: str, dtype: Any, rng: Any) -> None:
    base = rng.standard_normal((2, 3, 8, 6)).astype(dtype)
    window = ((2, 3), (2, 1), (1, 1), (1, 1), False)
    average = ((2, 3), (2, 1), (1, 1), False, True, None)
    for _, x in layouts(base):
        before = x.copy()
        check_max(x, window, cpu.max_pool2d, cpu.max_pool2d_backward)
        assert_close(cpu.avg_pool2d(x, *average), spec.avg_pool2d(x, *average), 8 * eps(dtype) * 4)
        np.testing.assert_array_equal(x, before)
    y, at = spec.max_pool2d(base, *window)
    want = spec.max_pool2d_backward(y, at, base.shape)
    for _, g in layouts(y):  # other layouts than the indices'
        assert_close(cpu.max_pool2d_backward(g, at, base.shape), want, 8 * eps(dtype) * 4)
        gx = cpu.max_pool2d_backward(g, channels_last(at), base.shape)
        assert_close(gx, want, 8 * eps(dtype) * 4)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_window(data: st.DataObject) -> None:
    def pair(low: int, high: int) -> tuple[int, int]:
        return data.draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    size, k, s, d = pair(1, 40), pair(1, 4), pair(1, 4), pair(1, 3)
    p = tuple(data.draw(st.integers(0, n // 2)) for n in k)
    ceil_mode = data.draw(st.booleans())
    assume(all(size[i] + 2 * p[i] > d[i] * (k[i] - 1) for i in range(2)))
    x = np.random.default_rng(3).integers(0, 9, (2, data.draw(st.integers(1, 20)), *size))
    x = x.astype(data.draw(st.sampled_from([np.float32, np.float64])))
    if data.draw(st.booleans()):
        x = channels_last(x)
    check_max(x, (k, s, p, d, ceil_mode), cpu.max_pool2d, cpu.max_pool2d_backward)


def test_other_dtypes_and_empty(dtype: Any) -> None:
    window = ((2, 2), (2, 2), (0, 0), (1, 1), False)
    y, at = cpu.max_pool2d(np.arange(16).reshape(1, 1, 4, 4), *window)
    assert y.tolist() == at.tolist() == [[[[5, 7], [13, 15]]]]
    y, at = cpu.max_pool2d(np.empty((0, 3, 4, 4), dtype), *window)
    assert y.shape == at.shape == (0, 3, 2, 2)
    assert cpu.max_pool2d_backward(y, at, (0, 3, 4, 4)).shape == (0, 3, 4, 4)


def test_an_index_outside_the_plane_is_an_error(isa: str, dtype: Any) -> None:
    g = np.ones((1, 1, 2, 2), dtype)
    for wrong in (16, -2, 2**31 - 1):
        at = np.array([[[[0, 1], [2, wrong]]]], np.int32)
        with pytest.raises(IndexError, match="outside the input's plane of 4 x 4"):
            cpu.max_pool2d_backward(g, at, (1, 1, 4, 4))


def test_same_bits_for_any_threads(rng: Any) -> None:
    x = rng.standard_normal((6, 9, 70, 50)).astype(np.float32)
    for image in (x, channels_last(x)):
        y, at = kernel("max_pool2d")(image, (3, 3), (2, 2), (1, 1), (1, 1), False)
        assert_same_bits_for_any_threads(
            lambda y=y, at=at: kernel("max_pool2d_backward")(y, at, x.shape)
        )
        assert_same_bits_for_any_threads(
            lambda image=image: kernel("adaptive_avg_pool2d")(image, (3, 2))
        )
