"""What an image is: a tensor (…, C, H, W), an array (H, W) or (H, W, C), or a PIL image; one view of all three."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

import fastnn

__all__ = ["InterpolationMode"]

Array = npt.NDArray[Any]


class InterpolationMode(Enum):
    """How values between pixels are found.

    >>> InterpolationMode("bilinear")
    <InterpolationMode.BILINEAR: 'bilinear'>
    """

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


_OF_PIL = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


def interpolation_name(mode: Any, operation: str, allowed: Sequence[str]) -> str:
    """The mode's name, from an `InterpolationMode`, its value, or PIL's number for it.

    Raises:
        TypeError: ``mode`` is none of these.
        ValueError: The operation does not have this mode.
    """
    if isinstance(mode, int) and not isinstance(mode, bool) and mode in _OF_PIL:
        mode = _OF_PIL[mode]
    name = mode.value if isinstance(mode, InterpolationMode) else mode
    if not isinstance(name, str):
        raise TypeError(
            f"{operation}: interpolation should be an InterpolationMode or an int of Pillow's, got {mode!r}"
        )
    if name not in allowed:
        raise ValueError(
            f"{operation}: interpolation {name!r} is not supported for this image; use one of {list(allowed)}"
        )
    return name


def is_pil(image: Any) -> bool:
    """Whether it is a PIL image. One can only exist where PIL has been imported: nothing is imported here."""
    return isinstance(image, getattr(sys.modules.get("PIL.Image"), "Image", ()))


def is_image(value: Any) -> bool:
    """Whether the transforms take it as an image."""
    return isinstance(value, (fastnn.Tensor, np.ndarray)) or is_pil(value)


def planes(image: Any, operation: str) -> tuple[Array, Callable[[Array], Any]]:
    """The image's values as an array (…, C, H, W), and what makes an image of its kind of such an array.

    Raises:
        TypeError: It is not an image.
        ValueError: It has too few dimensions, or a palette.
        RuntimeError: It requires a gradient: transforms work on data.
    """
    if isinstance(image, fastnn.Tensor):
        if image.requires_grad:
            raise RuntimeError(
                f"{operation}: transforms of images give no gradients; pass image.detach(), or use "
                "fastnn.nn.functional"
            )
        if image.ndim < 2:
            raise TypeError(
                f"{operation}: expected an image tensor (…, H, W), got shape {tuple(image.shape)}"
            )
        return image.numpy(), fastnn.from_numpy
    if isinstance(image, np.ndarray):
        return _planes_of_array(image, operation)
    if is_pil(image):
        if image.mode in ("P", "PA"):
            raise ValueError(
                f"{operation}: an image with a palette (mode {image.mode!r}); use image.convert('RGB') first"
            )
        array = np.asarray(image.convert("L") if image.mode == "1" else image)
        values, restore = _planes_of_array(array, operation)
        mode = image.mode
        return values, lambda result: pil_image(restore(result), mode)
    raise TypeError(
        f"{operation}: img should be a Tensor, an ndarray (H, W[, C]) or a PIL image. Got {type(image)}"
    )


def _planes_of_array(array: Array, operation: str) -> tuple[Array, Callable[[Array], Array]]:
    if array.ndim == 2:
        return array[None], lambda result: result[0] if len(result) == 1 else _channels_last(result)
    if array.ndim == 3:
        return array.transpose(2, 0, 1), _channels_last
    raise ValueError(f"{operation}: pic should be 2/3 dimensional. Got {array.ndim} dimensions.")


def _channels_last(result: Array) -> Array:
    last: Array = result.transpose(1, 2, 0)
    return last


def pil_image(array: Array, mode: str | None = None) -> Any:
    """A PIL image of an array (H, W) or (H, W, C)."""
    image_module = pillow()
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    binary = mode == "1"
    image = image_module.fromarray(np.ascontiguousarray(array))
    if binary:
        return image.convert("1")
    return image


def pillow() -> Any:
    """The module ``PIL.Image``.

    Raises:
        ModuleNotFoundError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "PIL images need Pillow: pip install pillow (arrays and tensors do not)"
        ) from error
    return Image


def to_dtype(values: Array, dtype: Any, rounded: bool = True) -> Array:
    """Computed values in the image's dtype: within its range, whole numbers where it has only those."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values) if rounded else values, limits.min, limits.max)
    return values.astype(dtype, copy=False)


def computing_dtype(dtype: Any) -> Any:
    """The dtype in which an image of this one is computed."""
    return np.float64 if np.dtype(dtype) in (np.float64, np.int64, np.int32) else np.float32


def largest_value(dtype: Any) -> float:
    """The value of white: the largest integer, or 1."""
    dtype = np.dtype(dtype)
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0


def pair(name: str, value: Any) -> tuple[int, int]:
    """(height, width) of one number or two."""
    if isinstance(value, (int, np.integer)):
        return int(value), int(value)
    if isinstance(value, Sequence) and len(value) in (1, 2):
        return int(value[0]), int(value[-1])
    raise ValueError(f"{name} should be an int or a sequence of 1 or 2 ints (h, w), got {value!r}")


def stack_planes(images: Any) -> tuple[Array, Callable[[Array], Any]]:
    """A stack of images, arrays (N, H, W[, C]) or a tensor (N, C, H, W), as an array (N, C, H, W), and back."""
    if isinstance(images, fastnn.Tensor):
        return images.numpy(), fastnn.from_numpy
    if images.ndim == 3:
        return images[:, None], lambda result: result[:, 0]
    return images.transpose(0, 3, 1, 2), lambda result: result.transpose(0, 2, 3, 1)
