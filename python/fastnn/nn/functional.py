"""Functions that modules call, for use without them (``import fastnn.nn.functional as F``)."""

from __future__ import annotations

from ..ops.activation import leaky_relu as _leaky_relu
from ..ops.activation import relu as _relu
from ..ops.activation import sigmoid, tanh
from ..ops.conv import conv2d
from ..ops.creation import one_hot
from ..ops.dropout import dropout, dropout2d
from ..ops.gemm import linear
from ..ops.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    l1_loss,
    mse_loss,
)
from ..ops.norm import batch_norm
from ..ops.pool import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from ..ops.softmax import cross_entropy, log_softmax, nll_loss, softmax
from ..tensor import Tensor

__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv2d",
    "cross_entropy",
    "dropout",
    "dropout2d",
    "l1_loss",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0), element by element; ``inplace`` writes it into ``input``."""
    return input.relu_() if inplace else _relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input where it is positive, else negative_slope * input; ``inplace`` writes it into ``input``."""
    out = _leaky_relu(input, negative_slope)
    return input._write(out, "leaky_relu_") if inplace else out
