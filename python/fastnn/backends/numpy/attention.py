"""Attention: softmax(q k' * scale + mask) v.

The plain formula, with the (T, S) matrix of scores. A kernel that goes over blocks of keys, with the running maximum
and sum of the online softmax (M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax", 2018; T. Dao et
al., "FlashAttention", 2022), needs none: each row's maximum and sum are all that the backward pass then wants of the
softmax. They are two numbers rather than their logarithm, whose rounding would grow with the scores.

Dropout's mask is a function of seed and offset, so that the backward pass makes it again.
"""

from __future__ import annotations

import numpy as np

from fastnn.backends.numpy.random import dropout, dropout_backward
from fastnn.backends.protocol import Array


def _widened(x: Array | None) -> Array | None:
    """float32 for 16-bit numbers: scores need its range and precision."""
    return x if x is None or x.dtype.itemsize != 2 else x.astype(np.float32)


def _per_query_head(x: Array, query: Array) -> Array:
    """Each head of ``x`` as often as the query's heads share it."""
    times = 1 if x.ndim < 3 else query.shape[-3] // max(x.shape[-3], 1)
    return x if times == 1 else np.repeat(x, times, -3)


def _per_own_head(gradient: Array, x: Array) -> Array:
    """The sum over the heads of the query that share one of ``x``'s."""
    if gradient.shape == x.shape:
        return gradient
    groups = (*x.shape[:-2], gradient.shape[-3] // x.shape[-3], *x.shape[-2:])
    summed: Array = gradient.reshape(groups).sum(-3)
    return summed


def _scores(query: Array, key: Array, mask: Array | None, scale: float, causal: bool) -> Array:
    """q k' * scale with the masked positions at -inf: (..., T, S)."""
    scores: Array = (query * query.dtype.type(scale)) @ key.swapaxes(-1, -2)
    if mask is not None:
        scores = (
            np.where(mask, scores, scores.dtype.type(-np.inf))
            if mask.dtype == np.bool_
            else scores + mask
        )
    if causal:
        seen = np.tri(*scores.shape[-2:], dtype=np.bool_, like=scores)
        scores = np.where(seen, scores, scores.dtype.type(-np.inf))
    return scores


def _exponentials(scores: Array, top: Array) -> Array:
    """exp(scores - top); zeros in a row where nothing is seen."""
    finite = np.where(np.isneginf(top), top.dtype.type(0), top)
    e: Array = np.exp(scores - finite[..., None])
    return e


def _divided(e: Array, total: Array) -> Array:
    """e / total; zeros where nothing was seen."""
    p: Array = e / np.where(total == 0, total.dtype.type(1), total)[..., None]
    return p


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
    """(y, top, total): y = softmax(scores) v; top = max_s score[t, s], total = sum_s exp(score[t, s] - top)."""
    dtype = query.dtype
    if dtype.itemsize == 2:
        wide = (_widened(x) for x in (query, key, value, mask))
        y, top, total = attention(*wide, scale, causal, dropout_p, seed, offset)  # type: ignore[arg-type, call-arg]
        return y.astype(dtype), top, total
    key, value = _per_query_head(key, query), _per_query_head(value, query)
    scores = _scores(query, key, mask, scale, causal)
    top = (
        scores.max(-1)
        if scores.shape[-1]
        else np.full_like(scores, -np.inf, shape=scores.shape[:-1])
    )
    e = _exponentials(scores, top)
    total = e.sum(-1)
    p = _divided(e, total)
    if dropout_p > 0:
        p, _ = dropout(p, dropout_p, seed, offset)
    return p @ value, top, total


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
    """(gquery, gkey, gvalue, gmask) of ``attention``; gmask, (..., T, S), only where ``mask_grad``.

    The softmax's gradient is p * (gp - sum_s p gp). That sum is g . y for each query, which a kernel over blocks
    takes; the sum itself loses less where one weight is nearly 1.
    """
    dtype = query.dtype
    if dtype.itemsize == 2:
        wide = (_widened(x) for x in (g, query, key, value, mask, y))
        run = (top, total, scale, causal, mask_grad, dropout_p, seed, offset)
        *found, gmask = attention_backward(*wide, *run)  # type: ignore[arg-type, call-arg]
        gq, gk, gv = (x.astype(dtype) for x in found)
        return gq, gk, gv, None if gmask is None else gmask.astype(dtype)
    own_key, own_value = key, value
    key, value = _per_query_head(key, query), _per_query_head(value, query)
    p = _divided(_exponentials(_scores(query, key, mask, scale, causal), top), total)
    gp = g @ value.swapaxes(-1, -2)
    weights = p
    if dropout_p > 0:
        weights, kept = dropout(p, dropout_p, seed, offset)
        gp = dropout_backward(gp, kept, dropout_p)
    gscores = p * (gp - (p * gp).sum(-1, keepdims=True))
    factor = query.dtype.type(scale)
    return (
        (gscores @ key) * factor,
        _per_own_head((gscores.swapaxes(-1, -2) @ query) * factor, own_key),
        _per_own_head(weights.swapaxes(-1, -2) @ g, own_value),
        gscores if mask_grad else None,
    )
