"""Dropout: of elements, and of whole channels."""

from __future__ import annotations

import math
import warnings
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


__all__ = [
    "alpha_dropout",
    "dropout",
    "feature_alpha_dropout",
]


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


def _channels(input: Tensor, p: float, training: bool, inplace: bool, spatial: int) -> Tensor:
    """Zero whole channels, whose ``spatial`` axes are the last."""
    operation = f"dropout{spatial}d"
    data = input._data
    if not training or p == 0:
        return input
    channels = np.ones_like(data, shape=(*data.shape[:-spatial], *(1,) * spatial))
    seed, offset = default_generator.advance(channels.size)
    factors, _ = by_type[type(data)].dropout(channels, p, seed, offset)
    result = input * make(factors)
    return input._write(result, operation + "_") if inplace else result


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels of (N, C, L) (or (C, L)) with probability ``p``; the identity unless training.

    Raises:
        ValueError: ``p`` outside [0, 1].
        RuntimeError: x has neither 2 nor 3 dims.
    """
    check_probability(p, "dropout1d")
    ndim = _floating(input, "dropout1d")._data.ndim
    if ndim not in (2, 3):
        raise RuntimeError(f"dropout1d: expected 2D or 3D input, got {ndim}D")
    return _channels(input, p, training, inplace, 1)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels of (N, C, H, W) with probability ``p``; the identity unless training.

    Three dims are (N, C, L), as in PyTorch, with a warning: ``dropout1d`` is meant for them.

    Raises:
        ValueError: ``p`` outside [0, 1].
        RuntimeError: x has neither 3 nor 4 dims.
    """
    check_probability(p, "dropout2d")
    data = _floating(input, "dropout2d")._data
    if data.ndim not in (3, 4):
        raise RuntimeError(
            f"dropout2d: expected (N, C, H, W) or (N, C, L), got {tuple(data.shape)}"
        )
    if data.ndim == 3:
        warnings.warn(
            f"dropout2d: a 3D input {tuple(data.shape)} is taken as (N, C, L); use dropout1d, or unsqueeze(0) for "
            "one image",
            UserWarning,
            stacklevel=2,
        )
        return _channels(input, p, training, inplace, 1)
    return _channels(input, p, training, inplace, 2)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels of (N, C, D, H, W) (or (C, D, H, W)) with probability ``p``; the identity unless training.

    Raises:
        ValueError: ``p`` outside [0, 1].
        RuntimeError: x has neither 4 nor 5 dims.
    """
    check_probability(p, "dropout3d")
    ndim = _floating(input, "dropout3d")._data.ndim
    if ndim not in (4, 5):
        raise RuntimeError(f"dropout3d: expected 4D or 5D input, got {ndim}D")
    return _channels(input, p, training, inplace, 3)


# What SELU's outputs tend to: -scale * alpha (Klambauer et al. 2017)
_SELU_LIMIT = -1.7580993408473766


def _alpha(
    input: Tensor, p: float, training: bool, inplace: bool, shape: tuple[int, ...], operation: str
) -> Tensor:
    check_probability(p, operation)
    data = _floating(input, operation)._data
    if not training or p == 0:
        return input
    if p == 1:
        result = input * 0
    else:
        seed, offset = default_generator.advance(math.prod(shape))
        ones = np.ones_like(data, shape=shape)
        _, mask = by_type[type(data)].dropout(ones, p, seed, offset)
        # Values at the limit instead of 0, then the affine map that restores mean 0 and variance 1
        scale = 1.0 / math.sqrt((p * _SELU_LIMIT**2 + 1.0) * (1.0 - p))
        kept = mask.astype(data.dtype)
        shift = (1 - kept) * (_SELU_LIMIT * scale) - p * _SELU_LIMIT * scale
        result = input * make(kept * data.dtype.type(scale)) + make(shift.astype(data.dtype))
    return input._write(result, operation + "_") if inplace else result


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Set elements to SELU's limit with probability ``p``, and restore mean and variance; for networks of SELUs.

    Raises:
        ValueError: ``p`` outside [0, 1].

    G. Klambauer et al., "Self-normalizing neural networks", 2017.
    """
    return _alpha(input, p, training, inplace, input._data.shape, "alpha_dropout")


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """``alpha_dropout`` of whole channels of (N, C, ...).

    Raises:
        ValueError: ``p`` outside [0, 1].
        RuntimeError: fewer than 2 dims.
    """
    data = input._data
    if training and data.ndim < 2:
        raise RuntimeError(
            f"feature_alpha_dropout: expected at least 2 dims (N, C, ...), got {tuple(data.shape)}"
        )
    shape = data.shape[:2] + (1,) * (data.ndim - 2)
    return _alpha(input, p, training, inplace, shape, "feature_alpha_dropout")
