"""Philox kernels: the same bits as the specification, which gives the published known answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import assert_same_bits_for_any_threads, channels_last, kernel, layouts

from fastnn.backends import cpu
from fastnn.backends import numpy as spec

MAX64 = (1 << 64) - 1
# Known answers of the authors' library: counter (low half of 128 bits; the other half is zero here), key, words.
ZERO = [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


def scalar_philox(seed: int, block: int) -> list[int]:
    """One block, by the paper's definition, in Python integers."""
    c = [block & 0xFFFFFFFF, block >> 32, 0, 0]
    k = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [
            (b >> 32) ^ c[1] ^ k[0],
            b & 0xFFFFFFFF,
            (a >> 32) ^ c[3] ^ k[1],
            a & 0xFFFFFFFF,
        ]
        k = [k[0] + 0x9E3779B9 & 0xFFFFFFFF, k[1] + 0xBB67AE85 & 0xFFFFFFFF]
    return c


def test_known_answer(isa: str) -> None:
    assert spec.philox(0, 0, 4).tolist() == ZERO
    assert kernel("philox")(0, 0, 4).tolist() == ZERO


@pytest.mark.parametrize("seed", [0, 1, 12345, 1 << 32, MAX64, -1])
@pytest.mark.parametrize("offset", [0, 5, (1 << 32) - 2, MAX64 - 1])
def test_words(isa: str, seed: int, offset: int) -> None:
    want = []
    for block in range(5):
        want += scalar_philox(seed & MAX64, (offset + block) & MAX64)
    np.testing.assert_array_equal(spec.philox(seed, offset, 19), want[:19])
    np.testing.assert_array_equal(cpu.philox(seed, offset, 19), want[:19])
    np.testing.assert_array_equal(kernel("philox")(seed, offset, 20), want)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 7, 31, 33, 64, 1000, 16_385, 70_001])
def test_uniform_and_dropout(isa: str, dtype: Any, rng: Any, n: int) -> None:
    for seed, offset in ((3, 0), (1 << 40, (1 << 32) - 3)):
        u = kernel("uniform")(seed, offset, (n,), dtype)
        assert u.dtype == dtype
        np.testing.assert_array_equal(u, spec.uniform(seed, offset, (n,), dtype))
        assert ((u >= 0) & (u < 1)).all()
        x = rng.standard_normal(n).astype(dtype)
        for p in (0, 0.0, 0.1, 0.5, 1 / 3, 1.0, 1):
            y, mask = kernel("dropout")(x, p, seed, offset)
            want, want_mask = spec.dropout(x, p, seed, offset)
            assert mask.dtype == bool
            assert y.dtype == dtype
            np.testing.assert_array_equal(mask, want_mask)
            np.testing.assert_array_equal(y, want)
            gx = kernel("dropout_backward")(x, mask, p)
            np.testing.assert_array_equal(gx, want)


def test_uniform_shapes_and_dtypes() -> None:
    want = spec.uniform(1, 2, (3, 4, 5), np.float32)
    for dtype in (np.float32, np.dtype("float32"), "float32", "f4"):
        np.testing.assert_array_equal(cpu.uniform(1, 2, (3, 4, 5), dtype), want)
    assert cpu.uniform(1, 2, (), np.float64).shape == ()
    assert cpu.uniform(1, 2, (0, 3), np.float64).shape == (0, 3)
    with pytest.raises(TypeError, match="float32 or float64"):
        cpu.uniform(1, 2, (3,), np.float16)


def test_uniform_is_uniform(dtype: Any) -> None:
    u = cpu.uniform(7, 0, (1 << 20,), dtype).astype(np.float64)
    n = u.size
    # five standard deviations of the mean, of the second moment, and of a bin's count
    assert abs(u.mean() - 1 / 2) < 5 * np.sqrt(1 / 12 / n)
    assert abs((u**2).mean() - 1 / 3) < 5 * np.sqrt(4 / 45 / n)
    counts = np.bincount((u * 64).astype(int), minlength=64)
    assert np.abs(counts - n / 64).max() < 5 * np.sqrt(n / 64)


def test_special_values_and_layouts(isa: str, dtype: Any, rng: Any) -> None:
    x = np.tile(np.array([np.nan, np.inf, -np.inf, 1, -0.0], dtype), 20)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(
            kernel("dropout")(x, 0.5, 1, 2)[0], spec.dropout(x, 0.5, 1, 2)[0]
        )
    base = rng.standard_normal((2, 3, 4, 5)).astype(dtype)
    want, want_mask = spec.dropout(base, 0.3, 9, 4)
    for layout, v in layouts(base):  # the element's logical place decides
        y, mask = cpu.dropout(v, 0.3, 9, 4)
        np.testing.assert_array_equal(y, want, layout)
        np.testing.assert_array_equal(mask, want_mask, layout)
        np.testing.assert_array_equal(cpu.dropout_backward(v, channels_last(mask), 0.3), want)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, MAX64),
    offset=st.integers(0, MAX64),
    skip=st.integers(0, 300),
    n=st.integers(0, 300),
)
def test_any_part_of_the_stream_can_be_computed_alone(
    seed: int, offset: int, skip: int, n: int
) -> None:
    whole = cpu.philox(seed, offset, 4 * (skip + n))
    np.testing.assert_array_equal(
        cpu.philox(seed, (offset + skip) & MAX64, 4 * n), whole[4 * skip :]
    )
    np.testing.assert_array_equal(spec.philox(seed, offset, 4 * (skip + n)), whole)


def test_same_bits_for_any_threads(rng: Any) -> None:
    x = rng.standard_normal((300, 301)).astype(np.float32)
    assert_same_bits_for_any_threads(lambda: kernel("dropout")(x, 0.4, 11, 12))
    assert_same_bits_for_any_threads(lambda: kernel("uniform")(11, 12, (90_001,), np.float64))
