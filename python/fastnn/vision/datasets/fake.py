"""Images of noise, to try a program without data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import fastnn

from .vision import VisionDataset

__all__ = ["FakeData"]


class FakeData(VisionDataset):
    """Random images with random labels, the same every time.

    A sample is ``(image, label)``: a uint8 array (H, W, C) and an int.

    Args:
        size: Number of samples.
        image_size: (C, H, W).
        num_classes: Number of classes.
        transform: Function of the image.
        target_transform: Function of the label.
        random_offset: Added to the index to seed a sample: another one, other samples.

    >>> image, label = FakeData(size=3, image_size=(3, 4, 5))[2]
    >>> image.shape, 0 <= label < 10
    ((4, 5, 3), True)
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size = size
        self.image_size = image_size
        self.num_classes = num_classes
        self.random_offset = random_offset

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        if index >= len(self):
            raise IndexError(f"{type(self).__name__} index out of range")
        generator = fastnn.Generator().manual_seed(int(index) + self.random_offset)
        noise = fastnn.randint(0, 256, self.image_size, generator=generator, dtype=fastnn.uint8)
        image: Any = np.ascontiguousarray(noise.numpy().transpose(1, 2, 0))
        target: Any = int(fastnn.randint(0, self.num_classes, (1,), generator=generator).item())
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __len__(self) -> int:
        return self.size
