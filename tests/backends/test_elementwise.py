"""Elementwise kernels against NumPy in higher precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
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

BINARY = [
    "add", "subtract", "multiply", "divide", "maximum", "minimum",
    "tanh_backward", "sigmoid_backward", "relu_backward",
]  # fmt: skip
UNARY = ["negative", "absolute", "square", "sqrt", "exp", "log", "tanh", "sigmoid", "relu", "erf"]

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-40, -1e-40, 88.0, -88.0, 3e38, 0.5]


def erf_series(x: np.ndarray) -> np.ndarray:
    """erf in x's precision, by a series of terms of one sign (Abramowitz and Stegun, 7.1.6)."""
    x = np.asarray(x, np.longdouble)
    term = total = x
    for n in range(1, 140):  # enough for |x| <= 6
        term = term * (2 * x * x) / (2 * n + 1)
        total = total + term
    return total * np.exp(-x * x) * 2 / np.sqrt(np.longdouble(np.pi))


# (name, function in long double, smallest and largest argument, whether its magnitudes are spread over exponents,
# most ulp): what simd/math.h states.
MATH: list[tuple[str, Any, float, float, bool, float]] = [
    ("exp", np.exp, -1.0, 1.0, False, 1.0),
    ("exp", np.exp, -0.99, 0.99, True, 1.0),
    ("log", np.log, 0.5, 2.0, False, 1.0),
    ("log", np.log, 0.0, 0.99, True, 1.0),
    ("tanh", np.tanh, -1.0, 1.0, False, 3.0),
    ("tanh", np.tanh, -0.1, 0.01, True, 3.0),
    ("sigmoid", lambda x: 1 / (1 + np.exp(-x)), -8.0, 8.0, False, 3.0),
    ("sigmoid", lambda x: 1 / (1 + np.exp(-x)), -80.0, 80.0, False, 3.0),
    ("erf", erf_series, -1.5, 1.5, False, 3.0),
    ("erf", erf_series, -6.0, 6.0, False, 3.0),
    ("erf", erf_series, -0.1, 0.1, True, 3.0),
]


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize(
    ("name", "reference", "low", "high", "exponents", "ulp"), MATH, ids=lambda v: str(v)[:8]
)
def test_math_error(
    isa: str, dtype: Any, rng: Any, name: str, reference: Any, low: float, high: float,
    exponents: bool, ulp: float,
) -> None:  # fmt: skip
    u = rng.uniform(low, high, 200_001)
    if (
        exponents
    ):  # from the smallest subnormal number to the largest argument that gives a finite result
        info = np.finfo(dtype)
        bits = rng.uniform(np.log2(float(info.smallest_subnormal)), 0, u.size)
        top = {"exp": float(np.log(info.max)), "log": float(info.max), "tanh": 30.0, "erf": 5.0}[
            name
        ]
        bits = np.concatenate([bits[::2], rng.uniform(0, np.log2(top), bits[1::2].size)])
        u = np.exp2(bits) * np.where(u < 0, -1, 1)
    x = u.astype(dtype)
    want = reference(x.astype(np.longdouble))
    spacing = np.spacing(np.abs(want.astype(dtype)))
    error = np.abs(kernel(name)(x).astype(np.longdouble) - want) / spacing
    assert error[np.isfinite(want.astype(dtype))].max() <= ulp


@pytest.mark.parametrize("name", UNARY)
def test_unary_special_values(isa: str, dtype: Any, name: str) -> None:
    x = np.array(SPECIAL, dtype)
    want = getattr(spec, name)(x.astype(np.float64)).astype(dtype)
    tolerance = 3 * eps(dtype) * np.abs(want) + np.finfo(dtype).smallest_subnormal
    assert_close(kernel(name)(x), want, tolerance, name)


@pytest.mark.parametrize("name", BINARY)
def test_binary_special_values(isa: str, dtype: Any, name: str) -> None:
    a, b = (v.ravel() for v in np.meshgrid(np.array(SPECIAL, dtype), np.array(SPECIAL, dtype)))
    got, want = kernel(name)(a, b), getattr(spec, name)(a, b)
    # one rounding less where the kernel fuses: up to 2 eps of a partial result, which is at most the arguments' product
    tolerance = 4 * eps(dtype) * (np.abs(want) + np.abs(a * b) + np.abs(a * b * b))
    assert_close(got, want, np.nan_to_num(tolerance), name)


@pytest.mark.parametrize("name", UNARY)
def test_unary_layouts(isa: str, dtype: Any, rng: Any, name: str) -> None:
    base = rng.uniform(0.1, 2, (3, 5, 4, 7)).astype(dtype)
    want = getattr(spec, name)(base.astype(np.float64))
    for layout, x in layouts(base):
        before = x.copy()
        y = getattr(cpu, name)(x)
        assert_close(y, want, 4 * eps(dtype) * np.abs(want), f"{name}, {layout}")
        assert y.dtype == dtype
        np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(
    ("shape", "other"),
    [
        ((2, 3, 4, 5), (2, 3, 4, 5)),
        ((2, 3, 4, 5), ()),
        ((2, 3, 4, 5), (5,)),
        ((2, 3, 4, 5), (3, 1, 1)),
        ((2, 3, 4, 5), (2, 1, 4, 1)),
        ((7, 1), (1, 33)),
        ((), ()),
        ((0, 3), (3,)),
        ((1,), (0,)),
        ((1,), (1, 1)),
        ((40, 70), (40, 1)),
    ],
)
def test_binary_broadcasting_and_layouts(
    isa: str, dtype: Any, rng: Any, name: str, shape: tuple[int, ...], other: tuple[int, ...]
) -> None:
    base_a = rng.uniform(-2, 2, shape).astype(dtype)
    base_b = rng.uniform(0.5, 2, other).astype(dtype)
    want = getattr(spec, name)(base_a.astype(np.float64), base_b.astype(np.float64))
    tolerance = 8 * eps(dtype) * (np.abs(want) + 4)  # operands below 2: partial results below 4
    for (la, a), (lb, b) in zip(layouts(base_a), reversed(list(layouts(base_b))), strict=False):
        assert_close(getattr(cpu, name)(a, b), want, tolerance, f"{name}, {la} and {lb}")
    flipped = getattr(spec, name)(base_b.astype(np.float64), base_a.astype(np.float64))
    tolerance = 8 * eps(dtype) * (np.abs(flipped) + 8)
    assert_close(getattr(cpu, name)(base_b, base_a), flipped, tolerance, name)


@settings(max_examples=60, deadline=None)
@given(
    shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=5),
    data=st.data(),
)
def test_binary_any_shapes_and_strides(shapes: Any, data: st.DataObject) -> None:
    operands = []
    for shape in shapes.input_shapes:
        x = np.random.default_rng(1).uniform(0.5, 2, shape).astype(np.float32)
        order = data.draw(st.permutations(range(len(shape))))
        x = np.array(x.transpose(order), order="C").transpose(np.argsort(order))
        flips = [data.draw(st.sampled_from([1, -1])) for _ in shape]
        operands.append(x[tuple(slice(None, None, f) for f in flips)])
    np.testing.assert_array_equal(cpu.add(*operands), spec.add(*operands))
    np.testing.assert_array_equal(cpu.divide(*operands), spec.divide(*operands))


def test_results_keep_the_memory_order(isa: str, dtype: Any, rng: Any) -> None:
    x = channels_last(rng.standard_normal((2, 3, 4, 5)).astype(dtype))
    c = rng.standard_normal((3, 1, 1)).astype(dtype)
    for y in (kernel("relu")(x), kernel("add")(x, c), kernel("add")(c, x), kernel("add")(x, x)):
        assert y.strides == x.strides
    y = kernel("relu")(np.ascontiguousarray(x.T).T)
    assert y.strides == np.ascontiguousarray(x.T).T.strides


@pytest.mark.parametrize("n", [1, 3, 16, 33, 1000, 65_537, 300_007])
def test_large(isa: str, dtype: Any, rng: Any, n: int) -> None:
    a, b = rng.uniform(0.5, 2, (2, n)).astype(dtype)
    np.testing.assert_array_equal(kernel("add")(a, b), a + b)
    np.testing.assert_array_equal(kernel("multiply")(a, b[:1]), a * b[0])
    np.testing.assert_array_equal(kernel("maximum")(a, b), np.maximum(a, b))
    y = kernel("exp")(a)
    assert_close(y, np.exp(a.astype(np.float64)), 1.1 * eps(dtype) * np.exp(2))
    # an element's bits do not depend on its place
    np.testing.assert_array_equal(y[1:], kernel("exp")(a[1:]))


def test_large_broadcast(isa: str, dtype: Any, rng: Any) -> None:
    x = rng.standard_normal((9, 40, 23, 17)).astype(dtype)
    c = rng.standard_normal((40, 1, 1)).astype(dtype)
    for image in (x, channels_last(x)):
        np.testing.assert_array_equal(kernel("multiply")(image, c), x * c)
    rows = x.reshape(360, -1)
    np.testing.assert_array_equal(kernel("subtract")(rows, rows[0]), rows - rows[0])
    np.testing.assert_array_equal(kernel("divide")(rows[:, :1], rows), rows[:, :1] / rows)


@pytest.mark.parametrize("slope", [0.01, 0.0, -0.5, 2])
def test_leaky_relu(isa: str, dtype: Any, rng: Any, slope: float) -> None:
    x = np.append(rng.standard_normal(100), [np.nan, np.inf, -np.inf, 0]).astype(dtype)
    g = rng.standard_normal(104).astype(dtype)
    np.testing.assert_array_equal(kernel("leaky_relu")(x, slope), spec.leaky_relu(x, slope))
    np.testing.assert_array_equal(
        kernel("leaky_relu_backward")(g, x, slope), spec.leaky_relu_backward(g, x, slope)
    )


def test_other_dtypes_go_to_numpy(rng: Any) -> None:
    for other in (np.int64, np.float16, np.bool_):
        x = rng.integers(0, 2, (3, 4)).astype(other)
        assert cpu.add(x, x).dtype == np.add(x, x).dtype
    x = rng.standard_normal((3, 4)).astype(np.float32)
    assert cpu.add(x, x.astype(np.float64)).dtype == np.float64
    np.testing.assert_array_equal(cpu.add(x.astype(">f4"), x.astype(">f4")), x + x)
    assert cpu.relu(np.arange(-2, 2)).tolist() == [0, 0, 0, 1]


def test_same_bits_for_any_threads(rng: Any) -> None:
    x = rng.standard_normal(200_001).astype(np.float32)
    for name in ("exp", "tanh", "sigmoid"):
        assert_same_bits_for_any_threads(lambda name=name: kernel(name)(x))


def test_errors() -> None:
    a, b = np.ones((2, 3), np.float32), np.ones((4,), np.float32)
    with pytest.raises(ValueError, match="broadcast"):
        cpu.add(a, b)
    with pytest.raises(TypeError):
        cpu.add(a)  # type: ignore[call-overload]
