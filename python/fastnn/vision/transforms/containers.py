"""Transforms of transforms: all in turn, some, one, or in random order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastnn.utils.data.batching import batched

from . import _random
from ._base import Transform, check_probability

__all__ = ["Compose", "Lambda", "RandomApply", "RandomChoice", "RandomOrder"]


class Compose:
    """Applies several transforms in turn.

    >>> from fastnn.vision.transforms import Normalize, ToTensor
    >>> Compose([ToTensor(), Normalize((0.5,), (0.5,))])
    Compose(
        ToTensor()
        Normalize(mean=(0.5,), std=(0.5,))
    )
    """

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        self.transforms = transforms

    def __call__(self, *inputs: Any) -> Any:
        value = inputs[0] if len(inputs) == 1 else inputs
        for transform in self.transforms:
            value = transform(value)
        return value

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


class Lambda:
    """Applies a function of your own to each image.

    A function of one image says nothing about a stack of them, so the `DataLoader` goes sample by sample.

    Args:
        lambd: The function.
        *types: If given, only inputs of these types are transformed.

    >>> import fastnn
    >>> Lambda(lambda image: image.flatten())(fastnn.zeros(1, 2, 3)).shape
    fastnn.Size([6])
    """

    def __init__(self, lambd: Callable[[Any], Any], *types: type) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd
        self.types = types

    def __call__(self, img: Any) -> Any:
        return self.lambd(img) if not self.types or isinstance(img, self.types) else img

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class RandomApply(Transform):
    """Applies all of the transforms, in turn, with probability ``p``; else none."""

    def __init__(self, transforms: Sequence[Callable[..., Any]], p: float = 0.5) -> None:
        super().__init__()
        self.transforms = transforms
        self.p = check_probability(p)

    def forward(self, img: Any) -> Any:
        if not _random.chance(self.p):
            return img
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        lines = [f"    {transform}" for transform in self.transforms]
        return "\n".join([f"{type(self).__name__}(", f"    p={self.p}", *lines, ")"])


class RandomChoice(Transform):
    """Applies one of the transforms.

    Args:
        transforms: The transforms.
        p: Their weights; equal if None.

    Raises:
        ValueError: Not as many weights as transforms.
    """

    def __init__(
        self, transforms: Sequence[Callable[..., Any]], p: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        if p is not None and len(p) != len(transforms):
            raise ValueError(
                f"Length of p doesn't match the number of transforms: {len(p)} != {len(transforms)}"
            )
        self.transforms = transforms
        self.p = p

    def forward(self, img: Any) -> Any:
        return self.transforms[_random.choice(len(self.transforms), self.p)](img)

    def extra_repr(self) -> str:
        return f"transforms={list(self.transforms)}, p={self.p}"


class RandomOrder(Transform):
    """Applies all of the transforms, in random order."""

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        super().__init__()
        self.transforms = transforms

    def forward(self, img: Any) -> Any:
        for i in _random.permutation(len(self.transforms)):
            img = self.transforms[i](img)
        return img

    def extra_repr(self) -> str:
        return f"transforms={list(self.transforms)}"
