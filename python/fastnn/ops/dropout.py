"""Dropout: of elements, and of whole channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from ..autograd.grad_mode import mode
from ..autograd.node import Node, edge_of
from ..backends import by_type
from ..random import default_generator
from .activation import _floating

if TYPE_CHECKING:
    from ..tensor import Tensor


class DropoutBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        mask, p = self.saved
        return (by_type[type(g)].dropout_backward(g, mask, p),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        mask, p = self.saved
        scale = 0.0 if p == 1 else 1.0 / (1.0 - p)
        return (g * make(mask.astype(g._data.dtype) * g._data.dtype.type(scale)),)


def check_probability(p: float, operation: str) -> None:
    """Raise ValueError unless 0 <= p <= 1."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{operation} probability has to be between 0 and 1, but got {p}")


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each element with probability ``p`` and scale the others by 1 / (1 - p); the identity unless training.

    Raises:
        ValueError: ``p`` outside [0, 1].

    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.
    """
    check_probability(p, "dropout")
    data = _floating(input, "dropout")._data
    if not training or p == 0:
        return input
    seed, offset = default_generator.advance(data.size)
    out, mask = by_type[type(data)].dropout(data, p, seed, offset)
    if input._requires_grad and mode.enabled:
        result = make(out, DropoutBackward0((edge_of(input),), (mask, p)))
    else:
        result = make(out)
    return input._write(result, "dropout_") if inplace else result


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels of (N, C, H, W) (or (C, H, W)) with probability ``p``; the identity unless training.

    Raises:
        ValueError: ``p`` outside [0, 1].
        RuntimeError: x has neither 3 nor 4 dims.
    """
    check_probability(p, "dropout2d")
    data = _floating(input, "dropout2d")._data
    if data.ndim not in (3, 4):
        raise RuntimeError(
            f"dropout2d: expected (N, C, H, W) or (C, H, W), got {tuple(data.shape)}"
        )
    if not training or p == 0:
        return input
    channels = np.ones((*data.shape[:-2], 1, 1), data.dtype)
    seed, offset = default_generator.advance(channels.size)
    factors, _ = by_type[type(data)].dropout(channels, p, seed, offset)
    result = input * make(factors)
    return input._write(result, "dropout2d_") if inplace else result
