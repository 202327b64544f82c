"""Transforms of images, with torchvision's names.

Each transform takes one image. Those with a ``batched`` method also take a stack of them, which the
`DataLoader` uses for data in memory; see `fastnn.utils.data.batching`.
"""

from typing import TYPE_CHECKING

from ..._help import getattr_of
from . import functional
from .transforms import Compose, Lambda, Normalize, ToTensor

__all__ = ["Compose", "Lambda", "Normalize", "ToTensor", "functional"]

if not TYPE_CHECKING:  # a checker must see that a name is missing
    __getattr__ = getattr_of(__name__)
