"""Transforms of colours and light, fixed and random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import _random
from . import functional as F
from ._base import Transform, check_probability, interval

__all__ = [
    "ColorJitter",
    "GaussianBlur",
    "Grayscale",
    "RandomAdjustSharpness",
    "RandomAutocontrast",
    "RandomEqualize",
    "RandomGrayscale",
    "RandomInvert",
    "RandomPosterize",
    "RandomSolarize",
]

Limits = tuple[float, float] | None


class ColorJitter(Transform):
    """Brightness, contrast, saturation and hue changed at random, in random order.

    Args:
        brightness, contrast, saturation: Limits of the factor, or x for (max(0, 1 - x), 1 + x).
        hue: Limits within -0.5 … 0.5, or x for (-x, x).

    >>> import numpy as np
    >>> ColorJitter(brightness=(2.0, 2.0))(np.full((1, 1), 60, np.uint8))
    array([[120]], dtype=uint8)
    """

    def __init__(
        self,
        brightness: float | Sequence[float] = 0,
        contrast: float | Sequence[float] = 0,
        saturation: float | Sequence[float] = 0,
        hue: float | Sequence[float] = 0,
    ) -> None:
        super().__init__()
        limit = (0.0, float("inf"))
        self.brightness = _jitter("brightness", brightness, 1.0, limit)
        self.contrast = _jitter("contrast", contrast, 1.0, limit)
        self.saturation = _jitter("saturation", saturation, 1.0, limit)
        self.hue = _jitter("hue", hue, 0.0, (-0.5, 0.5))

    @staticmethod
    def get_params(
        brightness: Limits, contrast: Limits, saturation: Limits, hue: Limits
    ) -> tuple[list[int], float | None, float | None, float | None, float | None]:
        """The order of the four, and their factors; None where nothing changes."""
        order = _random.permutation(4)
        b, c, s, h = (
            None if limits is None else _random.uniform(limits[0], limits[1])
            for limits in (brightness, contrast, saturation, hue)
        )
        return order, b, c, s, h

    def forward(self, img: Any) -> Any:
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        adjust = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for i in order:
            factor = factors[i]
            if factor is not None:
                img = adjust[i](img, factor)
        return img

    def extra_repr(self) -> str:
        return (
            f"brightness={self.brightness}, contrast={self.contrast}, saturation={self.saturation}, "
            f"hue={self.hue}"
        )


def _jitter(name: str, value: Any, center: float, bounds: tuple[float, float]) -> Limits:
    low, high = interval(name, value, center, bounds)
    return None if low == high == center else (low, high)


class Grayscale(Transform):
    """The image without colour, in 1 channel or 3 equal ones."""

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, self.num_output_channels)

    def extra_repr(self) -> str:
        return f"num_output_channels={self.num_output_channels}"


class RandomGrayscale(Transform):
    """The image without colour, in as many channels, with probability ``p``."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__()
        self.p = check_probability(p)

    def forward(self, img: Any) -> Any:
        if not _random.chance(self.p):
            return img
        return F.rgb_to_grayscale(img, F.get_image_num_channels(img))

    def extra_repr(self) -> str:
        return f"p={self.p}"


class GaussianBlur(Transform):
    """The image blurred by a bell curve of random width.

    Args:
        kernel_size: Odd width of the kernel, or (x, y).
        sigma: Limits of the standard deviation, in pixels, or the one there is.
    """

    def __init__(
        self, kernel_size: int | Sequence[int], sigma: float | Sequence[float] = (0.1, 2.0)
    ) -> None:
        super().__init__()
        sizes = (kernel_size,) if isinstance(kernel_size, int) else tuple(kernel_size)
        if len(sizes) not in (1, 2) or any(k <= 0 or k % 2 == 0 for k in sizes):
            raise ValueError(
                f"Kernel size value should be an odd and positive number, got {kernel_size}"
            )
        self.kernel_size = (sizes[0], sizes[-1])
        self.sigma = (sigma, sigma) if isinstance(sigma, (int, float)) else (sigma[0], sigma[1])
        if not 0.0 < self.sigma[0] <= self.sigma[1]:
            raise ValueError(
                f"sigma values should be positive and of the form (min, max), got {sigma}"
            )

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """A random standard deviation."""
        return _random.uniform(sigma_min, sigma_max)

    def forward(self, img: Any) -> Any:
        return F.gaussian_blur(img, self.kernel_size, self.get_params(*self.sigma))

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, sigma={self.sigma}"


class _RandomChange(Transform):
    """A function of the image, applied with probability ``p``."""

    function: Callable[..., Any]

    def __init__(self, p: float, **arguments: Any) -> None:
        super().__init__()
        self.p = check_probability(p)
        self._arguments = arguments

    def forward(self, img: Any) -> Any:
        if not _random.chance(self.p):
            return img
        return type(self).function(img, **self._arguments)

    def extra_repr(self) -> str:
        return ",".join(
            [*(f"{name}={value}" for name, value in self._arguments.items()), f"p={self.p}"]
        )


class RandomInvert(_RandomChange):
    """White minus the image, with probability ``p``."""

    function = staticmethod(F.invert)

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)


class RandomPosterize(_RandomChange):
    """The highest ``bits`` bits of each channel, with probability ``p``."""

    function = staticmethod(F.posterize)

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p, bits=bits)
        self.bits = bits


class RandomSolarize(_RandomChange):
    """Values from ``threshold`` up inverted, with probability ``p``."""

    function = staticmethod(F.solarize)

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p, threshold=threshold)
        self.threshold = threshold


class RandomAdjustSharpness(_RandomChange):
    """The image sharpened or blurred, with probability ``p``; see `functional.adjust_sharpness`."""

    function = staticmethod(F.adjust_sharpness)

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p, sharpness_factor=sharpness_factor)
        self.sharpness_factor = sharpness_factor


class RandomAutocontrast(_RandomChange):
    """Each channel stretched from black to white, with probability ``p``."""

    function = staticmethod(F.autocontrast)

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)


class RandomEqualize(_RandomChange):
    """Each channel's values spread evenly, with probability ``p``."""

    function = staticmethod(F.equalize)

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)
