"""Random numbers and dropout on the CUDA kernels: the streams of the specification, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.backends import emulated
from fastnn.backends.gpu._arrays import (
    contiguous,
    empty,
    empty_like,
    is_float,
    kernels,
    stream,
)
from fastnn.backends.numpy import random as spec
from fastnn.backends.protocol import Array

_U64 = 0xFFFFFFFFFFFFFFFF


def _new(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
    """An array on the device, where there is none to be beside."""
    if emulated():
        return np.empty(shape, dtype)
    import cupy  # type: ignore[import-not-found,unused-ignore]

    return cupy.empty(shape, dtype)


def philox(seed: int, offset: int, n: int) -> Any:
    """n words of Philox 4x32-10."""
    words = _new((n,), np.uint32)
    kernels.philox(seed & _U64, offset & _U64, words, stream())
    return words


def uniform(seed: int, offset: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """In [0, 1), float32 or float64."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"uniform: dtype must be float32 or float64, got {np.dtype(dtype)}")
    u: Array = _new(shape, dtype)
    kernels.uniform(seed & _U64, offset & _U64, u, stream())
    return u


def _scale(p: float, dtype: Any) -> float:
    """What is kept is multiplied by this: 1 / (1 - p), as a number of the dtype."""
    return float(dtype.type(1 / (1 - p) if p < 1 else 0.0))


def dropout(x: Array, p: float, seed: int, offset: int) -> tuple[Array, Array]:
    """(y, mask)."""
    if not is_float(x):
        mask = np.asarray(uniform(seed, offset, x.shape, np.float32) >= np.float32(p), like=x)
        return spec.dropout_backward(x, mask, p), mask
    y = empty_like(x)
    mask = empty(x.shape, np.bool_, like=x)
    kernels.dropout(
        contiguous(x),
        p,
        _scale(p, x.dtype),
        seed & _U64,
        offset & _U64,
        y,
        mask,
        stream(),
    )
    return y, mask


def dropout_backward(g: Array, mask: Array, p: float) -> Array:
    """The gradient of ``dropout``."""
    if not is_float(g) or mask.dtype != np.bool_ or mask.shape != g.shape:
        return spec.dropout_backward(g, mask, p)
    gx = empty_like(g)
    kernels.dropout_backward(contiguous(g), contiguous(mask), _scale(p, g.dtype), gx, stream())
    return gx
