"""Transforms of images, with torchvision's names.

Each transform takes one image. Those with a ``batched`` method also take a stack of them, which the
`DataLoader` uses for data in memory; see `fastnn.utils.data.batching`.
"""

from . import functional
from .transforms import Compose, Lambda, Normalize, ToTensor

__all__ = ["Compose", "Lambda", "Normalize", "ToTensor", "functional"]
