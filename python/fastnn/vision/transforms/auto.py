"""Augmentations that choose among many operations: AutoAugment, RandAugment, TrivialAugment, AugMix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np

from . import _random
from . import functional as F
from ._base import Transform
from ._images import InterpolationMode, largest_value, planes, to_dtype
from ._policies import CIFAR10, IMAGENET, SVHN, Policy

__all__ = ["AugMix", "AutoAugment", "AutoAugmentPolicy", "RandAugment", "TrivialAugmentWide"]

_NEAREST = InterpolationMode.NEAREST
Fill = float | Sequence[float] | None
# Per operation: its magnitudes (None: it has none), and whether a sign is drawn.
Space = dict[str, tuple[Any, bool]]


class AutoAugmentPolicy(Enum):
    """The data set that an AutoAugment policy was learnt on."""

    IMAGENET = "imagenet"
    CIFAR10 = "cifar10"
    SVHN = "svhn"


_POLICIES: dict[AutoAugmentPolicy, list[Policy]] = {
    AutoAugmentPolicy.IMAGENET: IMAGENET,
    AutoAugmentPolicy.CIFAR10: CIFAR10,
    AutoAugmentPolicy.SVHN: SVHN,
}


def _apply(img: Any, name: str, magnitude: float, interpolation: Any, fill: Fill) -> Any:
    match name:
        case "ShearX" | "ShearY":
            degrees = math.degrees(math.atan(magnitude))
            shear = (degrees, 0.0) if name == "ShearX" else (0.0, degrees)
            return F.affine(img, 0.0, (0, 0), 1.0, shear, interpolation, fill, center=(0, 0))
        case "TranslateX" | "TranslateY":
            shift = (int(magnitude), 0) if name == "TranslateX" else (0, int(magnitude))
            return F.affine(img, 0.0, shift, 1.0, (0.0, 0.0), interpolation, fill)
        case "Rotate":
            return F.rotate(img, magnitude, interpolation, fill=fill)
        case "Brightness":
            return F.adjust_brightness(img, 1.0 + magnitude)
        case "Color":
            return F.adjust_saturation(img, 1.0 + magnitude)
        case "Contrast":
            return F.adjust_contrast(img, 1.0 + magnitude)
        case "Sharpness":
            return F.adjust_sharpness(img, 1.0 + magnitude)
        case "Posterize":
            return F.posterize(img, int(magnitude))
        case "Solarize":
            return F.solarize(img, magnitude)
        case "AutoContrast":
            return F.autocontrast(img)
        case "Equalize":
            return F.equalize(img)
        case "Invert":
            return F.invert(img)
    return img  # Identity


def _space(
    bins: int,
    img: Any,
    shear: float = 0.3,
    translate: float | None = None,
    rotate: float = 30.0,
    blend: float = 0.9,
    posterize: int = 4,
) -> Space:
    """The operations and their magnitudes. ``translate`` in pixels; the learnt share of the image if None."""
    array, _ = planes(img, "augmentation")
    height, width = array.shape[-2:]
    reach_x = 150.0 / 331.0 * width if translate is None else translate
    reach_y = 150.0 / 331.0 * height if translate is None else translate
    up = np.linspace(0.0, 1.0, bins)
    return {
        "Identity": (None, False),
        "ShearX": (up * shear, True),
        "ShearY": (up * shear, True),
        "TranslateX": (up * reach_x, True),
        "TranslateY": (up * reach_y, True),
        "Rotate": (up * rotate, True),
        "Brightness": (up * blend, True),
        "Color": (up * blend, True),
        "Contrast": (up * blend, True),
        "Sharpness": (up * blend, True),
        "Posterize": (8 - np.round(np.arange(bins) / ((bins - 1) / posterize)), False),
        "Solarize": ((1 - up) * largest_value(array.dtype), False),
        "AutoContrast": (None, False),
        "Equalize": (None, False),
    }


class _Augmentation(Transform):
    def __init__(self, interpolation: Any, fill: Fill) -> None:
        super().__init__()
        self.interpolation = interpolation
        self.fill = fill

    def _one(self, img: Any, space: Space, name: str, level: int | None) -> Any:
        """The operation at a level of its magnitudes, or at a random one."""
        magnitudes, signed = space[name]
        magnitude = 0.0
        if magnitudes is not None:
            i = _random.integer(0, len(magnitudes)) if level is None else level
            magnitude = float(magnitudes[i])
        if signed and _random.chance(0.5):
            magnitude = -magnitude
        return _apply(img, name, magnitude, self.interpolation, self.fill)


class AutoAugment(_Augmentation):
    """One of 25 learnt pairs of operations, chosen at random (Cubuk et al. 2018). Images of uint8.

    Args:
        policy: The data set that the pairs were learnt on.
        interpolation, fill: See `functional.affine`.
    """

    def __init__(
        self,
        policy: AutoAugmentPolicy = AutoAugmentPolicy.IMAGENET,
        interpolation: Any = _NEAREST,
        fill: Fill = None,
    ) -> None:
        super().__init__(interpolation, fill)
        if policy not in _POLICIES:
            raise ValueError(f"The provided policy {policy} is not recognized.")
        self.policy = policy
        self.policies = _POLICIES[policy]

    def forward(self, img: Any) -> Any:
        space = _space(10, img)
        space["Invert"] = (None, False)
        for name, p, level in self.policies[_random.integer(0, len(self.policies))]:
            if _random.chance(p):
                img = self._one(img, space, name, level)
        return img

    def extra_repr(self) -> str:
        return f"policy={self.policy}, fill={self.fill}"


class RandAugment(_Augmentation):
    """``num_ops`` random operations at one magnitude (Cubuk et al. 2019). Images of uint8.

    Args:
        num_ops: How many.
        magnitude: Which of the ``num_magnitude_bins`` levels, from 0.
        num_magnitude_bins: The number of levels.
        interpolation, fill: See `functional.affine`.
    """

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: Any = _NEAREST,
        fill: Fill = None,
    ) -> None:
        super().__init__(interpolation, fill)
        if not 0 <= magnitude < num_magnitude_bins:
            raise ValueError(
                f"RandAugment: magnitude should be 0 to {num_magnitude_bins - 1}, got {magnitude}"
            )
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.num_magnitude_bins = num_magnitude_bins

    def forward(self, img: Any) -> Any:
        space = _space(self.num_magnitude_bins, img)
        names = list(space)
        for _ in range(self.num_ops):
            img = self._one(img, space, names[_random.integer(0, len(names))], self.magnitude)
        return img

    def extra_repr(self) -> str:
        return (
            f"num_ops={self.num_ops}, magnitude={self.magnitude}, "
            f"num_magnitude_bins={self.num_magnitude_bins}, fill={self.fill}"
        )


class TrivialAugmentWide(_Augmentation):
    """One random operation at a random magnitude (Müller and Hutter 2021). Images of uint8.

    Args:
        num_magnitude_bins: The number of levels.
        interpolation, fill: See `functional.affine`.
    """

    def __init__(
        self, num_magnitude_bins: int = 31, interpolation: Any = _NEAREST, fill: Fill = None
    ) -> None:
        super().__init__(interpolation, fill)
        self.num_magnitude_bins = num_magnitude_bins

    def forward(self, img: Any) -> Any:
        space = _space(self.num_magnitude_bins, img, 0.99, 32.0, 135.0, 0.99, 6)
        names = list(space)
        return self._one(img, space, names[_random.integer(0, len(names))], None)

    def extra_repr(self) -> str:
        return f"num_magnitude_bins={self.num_magnitude_bins}, fill={self.fill}"


class AugMix(_Augmentation):
    """Random chains of operations, mixed with each other and with the image (Hendrycks et al. 2019).

    Args:
        severity: Strength, 1 to 10.
        mixture_width: Number of chains.
        chain_depth: Operations a chain; 1 to 3 at random if not positive.
        alpha: Of the distributions of the weights.
        all_ops: Also brightness, colour, contrast and sharpness.
        interpolation, fill: See `functional.affine`.
    """

    def __init__(
        self,
        severity: int = 3,
        mixture_width: int = 3,
        chain_depth: int = -1,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: Any = InterpolationMode.BILINEAR,
        fill: Fill = None,
    ) -> None:
        super().__init__(interpolation, fill)
        if not 1 <= severity <= 10:
            raise ValueError(f"The severity must be between [1, 10]. Got {severity} instead.")
        self.severity = severity
        self.mixture_width = mixture_width
        self.chain_depth = chain_depth
        self.alpha = alpha
        self.all_ops = all_ops

    def forward(self, img: Any) -> Any:
        space = self._operations(img)
        names = list(space)
        array, restore = planes(img, "AugMix")
        image_weight = _random.beta(self.alpha, self.alpha)
        weights = _random.dirichlet(self.alpha, self.mixture_width) * (1 - image_weight)
        total = array * image_weight
        for weight in weights:
            part = img
            depth = self.chain_depth if self.chain_depth > 0 else _random.integer(1, 4)
            for _ in range(depth):
                level = _random.integer(0, self.severity)
                part = self._one(part, space, names[_random.integer(0, len(names))], level)
            total = total + weight * planes(part, "AugMix")[0]
        return restore(to_dtype(total, array.dtype, rounded=False))

    def _operations(self, img: Any) -> Space:
        """The operations at the strength of 10 levels, with the translations of a third of the image."""
        space = _space(10, img)
        _, height, width = F.get_dimensions(img)
        up = np.linspace(0.0, 1.0, 10)
        space["TranslateX"] = (up * (width / 3.0), True)
        space["TranslateY"] = (up * (height / 3.0), True)
        space["Posterize"] = (4 - np.round(np.arange(10) / (9 / 4)), False)
        del space["Identity"]
        if not self.all_ops:
            for name in ("Brightness", "Color", "Contrast", "Sharpness"):
                del space[name]
        return space

    def extra_repr(self) -> str:
        return (
            f"severity={self.severity}, mixture_width={self.mixture_width}, "
            f"chain_depth={self.chain_depth}, alpha={self.alpha}, all_ops={self.all_ops}"
        )
