"""Random numbers and dropout on the CUDA kernels: the specification's bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.cuda import memory_use
from tests.cuda.common import DTYPES, exact, normal
from tests.cuda.hardware import backend, gpu
from tests.cuda.memory_use import memory_used_well, needs_counters

import fastnn
from fastnn.backends import numpy as spec

# seed and offset beyond 32 bits; a counter that carries into its high word, and one that wraps around
STREAMS = [(0, 0), (2**63 + 12345, 7), (3, 2**32 - 2), (5, 2**64 - 3)]
SIZES = [0, 1, 4, 7, 2051]  # none, a part of a Philox block, one, a tail, more than a CUDA block


@pytest.mark.parametrize(("seed", "offset"), STREAMS)
@pytest.mark.parametrize("n", SIZES)
def test_stream(n: int, seed: int, offset: int) -> None:
    words = gpu.philox(seed, offset, n)
    assert words.dtype == np.uint32
    np.testing.assert_array_equal(words, spec.philox(seed, offset, n))
    for dtype in (np.float32, np.float64):
        u = gpu.uniform(seed, offset, (n,), dtype)
        assert u.dtype == dtype
        np.testing.assert_array_equal(u, spec.uniform(seed, offset, (n,), dtype))


def test_known_words() -> None:
    # Random123's kat_vectors: counter and key of zeros
    assert gpu.philox(0, 0, 4).tolist() == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


def test_uniform_shape_and_dtype() -> None:
    assert gpu.uniform(1, 2, (), np.float32).shape == ()
    assert gpu.uniform(1, 2, (3, 0, 2), np.float64).shape == (3, 0, 2)
    with pytest.raises(TypeError, match="float32 or float64"):
        gpu.uniform(1, 2, (3,), np.float16)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(0,), (3,), (5, 7, 61)])
def test_dropout(shape: tuple[int, ...], p: float, dtype: Any) -> None:
    x, g = normal(shape, dtype), normal(shape, dtype, seed=1)
    y, mask = gpu.dropout(x, p, 2**40 + 1, 9)
    wanted, wanted_mask = spec.dropout(x, p, 2**40 + 1, 9)
    assert y.dtype == dtype
    assert mask.dtype == np.bool_
    np.testing.assert_array_equal(mask, wanted_mask)
    # one product, rounded once: the same bits
    np.testing.assert_array_equal(exact(y), exact(wanted))
    gx = gpu.dropout_backward(g, mask, p)
    assert gx.dtype == dtype
    np.testing.assert_array_equal(exact(gx), exact(spec.dropout_backward(g, wanted_mask, p)))


def test_dropout_of_strided_and_unaligned_input() -> None:
    for x in (normal((40, 30), np.float32).T, normal((1001,), np.float32)[1:]):
        y, mask = gpu.dropout(x, 0.3, 4, 5)
        wanted, wanted_mask = spec.dropout(x, 0.3, 4, 5)
        np.testing.assert_array_equal(mask, wanted_mask)
        np.testing.assert_array_equal(y, wanted)
        np.testing.assert_array_equal(
            gpu.dropout_backward(x, mask, 0.3), spec.dropout_backward(x, mask, 0.3)
        )


def test_dropout_of_integers_on_a_device() -> None:
    x = np.arange(20)
    y, mask = backend.dropout(fastnn.tensor(x, device="cuda")._data, 0.5, 1, 2)
    wanted, wanted_mask = spec.dropout(x, 0.5, 1, 2)
    np.testing.assert_array_equal(mask.get(), wanted_mask)
    np.testing.assert_array_equal(y.get(), wanted)


def test_dropout_of_infinity() -> None:
    x = np.full(64, np.inf, np.float32)
    with np.errstate(invalid="ignore"):
        wanted, _ = spec.dropout(x, 0.5, 1, 2)
    np.testing.assert_array_equal(gpu.dropout(x, 0.5, 1, 2)[0], wanted)
    assert np.isnan(wanted).any()


@needs_counters
@pytest.mark.parametrize("dtype", memory_use.DTYPES)
def test_memory_is_used_well(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x = normal((64, 128), dtype)
    with memory_used_well(monkeypatch, "dropout_kernel", "dropout_backward", "philox", "uniform"):
        _, mask = gpu.dropout(x, 0.5, 1, 2)
        gpu.dropout_backward(x, mask, 0.5)
        gpu.philox(1, 2, 8192)
        for of in (np.float32, np.float64):
            gpu.uniform(1, 2, (8192,), of)
