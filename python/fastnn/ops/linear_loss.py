"""Cross-entropy of a linear map's outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .gemm import linear
from .softmax import cross_entropy

if TYPE_CHECKING:
    from ..tensor import Tensor


@dataclass(frozen=True)
class LinearCrossEntropyOptions:
    """How PyTorch cuts the batch of ``linear_cross_entropy`` to save memory.

    Here the logits of the whole batch are one product, so that these change nothing.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: Any = None


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: LinearCrossEntropyOptions | None = None,
) -> Tensor:
    """``cross_entropy(linear(input, linear_weight, linear_bias), target)``.

    Args:
        input: (N, in_features) or (in_features,).
        linear_weight: (C, in_features), or (C, d1, ..., in_features) for losses of several dims.
        target: class indices (N, d1, ...), or probabilities of the logits' shape (N, C, d1, ...).
        linear_bias: (C,) or (C, d1, ...).
        weight, reduction, label_smoothing: as ``cross_entropy``.
        ignore_index: targets that count nothing; None: -100.
        options: how to save memory; changes nothing here.

    Raises:
        RuntimeError: shapes that do not fit, or an ``ignore_index`` for probabilities.
    """
    shape, w_shape = input._data.shape, linear_weight._data.shape
    if len(shape) not in (1, 2) or len(w_shape) < 2 or shape[-1] != w_shape[-1]:
        raise RuntimeError(
            "linear_cross_entropy: expected input (N, in_features) or (in_features,) and linear_weight "
            f"(C, ..., in_features), got {tuple(shape)} and {tuple(w_shape)}"
        )
    outputs = w_shape[:-1]
    if linear_bias is not None and linear_bias._data.shape != outputs:
        raise RuntimeError(
            f"linear_cross_entropy: expected linear_bias shape {outputs}, got {tuple(linear_bias.shape)}"
        )
    if len(outputs) > 1 and len(shape) == 1:
        raise RuntimeError(
            f"linear_cross_entropy: linear_weight of shape {tuple(w_shape)} requires batched input, got {tuple(shape)}"
        )
    logits_shape = (*shape[:-1], *outputs)
    if target._data.shape == logits_shape and ignore_index is not None:
        raise RuntimeError(
            "linear_cross_entropy: ignore_index cannot be specified when target contains probabilities"
        )
    count = math.prod(outputs)
    bias = None if linear_bias is None else linear_bias.reshape(count)
    logits = linear(input, linear_weight.reshape(count, w_shape[-1]), bias).reshape(logits_shape)
    return cross_entropy(
        logits,
        target,
        weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
