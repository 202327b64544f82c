"""Sizes and places: resizing, cropping, padding, mirroring, erasing."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import fastnn

from .._images import (
    Array,
    InterpolationMode,
    computing_dtype,
    interpolation_name,
    is_pil,
    pair,
    planes,
    to_dtype,
)

__all__ = [
    "center_crop",
    "crop",
    "erase",
    "five_crop",
    "get_dimensions",
    "get_image_num_channels",
    "get_image_size",
    "hflip",
    "pad",
    "resize",
    "resized_crop",
    "ten_crop",
    "vflip",
]

_BILINEAR = InterpolationMode.BILINEAR


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width].

    >>> get_dimensions(np.zeros((4, 6, 3), np.uint8))
    [3, 4, 6]
    """
    array, _ = planes(img, "get_dimensions")
    return [array.shape[-3] if array.ndim > 2 else 1, *array.shape[-2:]]


def get_image_size(img: Any) -> list[int]:
    """[width, height]."""
    _, height, width = get_dimensions(img)
    return [width, height]


def get_image_num_channels(img: Any) -> int:
    """The number of channels."""
    return get_dimensions(img)[0]


def resize(
    img: Any,
    size: int | Sequence[int] | None,
    interpolation: Any = _BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """The image in another size.

    Args:
        img: The image.
        size: (height, width), or one number for the shorter side, the other one in proportion. None: the longer
            side becomes ``max_size``.
        interpolation: NEAREST, NEAREST_EXACT, BILINEAR or BICUBIC; more for PIL images.
        max_size: The longer side is at most this; only where ``size`` is one number or None.
        antialias: Average over what an output pixel covers where the image shrinks; PIL images are always so.

    Raises:
        ValueError: Sizes that are not positive, or do not go together; an interpolation there is not.

    >>> resize(np.arange(16, dtype=np.uint8).reshape(4, 4), 2)
    array([[ 4,  5],
           [10, 11]], dtype=uint8)
    """
    _, height, width = get_dimensions(img)
    new_height, new_width = _resized(height, width, size, max_size)
    if is_pil(img):
        names = ["nearest", "nearest-exact", "bilinear", "bicubic", "box", "hamming", "lanczos"]
        name = interpolation_name(interpolation, "resize", names)
        number = {"lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}.get(name, 0)
        return img.resize((new_width, new_height), number)
    allowed = ["nearest", "nearest-exact", "bilinear", "bicubic"]
    name = interpolation_name(interpolation, "resize", allowed)
    array, restore = planes(img, "resize")
    if (new_height, new_width) == (height, width):
        return img
    return restore(resize_planes(array, new_height, new_width, name, bool(antialias)))


def resize_planes(array: Array, height: int, width: int, mode: str, antialias: bool) -> Array:
    """`resize` of an array (…, H, W)."""
    rows, columns = array.shape[-2:]
    if mode.startswith("nearest"):
        shift = 0.5 if mode == "nearest-exact" else 0.0
        y = np.minimum(((np.arange(height) + shift) * (rows / height)).astype(np.int64), rows - 1)
        x = np.minimum(
            ((np.arange(width) + shift) * (columns / width)).astype(np.int64), columns - 1
        )
        return np.ascontiguousarray(array[..., y[:, None], x])
    dtype = computing_dtype(array.dtype)
    values = array.astype(dtype, copy=False)
    if width != columns:
        values = values @ _weights(columns, width, mode, antialias).astype(dtype).T
    if height != rows:
        values = _weights(rows, height, mode, antialias).astype(dtype) @ values
    return to_dtype(values, array.dtype)


@functools.lru_cache(maxsize=64)
def _weights(n: int, m: int, mode: str, antialias: bool) -> Array:
    """The matrix (m, n) that resizes a row of n pixels to m: each row sums to 1."""
    scale = n / m
    stretch = max(scale, 1.0) if antialias else 1.0
    centres = (np.arange(m) + 0.5) * scale
    if antialias:  # what lies beyond the edge does not count
        distance = (np.arange(n) + 0.5 - centres[:, None]) / stretch
        weights: Array = _kernel(distance, mode, -0.5)
        weights /= weights.sum(axis=1, keepdims=True)
        return weights
    # The pixel at the edge stands for those beyond it.
    taps = 1 if mode == "bilinear" else 2
    first = np.floor(centres - 0.5).astype(np.int64)
    weights = np.zeros((m, n))
    for k in range(1 - taps, taps + 1):
        source = first + k
        value = _kernel(source + 0.5 - centres, mode, -0.75)
        np.add.at(weights, (np.arange(m), np.clip(source, 0, n - 1)), value)
    return weights


def _kernel(x: Array, mode: str, a: float) -> Array:
    """The triangle, or the cubic convolution kernel (Keys 1981) with parameter ``a``."""
    x = np.abs(x)
    if mode == "bilinear":
        return np.maximum(1.0 - x, 0.0)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _resized(height: int, width: int, size: Any, max_size: int | None) -> tuple[int, int]:
    if size is None:
        if not isinstance(max_size, int):
            raise ValueError(f"resize: size=None needs max_size to be an integer, got {max_size}")
        long, short = max(height, width), min(height, width)
        new_long, new_short = max_size, int(max_size * short / long)
        return (new_short, new_long) if height <= width else (new_long, new_short)
    if isinstance(size, Sequence) and len(size) == 2:
        if max_size is not None:
            raise ValueError(
                "max_size should only be passed if size specifies the length of the smaller edge, "
                "i.e. size should be an int or a sequence of length 1 in torchscript mode."
            )
        result = pair("size", size)
    else:
        wanted, _ = pair("size", size)
        short, long = min(height, width), max(height, width)
        new_short, new_long = wanted, int(wanted * long / short)
        if max_size is not None:
            if max_size <= wanted:
                raise ValueError(
                    f"max_size = {max_size} must be strictly greater than the requested size for the "
                    f"smaller edge size = {size}"
                )
            if new_long > max_size:
                new_short, new_long = int(max_size * new_short / new_long), max_size
        result = (new_short, new_long) if height <= width else (new_long, new_short)
    if min(result) <= 0:
        raise ValueError(f"resize: sizes must be positive, got {result}")
    return result


def pad(
    img: Any,
    padding: int | Sequence[int],
    fill: float | Sequence[float] | None = 0,
    padding_mode: str = "constant",
) -> Any:
    """The image with a border.

    Args:
        img: The image.
        padding: Of all sides; or (left and right, top and bottom); or (left, top, right, bottom).
        fill: Value of the border, or one a channel.
        padding_mode: "constant", "edge", "reflect" or "symmetric".

    Raises:
        ValueError: Negative padding, another mode.

    >>> pad(np.array([[1, 2]]), (1, 0), padding_mode="edge")
    array([[1, 1, 2, 2]])
    """
    left, top, right, bottom = _sides(padding)
    array, restore = planes(img, "pad")
    return restore(pad_planes(array, (left, top, right, bottom), fill, padding_mode))


def pad_planes(array: Array, sides: tuple[int, int, int, int], fill: Any, mode: str) -> Array:
    """`pad` of an array (…, C, H, W)."""
    if mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError(
            f"Padding mode should be either constant, edge, reflect or symmetric, got {mode!r}"
        )
    left, top, right, bottom = sides
    widths = [(0, 0)] * (array.ndim - 2) + [(top, bottom), (left, right)]
    if mode != "constant":
        return np.pad(array, widths, mode=mode)  # type: ignore[call-overload,no-any-return]
    height, width = array.shape[-2:]
    shape = (*array.shape[:-2], height + top + bottom, width + left + right)
    out = np.empty(shape, array.dtype)
    out[...] = channel_values("pad", fill, array)
    out[..., top : top + height, left : left + width] = array
    return out


def channel_values(operation: str, fill: Any, array: Array) -> Array:
    """A fill value, or one a channel, so that it broadcasts against (…, C, H, W)."""
    values = np.atleast_1d(np.asarray(0 if fill is None else fill, dtype=np.float64))
    channels = array.shape[-3] if array.ndim > 2 else 1
    if values.ndim != 1 or len(values) not in (1, channels):
        raise ValueError(
            f"{operation}: fill should be a number or {channels} numbers (one a channel), got {fill!r}"
        )
    return to_dtype(values, array.dtype).reshape(-1, 1, 1)


def _sides(padding: Any) -> tuple[int, int, int, int]:
    sides = (padding,) if isinstance(padding, (int, np.integer)) else tuple(padding)
    if len(sides) not in (1, 2, 4):
        raise ValueError(
            f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(sides)} element tuple"
        )
    if any(side < 0 for side in sides):
        raise ValueError(f"pad: padding must not be negative, got {padding}; use crop")
    if len(sides) == 4:
        return sides
    return (int(sides[0]), int(sides[-1])) * 2


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The part of an image that starts at (top, left); what lies outside of the image is 0.

    >>> crop(np.arange(9).reshape(3, 3), 1, 1, 2, 3)
    array([[4, 5, 0],
           [7, 8, 0]])
    """
    array, restore = planes(img, "crop")
    return restore(crop_planes(array, top, left, height, width))


def crop_planes(array: Array, top: int, left: int, height: int, width: int) -> Array:
    """`crop` of an array (…, H, W)."""
    rows, columns = array.shape[-2:]
    if top >= 0 and left >= 0 and top + height <= rows and left + width <= columns:
        return array[..., top : top + height, left : left + width]
    out = np.zeros((*array.shape[:-2], height, width), array.dtype)
    y0, y1 = max(top, 0), min(top + height, rows)
    x0, x1 = max(left, 0), min(left + width, columns)
    if y0 < y1 and x0 < x1:
        out[..., y0 - top : y1 - top, x0 - left : x1 - left] = array[..., y0:y1, x0:x1]
    return out


def center_crop(img: Any, output_size: int | Sequence[int]) -> Any:
    """The middle of an image, with a border of 0 where the image is smaller.

    >>> center_crop(np.arange(9).reshape(3, 3), 1)
    array([[4]])
    """
    height, width = pair("output_size", output_size)
    _, rows, columns = get_dimensions(img)
    if height > rows or width > columns:
        extra_y, extra_x = max(height - rows, 0), max(width - columns, 0)
        sides = (extra_x // 2, extra_y // 2, (extra_x + 1) // 2, (extra_y + 1) // 2)
        img = pad(img, sides)
        _, rows, columns = get_dimensions(img)
    return crop(img, round((rows - height) / 2.0), round((columns - width) / 2.0), height, width)


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: int | Sequence[int],
    interpolation: Any = _BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """`crop`, then `resize` to ``size``."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def hflip(img: Any) -> Any:
    """The image mirrored left to right.

    >>> hflip(np.array([[1, 2, 3]]))
    array([[3, 2, 1]])
    """
    array, restore = planes(img, "hflip")
    return restore(np.ascontiguousarray(array[..., ::-1]))


def vflip(img: Any) -> Any:
    """The image upside down.

    >>> vflip(np.array([[1], [2]]))
    array([[2],
           [1]])
    """
    array, restore = planes(img, "vflip")
    return restore(np.ascontiguousarray(array[..., ::-1, :]))


def five_crop(img: Any, size: int | Sequence[int]) -> tuple[Any, Any, Any, Any, Any]:
    """The four corners and the middle: top left, top right, bottom left, bottom right, centre.

    Raises:
        ValueError: The image is smaller than ``size``.
    """
    height, width = pair("size", size)
    _, rows, columns = get_dimensions(img)
    if height > rows or width > columns:
        raise ValueError(
            f"Requested crop size {(height, width)} is bigger than input size {(rows, columns)}"
        )
    corners = [(y, x) for y in (0, rows - height) for x in (0, columns - width)]
    first, second, third, fourth = (crop(img, y, x, height, width) for y, x in corners)
    return first, second, third, fourth, center_crop(img, (height, width))


def ten_crop(img: Any, size: int | Sequence[int], vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of the image, and of the image mirrored (upside down if ``vertical_flip``)."""
    mirrored = vflip(img) if vertical_flip else hflip(img)
    return five_crop(img, size) + five_crop(mirrored, size)


def erase(img: Any, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Any:
    """The image with the rectangle at row i, column j, h high and w wide, set to ``v``.

    Args:
        img: A tensor (…, C, H, W), or another image.
        i, j, h, w: The rectangle.
        v: A number, or an array or tensor that broadcasts to (C, h, w).
        inplace: Write into the tensor that is given.
    """
    value = v.numpy() if isinstance(v, fastnn.Tensor) else v
    if inplace and isinstance(img, fastnn.Tensor):
        img[..., i : i + h, j : j + w] = fastnn.from_numpy(
            np.asarray(value, dtype=img.numpy().dtype)
        )
        return img
    array, restore = planes(img, "erase")
    out = np.array(array)
    out[..., i : i + h, j : j + w] = value
    return restore(out)


def scaled_size(area: float, ratio: float) -> tuple[int, int]:
    """(height, width) of a rectangle of this area and ratio of width to height."""
    return round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
