"""Multi-head attention: projections, attention of each head, and the projection of all heads."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from .attention import scaled_dot_product_attention
from .creation import zeros
from .dropout import dropout
from .gemm import linear, matmul
from .promotion import cast
from .shape import cat, chunk
from .softmax import softmax

if TYPE_CHECKING:
    from ..tensor import Tensor

_NAME = "multi_head_attention_forward"


def _additive(mask: Tensor | None, role: str, dtype: Any) -> Tensor | None:
    """A mask as what is added to the scores: True becomes -inf."""
    if mask is None:
        return None
    data = mask._data
    if data.dtype == np.bool_:
        return make(np.where(data, -math.inf, 0.0).astype(dtype))
    if data.dtype.kind in "iu":
        raise RuntimeError(
            f"{_NAME}: only bool and floating types of {role} are supported, got {mask.dtype}"
        )
    return cast(mask, dtype)


def _check_shapes(
    query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Any, attn_mask: Any, num_heads: int
) -> bool:
    """Whether the query has a batch; AssertionError where the others do not fit it."""
    q, k, v = query._data, key._data, value._data
    if q.ndim not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {q.ndim}-D query tensor"
        )
    if k.ndim != q.ndim or v.ndim != q.ndim:
        raise AssertionError(
            f"For a {q.ndim}-D query, expected key and value to be {q.ndim}-D but found {k.ndim}-D and {v.ndim}-D "
            "tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask._data.ndim != q.ndim - 1:
        raise AssertionError(
            f"For a {q.ndim}-D query, expected key_padding_mask to be None or {q.ndim - 1}-D but found "
            f"{key_padding_mask._data.ndim}-D tensor instead"
        )
    if attn_mask is not None and attn_mask._data.ndim not in (2, 3):
        raise AssertionError(
            f"expected attn_mask to be None, 2-D or 3-D but found {attn_mask._data.ndim}-D tensor instead"
        )
    if k.shape[:-1] != v.shape[:-1] or (q.ndim == 3 and k.shape[1] != q.shape[1]):
        raise AssertionError(
            f"key's sequence and batch dims {tuple(k.shape[:-1])} do not match value's {tuple(v.shape[:-1])} or the "
            f"query's batch (query {tuple(q.shape)})"
        )
    return bool(q.ndim == 3)


def _projections(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    weights: tuple[Tensor, ...] | Tensor,
    bias: Tensor | None,
) -> tuple[Tensor, ...]:
    """q, k and v; one product where they are projections of the same tensor."""
    if not isinstance(weights, tuple):
        if query is key and key is value:
            return tuple(chunk(linear(query, weights, bias), 3, -1))
        weights = tuple(chunk(weights, 3, 0))
    biases = (None,) * 3 if bias is None else tuple(chunk(bias, 3, 0))
    return tuple(
        linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)
    )


def _padded(mask: Tensor | None) -> Tensor | None:
    """An additive mask with one more key, seen by all."""
    if mask is None:
        return None
    return cat([mask, zeros(*mask._data.shape[:-1], 1, dtype=mask.dtype)], -1)


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """(output, weights) of attention with several heads; ``nn.MultiheadAttention`` says what the arguments are.

    Args:
        query, key, value: (T, N, E), (S, N, kdim), (S, N, vdim), or without N.
        in_proj_weight: (3 E, E), for all three; or, with ``use_separate_proj_weight``, ``q_proj_weight`` (E, E),
            ``k_proj_weight`` (E, kdim) and ``v_proj_weight`` (E, vdim).
        static_k, static_v: keys and values (N * num_heads, S, E / num_heads) that replace the projections.
        is_causal: a hint that ``attn_mask``, which must be there, is the causal mask.

    Raises:
        AssertionError: shapes that do not fit, as in PyTorch.
        RuntimeError: masks of other dtypes or shapes.
    """
    batched = _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    same = key is query and value is query
    if not batched:
        query = query.unsqueeze(1)
        key, value = (query, query) if same else (key.unsqueeze(1), value.unsqueeze(1))
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    steps, batch, size = query._data.shape
    if size != embed_dim_to_check:
        raise AssertionError(
            f"multi_head_attention: was expecting embedding dimension of {embed_dim_to_check}, but got {size}"
        )
    head_size, rest = divmod(size, num_heads)
    if rest:
        raise AssertionError(f"embed_dim {size} not divisible by num_heads {num_heads}")
    if use_separate_proj_weight:
        separate = (q_proj_weight, k_proj_weight, v_proj_weight)
        if any(w is None for w in separate):
            raise AssertionError(
                "use_separate_proj_weight is True but a q_, k_ or v_proj_weight is None"
            )
        weights: Any = separate
    else:
        if in_proj_weight is None:
            raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
        weights = in_proj_weight
    q, k, v = _projections(query, key, value, weights, in_proj_bias)
    dtype = q._data.dtype
    sources = k._data.shape[0]
    # The causal mask needs no matrix where nothing else is masked and nobody asks for the weights
    extra_keys = bias_k is not None or add_zero_attn
    causal = is_causal and key_padding_mask is None and not need_weights and not extra_keys
    mask = None if causal else _additive(attn_mask, "attn_mask", dtype)
    padding = _additive(key_padding_mask, "key_padding_mask", dtype)
    if mask is not None:
        mask = _attn_mask_4d(mask, steps, sources, batch, num_heads)
    if (bias_k is None) != (bias_v is None):
        raise AssertionError("bias_k and bias_v must both be given, or neither")
    if bias_k is not None and bias_v is not None:
        if static_k is not None or static_v is not None:
            raise AssertionError("bias cannot be added to static key or value")
        k = cat([k, bias_k.expand(1, batch, size)])
        v = cat([v, bias_v.expand(1, batch, size)])
        mask, padding = _padded(mask), _padded(padding)
    heads_first = (1, 2, 0, 3)
    q = q.reshape(steps, batch, num_heads, head_size).permute(heads_first)
    k = _heads(k, static_k, batch, num_heads, head_size)
    v = _heads(v, static_v, batch, num_heads, head_size)
    if add_zero_attn:
        zero = zeros(batch, num_heads, 1, head_size, dtype=q.dtype)
        k, v = cat([k, zero], 2), cat([v, zero], 2)
        mask, padding = _padded(mask), _padded(padding)
    if padding is not None:
        if padding._data.shape != (batch, k._data.shape[2]):
            raise AssertionError(
                f"expecting key_padding_mask shape of {(batch, sources)}, but got {tuple(key_padding_mask.shape)}"  # type: ignore[union-attr]
            )
        padding = padding.reshape(batch, 1, 1, k._data.shape[2])
        mask = padding if mask is None else mask + padding
    p = dropout_p if training else 0.0
    found: Tensor | None = None
    if need_weights:
        scores = matmul(q * (1.0 / math.sqrt(head_size)), k.transpose(-2, -1))
        found = softmax(scores if mask is None else scores + mask, -1)
        if p > 0:
            found = dropout(found, p)
        out = matmul(found, v)
    else:
        out = scaled_dot_product_attention(q, k, v, mask, p, causal)
    out = out.permute(2, 0, 1, 3).reshape(steps, batch, size)
    out = linear(out, out_proj_weight, out_proj_bias)
    if found is not None and average_attn_weights:
        found = found.mean(1)
    if not batched:
        out = out.squeeze(1)
        found = None if found is None else found.squeeze(0)
    return out, found


def _attn_mask_4d(mask: Tensor, steps: int, sources: int, batch: int, num_heads: int) -> Tensor:
    """attn_mask (T, S) or (N * heads, T, S) as (1 or N, 1 or heads, T, S)."""
    shape = mask._data.shape
    if len(shape) == 2:
        if shape != (steps, sources):
            raise RuntimeError(
                f"The shape of the 2D attn_mask is {tuple(shape)}, but should be {(steps, sources)}."
            )
        return mask.reshape(1, 1, steps, sources)
    wanted = (batch * num_heads, steps, sources)
    if shape != wanted:
        raise RuntimeError(
            f"The shape of the 3D attn_mask is {tuple(shape)}, but should be {wanted}."
        )
    return mask.reshape(batch, num_heads, steps, sources)


def _heads(x: Tensor, static: Tensor | None, batch: int, num_heads: int, head_size: int) -> Tensor:
    """(S, N, E) as (N, heads, S, E / heads); ``static`` replaces it."""
    if static is None:
        return x.reshape(len(x._data), batch, num_heads, head_size).permute(1, 2, 0, 3)
    shape = static._data.shape
    if len(shape) != 3 or shape[0] != batch * num_heads or shape[2] != head_size:
        raise AssertionError(
            f"expecting static keys and values of shape ({batch * num_heads}, S, {head_size}), got {tuple(shape)}"
        )
    return static.reshape(batch, num_heads, shape[1], head_size)
