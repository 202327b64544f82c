"""Mixed precision: PyTorch's ``autocast`` and ``GradScaler``.

Without a GPU both are off for "cuda" and say so.
"""

from __future__ import annotations

from .._help import getattr_of
from .autocast_mode import (
    autocast,
    custom_bwd,
    custom_fwd,
    is_autocast_available,
)
from .grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

__getattr__ = getattr_of(__name__)
