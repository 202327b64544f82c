"""Rotations and other maps of the plane: each output pixel looks up where it comes from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._images import (
    Array,
    InterpolationMode,
    computing_dtype,
    interpolation_name,
    planes,
    to_dtype,
)
from .geometry import channel_values

__all__ = ["affine", "perspective", "rotate"]

_NEAREST = InterpolationMode.NEAREST
_MODES = ["nearest", "bilinear"]


def rotate(
    img: Any,
    angle: float,
    interpolation: Any = _NEAREST,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: float | Sequence[float] | None = None,
) -> Any:
    """The image turned by ``angle`` degrees against the clock.

    Args:
        img: The image.
        angle: Degrees.
        interpolation: NEAREST or BILINEAR.
        expand: Make the result large enough for the whole turned image (about its own middle).
        center: (x, y) of the point that stays, from the top left corner; the middle if None.
        fill: Value of what lies outside, or one a channel; 0 if None.

    >>> rotate(np.array([[1, 2], [3, 4]]), 90)
    array([[2, 4],
           [1, 3]])
    """
    name = interpolation_name(interpolation, "rotate", _MODES)
    array, restore = planes(img, "rotate")
    height, width = array.shape[-2:]
    matrix = _affine_matrix(-angle, (0.0, 0.0), 1.0, (0.0, 0.0))
    if expand:
        corners = np.array([[x, y] for x in (-0.5, 0.5) for y in (-0.5, 0.5)]) * (width, height)
        # Counted from the image's corner, as Pillow does; a quarter turn's sizes are whole numbers.
        reach = np.round(corners @ matrix[:2, :2].T + (width / 2, height / 2), 4)
        span = np.ceil(reach.max(axis=0)) - np.floor(reach.min(axis=0))
        size = (int(span[1]), int(span[0]))
    else:
        size = (height, width)
        matrix = _about(matrix, center, height, width)
    return restore(_warp(array, np.linalg.inv(matrix), size, name, fill, "rotate"))


def affine(
    img: Any,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    interpolation: Any = _NEAREST,
    fill: float | Sequence[float] | None = None,
    center: Sequence[float] | None = None,
) -> Any:
    """The image turned, scaled, sheared and shifted.

    Args:
        img: The image.
        angle: Degrees, with the clock.
        translate: Pixels to the right and down.
        scale: Factor, greater than 0.
        shear: Degrees along x, or along x and y.
        interpolation: NEAREST or BILINEAR.
        fill: Value of what lies outside, or one a channel; 0 if None.
        center: (x, y) of the point about which it is turned; the middle if None.

    Raises:
        ValueError: ``scale`` is not positive, or a sequence has another length than 2.

    >>> affine(np.array([[1, 2, 3]]), 0, (1, 0), 1.0, 0)
    array([[0, 1, 2]])
    """
    name = interpolation_name(interpolation, "affine", _MODES)
    if len(translate) != 2:
        raise ValueError(f"translate should be a sequence of length 2, got {translate}")
    if scale <= 0.0:
        raise ValueError(f"Argument scale should be positive, got {scale}")
    angles = (shear, 0.0) if isinstance(shear, (int, float)) else (*shear, 0.0)[:2]
    if isinstance(shear, Sequence) and len(shear) not in (1, 2):
        raise ValueError(f"Shear should be a sequence containing two values. Got {shear}")
    array, restore = planes(img, "affine")
    height, width = array.shape[-2:]
    matrix = _affine_matrix(angle, (0.0, 0.0), scale, angles)
    matrix = _about(matrix, center, height, width)
    matrix[:2, 2] += translate
    return restore(_warp(array, np.linalg.inv(matrix), (height, width), name, fill, "affine"))


def perspective(
    img: Any,
    startpoints: Sequence[Sequence[int]],
    endpoints: Sequence[Sequence[int]],
    interpolation: Any = InterpolationMode.BILINEAR,
    fill: float | Sequence[float] | None = None,
) -> Any:
    """The image seen from elsewhere: four points of it come to lie at four others.

    Args:
        img: The image.
        startpoints: Four points (x, y) of the image: top left, top right, bottom right, bottom left.
        endpoints: Where they go.
        interpolation: NEAREST or BILINEAR.
        fill: Value of what lies outside, or one a channel; 0 if None.

    Raises:
        ValueError: There are not four points, or three of them lie on a line.
    """
    name = interpolation_name(interpolation, "perspective", _MODES)
    if len(startpoints) != 4 or len(endpoints) != 4:
        raise ValueError("perspective: startpoints and endpoints must be four points each")
    array, restore = planes(img, "perspective")
    height, width = array.shape[-2:]
    rows, wanted = [], []
    for (x, y), (u, v) in zip(endpoints, startpoints, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    try:
        solution = np.linalg.solve(np.array(rows, np.float64), np.array(wanted, np.float64))
    except np.linalg.LinAlgError as error:
        raise ValueError(
            f"perspective: no map takes {list(startpoints)} to {list(endpoints)}"
        ) from error
    # From corner coordinates to those about the middle, which `_warp` uses.
    to_corner = np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1]])
    inverse = np.linalg.inv(to_corner) @ np.append(solution, 1.0).reshape(3, 3) @ to_corner
    return restore(_warp(array, inverse, (height, width), name, fill, "perspective"))


def _affine_matrix(
    angle: float, translate: Sequence[float], scale: float, shear: Sequence[float]
) -> Array:
    """Rotation · scale · shear along y · shear along x, then the translation; y points down."""
    turn = math.radians(angle)
    shear_x, shear_y = (math.tan(math.radians(a)) for a in shear)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    matrix = np.eye(3)
    matrix[:2, :2] = (
        scale * rotation @ np.array([[1, 0], [-shear_y, 1]]) @ np.array([[1, -shear_x], [0, 1]])
    )
    matrix[:2, 2] = translate
    return matrix


def _about(matrix: Array, center: Sequence[float] | None, height: int, width: int) -> Array:
    """The map about another point than the middle."""
    if center is None:
        return matrix
    if len(center) != 2:
        raise ValueError(f"Argument center should be a sequence of length 2, got {center}")
    point = np.array([center[0] - width / 2, center[1] - height / 2])
    result: Array = matrix.copy()
    result[:2, 2] += point - matrix[:2, :2] @ point
    return result


def _warp(
    array: Array, inverse: Array, size: tuple[int, int], mode: str, fill: Any, operation: str
) -> Array:
    """Samples (…, C, H, W) where ``inverse`` takes the output's pixel centres, both about the middles."""
    height, width = size
    rows, columns = array.shape[-2:]
    y, x = np.meshgrid(
        np.arange(height) + 0.5 - height / 2, np.arange(width) + 0.5 - width / 2, indexing="ij"
    )
    u, v, w = (line[0] * x + line[1] * y + line[2] for line in inverse)
    # Pixels behind the viewer divide by numbers at or below 0; they lie outside.
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = u / w + (columns / 2 - 0.5), v / w + (rows / 2 - 0.5)
    u, v = (np.where(np.isfinite(c), np.clip(np.round(c, 9), -9, n + 9), -9) for c, n in ((u, columns), (v, rows)))  # fmt: skip
    border = channel_values(operation, fill, array)
    if mode == "nearest":
        i, j = np.rint(v).astype(np.int64), np.rint(u).astype(np.int64)
        inside = (i >= 0) & (i < rows) & (j >= 0) & (j < columns)
        picked = array[..., np.clip(i, 0, rows - 1), np.clip(j, 0, columns - 1)]
        return np.where(inside, picked, border)
    dtype = computing_dtype(array.dtype)
    i, j = np.floor(v).astype(np.int64), np.floor(u).astype(np.int64)
    down, right = v - i, u - j
    total = np.zeros((*array.shape[:-2], height, width), dtype)
    covered = np.zeros((height, width), dtype)
    for row, weight_y in ((i, 1 - down), (i + 1, down)):
        for column, weight_x in ((j, 1 - right), (j + 1, right)):
            inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
            weight = np.where(inside, weight_y * weight_x, 0).astype(dtype)
            total += weight * array[..., np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)]
            covered += weight
    total += (1 - covered) * border.astype(dtype)
    return to_dtype(total, array.dtype)
