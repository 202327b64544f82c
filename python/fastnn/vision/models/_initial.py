"""Initial weights that the networks share."""

from __future__ import annotations

from fastnn import nn

__all__: list[str] = []


def plain_norm(module: nn.BatchNorm2d | nn.GroupNorm) -> None:
    """Scale 1 and shift 0, where there are any."""
    if module.weight is not None:
        nn.init.ones_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)


def small_linear(module: nn.Linear) -> None:
    """Normal weights of deviation 0.01, no bias."""
    nn.init.normal_(module.weight, 0, 0.01)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
