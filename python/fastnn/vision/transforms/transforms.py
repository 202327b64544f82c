"""The transforms as objects, for a data set's ``transform`` argument."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import fastnn
from fastnn import nn
from fastnn.utils.data.batching import batched

from . import functional as F

__all__ = ["Compose", "Lambda", "Normalize", "ToTensor"]


class Compose:
    """Applies several transforms in turn.

    >>> Compose([ToTensor(), Normalize((0.5,), (0.5,))])
    Compose(
        ToTensor()
        Normalize(mean=(0.5,), std=(0.5,))
    )
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def batched(self) -> Callable[[Any], Any] | None:
        """The composed forms for a stack of images, if every transform has one."""
        forms = []
        for transform in self.transforms:
            form = batched(transform)
            if form is None:
                return None
            forms.append(form)

        def apply(images: Any) -> Any:
            for form in forms:
                images = form(images)
            return images

        return apply

    def __repr__(self) -> str:
        lines = [f"    {transform}" for transform in self.transforms]
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])


class ToTensor:
    """An image (a NumPy array or a PIL image) as a tensor (C, H, W); bytes become floats 0…1.

    >>> import numpy as np
    >>> ToTensor()(np.full((2, 2), 255, dtype=np.uint8)).numpy().tolist()
    [[[1.0, 1.0], [1.0, 1.0]]]
    """

    def __call__(self, pic: Any) -> fastnn.Tensor:
        return F.to_tensor(pic)

    def batched(self) -> Callable[[Any], fastnn.Tensor]:
        """The function for a stack of images (N, H, W) or (N, H, W, C)."""
        return F.images_to_tensor

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Normalize(nn.Module):
    """(image - mean) / std, channel by channel.

    Args:
        mean, std: One number a channel.
        inplace: Write the result into the image that is given.

    >>> Normalize((0.5,), (0.25,))(fastnn.tensor([[[0.5, 1.0]]])).numpy().tolist()
    [[[0.0, 2.0]]]
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        super().__init__()
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def forward(self, tensor: fastnn.Tensor) -> fastnn.Tensor:
        return F.normalize(tensor, self.mean, self.std, self.inplace)

    def batched(self) -> Callable[[fastnn.Tensor], fastnn.Tensor]:
        """The function for a stack of images (N, C, H, W): the same one."""
        return self.forward

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mean={self.mean}, std={self.std})"


class Lambda:
    """Applies a function of your own to each image.

    A function of one image says nothing about a stack of them, so the `DataLoader` goes sample by sample.

    >>> Lambda(lambda image: image.flatten())(fastnn.zeros(1, 2, 3)).shape
    fastnn.Size([6])
    """

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
