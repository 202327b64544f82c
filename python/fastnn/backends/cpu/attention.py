"""Attention on the C++ kernels: float32 and float64, and 16-bit arrays as float32.

Arrays whose rows are not contiguous are copied first; other strides are the kernels' business.
"""

from __future__ import annotations

import numpy as np

from fastnn import _cpu
from fastnn.backends import numpy as spec
from fastnn.backends.protocol import Array

_attention = _cpu.with_fallback("attention", spec.attention)
_attention_backward = _cpu.with_fallback("attention_backward", spec.attention_backward)


def _with_rows(x: Array) -> Array:
    """``x`` as the kernels take it: wide enough, with the elements of a row beside each other."""
    if x.dtype.itemsize == 2:
        return x.astype(np.float32)
    return x if x.strides[-1] == x.dtype.itemsize else np.ascontiguousarray(x, like=x)


def _wide_mask(mask: Array | None) -> Array | None:
    return mask if mask is None or mask.dtype.itemsize != 2 else mask.astype(np.float32)


def _attention_of_rows(
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None,
    scale: float,
    causal: bool,
    dropout_p: float = 0.0,
    seed: int = 0,
    offset: int = 0,
) -> tuple[Array, Array, Array]:
    q, k, v = (_with_rows(x) for x in (query, key, value))
    run = (scale, causal, dropout_p, seed, offset)
    y, top, total = _attention(q, k, v, _wide_mask(mask), *run)
    return y.astype(query.dtype, copy=False), top, total


def _attention_backward_of_rows(
    g: Array,
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None,
    y: Array,
    top: Array,
    total: Array,
    scale: float,
    causal: bool,
    mask_grad: bool,
    dropout_p: float = 0.0,
    seed: int = 0,
    offset: int = 0,
) -> tuple[Array, Array, Array, Array | None]:
    dtype = query.dtype
    g, q, k, v, y = (_with_rows(x) for x in (g, query, key, value, y))
    top, total = (np.ascontiguousarray(x, like=x) for x in (top, total))
    run = (scale, causal, mask_grad, dropout_p, seed, offset)
    *found, gmask = _attention_backward(g, q, k, v, _wide_mask(mask), y, top, total, *run)
    gq, gk, gv = (x.astype(dtype, copy=False) for x in found)
    return gq, gk, gv, None if gmask is None else gmask.astype(dtype, copy=False)


attention = _cpu.with_fallback("attention", _attention_of_rows)
attention_backward = _cpu.with_fallback("attention_backward", _attention_backward_of_rows)
