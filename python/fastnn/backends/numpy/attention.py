"""Attention: softmax(q k' * scale + mask) v.

The plain formula, with the (T, S) matrix of scores. A kernel that goes over blocks of keys, with the running maximum
and sum of the online softmax (M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax", 2018; T. Dao et
al., "FlashAttention", 2022), needs none: each row's maximum and sum are all that the backward pass then wants of the
softmax. They are two numbers rather than their logarithm, whose rounding would grow with the scores.
"""

from __future__ import annotations

import numpy as np

from fastnn.backends.protocol import Array


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
) -> tuple[Array, Array, Array]:
    """(y, top, total): y = softmax(scores) v; top = max_s score[t, s], total = sum_s exp(score[t, s] - top)."""
    scores = _scores(query, key, mask, scale, causal)
    top = scores.max(-1, initial=-np.inf)
    e = _exponentials(scores, top)
    total = e.sum(-1)
    return _divided(e, total) @ value, top, total


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
) -> tuple[Array, Array, Array, Array | None]:
    """(gquery, gkey, gvalue, gmask) of ``attention``; gmask, (..., T, S), only where ``mask_grad``.

    The softmax's gradient is p * (gp - sum_s p gp). That sum is g . y for each query, which a kernel over blocks
    takes; the sum itself loses less where one weight is nearly 1.
    """
    p = _divided(_exponentials(_scores(query, key, mask, scale, causal), top), total)
    gp = g @ value.swapaxes(-1, -2)
    gscores = p * (gp - (p * gp).sum(-1, keepdims=True))
    factor = query.dtype.type(scale)
    return (
        (gscores @ key) * factor,
        (gscores.swapaxes(-1, -2) @ query) * factor,
        p.swapaxes(-1, -2) @ g,
        gscores if mask_grad else None,
    )
