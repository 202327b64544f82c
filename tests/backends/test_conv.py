"""Convolution and its gradients against the specification in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

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

from fastnn import _cpu
from fastnn.backends import cpu
from fastnn.backends import numpy as spec
from fastnn.backends.numpy._layout import is_channels_last, with_layout_of


class Case(NamedTuple):
    x: tuple[int, int, int, int]
    channels: int
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def weight(self) -> tuple[int, int, int, int]:
        return (self.channels, self.x[1] // self.groups, *self.kernel)

    @property
    def settings(self) -> tuple[Any, ...]:
        return self.stride, self.padding, self.dilation, self.groups


CASES = [
    Case((2, 1, 28, 28), 32),
    Case((2, 32, 13, 13), 64),
    Case((2, 3, 16, 15), 20, padding=(1, 1)),
    Case((3, 3, 17, 19), 5, kernel=(3, 2), stride=(2, 1), padding=(1, 2)),
    Case((1, 20, 6, 6), 33, stride=(2, 2), padding=(1, 1), dilation=(1, 2)),
    Case((1, 4, 9, 9), 6, padding=(1, 1), dilation=(2, 2), groups=2),
    Case((2, 8, 10, 7), 8, padding=(1, 1), groups=8),
    Case((2, 6, 10, 7), 18, padding=(2, 1), groups=6),
    Case((3, 20, 12, 19), 20, padding=(1, 1), groups=20),
    Case((17, 9, 11, 13), 9, kernel=(5, 3), stride=(2, 2), padding=(2, 1), groups=9),
    Case((2, 12, 9, 30), 12, padding=(2, 2), dilation=(2, 2), groups=12),
    Case((3, 1, 9, 11), 5, padding=(1, 1)),  # one plane, several output channels
    Case((3, 20, 9, 8), 7, kernel=(1, 1)),  # a matrix product of planes
    Case((4, 264, 7, 6), 260, padding=(1, 1)),  # Winograd's weights transformed where they are read
    Case((2, 33, 6, 5), 33, kernel=(1, 1), stride=(1, 2), groups=33),
    Case((2, 16, 8, 8), 40, kernel=(1, 1)),
    Case((2, 16, 9, 8), 40, kernel=(1, 1), stride=(2, 2)),
    Case((2, 18, 6, 6), 34, kernel=(1, 1), groups=2),
    Case((2, 5, 6, 6), 7, kernel=(1, 1), padding=(1, 2)),
    Case((1, 5, 12, 12), 7, kernel=(5, 5), stride=(3, 2), padding=(2, 2)),
    Case((1, 2, 5, 5), 3, kernel=(5, 5), padding=(4, 4)),
    Case((1, 2, 7, 9), 3, kernel=(7, 9)),
    Case((2, 3, 8, 8), 4, kernel=(2, 2), stride=(3, 3)),
    Case((17, 3, 8, 8), 4, stride=(4, 4), padding=(1, 0)),
    Case((1, 512, 4, 4), 8, padding=(1, 1)),
    Case((1, 2, 3, 40), 3, kernel=(1, 7), padding=(0, 3)),
    Case((1, 40, 30, 30), 40, padding=(1, 1)),
    Case((2, 33, 7, 5), 21, kernel=(5, 5), padding=(2, 2)),
    Case((1, 300, 3, 3), 19, kernel=(1, 1)),
    Case((2, 70, 5, 6), 24, stride=(2, 2), padding=(1, 1)),
    Case((2, 6, 14, 14), 16, kernel=(5, 5)),
    Case((2, 16, 10, 11), 2, kernel=(5, 5), padding=(2, 2)),
    Case((3, 20, 11, 6), 18, padding=(1, 1)),
    Case((20, 16, 3, 3), 21, padding=(1, 1)),
    Case((20, 16, 4, 2), 16, padding=(1, 1)),
    Case((2, 16, 14, 13), 17, kernel=(6, 6), stride=(2, 2), padding=(2, 2)),
    Case((6, 130, 9, 9), 128, padding=(1, 1)),
    Case((1, 64, 8, 8), 72, padding=(1, 1)),  # few tiles: threads share output channels
    Case((4, 40, 8, 3), 70, padding=(1, 1)),
    # Winograd's with stride 2: pairs of tiles, an overlapping last column, a narrow image, few tiles
    Case((3, 20, 22, 24), 18, stride=(2, 2), padding=(1, 1)),
    Case((1, 17, 40, 41), 19, stride=(2, 2), padding=(1, 1)),
    Case((5, 36, 20, 23), 34, stride=(2, 2), padding=(2, 0)),
    Case((2, 16, 40, 4), 16, stride=(2, 2), padding=(1, 1)),
    Case((1, 32, 16, 16), 64, stride=(2, 2), padding=(0, 1)),
    # Winograd's gradients of weights: parts of chunks that do not come out even, few tiles
    Case((1, 16, 12, 384), 16, padding=(1, 1)),
    Case((32, 40, 8, 8), 72, padding=(1, 1)),
    Case((8, 64, 8, 8), 64, padding=(1, 1)),
    Case((4, 64, 16, 16), 72, stride=(2, 2), padding=(1, 1)),
    # few channels whose gradients are summed by planes: one tile, overlapping tiles, strides
    Case((3, 1, 27, 37), 12, padding=(1, 1)),
    Case((2, 3, 5, 30), 20, kernel=(5, 4), padding=(2, 3)),
    Case((2, 3, 41, 40), 24, kernel=(7, 7), stride=(2, 2), padding=(3, 3)),
    Case((2, 8, 12, 20), 12, kernel=(4, 3), padding=(1, 2), groups=4),
    Case((0, 3, 8, 8), 4),
    Case((0, 16, 8, 8), 16, padding=(1, 1)),
    Case((0, 16, 8, 8), 16, stride=(2, 2), padding=(1, 1)),
    Case((2, 3, 8, 8), 0),
    Case((2, 0, 8, 8), 4),
]


def random(rng: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    return rng.standard_normal(shape).astype(dtype)


def tolerance(a: Any, b: Any, terms: int, dtype: Any) -> float:
    """A sum of so many products errs by at most so many roundings of its largest partial sums, and one of a bias."""
    scale = float(np.abs(a).max(initial=0) * np.abs(b).max(initial=0)) + 8
    return eps(dtype) * (terms + 1) * scale


def reference(function: Callable[..., Any], *args: Any) -> Any:
    return function(*(a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in args))


def check_case(case: Case, dtype: Any, rng: Any, views: Callable[[Any], Any]) -> None:
    x, weight = random(rng, case.x, dtype), random(rng, case.weight, dtype)
    bias = random(rng, (case.channels,), dtype)
    y = reference(spec.conv2d, x, weight, bias, *case.settings)
    g = random(rng, y.shape, dtype)
    gx = reference(spec.conv2d_input_grad, g, weight, case.x, *case.settings)
    gw = reference(spec.conv2d_weight_grad, g, x, case.weight, *case.settings)
    taps = case.kernel[0] * case.kernel[1]

    for name, view in views(x):
        terms = case.x[1] // case.groups * taps
        got = cpu.conv2d(view, weight, bias, *case.settings)
        assert got.dtype == dtype
        assert_close(got, y, tolerance(x, weight, terms, dtype), f"forward, {name}")
        relu = cpu.conv2d(view, weight, bias, *case.settings, "relu")
        np.testing.assert_array_equal(relu, np.maximum(got, 0), f"relu, {name}")
        bare = cpu.conv2d(view, weight, None, *case.settings)
        assert_close(
            bare, y - bias[:, None, None], tolerance(x, weight, terms, dtype), "without bias"
        )
        if got.size:
            assert is_channels_last(got) == is_channels_last(with_layout_of(y, view)), name
    for name, view in views(g):
        terms = case.channels // case.groups * taps
        got = cpu.conv2d_input_grad(view, weight, case.x, *case.settings)
        assert_close(got, gx, tolerance(g, weight, terms, dtype), f"input gradient, {name}")
        terms = y.shape[0] * y.shape[2] * y.shape[3]
        for name_x, x_view in views(x):
            got = cpu.conv2d_weight_grad(view, x_view, case.weight, *case.settings)
            assert_close(
                got, gw, tolerance(g, x, terms, dtype), f"weight gradient, g {name}, x {name_x}"
            )


def both_layouts(x: Any) -> list[tuple[str, Any]]:
    return [("contiguous", x), ("channels last", channels_last(x))]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_conv2d(isa: str, dtype: Any, rng: Any, case: Case) -> None:
    check_case(case, dtype, rng, both_layouts)


@pytest.mark.parametrize(
    "case", [CASES[3], CASES[5], CASES[9], CASES[25], CASES[26], CASES[46]], ids=str
)
def test_layouts(isa: str, dtype: Any, rng: Any, case: Case) -> None:
    check_case(case, dtype, rng, layouts)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_weights_with_channels_last(isa: str, dtype: Any, rng: Any, case: Case) -> None:
    x, weight = random(rng, case.x, dtype), random(rng, case.weight, dtype)
    y = cpu.conv2d(x, weight, None, *case.settings)
    last = channels_last(weight)
    np.testing.assert_array_equal(cpu.conv2d(x, last, None, *case.settings), y)
    gx = cpu.conv2d_input_grad(y, weight, case.x, *case.settings)
    np.testing.assert_array_equal(cpu.conv2d_input_grad(y, last, case.x, *case.settings), gx)


@pytest.mark.parametrize("case", [*(CASES[i] for i in (0, 1, 4, 6, 19, 29, 39, 46))], ids=str)
@pytest.mark.parametrize("layout", [lambda x: x, channels_last], ids=["nchw", "nhwc"])
def test_threads(isa: str, dtype: Any, rng: Any, case: Case, layout: Callable[..., Any]) -> None:
    case = case._replace(x=(20, *case.x[1:]))
    x, weight = layout(random(rng, case.x, dtype)), random(rng, case.weight, dtype)
    g = layout(random(rng, cpu.conv2d(x, weight, None, *case.settings).shape, dtype))
    assert_same_bits_for_any_threads(lambda: cpu.conv2d(x, weight, None, *case.settings))
    assert_same_bits_for_any_threads(
        lambda: cpu.conv2d_input_grad(g, weight, case.x, *case.settings)
    )
    assert_same_bits_for_any_threads(
        lambda: cpu.conv2d_weight_grad(g, x, case.weight, *case.settings)
    )


FEW_TILES = [
    Case((1, 16, 32, 32), 16, padding=(1, 1)),
    Case((1, 32, 16, 16), 40, padding=(1, 1)),
    Case((8, 64, 8, 8), 64, padding=(1, 1)),
    Case((1, 16, 12, 384), 16, padding=(1, 1)),
    Case((1, 32, 16, 16), 64, stride=(2, 2), padding=(1, 1)),
    Case((4, 64, 16, 16), 72, stride=(2, 2), padding=(1, 1)),
]


@pytest.mark.parametrize("case", FEW_TILES, ids=str)
def test_few_tiles_in_many_threads(isa: str, rng: Any, case: Case) -> None:
    x, weight = random(rng, case.x, np.float32), random(rng, case.weight, np.float32)
    g = random(rng, cpu.conv2d(x, weight, None, *case.settings).shape, np.float32)
    for run in (
        lambda: cpu.conv2d(x, weight, None, *case.settings),
        lambda: cpu.conv2d_input_grad(g, weight, case.x, *case.settings),
        lambda: cpu.conv2d_weight_grad(g, x, case.weight, *case.settings),
    ):
        assert_same_bits_for_any_threads(run)


def test_one_image_in_many_threads(isa: str, rng: Any) -> None:
    case = Case((1, 40, 60, 60), 70, padding=(1, 1))
    x, weight = random(rng, case.x, np.float32), random(rng, case.weight, np.float32)
    assert_same_bits_for_any_threads(lambda: cpu.conv2d(x, weight, None, *case.settings))
    want = reference(spec.conv2d, x, weight, None, *case.settings)
    got = cpu.conv2d(x, weight, None, *case.settings)
    assert_close(got, want, tolerance(x, weight, 360, np.float32))


def test_kernels_serve_all_aligned_layouts(dtype: Any, rng: Any) -> None:
    case = CASES[3]
    x, weight = random(rng, case.x, dtype), random(rng, case.weight, dtype)
    g = spec.conv2d(x, weight, None, *case.settings)
    for name, view in layouts(x):
        if name != "unaligned":
            kernel("conv2d")(view, weight, None, *case.settings, None)
            kernel("conv2d_weight_grad")(g, view, case.weight, *case.settings)
    for name, view in layouts(weight):
        if name != "unaligned":
            got = kernel("conv2d")(x, view, None, *case.settings, None)
            assert_close(got, g, tolerance(x, weight, 27, dtype), f"weight {name}")
            kernel("conv2d_input_grad")(g, view, case.x, *case.settings)


def test_other_dtypes_are_served_by_numpy() -> None:
    x, weight = np.ones((1, 2, 4, 4), np.int64), np.ones((3, 2, 3, 3), np.int64)
    y = cpu.conv2d(x, weight, None, (1, 1), (0, 0), (1, 1), 1)
    assert y.dtype == np.int64
    assert (y == 18).all()


@pytest.mark.parametrize(
    ("x", "weight", "bias", "settings", "words"),
    [
        ((2, 3, 8), (4, 3, 3, 3), None, ((1, 1), (0, 0), (1, 1), 1), ["x", "4 axes", "(2, 3, 8)"]),
        ((2, 3, 8, 8), (4, 2, 3, 3), None, ((1, 1), (0, 0), (1, 1), 1), ["(2, 3, 8, 8)", "(4, 2, 3, 3)"]),
        ((2, 4, 8, 8), (3, 2, 3, 3), None, ((1, 1), (0, 0), (1, 1), 2), ["groups=2"]),
        ((2, 3, 8, 8), (4, 3, 3, 3), (5,), ((1, 1), (0, 0), (1, 1), 1), ["bias", "(4,)", "(5,)"]),
        ((2, 3, 2, 8), (4, 3, 3, 3), None, ((1, 1), (0, 0), (1, 1), 1), ["3 x 3", "(2, 3, 2, 8)"]),
        ((2, 3, 8, 8), (4, 3, 3, 3), None, ((0, 1), (0, 0), (1, 1), 1), ["stride"]),
        ((2, 3, 8, 8), (4, 3, 3, 3), None, ((1, 1), (-1, 0), (1, 1), 1), ["padding"]),
        ((2, 3, 8, 8), (4, 3, 0, 3), None, ((1, 1), (0, 0), (1, 1), 1), ["1 x 1"]),
    ],
)  # fmt: skip
def test_errors(x: Any, weight: Any, bias: Any, settings: Any, words: list[str]) -> None:
    arrays = [None if s is None else np.ones(s, np.float32) for s in (x, weight, bias)]
    with pytest.raises(ValueError, match="conv2d") as error:
        cpu.conv2d(*arrays, *settings)
    for word in words:
        assert word in str(error.value)


def test_gradient_errors() -> None:
    g, x, w = (np.ones(s, np.float32) for s in [(1, 4, 5, 5), (1, 3, 8, 8), (4, 3, 3, 3)])
    plain = (1, 1), (0, 0), (1, 1), 1
    with pytest.raises(ValueError, match=r"conv2d_input_grad: g wants shape \(1, 4, 6, 6\), got"):
        cpu.conv2d_input_grad(g, w, x.shape, *plain)
    with pytest.raises(ValueError, match=r"conv2d_weight_grad: g wants shape \(1, 4, 6, 6\), got"):
        cpu.conv2d_weight_grad(g, x, w.shape, *plain)
    with pytest.raises(ValueError, match="numbers of 0 or more"):
        cpu.conv2d_input_grad(g, w, (-1, 3, 8, 8), *plain)


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_any_settings(data: st.DataObject) -> None:
    def draw(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    groups = draw(1, 3)
    case = Case(
        x=(draw(0, 3), groups * draw(1, 9), draw(1, 14), draw(1, 14)),
        channels=groups * draw(1, 18),
        kernel=(draw(1, 4), draw(1, 4)),
        stride=(draw(1, 3), draw(1, 3)),
        padding=(draw(0, 3), draw(0, 3)),
        dilation=(draw(1, 3), draw(1, 3)),
        groups=groups,
    )
    for size, taps, padding, dilation in zip(
        case.x[2:], case.kernel, case.padding, case.dilation, strict=True
    ):
        assume(size + 2 * padding > dilation * (taps - 1))
    _cpu.set_isa(data.draw(st.sampled_from(_cpu.vector_levels())))
    rng = np.random.default_rng(draw(0, 2**32 - 1))
    check_case(case, np.float32, rng, both_layouts)
