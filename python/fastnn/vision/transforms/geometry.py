"""Transforms of sizes and places, fixed and random."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import _random
from . import functional as F
from ._base import Transform, check_probability
from ._images import Array, InterpolationMode, interpolation_name, pair, stack_planes
from .functional.geometry import _sides, crop_planes, pad_planes, resize_planes, scaled_size

__all__ = [
    "CenterCrop",
    "FiveCrop",
    "Pad",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomVerticalFlip",
    "Resize",
    "TenCrop",
]

_BILINEAR = InterpolationMode.BILINEAR


class Resize(Transform):
    """The image in another size; see `functional.resize`.

    >>> Resize(2)(np.zeros((4, 6), np.uint8)).shape
    (2, 3)
    """

    def __init__(
        self,
        size: int | Sequence[int] | None,
        interpolation: Any = _BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = size
        self.interpolation = interpolation
        self.max_size = max_size
        self.antialias = antialias

    def forward(self, img: Any) -> Any:
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def extra_repr(self) -> str:
        name = getattr(self.interpolation, "value", self.interpolation)
        return (
            f"size={self.size}, interpolation={name}, max_size={self.max_size}, "
            f"antialias={self.antialias}"
        )


class CenterCrop(Transform):
    """The middle of the image; see `functional.center_crop`."""

    def __init__(self, size: int | Sequence[int]) -> None:
        super().__init__()
        self.size = pair("size", size)

    def forward(self, img: Any) -> Any:
        return F.center_crop(img, self.size)

    def extra_repr(self) -> str:
        return f"size={self.size}"


class Pad(Transform):
    """The image with a border; see `functional.pad`."""

    def __init__(
        self,
        padding: int | Sequence[int],
        fill: float | Sequence[float] = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.padding = padding
        self._sides = _sides(padding)
        self.fill = fill
        self.padding_mode = padding_mode

    def forward(self, img: Any) -> Any:
        return F.pad(img, self.padding, self.fill, self.padding_mode)

    def batched(self) -> Callable[[Any], Any]:
        """The function for a stack of images."""

        def apply(images: Any) -> Any:
            planes, restore = stack_planes(images)
            return restore(pad_planes(planes, self._sides, self.fill, self.padding_mode))

        return apply

    def extra_repr(self) -> str:
        return f"padding={self.padding}, fill={self.fill}, padding_mode={self.padding_mode}"


class RandomCrop(Transform):
    """A part of the image, at a random place.

    Args:
        size: (height, width), or one number for both.
        padding: Border added first; see `functional.pad`.
        pad_if_needed: Add more where the image is still too small.
        fill, padding_mode: What the border holds; see `functional.pad`.

    Raises:
        ValueError: While cropping: the image is smaller than ``size``.

    >>> RandomCrop(2, padding=1)(np.ones((2, 2), np.uint8)).shape
    (2, 2)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: float | Sequence[float] = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size = pair("size", size)
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    @staticmethod
    def get_params(img: Any, output_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a random part of this size."""
        _, rows, columns = F.get_dimensions(img)
        height, width = output_size
        _check_room(rows, columns, output_size)
        return (
            _random.integer(0, rows - height + 1),
            _random.integer(0, columns - width + 1),
            height,
            width,
        )

    def forward(self, img: Any) -> Any:
        _, rows, columns = F.get_dimensions(img)
        sides = self._border(rows, columns)
        if any(sides):
            img = F.pad(img, sides, self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))

    def batched(self) -> Callable[[Any], Any]:
        """The function for a stack of images: each has its own place."""

        def apply(images: Any) -> Any:
            planes, restore = stack_planes(images)
            sides = self._border(*planes.shape[-2:])
            if any(sides):
                planes = pad_planes(planes, sides, self.fill, self.padding_mode)
            rows, columns = planes.shape[-2:]
            _check_room(rows, columns, self.size)
            height, width = self.size
            tops = _random.integers(rows - height + 1, len(planes)).tolist()
            lefts = _random.integers(columns - width + 1, len(planes)).tolist()
            out = np.empty((*planes.shape[:-2], height, width), planes.dtype)
            for target, plane, top, left in zip(out, planes, tops, lefts, strict=True):
                target[...] = plane[..., top : top + height, left : left + width]
            return restore(out)

        return apply

    def _border(self, rows: int, columns: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom)."""
        left, top, right, bottom = (0, 0, 0, 0) if self.padding is None else _sides(self.padding)
        if self.pad_if_needed:
            more_y = max(self.size[0] - (rows + top + bottom), 0)
            more_x = max(self.size[1] - (columns + left + right), 0)
            left, right, top, bottom = left + more_x, right + more_x, top + more_y, bottom + more_y
        return left, top, right, bottom

    def extra_repr(self) -> str:
        return f"size={self.size}, padding={self.padding}"


def _check_room(rows: int, columns: int, size: tuple[int, int]) -> None:
    if rows < size[0] or columns < size[1]:
        raise ValueError(
            f"Required crop size {size} is larger than input image size {(rows, columns)}"
        )


class _RandomFlip(Transform):
    axis = -1

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = check_probability(p)

    def forward(self, img: Any) -> Any:
        if not _random.chance(self.p):
            return img
        return F.hflip(img) if self.axis == -1 else F.vflip(img)

    def batched(self) -> Callable[[Any], Any]:
        """The function for a stack of images: each has its own chance."""

        def apply(images: Any) -> Any:
            planes, restore = stack_planes(images)
            flipped = _random.uniforms(len(planes)) < self.p
            out = planes.copy()
            out[flipped] = np.flip(planes[flipped], self.axis)
            return restore(out)

        return apply

    def extra_repr(self) -> str:
        return f"p={self.p}"


class RandomHorizontalFlip(_RandomFlip):
    """The image mirrored left to right, with probability ``p``.

    >>> RandomHorizontalFlip(p=1.0)(np.array([[1, 2]]))
    array([[2, 1]])
    """

    axis = -1


class RandomVerticalFlip(_RandomFlip):
    """The image upside down, with probability ``p``.

    >>> RandomVerticalFlip(p=1.0)(np.array([[1], [2]])).tolist()
    [[2], [1]]
    """

    axis = -2


class RandomResizedCrop(Transform):
    """A random part of the image, of random size and shape, resized to ``size``.

    Args:
        size: (height, width), or one number for both.
        scale: Limits of the part's area, as a share of the image's.
        ratio: Limits of its width over its height.
        interpolation, antialias: See `functional.resize`.

    >>> RandomResizedCrop(3)(np.ones((8, 6, 3), np.uint8)).shape
    (3, 3, 3)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = _BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = pair("size", size)
        for name, limits in (("scale", scale), ("ratio", ratio)):
            if not isinstance(limits, Sequence) or len(limits) != 2:
                raise TypeError(
                    f"{name.capitalize()} should be a sequence of two numbers, got {limits!r}"
                )
            if limits[0] > limits[1] or limits[0] < 0:
                raise ValueError(f"RandomResizedCrop: {name} should be (low, high), got {limits}")
        self.scale = scale
        self.ratio = ratio
        self.interpolation = interpolation
        self.antialias = antialias

    @staticmethod
    def get_params(
        img: Any, scale: Sequence[float], ratio: Sequence[float]
    ) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a random part."""
        _, rows, columns = F.get_dimensions(img)
        for _ in range(10):
            area = rows * columns * _random.uniform(scale[0], scale[1])
            height, width = scaled_size(area, _random.log_uniform(ratio[0], ratio[1]))
            if 0 < width <= columns and 0 < height <= rows:
                top = _random.integer(0, rows - height + 1)
                return top, _random.integer(0, columns - width + 1), height, width
        # An image so narrow that no part fits: the middle, as large as the limits of the ratio allow.
        shape = columns / rows
        height, width = rows, columns
        if shape < min(ratio):
            height = round(width / min(ratio))
        elif shape > max(ratio):
            width = round(height * max(ratio))
        return (rows - height) // 2, (columns - width) // 2, height, width

    def forward(self, img: Any) -> Any:
        place = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *place, self.size, self.interpolation, self.antialias)

    def batched(self) -> Callable[[Any], Any]:
        """The function for a stack of images: each has its own part."""

        def apply(images: Any) -> Any:
            planes, restore = stack_planes(images)
            allowed = ["nearest", "nearest-exact", "bilinear", "bicubic"]
            mode = interpolation_name(self.interpolation, "resize", allowed)
            out = np.empty((*planes.shape[:-2], *self.size), planes.dtype)
            for target, image in zip(out, planes, strict=True):
                place = self.get_params(image.transpose(1, 2, 0), self.scale, self.ratio)
                target[...] = _resized(
                    crop_planes(image, *place), self.size, mode, bool(self.antialias)
                )
            return restore(out)

        return apply

    def extra_repr(self) -> str:
        scale, ratio = (tuple(round(s, 4) for s in v) for v in (self.scale, self.ratio))
        name = getattr(self.interpolation, "value", self.interpolation)
        return (
            f"size={self.size}, scale={scale}, ratio={ratio}, interpolation={name}, "
            f"antialias={self.antialias}"
        )


def _resized(array: Array, size: tuple[int, int], mode: str, antialias: bool) -> Array:
    if array.shape[-2:] == size:
        return array
    return resize_planes(array, *size, mode, antialias)


class FiveCrop(Transform):
    """The corners and the middle, as a tuple; see `functional.five_crop`."""

    def __init__(self, size: int | Sequence[int]) -> None:
        super().__init__()
        self.size = pair("size", size)

    def forward(self, img: Any) -> Any:
        return F.five_crop(img, self.size)

    def extra_repr(self) -> str:
        return f"size={self.size}"


class TenCrop(Transform):
    """The corners and the middle of the image and of its mirror image; see `functional.ten_crop`."""

    def __init__(self, size: int | Sequence[int], vertical_flip: bool = False) -> None:
        super().__init__()
        self.size = pair("size", size)
        self.vertical_flip = vertical_flip

    def forward(self, img: Any) -> Any:
        return F.ten_crop(img, self.size, self.vertical_flip)

    def extra_repr(self) -> str:
        return f"size={self.size}, vertical_flip={self.vertical_flip}"


class RandomErasing(Transform):
    """Sets a random rectangle of a tensor (Zhong et al. 2017).

    Args:
        p: Probability that it does.
        scale: Limits of the rectangle's area, as a share of the image's.
        ratio: Limits of its height over its width.
        value: A number, one a channel, or "random": standard normal numbers.
        inplace: Write into the tensor that is given.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: float | Sequence[float] | str = 0,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        if not 0 <= scale[0] <= scale[1] <= 1:
            raise ValueError(f"Scale should be between 0 and 1, got {scale}")
        if not 0 < ratio[0] <= ratio[1]:
            raise ValueError(f"RandomErasing: ratio should be (low, high), got {ratio}")
        self.p = check_probability(p)
        self.scale = scale
        self.ratio = ratio
        self.value = value
        self.inplace = inplace

    def forward(self, img: Any) -> Any:
        if not _random.chance(self.p):
            return img
        channels, rows, columns = F.get_dimensions(img)
        value: Any = self.value
        if not isinstance(value, (int, float, str)):
            if len(value) not in (1, channels):
                raise ValueError(
                    f"If value is a sequence, it should have either a single value or {channels} "
                    "(number of input channels)"
                )
            value = np.asarray(value).reshape(-1, 1, 1)
        for _ in range(10):
            area = rows * columns * _random.uniform(self.scale[0], self.scale[1])
            aspect = math.exp(_random.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            width, height = scaled_size(area, aspect)
            if height >= rows or width >= columns:
                continue
            if isinstance(value, str):
                value = _random.normal((channels, height, width), np.float32)
            top = _random.integer(0, rows - height + 1)
            left = _random.integer(0, columns - width + 1)
            return F.erase(img, top, left, height, width, value, self.inplace)
        return img

    def extra_repr(self) -> str:
        return (
            f"p={self.p}, scale={self.scale}, ratio={self.ratio}, value={self.value}, "
            f"inplace={self.inplace}"
        )
