"""Matrix products against the specification in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import assert_close, assert_same_bits_for_any_threads, eps, kernel, layouts

from fastnn import _cpu
from fastnn.backends import cpu
from fastnn.backends import numpy as spec

# (m, n, k): around the tile sizes of every ISA (4, 6, 14 rows; 4 to 32 columns), single rows and columns, the shapes
# of Linear layers, k beyond one block of k (384) and long enough to be cut into parts.
SHAPES = [
    (1, 1, 1), (2, 3, 4), (4, 8, 5), (6, 16, 9), (14, 32, 17), (15, 33, 16), (13, 31, 100), (64, 64, 64),
    (3, 10, 128), (7, 9, 300), (5, 7, 130), (9, 3, 130), (6, 6, 130),
    (1, 10, 128), (1, 100, 300), (100, 1, 300), (1, 1, 1000), (128, 784, 1), (3, 5, 1), (5, 10, 64), (70, 3, 200), (128, 10, 128),
    (17, 17, 17), (33, 33, 33), (30, 37, 20), (230, 128, 70),  # an edge of one column, of few; rows that share sets of the cache
    (32, 64, 784), (29, 130, 400), (100, 200, 800), (10, 20, 5000), (257, 401, 130), (115, 399, 771), (3, 0, 4), (0, 3, 4), (3, 4, 0), (0, 0, 0),
]  # fmt: skip


def tolerance(a: Any, b: Any, k: int, dtype: Any) -> float:
    """A sum of k products errs by at most k roundings of its largest partial sums, and one more of a bias."""
    return eps(dtype) * (k + 1) * float(np.abs(a).max(initial=0) * np.abs(b).max(initial=0) + 1e-9)


def random(rng: Any, *shape: int, dtype: Any) -> Any:
    return rng.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
def test_matmul(isa: str, dtype: Any, rng: Any, m: int, n: int, k: int) -> None:
    a, b = random(rng, m, k, dtype=dtype), random(rng, k, n, dtype=dtype)
    want = spec.matmul(a.astype(np.float64), b.astype(np.float64))
    for name_a, a_view in layouts(a):
        for name_b, b_view in layouts(b):
            got = cpu.matmul(a_view, b_view)
            assert got.dtype == dtype
            assert_close(got, want, tolerance(a, b, k, dtype), f"a {name_a}, b {name_b}")


@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
@pytest.mark.parametrize("activation", [None, "relu"])
def test_linear(
    isa: str, dtype: Any, rng: Any, m: int, n: int, k: int, activation: str | None
) -> None:
    x, weight = random(rng, m, k, dtype=dtype), random(rng, n, k, dtype=dtype)
    bias = random(rng, n, dtype=dtype)
    for b in (bias, None):
        want = spec.linear(
            *(None if v is None else v.astype(np.float64) for v in (x, weight, b)), activation
        )
        for name, view in layouts(x):
            got = cpu.linear(view, weight, b, activation)
            assert_close(got, want, tolerance(x, weight, k, dtype) + eps(dtype) * 8, name)


@pytest.mark.parametrize(
    ("a_shape", "b_shape"),
    [
        ((9,), (9,)), ((100,), (100, 3)), ((3, 100), (100,)), ((4,), (3, 4, 2)), ((5, 3, 4), (4,)),
        ((4, 3, 5), (5, 6)), ((4, 3, 5), (4, 5, 6)), ((5, 1, 6, 7), (4, 7, 2)), ((1, 3, 5), (7, 5, 2)),
        ((2, 0, 5), (5, 6)), ((0, 2, 5), (0, 5, 6)), ((2, 2, 0), (2, 0, 3)), ((300, 4, 5), (300, 5, 6)),
        ((2, 70, 90), (2, 90, 140)),
    ],
)  # fmt: skip
def test_batches(isa: str, dtype: Any, rng: Any, a_shape: Any, b_shape: Any) -> None:
    a, b = random(rng, *a_shape, dtype=dtype), random(rng, *b_shape, dtype=dtype)
    want = spec.matmul(a.astype(np.float64), b.astype(np.float64))
    for name, view in layouts(a):
        assert_close(cpu.matmul(view, b), want, tolerance(a, b, a.shape[-1], dtype), name)
    for name, view in layouts(b):
        assert_close(cpu.matmul(a, view), want, tolerance(a, b, a.shape[-1], dtype), name)


@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
@pytest.mark.parametrize("activation", [None, "relu"])
def test_linear_backward(
    isa: str, dtype: Any, rng: Any, m: int, n: int, k: int, activation: str | None
) -> None:
    g, x = random(rng, m, n, dtype=dtype), random(rng, m, k, dtype=dtype)
    weight = random(rng, n, k, dtype=dtype)
    y = None if activation is None else np.maximum(random(rng, m, n, dtype=dtype), 0)
    wide = [None if v is None else v.astype(np.float64) for v in (g, x, weight, y)]
    want = spec.linear_backward(*wide, True)
    bounds = (
        tolerance(g, weight, n, dtype),
        tolerance(g, x, m, dtype),
        tolerance(g, np.ones(1), m, dtype),
    )
    for name, view in layouts(g):
        got = cpu.linear_backward(view, x, weight, y, True)
        for value, wanted, bound in zip(got, want, bounds, strict=True):
            assert value.dtype == dtype
            assert_close(value, wanted, bound, name)
    got = cpu.linear_backward(g, x, weight, y, True)
    for wanted in range(8):  # a part of the gradients has the same bits
        some = cpu.linear_backward(
            g, x if wanted & 1 else None, weight if wanted & 2 else None, y, bool(wanted & 4)
        )
        for value, whole, bit in zip(some, got, (2, 1, 4), strict=True):
            assert (value is not None) == bool(wanted & bit)
            if value is not None:
                np.testing.assert_array_equal(value, whole)


def test_linear_backward_of_batches(isa: str, dtype: Any, rng: Any) -> None:
    g, x = random(rng, 2, 3, 5, 7, dtype=dtype), random(rng, 2, 3, 5, 4, dtype=dtype)
    weight = random(rng, 7, 4, dtype=dtype)
    want = spec.linear_backward(*(v.astype(np.float64) for v in (g, x, weight)), None, True)
    for function in (kernel("linear_backward"), spec.linear_backward):
        got = function(g, x, weight, None, True)
        for value, wanted in zip(got, want, strict=True):
            assert value.shape == wanted.shape
            assert_close(value, wanted, tolerance(g, x, 30, dtype))
    assert_same_bits_for_any_threads(lambda: cpu.linear_backward(g, x, weight, None, True))


def test_linear_of_any_batch_layout(isa: str, dtype: Any, rng: Any) -> None:
    x, weight = random(rng, 6, 5, 4, 7, dtype=dtype), random(rng, 3, 7, dtype=dtype)
    views = [x, x[::2], x[:, ::-1], x.transpose(1, 0, 2, 3), x.transpose(2, 1, 0, 3), x[:, :, :1]]
    for view in [*views, np.broadcast_to(x[:1], x.shape)]:
        want = spec.linear(view.astype(np.float64), weight.astype(np.float64), None)
        assert_close(
            cpu.linear(view, weight, None), want, tolerance(x, weight, 7, dtype), str(view.strides)
        )


def test_broadcast_operands(isa: str, dtype: Any, rng: Any) -> None:
    row = np.broadcast_to(random(rng, 40, dtype=dtype), (30, 40))
    column = np.broadcast_to(random(rng, 40, 1, dtype=dtype), (40, 50))
    want = row.astype(np.float64) @ column.astype(np.float64)
    assert_close(cpu.matmul(row, column), want, tolerance(row, column, 40, dtype))


@pytest.mark.parametrize(
    ("m", "n", "k"),
    [
        (300, 200, 500), (401, 393, 430), (10, 20, 20000), (1, 4000, 600), (128, 10, 9216),
        (400, 33, 120), (40, 1025, 90), (700, 41, 100),
    ],
)  # fmt: skip
def test_threads(isa: str, dtype: Any, rng: Any, m: int, n: int, k: int) -> None:
    a, b = random(rng, m, k, dtype=dtype), random(rng, k, n, dtype=dtype)
    w = b.T.copy()
    assert_same_bits_for_any_threads(lambda: cpu.matmul(a, b))
    assert_same_bits_for_any_threads(lambda: cpu.linear(a, w, None))


def test_batches_with_threads(isa: str, dtype: Any, rng: Any) -> None:
    a, b = random(rng, 50, 40, 60, dtype=dtype), random(rng, 50, 60, 70, dtype=dtype)
    assert_same_bits_for_any_threads(lambda: cpu.matmul(a, b))


def test_nan_and_infinity_stay_where_they_are(isa: str, dtype: Any, rng: Any) -> None:
    a, b = random(rng, 33, 65, dtype=dtype), random(rng, 65, 35, dtype=dtype)
    a[3, 7], b[8, 34] = np.nan, np.inf
    want = spec.matmul(a.astype(np.float64), b.astype(np.float64))
    assert_close(cpu.matmul(a, b), want, tolerance(a[4:], b[:, :34], 65, dtype))
    relu = cpu.linear(a, b.T.copy(), None, "relu")
    assert np.isnan(relu[3]).all()
    assert np.isfinite(np.delete(relu[:, :34], 3, 0)).all()


def test_inputs_are_not_written(isa: str, dtype: Any, rng: Any) -> None:
    a, b = random(rng, 20, 30, dtype=dtype), random(rng, 30, 40, dtype=dtype)
    before = a.copy(), b.copy()
    cpu.matmul(a, b)
    np.testing.assert_array_equal(a, before[0])
    np.testing.assert_array_equal(b, before[1])


def test_kernels_serve_all_aligned_layouts(dtype: Any, rng: Any) -> None:
    a, bias = random(rng, 5, 6, dtype=dtype), random(rng, 12, dtype=dtype)[::2]
    for name, view in layouts(a):
        if name != "unaligned":
            kernel("matmul")(view, a.T)
            kernel("linear")(view, view[:, :6], None, "relu")
            kernel("linear")(a, np.concatenate([view, a[:1]]), bias, None)


def test_other_dtypes_are_served_by_numpy() -> None:
    a = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(cpu.matmul(a, a.T), a @ a.T)
    mixed = cpu.matmul(a.astype(np.float32), a.T.astype(np.float64))
    assert mixed.dtype == np.float64
    big = a.astype(">f4")
    np.testing.assert_array_equal(cpu.matmul(big, big.T), a @ a.T)
    np.testing.assert_array_equal(cpu.linear(a, a, None), a @ a.T)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda f: cpu.matmul(f(2, 3), f(4, 5)), ["matmul", "(2, 3)", "(4, 5)"]),
        (lambda f: cpu.matmul(f(2, 3, 4), f(3, 4, 5)), ["matmul", "(2, 3, 4)", "(3, 4, 5)"]),
        (lambda f: cpu.matmul(f(), f(3)), ["matmul", "()"]),
        (lambda f: cpu.linear(f(2, 3), f(5, 4), None), ["linear", "(2, 3)", "(5, 4)"]),
        (lambda f: cpu.linear(f(2, 3), f(5, 3), f(4)), ["linear", "bias", "(5,)", "(4,)"]),
        (lambda f: cpu.linear(f(2, 3), f(5, 3), f(5), "tanh"), ["activation", "tanh"]),
    ],
)
def test_errors(call: Callable[..., Any], words: list[str]) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the words are checked below)
        call(lambda *shape: np.ones(shape, np.float32))
    for word in words:
        assert word in str(error.value)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_strides(data: st.DataObject) -> None:
    size = st.integers(0, 70)
    m, n, k = data.draw(size), data.draw(size), data.draw(size)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))

    def operand(rows: int, columns: int) -> Any:
        step = [data.draw(st.sampled_from([1, 2, -1, -3])) for _ in range(2)]
        base = rng.standard_normal((rows * abs(step[0]), columns * abs(step[1])))
        base = base.astype(np.float32)
        if data.draw(st.booleans()):
            base = np.asfortranarray(base)
        return base[:: step[0], :: step[1]][:rows, :columns]

    a, b = operand(m, k), operand(k, n)
    _cpu.set_isa(data.draw(st.sampled_from(_cpu.isa_levels())))
    want = a.astype(np.float64) @ b.astype(np.float64)
    assert_close(cpu.matmul(a, b), want, tolerance(a, b, k, np.float32))
