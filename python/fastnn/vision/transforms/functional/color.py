"""Colours and light: brightness, contrast, hue, histograms, blur and sharpness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._images import (
    Array,
    computing_dtype,
    is_pil,
    largest_value,
    planes,
    to_dtype,
)

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "autocontrast",
    "equalize",
    "gaussian_blur",
    "invert",
    "posterize",
    "rgb_to_grayscale",
    "solarize",
    "to_grayscale",
]

# Luma of ITU-R BT.601, with the digits that torchvision has.
_LUMA = (0.2989, 0.587, 0.114)


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """The image without colour, in 1 channel or in 3 equal ones.

    Raises:
        ValueError: ``num_output_channels`` is neither 1 nor 3, or the image has neither 1 nor 3 channels.

    >>> rgb_to_grayscale(np.full((1, 1, 3), 100, np.uint8))
    array([[[99]]], dtype=uint8)
    """
    if num_output_channels not in (1, 3):
        raise ValueError(f"num_output_channels should be either 1 or 3, got {num_output_channels}")
    if is_pil(img):
        gray = img.convert("L")
        return gray if num_output_channels == 1 else gray.convert("RGB")
    array, restore = planes(img, "rgb_to_grayscale")
    gray = _gray(array)
    if num_output_channels == 3:
        gray = np.repeat(gray, 3, axis=-3)
    return restore(gray)


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """`rgb_to_grayscale`."""
    return rgb_to_grayscale(img, num_output_channels)


def _gray(array: Array) -> Array:
    channels = array.shape[-3] if array.ndim > 2 else 1
    if channels == 1:
        same: Array = array.copy()
        return same
    if channels != 3:
        raise ValueError(f"Input image tensor should have 1 or 3 channels, but found {channels}")
    dtype = computing_dtype(array.dtype)
    red, green, blue = (array[..., c, :, :].astype(dtype, copy=False) for c in range(3))
    luma = red * dtype(_LUMA[0]) + green * dtype(_LUMA[1]) + blue * dtype(_LUMA[2])
    return to_dtype(luma[..., None, :, :], array.dtype, rounded=False)


def _blend(first: Array, second: Any, factor: float) -> Array:
    dtype = computing_dtype(first.dtype)
    mixed = first.astype(dtype) * dtype(factor) + second * dtype(1.0 - factor)
    return to_dtype(np.clip(mixed, 0, largest_value(first.dtype)), first.dtype, rounded=False)


def _not_negative(name: str, factor: float) -> None:
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """The image times a factor: 0 is black, 1 the image itself.

    >>> adjust_brightness(np.array([[100, 200]], np.uint8), 1.5)
    array([[150, 255]], dtype=uint8)
    """
    _not_negative("brightness_factor", brightness_factor)
    array, restore = planes(img, "adjust_brightness")
    return restore(_blend(array, array.dtype.type(0), brightness_factor))


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """The image's distance from its mean gray, times a factor: 0 is one gray, 1 the image itself."""
    _not_negative("contrast_factor", contrast_factor)
    array, restore = planes(img, "adjust_contrast")
    dtype = computing_dtype(array.dtype)
    gray = _gray(array if array.ndim > 2 else array[None])
    mean = gray.mean(axis=(-3, -2, -1), keepdims=True, dtype=dtype)
    return restore(_blend(array, mean if array.ndim > 2 else mean[0], contrast_factor))


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """The colours' distance from gray, times a factor: 0 is gray, 1 the image itself."""
    _not_negative("saturation_factor", saturation_factor)
    array, restore = planes(img, "adjust_saturation")
    if array.ndim < 3 or array.shape[-3] == 1:
        return img
    gray = _gray(array).astype(computing_dtype(array.dtype))
    return restore(_blend(array, gray, saturation_factor))


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """The colours moved round the circle of hues.

    Args:
        img: The image, of 1 or 3 channels.
        hue_factor: -0.5 to 0.5, the part of the circle.

    Raises:
        ValueError: ``hue_factor`` lies outside.

    >>> adjust_hue(np.array([[[255, 0, 0]]], np.uint8), 1 / 3).ravel().tolist()
    [0, 255, 0]
    """
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    array, restore = planes(img, "adjust_hue")
    channels = array.shape[-3] if array.ndim > 2 else 1
    if channels == 1:
        return img
    if channels != 3:
        raise ValueError(f"adjust_hue: the image should have 1 or 3 channels, but found {channels}")
    white = largest_value(array.dtype)
    rgb = array.astype(computing_dtype(array.dtype)) / white
    hue, saturation, value = _to_hsv(rgb)
    shifted = _from_hsv((hue + hue_factor) % 1.0, saturation, value)
    return restore(to_dtype(shifted * white, array.dtype))


def _to_hsv(rgb: Array) -> tuple[Array, Array, Array]:
    """Hue, saturation and value (Smith 1978), each 0…1."""
    red, green, blue = (rgb[..., c, :, :] for c in range(3))
    value = rgb.max(axis=-3)
    span = value - rgb.min(axis=-3)
    safe = np.where(span == 0, 1, span)
    saturation = span / np.where(value == 0, 1, value)
    sector = np.where(
        value == red,
        (green - blue) / safe,
        np.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    return (sector / 6) % 1.0, saturation, value


def _from_hsv(hue: Array, saturation: Array, value: Array) -> Array:
    def channel(n: int) -> Array:
        k = (n + hue * 6) % 6
        level: Array = value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1)
        return level

    return np.stack([channel(5), channel(3), channel(1)], axis=-3)


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """gain · image ^ gamma, with the image from 0 to 1."""
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    array, restore = planes(img, "adjust_gamma")
    white = largest_value(array.dtype)
    unit = array.astype(computing_dtype(array.dtype)) / white
    result = np.clip(gain * unit**gamma, 0, 1)
    if white == 1.0:
        return restore(to_dtype(result, array.dtype))
    # The scale of torchvision's conversion: 1.0 becomes the largest integer, and each has an equal share.
    return restore(to_dtype(result * (white + 1 - 1e-3), array.dtype, rounded=False))


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """From blurred (0) over the image itself (1) to sharper."""
    _not_negative("sharpness_factor", sharpness_factor)
    array, restore = planes(img, "adjust_sharpness")
    if min(array.shape[-2:]) <= 2:
        return img
    dtype = computing_dtype(array.dtype)
    values = array.astype(dtype)
    height, width = array.shape[-2:]
    around = sum(
        values[..., y : y + height - 2, x : x + width - 2] for y in range(3) for x in range(3)
    )
    smooth = values.copy()
    middle = values[..., 1:-1, 1:-1]
    smooth[..., 1:-1, 1:-1] = to_dtype((around + 4 * middle) / dtype(13), array.dtype)
    return restore(_blend(array, smooth, sharpness_factor))


def gaussian_blur(
    img: Any, kernel_size: int | Sequence[int], sigma: float | Sequence[float] | None = None
) -> Any:
    """The image convolved with a bell curve; mirrored at its edges.

    Args:
        img: The image.
        kernel_size: Odd width of the kernel, or (x, y).
        sigma: Standard deviation in pixels, or (x, y); 0.3 ((kernel_size - 1) / 2 - 1) + 0.8 if None.

    Raises:
        ValueError: A size that is not odd and positive, a sigma that is not positive, an image that is too small.

    >>> gaussian_blur(np.full((3, 3), 7, np.uint8), 3)[0].tolist()
    [7, 7, 7]
    """
    kx, ky = _two("kernel_size", kernel_size)
    for k in (kx, ky):
        if k % 2 == 0 or k <= 0 or int(k) != k:
            raise ValueError(
                f"kernel_size should have odd and positive integers. Got {kernel_size}"
            )
    sx, sy = (0.15 * kx + 0.35, 0.15 * ky + 0.35) if sigma is None else _two("sigma", sigma)
    if sx <= 0 or sy <= 0:
        raise ValueError(f"sigma should have positive values. Got {sigma}")
    array, restore = planes(img, "gaussian_blur")
    if array.shape[-1] <= kx // 2 or array.shape[-2] <= ky // 2:
        raise ValueError(
            f"gaussian_blur: kernel_size {kernel_size} is too large to mirror an image of "
            f"{array.shape[-2]}×{array.shape[-1]}"
        )
    dtype = computing_dtype(array.dtype)
    values = array.astype(dtype)
    for axis, k, s in ((-1, int(kx), sx), (-2, int(ky), sy)):
        values = _convolve(values, _bell(k, s).astype(dtype), axis)
    return restore(to_dtype(values, array.dtype))


def _two(name: str, value: Any) -> tuple[Any, Any]:
    if isinstance(value, (int, float)):
        return value, value
    if len(value) not in (1, 2):
        raise ValueError(f"{name} should be a number or a sequence of 2, got {value}")
    return value[0], value[-1]


def _bell(size: int, sigma: float) -> Array:
    x = np.arange(size) - (size - 1) / 2
    weights = np.exp(-0.5 * (x / sigma) ** 2)
    normalised: Array = weights / weights.sum()
    return normalised


def _convolve(values: Array, kernel: Array, axis: int) -> Array:
    margin = len(kernel) // 2
    widths = [(0, 0)] * values.ndim
    widths[axis] = (margin, margin)
    wide = np.moveaxis(np.pad(values, widths, mode="reflect"), axis, -1)
    n = values.shape[axis]
    total = sum(weight * wide[..., k : k + n] for k, weight in enumerate(kernel))
    return np.moveaxis(np.asarray(total), -1, axis)


def invert(img: Any) -> Any:
    """White minus the image.

    >>> invert(np.array([[0, 255]], np.uint8))
    array([[255,   0]], dtype=uint8)
    """
    array, restore = planes(img, "invert")
    return restore(_inverted(array))


def _inverted(array: Array) -> Array:
    inverted: Array = array.dtype.type(largest_value(array.dtype)) - array
    return inverted


def posterize(img: Any, bits: int) -> Any:
    """The image with the highest ``bits`` bits a channel.

    Raises:
        TypeError: The image is not of uint8.

    >>> posterize(np.array([[255, 70]], np.uint8), 2)
    array([[192,  64]], dtype=uint8)
    """
    array, restore = planes(img, "posterize")
    _bytes_only("posterize", array)
    if not 0 <= bits <= 8:
        raise ValueError(f"posterize: bits should be 0 to 8, got {bits}")
    return restore(array & np.uint8(256 - 2 ** (8 - bits)) if bits else array & np.uint8(0))


def solarize(img: Any, threshold: float) -> Any:
    """The image with the values from ``threshold`` up inverted.

    >>> solarize(np.array([[10, 200]], np.uint8), 128)
    array([[10, 55]], dtype=uint8)
    """
    array, restore = planes(img, "solarize")
    if threshold > largest_value(array.dtype):
        raise TypeError("Threshold should be less than bound of img.")
    return restore(np.where(array >= threshold, _inverted(array), array))


def autocontrast(img: Any) -> Any:
    """Each channel stretched from black to white.

    >>> autocontrast(np.array([[50, 100, 150]], np.uint8))
    array([[  0, 127, 255]], dtype=uint8)
    """
    array, restore = planes(img, "autocontrast")
    dtype = computing_dtype(array.dtype)
    values = array.astype(dtype)
    low = values.min(axis=(-2, -1), keepdims=True)
    high = values.max(axis=(-2, -1), keepdims=True)
    flat = low == high
    white = dtype(largest_value(array.dtype))
    scale = np.where(flat, dtype(1), white / np.where(flat, dtype(1), high - low))
    stretched = np.clip((values - np.where(flat, dtype(0), low)) * scale, 0, white)
    return restore(to_dtype(stretched, array.dtype, rounded=False))


def equalize(img: Any) -> Any:
    """Each channel's values spread so that they come about equally often.

    Raises:
        TypeError: The image is not of uint8.
    """
    array, restore = planes(img, "equalize")
    _bytes_only("equalize", array)
    out = np.empty(array.shape, np.uint8)
    for place in np.ndindex(array.shape[:-2]):
        out[place] = _equalizer(array[place])[array[place]]
    return restore(out)


def _equalizer(channel: Array) -> Array:
    """The table of values (Pillow's rule): cumulated counts in steps of 1/255 of all but the largest value."""
    counts = np.bincount(channel.ravel(), minlength=256)
    present = np.flatnonzero(counts)
    step = (channel.size - counts[present[-1]]) // 255 if len(present) else 0
    if step == 0:
        return np.arange(256, dtype=np.uint8)
    before = np.concatenate([[0], np.cumsum(counts)[:-1]])
    table: Array = np.clip((before + step // 2) // step, 0, 255).astype(np.uint8)
    return table


def _bytes_only(operation: str, array: Array) -> None:
    if array.dtype != np.uint8:
        raise TypeError(f"{operation}: only images of uint8 are supported, got {array.dtype}")
