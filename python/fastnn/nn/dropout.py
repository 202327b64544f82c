"""Dropout layers."""

from __future__ import annotations

from ..ops.dropout import check_probability, dropout, dropout2d
from ..tensor import Tensor
from .module import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        check_probability(p, "dropout")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Zero each element with probability ``p`` when training, and scale the others by 1 / (1 - p)."""

    def forward(self, input: Tensor) -> Tensor:
        """The input with some elements dropped; as it is in evaluation mode."""
        return dropout(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """Zero whole channels of (N, C, H, W) with probability ``p`` when training."""

    def forward(self, input: Tensor) -> Tensor:
        """The input with some channels dropped; as it is in evaluation mode."""
        return dropout2d(input, self.p, self.training, self.inplace)
