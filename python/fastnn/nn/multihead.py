"""Multi-head attention."""

from __future__ import annotations

from typing import Any

from ..ops.creation import empty
from ..ops.multihead import multi_head_attention_forward
from ..tensor import Tensor
from . import init
from .linear import Linear
from .module import Module
from .parameter import Parameter


class NonDynamicallyQuantizableLinear(Linear):
    """The output projection of ``MultiheadAttention``: a Linear under the name that PyTorch prints."""


class MultiheadAttention(Module):
    """Attention with several heads, between projections (A. Vaswani et al., "Attention is all you need", 2017).

    Args:
        embed_dim: E, the features of queries and of the output.
        num_heads: heads, each of E / num_heads features.
        dropout: the probability that an attention weight is dropped, in training.
        bias: have biases in the projections.
        add_bias_kv: have one more key and value, trained.
        add_zero_attn: have one more key and value, zeros.
        kdim, vdim: the features of keys and values; E by default.
        batch_first: tensors are (N, T, features) rather than (T, N, features).

    >>> import fastnn
    >>> x = fastnn.ones(5, 2, 8)
    >>> y, weights = fastnn.nn.MultiheadAttention(8, 2)(x, x, x)
    >>> y.shape, weights.shape
    (fastnn.Size([5, 2, 8]), fastnn.Size([2, 5, 5]))
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and num_heads={num_heads} "
                "instead"
            )
        if embed_dim % num_heads:
            raise AssertionError("embed_dim must be divisible by num_heads")
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        e = embed_dim
        same = self._qkv_same_embed_dim
        shapes: dict[str, tuple[int, ...] | None] = {
            "q_proj_weight": None if same else (e, e),
            "k_proj_weight": None if same else (e, self.kdim),
            "v_proj_weight": None if same else (e, self.vdim),
            "in_proj_weight": (3 * e, e) if same else None,
            "in_proj_bias": (3 * e,) if bias else None,
        }
        for name, shape in shapes.items():
            self.register_parameter(
                name,
                None if shape is None else Parameter(empty(*shape, device=device, dtype=dtype)),
            )
        self.out_proj = NonDynamicallyQuantizableLinear(e, e, bias=bias, device=device, dtype=dtype)
        for name in ("bias_k", "bias_v"):
            self.register_parameter(
                name, Parameter(empty(1, 1, e, device=device, dtype=dtype)) if add_bias_kv else None
            )
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        """Draw new values: Glorot's for the projections, zeros for their biases."""
        for w in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if w is not None:
                init.xavier_uniform_(w)
        for b in (self.in_proj_bias, self.out_proj.bias):
            if b is not None:
                init.constant_(b, 0.0)
        for b in (self.bias_k, self.bias_v):
            if b is not None:
                init.xavier_normal_(b)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """(output, weights).

        Args:
            query, key, value: (T, N, E), (S, N, kdim), (S, N, vdim); (N, T, ...) if ``batch_first``; or without N.
            key_padding_mask: (N, S), bool (True: no query sees the key) or added to the scores.
            need_weights: return the weights, which takes longer; else None.
            attn_mask: (T, S) or (N * num_heads, T, S), bool (True: not seen) or added to the scores.
            average_attn_weights: weights (N, T, S), the mean over the heads, rather than (N, num_heads, T, S).
            is_causal: a hint that ``attn_mask`` is the causal mask, which is then not read.
        """
        turn = self.batch_first and query.dim() == 3
        if turn:
            # One tensor stays one, so that its projections stay one product
            turned = {id(x): x.transpose(0, 1) for x in (query, key, value)}
            query, key, value = turned[id(query)], turned[id(key)], turned[id(value)]
        separate = not self._qkv_same_embed_dim
        out, weights = multi_head_attention_forward(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight, self.in_proj_bias, self.bias_k,
            self.bias_v, self.add_zero_attn, self.dropout, self.out_proj.weight, self.out_proj.bias, self.training,
            key_padding_mask, need_weights, attn_mask, separate, self.q_proj_weight, self.k_proj_weight,
            self.v_proj_weight, average_attn_weights=average_attn_weights, is_causal=is_causal,
        )  # fmt: skip
        return (out.transpose(0, 1) if turn else out), weights
