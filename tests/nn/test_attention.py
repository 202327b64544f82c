"""Attention and transformers: values, gradients of both orders, masks, errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import nn
from fastnn.autograd import gradcheck, gradgradcheck

sdpa = F.scaled_dot_product_attention


def _random(*shape: int, seed: int = 0) -> fastnn.Tensor:
    values = np.random.default_rng(seed).uniform(-1, 1, shape)
    return fastnn.from_numpy(values).requires_grad_()


def test_value_of_the_formula() -> None:
    q, k, v = (_random(2, 3, n, 4, seed=n).detach() for n in (5, 6, 6))
    scores = q.numpy() @ k.numpy().swapaxes(-1, -2) / math.sqrt(4)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    got = sdpa(q, k, v)
    # float64: sums of 6 and 4 terms below 1
    np.testing.assert_allclose(got.numpy(), weights @ v.numpy(), rtol=0, atol=1e-14)
    assert sdpa(q.float(), k.float(), v.float()).dtype is fastnn.float32


@pytest.mark.parametrize(
    "kind", ["plain", "causal", "bool", "additive", "blind", "group", "broadcast"]
)
def test_gradients_of_both_orders(kind: str) -> None:
    q, k, v = _random(1, 2, 3, 2), _random(1, 2, 4, 2, seed=1), _random(1, 2, 4, 2, seed=2)
    inputs: tuple[Any, ...] = (q, k, v)
    if kind == "causal":
        function: Any = lambda q, k, v: sdpa(q, k, v, is_causal=True, scale=0.5)  # noqa: E731
    elif kind == "bool":
        mask = fastnn.tensor([[True, False, True, True]])
        function = lambda q, k, v: sdpa(q, k, v, mask)  # noqa: E731
    elif kind == "additive":
        inputs = (*inputs, _random(3, 4, seed=3))
        function = sdpa
    elif kind == "blind":
        mask = fastnn.tensor([[True] * 4, [False] * 4, [True] * 4])
        function = lambda q, k, v: sdpa(q, k, v, mask)  # noqa: E731
    elif kind == "group":
        inputs = (_random(1, 4, 2, 2), k, v)
        function = lambda q, k, v: sdpa(q, k, v, enable_gqa=True)  # noqa: E731
    elif kind == "broadcast":
        inputs = (_random(3, 2), k, v)
        function = sdpa
    else:
        function = sdpa
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


def test_a_query_that_sees_nothing() -> None:
    x = _random(2, 3)
    mask = fastnn.tensor([[False, False], [True, True]])
    for given in (mask, fastnn.where(mask, 0.0, -math.inf).double()):
        y = sdpa(x, x, x, given)
        assert y[0].abs().sum() == 0
        (g,) = fastnn.autograd.grad(y.sum(), x)
        assert np.isfinite(g.numpy()).all()
    assert sdpa(x, x[:0], x[:0]).abs().sum() == 0


def test_dropout() -> None:
    x = fastnn.ones(1, 400, 1)
    fastnn.manual_seed(0)
    y = sdpa(x, x, x, dropout_p=0.5)
    # The mean of 400 weights of 1 / 400, half of them dropped and the others doubled: 1 +- 1 / sqrt(400)
    assert abs(y.mean().item() - 1) < 0.02
    assert y.std() > 0
    assert sdpa(x, x, x, dropout_p=1.0).abs().sum() == 0


@pytest.mark.parametrize("dtype", [fastnn.float16, fastnn.bfloat16])
def test_low_precision(dtype: Any) -> None:
    x = _random(2, 3, 4).detach().to(dtype).requires_grad_()
    y = sdpa(x, x, x, is_causal=True)
    y.sum().backward()
    assert y.dtype is dtype
    assert x.grad is not None
    assert x.grad.dtype is dtype


def test_errors() -> None:
    x = fastnn.ones(2, 3, 4)
    with pytest.raises(RuntimeError, match="should not be set when is_causal=True"):
        sdpa(x, x, x, fastnn.ones(3, 3), is_causal=True)
    with pytest.raises(RuntimeError, match="same dtype"):
        sdpa(x, x, x.double())
    with pytest.raises(RuntimeError, match="at least 2 dimensional"):
        sdpa(x[0, 0], x, x)
    with pytest.raises(RuntimeError, match=r"key \(..., S, E\)"):
        sdpa(x, fastnn.ones(2, 3, 5), x)
    with pytest.raises(RuntimeError, match="attn_mask dtype"):
        sdpa(x, x, x, fastnn.ones(3, 3, dtype=fastnn.int64))
    with pytest.raises(RuntimeError, match="do not broadcast"):
        sdpa(x, x, x, fastnn.ones(7, 3))
    with pytest.raises(RuntimeError, match="must divide the number of heads"):
        sdpa(fastnn.ones(1, 4, 2, 2), fastnn.ones(1, 3, 2, 2), fastnn.ones(1, 3, 2, 2), enable_gqa=True)  # fmt: skip
    with pytest.raises(ValueError, match="between 0 and 1"):
        sdpa(x, x, x, dropout_p=1.5)
    with pytest.raises(RuntimeError, match="floating"):
        sdpa(x.long(), x.long(), x.long())


def test_multihead_errors() -> None:
    with pytest.raises(AssertionError, match="divisible"):
        nn.MultiheadAttention(5, 2)
    with pytest.raises(ValueError, match="greater than 0"):
        nn.MultiheadAttention(0, 2)
    layer = nn.MultiheadAttention(4, 2)
    x = fastnn.ones(3, 2, 4)
    with pytest.raises(RuntimeError, match="Need attn_mask"):
        layer(x, x, x, is_causal=True)
    with pytest.raises(RuntimeError, match="2D attn_mask"):
        layer(x, x, x, attn_mask=fastnn.zeros(3, 4))
    with pytest.raises(RuntimeError, match="3D attn_mask"):
        layer(x, x, x, attn_mask=fastnn.zeros(2, 3, 3))
    with pytest.raises(AssertionError, match="key_padding_mask"):
        layer(x, x, x, key_padding_mask=fastnn.zeros(3, 3))
    with pytest.raises(AssertionError, match="embedding dimension of 4"):
        layer(*(fastnn.ones(3, 2, 6),) * 3)
    with pytest.raises(AssertionError, match="unbatched 2D or batched 3D"):
        layer(*(fastnn.ones(1, 3, 2, 4),) * 3)
    with pytest.raises(RuntimeError, match="only bool and floating"):
        layer(x, x, x, attn_mask=fastnn.zeros(3, 3, dtype=fastnn.int64))


def test_causal_hint_with_extra_keys() -> None:
    """The hint and the mask give the same, with a trained key, a zero key, and with padding."""
    fastnn.manual_seed(0)
    layer = nn.MultiheadAttention(4, 2, add_bias_kv=True, add_zero_attn=True)
    x = fastnn.randn(3, 2, 4)
    mask = fastnn.from_numpy(~np.tri(3, dtype=np.bool_))
    with_weights, _ = layer(x, x, x, attn_mask=mask)
    without, none = layer(x, x, x, attn_mask=mask, need_weights=False, is_causal=True)
    assert none is None
    # The same sums of 5 terms in another order
    np.testing.assert_allclose(without.tolist(), with_weights.tolist(), rtol=0, atol=1e-6)


def test_choice_of_a_kernel() -> None:
    from fastnn.nn.attention import SDPBackend, sdpa_kernel

    x = fastnn.ones(2, 3)
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
        assert fastnn.equal(sdpa(x, x, x), x)
    with pytest.raises(AssertionError, match="SDPBackend"), sdpa_kernel([]):
        pass
