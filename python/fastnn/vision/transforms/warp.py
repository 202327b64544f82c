"""Random rotations, affine maps and changes of perspective."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import _random
from . import functional as F
from ._base import Transform, check_probability, interval
from ._images import InterpolationMode

__all__ = ["RandomAffine", "RandomPerspective", "RandomRotation"]

_NEAREST = InterpolationMode.NEAREST
Fill = float | Sequence[float]


class RandomRotation(Transform):
    """The image turned by a random angle.

    Args:
        degrees: (low, high), or one number for (-degrees, degrees).
        interpolation, expand, center, fill: See `functional.rotate`.

    >>> import numpy as np
    >>> RandomRotation((90, 90))(np.array([[1, 2], [3, 4]])).tolist()
    [[2, 4], [1, 3]]
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: Any = _NEAREST,
        expand: bool = False,
        center: Sequence[float] | None = None,
        fill: Fill | None = 0,
    ) -> None:
        super().__init__()
        self.degrees = interval("degrees", degrees)
        self.interpolation = interpolation
        self.expand = expand
        self.center = center
        self.fill = fill

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        """A random angle."""
        return _random.uniform(degrees[0], degrees[1])

    def forward(self, img: Any) -> Any:
        angle = self.get_params(self.degrees)
        return F.rotate(img, angle, self.interpolation, self.expand, self.center, self.fill)

    def extra_repr(self) -> str:
        name = getattr(self.interpolation, "value", self.interpolation)
        return f"degrees={list(self.degrees)}, interpolation={name}, expand={self.expand}, fill={self.fill}"


class RandomAffine(Transform):
    """The image turned, shifted, scaled and sheared at random.

    Args:
        degrees: Limits of the angle, or one number for (-degrees, degrees).
        translate: Largest shifts along x and y, as shares of width and height.
        scale: Limits of the factor.
        shear: Degrees: one number for (-shear, shear) along x, limits along x, or limits along x and y.
        interpolation, fill, center: See `functional.affine`.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: Any = _NEAREST,
        fill: Fill = 0,
        center: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.degrees = interval("degrees", degrees)
        if translate is not None and not (
            len(translate) == 2 and all(0.0 <= t <= 1.0 for t in translate)
        ):
            raise ValueError(f"translation values should be two between 0 and 1, got {translate}")
        if scale is not None and not (len(scale) == 2 and all(s > 0 for s in scale)):
            raise ValueError(f"scale values should be two positive ones, got {scale}")
        self.translate = translate
        self.scale = scale
        self.shear: tuple[float, ...] | None = None
        if isinstance(shear, Sequence) and len(shear) == 4:
            self.shear = (*interval("shear", shear[:2]), *interval("shear", shear[2:]))
        elif shear is not None:
            self.shear = interval("shear", shear)
        self.interpolation = interpolation
        self.fill = fill
        self.center = center

    @staticmethod
    def get_params(
        degrees: Sequence[float],
        translate: Sequence[float] | None,
        scale_ranges: Sequence[float] | None,
        shears: Sequence[float] | None,
        img_size: Sequence[int],
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
        """(angle, translation, scale, shear), at random; ``img_size`` is (width, height)."""
        angle = _random.uniform(degrees[0], degrees[1])
        shift = (0, 0)
        if translate is not None:
            reach = [share * size for share, size in zip(translate, img_size, strict=True)]
            shift = (round(_random.uniform(-reach[0], reach[0])), round(_random.uniform(-reach[1], reach[1])))  # fmt: skip
        scale = 1.0 if scale_ranges is None else _random.uniform(*scale_ranges[:2])
        shear_x = shear_y = 0.0
        if shears is not None:
            shear_x = _random.uniform(shears[0], shears[1])
            if len(shears) == 4:
                shear_y = _random.uniform(shears[2], shears[3])
        return angle, shift, scale, (shear_x, shear_y)

    def forward(self, img: Any) -> Any:
        _, height, width = F.get_dimensions(img)
        drawn = self.get_params(
            self.degrees, self.translate, self.scale, self.shear, (width, height)
        )
        return F.affine(
            img, *drawn, interpolation=self.interpolation, fill=self.fill, center=self.center
        )

    def extra_repr(self) -> str:
        given = {"translate": self.translate, "scale": self.scale, "shear": self.shear}
        parts = [f"{name}={value}" for name, value in given.items() if value is not None]
        return ", ".join([f"degrees={list(self.degrees)}", *parts])


class RandomPerspective(Transform):
    """The image seen from a random place.

    Args:
        distortion_scale: How far the corners move inwards: 0 not at all, 1 up to the middle.
        p: Probability that it does.
        interpolation, fill: See `functional.perspective`.
    """

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: Any = InterpolationMode.BILINEAR,
        fill: Fill = 0,
    ) -> None:
        super().__init__()
        if not 0 <= distortion_scale <= 1:
            raise ValueError(
                f"Argument distortion_scale value should be between 0 and 1, got {distortion_scale}"
            )
        self.distortion_scale = distortion_scale
        self.p = check_probability(p)
        self.interpolation = interpolation
        self.fill = fill

    @staticmethod
    def get_params(
        width: int, height: int, distortion_scale: float
    ) -> tuple[list[list[int]], list[list[int]]]:
        """The corners (x, y), clockwise from the top left one, and where they go."""
        reach_x = int(distortion_scale * (width // 2)) + 1
        reach_y = int(distortion_scale * (height // 2)) + 1

        def near(x: int, y: int) -> list[int]:
            dx, dy = _random.integer(0, reach_x), _random.integer(0, reach_y)
            return [dx if x == 0 else x - dx, dy if y == 0 else y - dy]

        corners = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
        return corners, [near(x, y) for x, y in corners]

    def forward(self, img: Any) -> Any:
        if not _random.chance(self.p):
            return img
        _, height, width = F.get_dimensions(img)
        corners, moved = self.get_params(width, height, self.distortion_scale)
        return F.perspective(img, corners, moved, self.interpolation, self.fill)

    def extra_repr(self) -> str:
        return f"distortion_scale={self.distortion_scale}, p={self.p}"
