"""Attention: softmax(q k' * scale + mask) v.

The plain formula, with the (T, S) matrix of scores. A kernel that goes over blocks of keys, with the running maximum
and sum of the online softmax (M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax", 2018; T. Dao et
al., "FlashAttention", 2022), needs none: ``lse`` is all that the backward pass then wants of the softmax.
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
        seen = np.tri(*scores.shape[-2:], dtype=np.bool_)
        scores = np.where(seen, scores, scores.dtype.type(-np.inf))
    return scores


def _probabilities(scores: Array, lse: Array) -> Array:
    """exp(scores - lse), 0 in a row where nothing is seen."""
    finite = np.where(np.isneginf(lse), lse.dtype.type(0), lse)
    p: Array = np.exp(scores - finite[..., None])
    return p


def attention(
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None,
    scale: float,
    causal: bool,
) -> tuple[Array, Array]:
    """(y, lse): y = softmax(q k' * scale + mask) v, lse[..., t] = log sum_s exp(score[t, s])."""
    scores = _scores(query, key, mask, scale, causal)
    top = scores.max(-1, initial=-np.inf)
    top = np.where(np.isneginf(top), top.dtype.type(0), top)
    with np.errstate(divide="ignore"):  # a row that sees nothing: lse is -inf, the output 0
        lse = top + np.log(np.exp(scores - top[..., None]).sum(-1))
    return _probabilities(scores, lse) @ value, lse


def attention_backward(
    g: Array,
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None,
    y: Array,
    lse: Array,
    scale: float,
    causal: bool,
    mask_grad: bool,
) -> tuple[Array, Array, Array, Array | None]:
    """(gquery, gkey, gvalue, gmask) of ``attention``; gmask, (..., T, S), only where ``mask_grad``.

    The softmax's gradient is p * (gp - sum_s p gp), and that sum is g . y for each query.
    """
    p = _probabilities(_scores(query, key, mask, scale, causal), lse)
    gscores = p * (g @ value.swapaxes(-1, -2) - (g * y).sum(-1, keepdims=True))
    factor = query.dtype.type(scale)
    return (
        (gscores @ key) * factor,
        (gscores.swapaxes(-1, -2) @ query) * factor,
        p.swapaxes(-1, -2) @ g,
        gscores if mask_grad else None,
    )
