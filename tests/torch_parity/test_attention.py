"""Attention, transformers and embeddings against PyTorch's, beyond its own samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn

torch = pytest.importorskip("torch", reason="PyTorch is not installed: an optional reference")

from .convert import to_fastnn  # noqa: E402
from .paired import compare, load  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's, on masks of mixed types
T, S, N, E = 4, 5, 3, 8


def _pair(name: str, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    reference = getattr(torch.nn, name)(*args, **kwargs)
    module = getattr(fastnn.nn, name)(*args, **kwargs)
    with torch.no_grad():  # biases start at zero
        for p in reference.parameters():
            p.add_(torch.randn(p.shape) * 0.1)
    load(reference, module)
    assert repr(module) == repr(reference)
    return reference, module


def _x(*shape: int) -> Any:
    return torch.randn(*shape, requires_grad=True)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False, "batch_first": True},
        {"add_bias_kv": True, "add_zero_attn": True},
        {"kdim": 6, "vdim": 7},
    ],
)
@pytest.mark.parametrize("need_weights", [True, False])
def test_multihead(options: dict[str, Any], need_weights: bool) -> None:
    reference, module = _pair("MultiheadAttention", E, 2, **options)
    first = options.get("batch_first", False)
    sizes = (E, options.get("kdim", E), options.get("vdim", E))
    q, k, v = (_x(N, n, e) if first else _x(n, N, e) for n, e in zip((T, S, S), sizes, strict=True))
    compare(reference, module, (q, k, v), need_weights=need_weights)
    compare(reference, module, (q, k, v), need_weights=need_weights, average_attn_weights=False)
    padding = torch.zeros(N, S, dtype=torch.bool)
    padding[0, 3:] = True
    mask = torch.zeros(T, S, dtype=torch.bool)
    mask[1, 2] = mask[3, 0] = True
    full = torch.randn(N * 2, T, S)
    for masks in (
        {"key_padding_mask": padding},
        {"attn_mask": mask},
        {"attn_mask": full, "key_padding_mask": padding},
    ):
        compare(reference, module, (q, k, v), need_weights=need_weights, **masks)
    single = (_x(T, sizes[0]), _x(S, sizes[1]), _x(S, sizes[2]))
    compare(reference, module, single, need_weights=need_weights)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_transformer(norm_first: bool, batch_first: bool, bias: bool) -> None:
    reference, module = _pair(
        "Transformer", E, 2, 2, 1, 12, 0.0, "gelu", batch_first=batch_first, norm_first=norm_first, bias=bias
    )  # fmt: skip
    source, target = ((N, S, E), (N, T, E)) if batch_first else ((S, N, E), (T, N, E))
    src, tgt = _x(*source), _x(*target)
    causal = torch.nn.Transformer.generate_square_subsequent_mask(T)
    own = fastnn.nn.Transformer.generate_square_subsequent_mask(T)
    np.testing.assert_array_equal(own.numpy(), causal.numpy())
    padding = torch.zeros(N, S)
    padding[1, 4:] = -float("inf")
    compare(reference, module, (src, tgt))
    compare(
        reference, module, (src, tgt), tgt_mask=causal, src_key_padding_mask=padding, memory_key_padding_mask=padding
    )  # fmt: skip
    compare(reference, module, (src, tgt), tgt_mask=causal, tgt_is_causal=True)


def test_max_norm() -> None:
    reference, module = _pair("Embedding", 6, 3, max_norm=0.5, norm_type=1.0)
    index = torch.tensor([[0, 2], [2, 5]])
    compare(reference, module, (index,))
    np.testing.assert_allclose(
        module.weight.detach().numpy(), reference.weight.detach().numpy(), rtol=0, atol=1e-7
    )


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags(mode: str) -> None:
    reference, module = _pair("EmbeddingBag", 6, 3, mode=mode, padding_idx=2)
    compare(reference, module, (torch.tensor([0, 2, 2, 5, 1]), torch.tensor([0, 1, 1, 4])))
    compare(reference, module, (torch.tensor([[0, 2], [2, 2]]),))


def test_causal_attention_of_more_queries_than_keys() -> None:
    q, k, v = _x(2, T, E), _x(2, 2, E), _x(2, 2, 3)
    sdpa = torch.nn.functional.scaled_dot_product_attention
    own = fastnn.nn.functional.scaled_dot_product_attention
    compare(sdpa, own, (q, k, v), is_causal=True)
    compare(sdpa, own, (q, k, v), scale=0.1)
    got = own(*to_fastnn((q, k, v)), dropout_p=0.0)
    assert got.requires_grad
