"""PyTorch's values as fastnn's, and back as arrays, for the tests that run both libraries."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

import fastnn

EPS = float(np.finfo(np.float32).eps)


def array_of(t: torch.Tensor) -> Any:
    """The array of a PyTorch tensor with its strides; bfloat16 through float32, which holds it exactly."""
    t = t.detach().resolve_conj().resolve_neg()
    if t.dtype is torch.bfloat16:
        return t.float().numpy().astype(fastnn.bfloat16.numpy)
    return t.numpy(force=True)  # also of PyTorch's lazy zeros


def to_fastnn(value: Any, leaves: list[tuple[torch.Tensor, fastnn.Tensor]] | None = None) -> Any:
    """``value`` with everything of PyTorch's replaced; ``leaves`` collects the pairs that require grad."""
    if isinstance(value, torch.Tensor):
        for theirs, ours in leaves or ():
            if theirs is value:  # the same tensor twice
                return ours
        t = _copy(value)
        if value.requires_grad:
            t.requires_grad_()
            if leaves is not None:
                leaves.append((value, t))
        return t
    if isinstance(value, torch.nn.utils.rnn.PackedSequence):
        return fastnn.nn.utils.rnn.PackedSequence(*(to_fastnn(v, leaves) for v in value))
    if isinstance(value, torch.dtype):
        return getattr(fastnn, str(value).removeprefix("torch."))
    if isinstance(value, torch.Size):
        return fastnn.Size(value)
    if isinstance(value, torch.device):
        return fastnn.device(value.type)
    if isinstance(value, torch.memory_format):
        return getattr(fastnn, str(value).removeprefix("torch."))
    if isinstance(value, torch.layout):
        return getattr(fastnn, str(value).removeprefix("torch."))
    if isinstance(value, torch.Generator):
        return fastnn.Generator()
    if isinstance(value, dict):
        return {k: to_fastnn(v, leaves) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        items = [to_fastnn(v, leaves) for v in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, torch.nn.TransformerEncoderLayer):
        return _encoder_layer(value)
    if isinstance(value, torch.nn.PairwiseDistance):
        return fastnn.nn.PairwiseDistance(value.norm, value.eps, value.keepdim)
    if isinstance(value, torch.nn.TransformerEncoderLayer):
        return _encoder_layer(value)
    if isinstance(value, torch.nn.LinearCrossEntropyOptions):
        return fastnn.nn.LinearCrossEntropyOptions(
            **{k: to_fastnn(v) for k, v in dataclasses.asdict(value).items()}
        )
    name = getattr(value, "__name__", None)
    if name is not None and getattr(torch.nn.functional, name, None) is value:
        return getattr(fastnn.nn.functional, name)
    return value


def _copy(value: torch.Tensor) -> fastnn.Tensor:
    """A copy with value's strides, in a copy of the whole storage where it shows only a part of that."""
    value = value.detach()
    whole = (
        value.untyped_storage().nbytes() // value.element_size()
        if value.layout is torch.strided
        else 0
    )
    if whole <= value.numel() or value.dtype is torch.bfloat16 or not value.numel():
        return fastnn.from_numpy(np.array(array_of(value), order="K", copy=True))
    memory = torch.empty(0, dtype=value.dtype).set_(value.untyped_storage()).numpy().copy()
    steps = [s * memory.itemsize for s in value.stride()]
    offset = value.storage_offset() * memory.itemsize
    return fastnn.from_numpy(np.ndarray(tuple(value.shape), memory.dtype, memory, offset, steps))


def _encoder_layer(layer: torch.nn.TransformerEncoderLayer) -> fastnn.nn.TransformerEncoderLayer:
    """fastnn's layer with the arguments of PyTorch's; one is an argument of ``TransformerEncoder``."""
    return fastnn.nn.TransformerEncoderLayer(
        layer.linear1.in_features, layer.self_attn.num_heads, layer.linear1.out_features, layer.dropout.p,
        to_fastnn(layer.activation), layer.norm1.eps, layer.self_attn.batch_first, layer.norm_first,
        layer.linear1.bias is not None, dtype=to_fastnn(layer.linear1.weight.dtype),
    )  # fmt: skip


def flat(value: Any) -> list[Any]:
    """The tensors and numbers of a nest, in order."""
    if isinstance(value, (list, tuple)):
        return [x for v in value for x in flat(v)]
    if isinstance(value, dict):
        return [x for v in value.values() for x in flat(v)]
    return [value]


def dtype_name(x: Any) -> str:
    """The dtype's name without its library; a number's type."""
    return str(x.dtype).split(".")[-1] if hasattr(x, "dtype") else type(x).__name__


def close(got: Any, expected: Any, terms: float = 64) -> str | None:
    """None where arrays agree to ``terms`` roundings of their largest finite value, else what differs.

    64: the operations' sums have tens of terms, each rounded once, and their results pass through a few functions.
    """
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        return f"shape {got.shape}, expected {expected.shape}"
    if got.dtype.kind in "biu":
        return None if np.array_equal(got, expected) else f"got {got}, expected {expected}"
    low_precision = got.dtype.itemsize < 4
    kind = got.dtype.name
    got, expected = (a if a.dtype.kind == "c" else a.astype(np.float64) for a in (got, expected))
    finite = np.isfinite(expected)
    if not np.array_equal(np.isfinite(got), finite) or not np.array_equal(
        got[~finite], expected[~finite], equal_nan=True
    ):
        return f"got {got}, expected {expected}"
    if not expected.size:
        return None
    eps = (2.0**-7 if kind == "bfloat16" else 2.0**-10) if low_precision else EPS
    scale = max(1.0, float(np.abs(expected[finite]).max(initial=0.0)))
    worst = float(np.abs(got[finite] - expected[finite]).max(initial=0.0))
    if worst <= terms * eps * scale:
        return None
    return f"differs by {worst:.3g} (allowed {terms * eps * scale:.3g}): got {got}, expected {expected}"
