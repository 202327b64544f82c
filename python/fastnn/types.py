"""Names for annotations, as PyTorch's ``torch.types`` has them."""

from __future__ import annotations

from typing import TypeAlias

from ._device import device
from ._dtype import dtype
from .tensor import Tensor

__all__ = ["Device", "Number", "Tensor"]

Number: TypeAlias = int | float | bool
Device: TypeAlias = device | str | int | None
_dtype: TypeAlias = dtype
_device: TypeAlias = device
_int: TypeAlias = int
_float: TypeAlias = float
_bool: TypeAlias = bool
_size: TypeAlias = tuple[int, ...] | list[int]
