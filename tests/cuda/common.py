"""Inputs in every dtype, and the error that a result may have."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from fastnn.backends import emulated
from fastnn.backends.gpu._arrays import kernels

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
# The dtypes of products, and how float32 is multiplied (set_float32_matmul_precision).
KINDS = [(np.float32, precision) for precision in ("highest", "high", "medium")] + [
    (dtype, "highest") for dtype in DTYPES[1:]
]


def eps(dtype: Any) -> float:
    """The relative distance of neighbouring numbers of a floating dtype."""
    return float(ml_dtypes.finfo(dtype).eps)


def normal(shape: tuple[int, ...], dtype: Any, seed: int = 0, scale: float = 1.0) -> Any:
    """Normally distributed numbers, rounded to ``dtype``."""
    return np.random.default_rng(seed).normal(size=shape, scale=scale).astype(dtype)


def exact(x: Any) -> Any:
    """The numbers of an array (or of None) in float64."""
    return None if x is None else np.asarray(x).astype(np.float64)


def assert_close(got: Any, wanted: Any, dtype: Any, roundings: float, scale: float = 1.0) -> None:
    """|got - wanted| within so many roundings, of ``dtype``, of the value and of ``scale``."""
    assert got.shape == wanted.shape
    unit = roundings * eps(dtype)
    np.testing.assert_allclose(exact(got), wanted, rtol=unit, atol=unit * scale)


def hooks() -> bool:
    """Whether the kernels were built so that their accesses can be counted."""
    return emulated() and bool(kernels.emulator_mode() == "hooks")


@contextlib.contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the block launches and accesses, for ``emulator_kernels()`` and ``emulator_counters()``."""
    monkeypatch.setenv("SIMT_COUNT", "1")
    kernels.emulator_reset_counters()
    yield
    monkeypatch.delenv("SIMT_COUNT")
