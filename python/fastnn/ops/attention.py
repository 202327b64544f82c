"""Scaled dot-product attention: one node for softmax(q k' * scale + mask) v."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from ..autograd.grad_mode import mode
from ..autograd.node import Node, edge_of
from ..backends import by_type
from ..random import default_generator
from .dropout import check_probability
from .gemm import matmul
from .promotion import cast, unbroadcast
from .select import masked_fill
from .softmax import softmax

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor


def _t(x: Any) -> Any:
    return x.transpose(-1, -2)


def _probabilities(
    query: Tensor, key: Tensor, mask: Tensor | None, scale: float, causal: bool
) -> Tensor:
    """softmax(q k' * scale + mask) by differentiable operations; zeros for a query that sees nothing."""
    scores = matmul(query * scale, _t(key))
    if causal:
        hidden = ~np.tri(*scores._data.shape[-2:], dtype=np.bool_, like=scores._data)
        scores = masked_fill(scores, make(hidden), -math.inf)
    if mask is not None:
        if mask._data.dtype == np.bool_:
            scores = masked_fill(scores, make(~mask._data), -math.inf)
        else:
            scores = scores + mask
    blind = np.isneginf(scores._data).all(-1, keepdims=True)
    if not blind.any():
        return softmax(scores, -1)
    return masked_fill(
        softmax(masked_fill(scores, make(blind), 0.0), -1), make(blind), 0.0
    )  # a softmax over -inf alone would be NaN, and so would its gradient


class ScaledDotProductAttentionBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        query, key, value, mask, y, top, total, scale, causal, *drop = self.saved
        to_mask = self.edges[3] is not None
        raw: Any = None if mask is None else mask._data
        gq, gk, gv, gm = by_type[type(g)].attention_backward(
            g,
            query._data,
            key._data,
            value._data,
            raw,
            y,
            top,
            total,
            scale,
            causal,
            to_mask,
            *drop,
        )
        return gq, gk, gv, unbroadcast(gm, raw.shape) if to_mask else None

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        given, (scale, causal, dropout_p, seed, offset) = self.saved[:4], self.saved[7:]
        query, key, value, mask = (_widened(x) for x in given)
        own = key._data.shape, value._data.shape
        times = 1 if len(own[0]) < 3 else query._data.shape[-3] // max(own[0][-3], 1)
        key, value = _repeated(key, times), _repeated(value, times)
        p = _probabilities(query, key, mask, scale, causal)
        weights = p
        g = _widened(g)
        gp = matmul(g, _t(value))
        if dropout_p > 0:
            data = p._data
            ones = np.ones_like(data, order="C")
            factors = make(by_type[type(data)].dropout(ones, dropout_p, seed, offset)[0])
            weights, gp = p * factors, gp * factors
        gscores = p * (gp - (p * gp).sum(-1, keepdim=True))
        found = (
            matmul(gscores, key) * scale,
            _summed(matmul(_t(gscores), query) * scale, own[0]),
            _summed(matmul(_t(weights), g), own[1]),
            None if self.edges[3] is None else unbroadcast(gscores, mask._data.shape),
        )
        return tuple(
            None if x is None else cast(x, y._data.dtype) for x, y in zip(found, given, strict=True)
        )


def _summed(gradient: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The sum over the heads of the query that share a head of ``shape``."""
    if gradient._data.shape == shape:
        return gradient
    times = gradient._data.shape[-3] // shape[-3]
    return gradient.reshape(*shape[:-2], times, *shape[-2:]).sum(-3)


def _check(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool) -> None:
    name = "scaled_dot_product_attention"
    q, k, v = query._data, key._data, value._data
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise RuntimeError(
            f"{name}: Expected query, key, and value to all be at least 2 dimensional, but got query.dim: {q.ndim} "
            f"key.dim: {k.ndim} and value.dim: {v.ndim} instead"
        )
    if not q.dtype == k.dtype == v.dtype:
        raise RuntimeError(
            f"{name}: Expected query, key, and value to have the same dtype, but got query.dtype: {query.dtype} "
            f"key.dtype: {key.dtype} and value.dtype: {value.dtype} instead"
        )
    if q.dtype.kind in "iub":
        raise RuntimeError(f"{name}: expects floating tensors, got {query.dtype}")
    if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise RuntimeError(
            f"{name}: expected query (..., T, E), key (..., S, E) and value (..., S, D), got {tuple(q.shape)}, "
            f"{tuple(k.shape)} and {tuple(v.shape)}"
        )
    if mask is not None:
        if causal:
            raise RuntimeError(f"{name}: Explicit attn_mask should not be set when is_causal=True")
        if mask._data.dtype not in (np.bool_, np.float32, q.dtype):
            raise RuntimeError(
                f"{name}: Expected attn_mask dtype to be bool or float or to match query dtype, but got "
                f"attn_mask.dtype: {mask.dtype} and query.dtype: {query.dtype} instead"
            )


def _times(x: Tensor, heads: int, role: str) -> int:
    """How many heads of the query share one of ``x`` (..., heads of x, S, E)."""
    shape = x._data.shape
    if len(shape) < 3 or heads % shape[-3]:
        raise RuntimeError(
            f"scaled_dot_product_attention: the number of heads in {role} must divide the number of heads in query "
            f"({heads}), got shape {tuple(shape)}"
        )
    return int(heads // shape[-3])


def _repeated(x: Tensor, times: int) -> Tensor:
    """Each head of ``x`` for ``times`` heads of the query that lie behind each other."""
    if times == 1:
        return x
    *lead, heads, rows, size = x._data.shape
    wide = x.unsqueeze(-3).expand(*lead, heads, times, rows, size)
    return wide.reshape(*lead, heads * times, rows, size)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query @ key' * scale + mask) @ value.

    Args:
        query: (..., T, E).
        key: (..., S, E).
        value: (..., S, D).
        attn_mask: broadcast to (..., T, S); bool (True: the query sees the key), or added to the scores.
        dropout_p: the probability that a weight is dropped; not 0 drops in evaluation too.
        is_causal: query t sees keys 0 to t; no ``attn_mask`` then.
        scale: by default 1 / sqrt(E).
        enable_gqa: key and value have fewer heads (dim -3), each for a group of the query's.

    A query that sees no key gives zeros.

    Raises:
        RuntimeError: shapes, dtypes or arguments that do not fit.

    A. Vaswani et al., "Attention is all you need", 2017, equation 1.

    >>> import fastnn
    >>> q = fastnn.zeros(2, 3, 4)
    >>> fastnn.nn.functional.scaled_dot_product_attention(q, q, q + 1, is_causal=True).shape
    fastnn.Size([2, 3, 4])
    """
    _check(query, key, value, attn_mask, is_causal)
    check_probability(dropout_p, "dropout")
    dtype = query._data.dtype
    size = query._data.shape[-1]
    factor = (1 / math.sqrt(size) if size else 1.0) if scale is None else float(scale)
    if enable_gqa:
        key, value = _grouped(query, key, value)
    if attn_mask is not None and attn_mask._data.dtype != np.bool_ and dtype.itemsize > 2:
        attn_mask = cast(attn_mask, dtype)
    lead = query._data.shape[:-2]
    alike = key._data.shape[:-2] == lead == value._data.shape[:-2]
    if attn_mask is not None or enable_gqa or not alike:
        lead = _common_batch(query, key, value, attn_mask, enable_gqa)
        own = (*lead[:-1], key._data.shape[-3]) if enable_gqa and lead else lead  # key's, value's
        query, key, value = (
            x if x._data.shape[:-2] == wanted else x.expand((*wanted, *x._data.shape[-2:]))
            for x, wanted in ((query, lead), (key, own), (value, own))
        )
    run: tuple[Any, ...] = (factor, is_causal)
    if dropout_p > 0:
        weights = math.prod(lead) * query._data.shape[-2] * key._data.shape[-2]
        run += (dropout_p, *default_generator.advance(weights))
    else:
        run += (0.0, 0, 0)
    raw = None if attn_mask is None else attn_mask._data
    y, top, total = by_type[type(query._data)].attention(
        query._data, key._data, value._data, raw, *run
    )
    inputs = (query, key, value, attn_mask)
    if mode.enabled and any(x is not None and x._requires_grad for x in inputs):
        edges = tuple(None if x is None else edge_of(x) for x in inputs)
        return make(y, ScaledDotProductAttentionBackward0(edges, (*inputs, y, top, total, *run)))
    return make(y)


def _widened(x: Any) -> Any:
    """float32 for 16-bit numbers: scores need its range and precision."""
    if x is None or x._data.dtype == np.bool_ or x._data.dtype.itemsize > 2:
        return x
    return cast(x, np.dtype(np.float32))


def _grouped(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Key and value of the same number of heads, which divides the query's."""
    heads = query._data.shape[-3] if query._data.ndim > 2 else 0
    times = _times(key, heads, "key"), _times(value, heads, "value")
    if times[0] == times[1]:
        return key, value
    return _repeated(key, times[0]), _repeated(value, times[1])


def _common_batch(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, grouped: bool
) -> tuple[int, ...]:
    """The leading sizes to which all three broadcast, the mask's among them; ``grouped``: heads are the query's."""
    q, k, v = query._data, key._data, value._data
    leads = [x.shape[:-2] for x in (q, k, v)]
    if grouped:
        leads = [leads[0], *((*lead[:-1], q.shape[-3]) for lead in leads[1:])]
    try:
        if mask is not None:
            scores = (q.shape[-2], k.shape[-2])
            full = np.broadcast_shapes(mask._data.shape, scores)
            if full[-2:] != scores:
                raise ValueError
            leads.append(full[:-2])
        return tuple(np.broadcast_shapes(*leads))
    except ValueError:
        given = "" if mask is None else f" and attn_mask {tuple(mask.shape)}"
        raise RuntimeError(
            f"scaled_dot_product_attention: query {tuple(q.shape)}, key {tuple(k.shape)}, value {tuple(v.shape)}"
            f"{given} do not broadcast together"
        ) from None
