"""Convolution with max pooling in blocks of images against the two operations one after the other."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from support import (
    assert_close,
    assert_same_bits_for_any_threads,
    channels_last,
    eps,
    kernel,
)

from fastnn.backends import cpu
from fastnn.backends import numpy as spec
from fastnn.backends.numpy.conv_pool import map_of


class Case(NamedTuple):
    x: tuple[int, int, int, int]
    weight: tuple[int, int, int, int]
    window: tuple[int, int] = (2, 2)
    window_stride: tuple[int, int] = (2, 2)
    window_dilation: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1

    @property
    def geometry(self) -> tuple[Any, ...]:
        return self.stride, self.padding, (1, 1), self.groups

    @property
    def pooling(self) -> tuple[Any, ...]:
        return self.window, self.window_stride, self.window_dilation


CASES = [
    Case((40, 1, 28, 28), (32, 1, 3, 3)),  # blocks of images
    Case((33, 2, 40, 40), (16, 2, 3, 3), window=(2, 3), window_stride=(2, 1)),  # one image a block
    Case((20, 16, 32, 32), (16, 16, 3, 3), padding=(1, 1)),
    Case((18, 4, 30, 30), (32, 2, 3, 3), groups=2),
    Case((16, 1, 65, 63), (10, 1, 5, 5), (3, 3), (2, 2), (1, 2), stride=(1, 2)),
    Case((16, 3, 20, 20), (12, 3, 5, 5), (3, 3), (2, 2), padding=(2, 2)),  # small: at once
    Case((2, 32, 13, 13), (64, 32, 3, 3)),
    Case((1, 3, 9, 9), (5, 3, 3, 3), (7, 7), (1, 1)),
    Case((17, 40, 16, 16), (64, 40, 3, 3)),  # many weights: at once
]
layout = pytest.mark.parametrize("order", [np.array, channels_last], ids=["NCHW", "NHWC"])


@pytest.mark.parametrize("case", CASES, ids=str)
@layout
@pytest.mark.parametrize("activation", [None, "relu"])
def test_forward(isa: str, dtype: Any, rng: Any, case: Case, order: Any, activation: Any) -> None:
    x = order(rng.standard_normal(case.x).astype(dtype))
    weight, bias = (rng.standard_normal(s).astype(dtype) for s in (case.weight, case.weight[0]))
    x[0, 0, 4, 4] = np.nan
    got = kernel("conv2d_max_pool2d")(x, weight, bias, *case.geometry, activation, *case.pooling)
    map = cpu.conv2d(x, weight, bias, *case.geometry, activation)
    window, stride, dilation = case.pooling
    want = cpu.max_pool2d(map, window, stride, (0, 0), dilation, False)
    for a, b in zip(got, want, strict=True):  # the same sums in the same kernels
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
        assert a.strides == b.strides
    y, none = kernel("conv2d_max_pool2d")(
        x, weight, bias, *case.geometry, activation, *case.pooling, False
    )
    np.testing.assert_array_equal(y, want[0])
    assert none is None


@pytest.mark.parametrize("case", CASES, ids=str)
@layout
def test_backward(isa: str, dtype: Any, rng: Any, case: Case, order: Any) -> None:
    x = order(rng.standard_normal(case.x).astype(dtype))
    weight = rng.standard_normal(case.weight).astype(dtype)
    y, indices = cpu.conv2d_max_pool2d(x, weight, None, *case.geometry, None, *case.pooling)
    g = np.empty_like(y)
    g[...] = rng.standard_normal(y.shape)
    run = kernel("conv2d_max_pool2d_backward")
    shapes = (case.x, case.weight, *case.geometry)
    gx, gweight = run(g, indices, x, weight, *shapes)

    map_shape = map_of(case.x, case.weight, *case.geometry[:3])
    g_map = cpu.max_pool2d_backward(g, indices, map_shape)
    np.testing.assert_array_equal(gx, cpu.conv2d_input_grad(g_map, weight, case.x, *case.geometry))
    want = spec.conv2d_weight_grad(
        g_map.astype(np.float64), x.astype(np.float64), case.weight, *case.geometry
    )
    # sums of one product for each pixel of the map; Winograd's transforms enlarge terms up to tenfold
    products = cpu.conv2d_weight_grad(abs(g_map), abs(x), case.weight, *case.geometry)
    assert_close(gweight, want, 10 * eps(dtype) * products.max(), "weight")

    only_gx, none = run(g, indices, None, weight, *shapes)
    assert none is None
    np.testing.assert_array_equal(only_gx, gx)
    none, only_gweight = run(g, indices, x, None, *shapes)
    assert none is None
    np.testing.assert_array_equal(only_gweight, gweight)


@pytest.mark.parametrize("case", CASES[:3], ids=str)
def test_threads(rng: Any, case: Case) -> None:
    x, weight = (rng.standard_normal(s).astype(np.float32) for s in (case.x, case.weight))
    arguments = (x, weight, None, *case.geometry, "relu", *case.pooling)
    assert_same_bits_for_any_threads(lambda: cpu.conv2d_max_pool2d(*arguments))
    y, indices = cpu.conv2d_max_pool2d(*arguments)
    assert_same_bits_for_any_threads(
        lambda: cpu.conv2d_max_pool2d_backward(
            y, indices, x, weight, case.x, case.weight, *case.geometry
        )
    )


def test_other_dtypes(rng: Any) -> None:
    case = CASES[7]
    x, weight = (rng.standard_normal(s).astype(np.float16) for s in (case.x, case.weight))
    arguments = (x, weight, None, *case.geometry, None, *case.pooling)
    for got, want in zip(
        cpu.conv2d_max_pool2d(*arguments), spec.conv2d_max_pool2d(*arguments), strict=True
    ):
        np.testing.assert_array_equal(got, want)


def test_empty_batch() -> None:
    x, weight = np.ones((0, 1, 6, 6), np.float32), np.ones((2, 1, 3, 3), np.float32)
    geometry = ((1, 1), (0, 0), (1, 1), 1)
    y, indices = cpu.conv2d_max_pool2d(x, weight, None, *geometry, None, (2, 2), (2, 2), (1, 1))
    assert y.shape == indices.shape == (0, 2, 2, 2)
    gx, gweight = cpu.conv2d_max_pool2d_backward(
        y, indices, x, weight, x.shape, weight.shape, *geometry
    )
    assert gx.shape == x.shape
    np.testing.assert_array_equal(gweight, np.zeros(weight.shape))


def test_refuses() -> None:
    x, weight = np.ones((1, 1, 6, 6), np.float32), np.ones((2, 1, 3, 3), np.float32)
    geometry = ((1, 1), (0, 0), (1, 1), 1)

    def forward(w: Any = weight, bias: Any = None, window: Any = (2, 2), step: Any = (2, 2)) -> Any:
        return cpu.conv2d_max_pool2d(x, w, bias, *geometry, None, window, step, (1, 1))

    with pytest.raises(ValueError, match="do not fit"):
        forward(np.ones((2, 2, 3, 3), np.float32))
    with pytest.raises(ValueError, match=r"bias wants shape \(2,\)"):
        forward(bias=np.ones(3, np.float32))
    with pytest.raises(ValueError, match="window of 5 x 2 does not fit"):
        forward(window=(5, 2))
    with pytest.raises(ValueError, match="stride"):
        forward(step=(0, 2))
    y, indices = forward()
    rest = (x.shape, weight.shape, *geometry)
    with pytest.raises(ValueError, match="do not fit together"):
        cpu.conv2d_max_pool2d_backward(y, indices[:, :1].copy(), x, weight, *rest)
    with pytest.raises(ValueError, match="do not fit together"):
        cpu.conv2d_max_pool2d_backward(y, indices, x[:, :, :5], weight, *rest)
    with pytest.raises(IndexError, match="outside"):
        cpu.conv2d_max_pool2d_backward(y, indices + 100, x, weight, *rest)
