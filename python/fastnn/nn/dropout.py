"""Dropout layers."""

from __future__ import annotations

from typing import Any

from ..ops import dropout as ops
from ..tensor import Tensor
from .module import Module


class _Dropout(Module):
    _operation: Any

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        ops.check_probability(p, "dropout")
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The input with some of it dropped; as it is in evaluation mode."""
        result: Tensor = self._operation(input, self.p, self.training, self.inplace)
        return result

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Zero each element with probability ``p`` when training, and scale the others by 1 / (1 - p)."""

    _operation = staticmethod(ops.dropout)


class Dropout1d(_Dropout):
    """Zero whole channels of (N, C, L) with probability ``p`` when training."""

    _operation = staticmethod(ops.dropout1d)


class Dropout2d(_Dropout):
    """Zero whole channels of (N, C, H, W) with probability ``p`` when training."""

    _operation = staticmethod(ops.dropout2d)


class Dropout3d(_Dropout):
    """Zero whole channels of (N, C, D, H, W) with probability ``p`` when training."""

    _operation = staticmethod(ops.dropout3d)


class AlphaDropout(_Dropout):
    """Set elements to SELU's limit with probability ``p`` when training, and restore mean and variance.

    G. Klambauer et al., "Self-normalizing neural networks", 2017.
    """

    _operation = staticmethod(ops.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """``AlphaDropout`` of whole channels."""

    _operation = staticmethod(ops.feature_alpha_dropout)
