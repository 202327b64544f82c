"""Products of narrow types at every ISA level: bfloat16, int8, and float32 by bfloat16 parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from support import assert_close, assert_same_bits_for_any_threads, layouts

from fastnn import _cpu
from fastnn.backends import cpu
from fastnn.backends import numpy as spec

# (m, n, k): around blocks of 32 lines and of 32 (bfloat16) or 64 (int8) elements of k, one tile of 16, more than one
# block of sums along k (512 and 1,024), more than one block of C.
SHAPES = [
    (1, 1, 1), (2, 3, 4), (16, 16, 32), (17, 15, 33), (32, 32, 64), (33, 31, 65), (5, 70, 100), (64, 17, 200),
    (40, 45, 513), (20, 33, 1100), (150, 300, 40), (1, 100, 90), (100, 1, 90), (3, 0, 4), (0, 3, 4), (3, 4, 0),
]  # fmt: skip
BFLOAT16 = 2.0**-8  # half a unit in the last place, relative
FLOAT32 = 2.0**-24
# What the leading products leave out, relative to |a| |b|: both roundings to bfloat16; the rest of two parts of each
# operand (2^-17 each) and the product of the second parts (2^-16); the rest of three parts and the three smallest
# products (2^-24 and 2^-25, twice).
LEFT_OUT = {"medium": 2 * BFLOAT16, "high": 2.0**-15, "bfloat16_x6": 2.0**-22}


@pytest.fixture(params=LEFT_OUT)
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    """The test runs once for each lowered precision of float32 products."""
    _cpu.set_float32_matmul_precision(request.param)
    yield request.param
    _cpu.set_float32_matmul_precision("highest")


def magnitude(a: Any, b: Any) -> Any:
    """|a| @ |b|, what errors of products are relative to."""
    return np.abs(a.astype(np.float64)) @ np.abs(b.astype(np.float64))


def bfloat16_tolerance(a: Any, b: Any, want: Any) -> Any:
    """k sums in float32, then one rounding to bfloat16."""
    return (a.shape[-1] + 1) * FLOAT32 * magnitude(a, b) + BFLOAT16 * np.abs(want) + 1e-38


def operands(a: Any, b: Any) -> Iterator[tuple[str, Any, Any]]:
    """Each operand in all layouts, beside the other as it is: they are packed apart from each other."""
    for name, view in layouts(a):
        yield f"a {name}", view, b
    for name, view in layouts(b):
        yield f"b {name}", a, view


@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
def test_bfloat16_matmul(any_isa: str, rng: Any, m: int, n: int, k: int) -> None:
    a = rng.standard_normal((m, k)).astype(ml_dtypes.bfloat16)
    b = rng.standard_normal((k, n)).astype(ml_dtypes.bfloat16)
    want = a.astype(np.float64) @ b.astype(np.float64)
    allowed = bfloat16_tolerance(a, b, want)
    for name, left, right in operands(a, b):
        got = cpu.matmul(left, right)
        assert got.dtype == ml_dtypes.bfloat16
        assert_close(got, want, allowed, name)


@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
@pytest.mark.parametrize("activation", [None, "relu"])
def test_bfloat16_linear(
    any_isa: str, rng: Any, m: int, n: int, k: int, activation: str | None
) -> None:
    x = rng.standard_normal((m, k)).astype(ml_dtypes.bfloat16)
    weight = rng.standard_normal((n, k)).astype(ml_dtypes.bfloat16)
    bias = rng.standard_normal(n).astype(ml_dtypes.bfloat16)
    for b in (bias, None):
        want = spec.linear(
            *(None if v is None else v.astype(np.float64) for v in (x, weight, b)), activation
        )
        size = magnitude(x, weight.T) + (0 if b is None else np.abs(b.astype(np.float64)))
        allowed = (k + 2) * FLOAT32 * size + BFLOAT16 * np.abs(want) + 1e-38
        assert_close(cpu.linear(x, weight, b, activation), want, allowed)


@pytest.mark.parametrize(
    ("a_shape", "b_shape"),
    [((9,), (9,)), ((40,), (40, 3)), ((3, 40), (40,)), ((5, 3, 4), (4, 7)), ((5, 1, 6, 40), (4, 40, 2))],
)  # fmt: skip
def test_bfloat16_batches(any_isa: str, rng: Any, a_shape: Any, b_shape: Any) -> None:
    a = rng.standard_normal(a_shape).astype(ml_dtypes.bfloat16)
    b = rng.standard_normal(b_shape).astype(ml_dtypes.bfloat16)
    want = a.astype(np.float64) @ b.astype(np.float64)
    assert_close(cpu.matmul(a, b), want, bfloat16_tolerance(a, b, want))


def test_bfloat16_keeps_nan_and_infinity_where_they_are(any_isa: str, rng: Any) -> None:
    a = rng.standard_normal((33, 65)).astype(ml_dtypes.bfloat16)
    b = rng.standard_normal((65, 35)).astype(ml_dtypes.bfloat16)
    clean = bfloat16_tolerance(a, b, a.astype(np.float64) @ b.astype(np.float64))
    a[3, 7], b[8, 34] = np.nan, np.inf
    want = a.astype(np.float64) @ b.astype(np.float64)
    assert_close(cpu.matmul(a, b).astype(np.float32), want, clean)
    relu = cpu.linear(a, np.ascontiguousarray(b.T), None, "relu").astype(np.float32)
    assert np.isnan(relu[3]).all()
    assert np.isfinite(np.delete(relu[:, :34], 3, 0)).all()


@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
def test_int8(any_isa: str, rng: Any, m: int, n: int, k: int) -> None:
    a = rng.integers(-128, 128, (m, k), dtype=np.int8)
    b = rng.integers(-128, 128, (k, n), dtype=np.int8)
    want = spec.int_mm(a, b)
    for name, left, right in operands(a, b):
        got = cpu.int_mm(left, right)
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, want, name)


@pytest.mark.parametrize("sign", [-128, 127])
def test_int8_of_the_largest_values(any_isa: str, sign: int) -> None:
    a, b = np.full((20, 3000), -128, np.int8), np.full((3000, 40), sign, np.int8)
    np.testing.assert_array_equal(cpu.int_mm(a, b), np.full((20, 40), -128 * sign * 3000, np.int32))


# (m, n, k) that are large enough for parts to be used where the level has them.
SPLIT_SHAPES = [(64, 64, 64), (70, 65, 130), (33, 300, 100), (300, 33, 1100), (130, 260, 513)]


@pytest.mark.parametrize(("m", "n", "k"), SPLIT_SHAPES)
def test_float32_by_parts(any_isa: str, precision: str, rng: Any, m: int, n: int, k: int) -> None:
    a, b = rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)
    want = a.astype(np.float64) @ b.astype(np.float64)
    allowed = (LEFT_OUT[precision] + (k + 4) * FLOAT32) * magnitude(a, b)
    for name, left, right in operands(a, b):
        assert_close(cpu.matmul(left, right), want, allowed, name)


def test_which_level_splits_float32(any_isa: str, precision: str, rng: Any) -> None:
    """A lower precision changes a result where the level has instructions that gain by it, and nowhere else."""
    a, b = rng.standard_normal((64, 64), np.float32), rng.standard_normal((64, 64), np.float32)
    lowered = cpu.matmul(a, b)
    _cpu.set_float32_matmul_precision("highest")
    splits = any_isa == "amx" or (any_isa == "avx512_bf16" and precision == "medium")
    assert (lowered != cpu.matmul(a, b)).any() == splits
    if precision == "medium" and splits:
        rounded = [v.astype(ml_dtypes.bfloat16) for v in (a, b)]
        assert_close(
            lowered,
            rounded[0].astype(np.float64) @ rounded[1].astype(np.float64),
            66 * FLOAT32 * magnitude(*rounded),
        )


def test_six_products_err_like_float32(any_isa: str, rng: Any) -> None:
    """The largest error of a product with k = 2,048 is at most that of the sums in order in float32."""
    a, b = rng.standard_normal((64, 2048), np.float32), rng.standard_normal((2048, 64), np.float32)
    want = a.astype(np.float64) @ b.astype(np.float64)
    in_order = np.zeros((64, 64), np.float32)
    for p in range(2048):
        in_order += a[:, p, None] * b[p]
    _cpu.set_float32_matmul_precision("bfloat16_x6")
    try:
        got = cpu.matmul(a, b)
    finally:
        _cpu.set_float32_matmul_precision("highest")
    assert np.abs(got - want).max() <= np.abs(in_order - want).max()


@pytest.mark.parametrize("activation", [None, "relu"])
def test_linear_by_parts(any_isa: str, precision: str, rng: Any, activation: str | None) -> None:
    x, weight = rng.standard_normal((66, 90), np.float32), rng.standard_normal((70, 90), np.float32)
    bias = rng.standard_normal(70, np.float32)
    want = spec.linear(*(v.astype(np.float64) for v in (x, weight, bias)), activation)
    allowed = (LEFT_OUT[precision] + 95 * FLOAT32) * (magnitude(x, weight.T) + np.abs(bias))
    assert_close(cpu.linear(x, weight, bias, activation), want, allowed)


def test_parts_of_small_and_large_numbers(any_isa: str, precision: str, rng: Any) -> None:
    """Rows and columns from 1e-30 to 1e30 keep their accuracy: their products stay within float32's range."""
    a, b = rng.standard_normal((64, 80), np.float32), rng.standard_normal((80, 70), np.float32)
    a *= np.logspace(-30, 30, 64, dtype=np.float32)[:, None]
    b *= np.logspace(-7, 7, 70, dtype=np.float32)
    want = a.astype(np.float64) @ b.astype(np.float64)
    allowed = (LEFT_OUT[precision] + 84 * FLOAT32) * magnitude(a, b) + 2.0**-126
    assert_close(cpu.matmul(a, b), want, allowed)


def test_parts_of_what_is_not_finite_or_nearly(any_isa: str, precision: str, rng: Any) -> None:
    a, b = rng.standard_normal((70, 80), np.float32), rng.standard_normal((80, 66), np.float32)
    allowed = (LEFT_OUT[precision] + 84 * FLOAT32) * magnitude(a, b)
    a[3, 7], a[50, 2], b[8, 40] = np.nan, -np.inf, np.inf
    a[20], b[:, 5] = 0, 0
    a[20, 20] = np.finfo(np.float32).max  # rounds up to an infinite bfloat16
    b[20, 5] = 0.5
    with np.errstate(invalid="ignore"):
        want = a.astype(np.float64) @ b.astype(np.float64)
    got = cpu.matmul(a, b)
    finite = np.abs(want) < np.finfo(np.float32).max
    assert got[20, 5] == np.finfo(np.float32).max / 2
    assert_close(
        np.where(finite, got, 0),
        np.where(finite, want, 0),
        np.where(np.arange(70)[:, None] == 20, 1e33, allowed),
    )
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    assert np.isinf(got[~finite & ~np.isnan(want)]).all()


@pytest.mark.parametrize(("m", "n", "k"), [(300, 200, 500), (33, 900, 1500)])
def test_threads(any_isa: str, rng: Any, m: int, n: int, k: int) -> None:
    a, b = rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)
    narrow = [v.astype(ml_dtypes.bfloat16) for v in (a, b)]
    assert_same_bits_for_any_threads(lambda: cpu.matmul(*narrow))
    for precision in LEFT_OUT:
        _cpu.set_float32_matmul_precision(precision)
        try:
            assert_same_bits_for_any_threads(lambda: cpu.matmul(a, b))
        finally:
            _cpu.set_float32_matmul_precision("highest")


def test_errors() -> None:
    a = np.zeros((2, 3), np.int8)
    with pytest.raises(ValueError, match=r"int_mm: shapes \(2, 3\) and \(2, 3\) do not fit"):
        cpu.int_mm(a, a)
    with pytest.raises(ValueError, match="set_float32_matmul_precision: wants highest"):
        _cpu.set_float32_matmul_precision("low")
