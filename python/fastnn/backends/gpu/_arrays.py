"""The compiled kernels, and arrays for their results.

``FASTNN_CUDA_EMULATOR=1`` takes the kernels that were built for the emulator; NumPy arrays then stand in for device arrays.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from fastnn.backends import emulated
from fastnn.backends.protocol import Array

kernels: Any = importlib.import_module("fastnn._cuda_emulated" if emulated() else "fastnn._cuda")

empty = np.empty  # of like=x: an array beside x


def stream() -> int:
    """The address of CuPy's current stream; kernels are ordered with CuPy's own."""
    if emulated():
        return 0
    import cupy  # type: ignore[import-not-found,unused-ignore]

    return int(cupy.cuda.get_current_stream().ptr)


def is_float(x: Array) -> bool:
    """True for the dtypes that kernels compute in: float16, bfloat16, float32, float64."""
    return x.dtype.kind == "f" or x.dtype.name == "bfloat16"


def accumulator(dtype: Any) -> Any:
    """The dtype in which sums of elements are kept: float64 for float64, else float32."""
    return np.float64 if dtype == np.float64 else np.float32


def contiguous(x: Array) -> Array:
    """x itself where it is C-contiguous, else a copy."""
    dense: Array = x if x.flags.c_contiguous else np.ascontiguousarray(x, like=x)
    return dense


def empty_like(x: Array) -> Array:
    """An array of x's shape and dtype, C-contiguous."""
    y: Array = empty(x.shape, x.dtype, like=x)
    return y


def memory_order(x: Array) -> tuple[int, ...]:
    """The axes from the slowest to the fastest."""
    if x.flags.c_contiguous:
        return tuple(range(x.ndim))
    return tuple(sorted(range(x.ndim), key=lambda axis: (-abs(x.strides[axis]), axis)))
