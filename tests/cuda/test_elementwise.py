"""Activations on the CUDA kernels, against their definitions in float64."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tests.cuda import memory_use
from tests.cuda.hardware import gpu
from tests.cuda.memory_use import memory_used_well, needs_counters

from fastnn.backends import numpy as spec

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
# A block takes 256 * 16 bytes: none, a tail of a vector, several blocks with a tail
SHAPES = [(0,), (7,), (3, 5, 1111)]
FUNCTIONS: list[tuple[str, tuple[Any, ...]]] = [
    ("relu", ()),
    ("leaky_relu", (0.1,)),
    ("sigmoid", ()),
    ("silu", ()),
    ("gelu", (False,)),
    ("gelu", (True,)),
    ("relu_backward", ()),
    ("leaky_relu_backward", (0.1,)),
    ("sigmoid_backward", ()),
    ("tanh_backward", ()),
    ("silu_backward", ()),
    ("gelu_backward", (False,)),
    ("gelu_backward", (True,)),
]


def tolerance(name: str, dtype: Any) -> float:
    """Eight roundings of a value of size one: four operations, each off by one unit, in the dtype or in float32.

    GELU's gradient by tanh has 1 - t**2, off by a rounding of 1, times x u'(x) g / 2: up to 8 * 8 * 8 / 2 for these inputs.
    """
    roundings = 256 if name == "gelu_backward" and dtype in (np.float32, np.float64) else 8
    return roundings * float(ml_dtypes.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "parameters"), FUNCTIONS)
def test_value(name: str, parameters: tuple[Any, ...], shape: tuple[int, ...], dtype: Any) -> None:
    rng = np.random.default_rng(0)
    count = 2 if name.endswith("_backward") else 1
    inputs = [rng.normal(size=shape, scale=2).astype(dtype) for _ in range(count)]
    got = getattr(gpu, name)(*inputs, *parameters)
    wanted = getattr(spec, name)(*(x.astype(np.float64) for x in inputs), *parameters)
    assert got.dtype == dtype
    assert got.shape == shape
    np.testing.assert_allclose(
        got.astype(np.float64), wanted, rtol=tolerance(name, dtype), atol=tolerance(name, dtype)
    )


def test_memory_order_is_kept() -> None:
    x = np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype(np.float32).transpose(0, 3, 1, 2)
    y = gpu.relu(x)
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous


def test_special_values() -> None:
    x = np.array([-np.inf, np.inf, np.nan, -0.0, 3e38], np.float32)
    np.testing.assert_array_equal(gpu.relu(x), spec.relu(x))
    np.testing.assert_array_equal(gpu.sigmoid(x), spec.sigmoid(x))


@needs_counters
@pytest.mark.parametrize("dtype", memory_use.DTYPES)
@pytest.mark.parametrize(("name", "parameters"), FUNCTIONS)
def test_memory_is_used_well(
    name: str, parameters: tuple[Any, ...], dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.ones((64, 64), dtype)
    with memory_used_well(monkeypatch, "elementwise_kernel"):
        getattr(gpu, name)(*[x] * (2 if name.endswith("_backward") else 1), *parameters)
