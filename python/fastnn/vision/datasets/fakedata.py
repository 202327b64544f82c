"""Images of noise, to try things out without data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn.random import Generator, uniform_array

from .vision import VisionDataset

__all__ = ["FakeData"]


class FakeData(VisionDataset):
    """Images of noise with random labels; the same ones for the same index and offset.

    Args:
        size: how many.
        image_size: (channels, height, width).
        num_classes: labels are 0 to num_classes - 1.
        transform: function of the image, a uint8 array (H, W, C).
        target_transform: function of the label.
        random_offset: other values give other images.

    Raises:
        IndexError: an index outside the data set.

    >>> image, label = FakeData(size=4, image_size=(3, 8, 6))[2]
    >>> image.shape, 0 <= label < 10
    ((8, 6, 3), True)
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: Sequence[int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size = size
        self.image_size = tuple(image_size)
        self.num_classes = num_classes
        self.random_offset = random_offset

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        if not 0 <= index < self.size:
            raise IndexError(f"FakeData index out of range: {index} of {self.size}")
        generator = Generator().manual_seed(int(index) + self.random_offset)
        channels, height, width = self.image_size
        noise = uniform_array((height, width, channels), np.dtype(np.float32), generator)
        label = uniform_array((1,), np.dtype(np.float64), generator)[0] * self.num_classes
        return self._transformed((noise * 256).astype(np.uint8), int(label))

    def __len__(self) -> int:
        return self.size
