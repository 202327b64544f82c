"""Attention by tiles (FlashAttention-2), for heads of up to 256 elements; float64 goes to the specification.

Neither pass holds the matrix of weights, but where the gradient of a mask is wanted, which is of its size.
"""

from __future__ import annotations

from math import prod

import numpy as np

from fastnn.backends import numpy as spec
from fastnn.backends.gpu._arrays import contiguous, empty, kernels, stream
from fastnn.backends.protocol import Array

MAX_SIZE = 256


_WORD = 0xFFFFFFFFFFFFFFFF  # seed and offset count modulo 2**64


def _covered(query: Array, value: Array) -> bool:
    size, value_size = query.shape[-1], value.shape[-1]
    return query.dtype.itemsize <= 4 and 0 < size <= MAX_SIZE and 0 < value_size <= MAX_SIZE


def _four_dims(x: Array) -> Array:
    """(batch, heads, rows, size), with the elements of a row side by side; a copy only where strides do not allow it."""
    if x.ndim < 4:
        x = x[(None,) * (4 - x.ndim)]
    elif x.ndim > 4:
        x = x.reshape(prod(x.shape[:-3]), *x.shape[-3:])
    return x if x.strides[-1] == x.dtype.itemsize else np.ascontiguousarray(x, like=x)


def _four_dims_mask(mask: Array | None, shape: tuple[int, ...]) -> Array | None:
    if mask is None:
        return None
    wide = np.broadcast_to(mask, shape)
    if wide.ndim < 4:
        return wide[(None,) * (4 - wide.ndim)]
    return wide.reshape(prod(shape[:-3]), *shape[-3:]) if wide.ndim > 4 else wide


def attention(
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
    """(y, top, total): y = softmax(q k' * scale + mask) v, and each row's largest score and sum of exponentials."""
    if not _covered(query, value):
        return spec.attention(query, key, value, mask, scale, causal, dropout_p, seed, offset)
    rows = query.shape[:-1]
    y: Array = empty((*rows, value.shape[-1]), query.dtype, like=query)
    top: Array = empty(rows, np.float32, like=query)
    total: Array = empty(rows, np.float32, like=query)
    out = _four_dims(y)
    kernels.attention(
        _four_dims(query),
        _four_dims(key),
        _four_dims(value),
        _four_dims_mask(mask, (*rows, key.shape[-2])),
        out,
        top.reshape(out.shape[:-1]),
        total.reshape(out.shape[:-1]),
        scale,
        causal,
        dropout_p,
        seed & _WORD,
        offset & _WORD,
        stream(),
    )
    return y, top, total


def attention_backward(
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
    """(gquery, gkey, gvalue, gmask) of ``attention``; gmask, (..., T, S), only where ``mask_grad``."""
    if not _covered(query, value):
        run = (scale, causal, mask_grad, dropout_p, seed, offset)
        return spec.attention_backward(g, query, key, value, mask, y, top, total, *run)
    dtype = query.dtype
    scores = (*query.shape[:-1], key.shape[-2])
    gquery, gkey, gvalue = (empty(x.shape, dtype, like=query) for x in (query, key, value))
    gmask = None
    if mask_grad:  # where causal, the kernel skips tiles that no query sees
        gmask = (np.zeros if causal else empty)(scores, dtype, like=query)
    wide = _four_dims(gquery)
    workspace = empty((kernels.attention_workspace(*wide.shape[:3]),), np.uint8, like=query)
    kernels.attention_backward(
        _four_dims(g),
        _four_dims(query),
        _four_dims(key),
        _four_dims(value),
        _four_dims_mask(mask, scores),
        _four_dims(y),
        contiguous(top).reshape(wide.shape[:-1]),
        contiguous(total).reshape(wide.shape[:-1]),
        wide,
        _four_dims(gkey),
        _four_dims(gvalue),
        None if gmask is None else _four_dims(gmask),
        workspace,
        scale,
        causal,
        dropout_p,
        seed & _WORD,
        offset & _WORD,
        stream(),
    )
    return gquery, gkey, gvalue, gmask
