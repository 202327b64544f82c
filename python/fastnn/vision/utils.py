"""Grids of images, and images as files."""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

import fastnn
from fastnn.utils._files import atomic_path

__all__ = ["make_grid", "save_image"]


def make_grid(
    tensor: fastnn.Tensor | Sequence[fastnn.Tensor],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> fastnn.Tensor:
    """Many images as one.

    Args:
        tensor: Images (N, C, H, W), (C, H, W) or (H, W), or a list of images of one size; one channel becomes three.
        nrow: Images in a row.
        padding: Pixels between them and around.
        normalize: Shift and scale the values to 0 … 1.
        value_range: What becomes 0 and 1; the smallest and largest value if None.
        scale_each: Of each image, not of all.
        pad_value: Value of the pixels between.

    Raises:
        TypeError: Not tensors.
        ValueError: Other numbers of dimensions, or ``value_range`` without ``normalize``.

    >>> make_grid(fastnn.ones(5, 3, 4, 6), nrow=3).shape
    fastnn.Size([3, 14, 26])
    """
    images = _stacked(tensor)
    if normalize:
        images = _normalized(images, value_range, scale_each)
    elif value_range is not None or scale_each:
        raise ValueError("make_grid: value_range and scale_each need normalize=True")
    if len(images) == 1:
        return fastnn.from_numpy(images[0].copy())
    count, channels, height, width = images.shape
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    step_y, step_x = height + padding, width + padding
    grid = np.full(
        (channels, step_y * rows + padding, step_x * columns + padding), pad_value, images.dtype
    )
    for i, image in enumerate(images):
        y, x = i // columns * step_y + padding, i % columns * step_x + padding
        grid[:, y : y + height, x : x + width] = image
    return fastnn.from_numpy(grid)


def _stacked(tensor: Any) -> npt.NDArray[Any]:
    if isinstance(tensor, (list, tuple)) and all(isinstance(t, fastnn.Tensor) for t in tensor):
        array = np.stack([t.detach().numpy() for t in tensor])
        if array.ndim == 3:
            array = array[:, None]
    elif isinstance(tensor, fastnn.Tensor):
        array = tensor.detach().numpy()
    else:
        raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
    if array.ndim == 2:
        array = array[None]
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4:
        raise ValueError(f"make_grid: expected images (N, C, H, W), got shape {array.shape}")
    return np.repeat(array, 3, axis=1) if array.shape[1] == 1 else array


def _normalized(
    images: npt.NDArray[Any], value_range: tuple[float, float] | None, scale_each: bool
) -> npt.NDArray[Any]:
    if value_range is not None and not isinstance(value_range, tuple):
        raise TypeError(
            "value_range has to be a tuple (min, max) if specified. min and max are numbers"
        )
    if images.dtype.kind != "f":
        images = images.astype(np.float32)
    axes = (1, 2, 3) if scale_each else (0, 1, 2, 3)
    if value_range is None:
        low = images.min(axis=axes, keepdims=True)
        high = images.max(axis=axes, keepdims=True)
    else:
        low, high = (np.asarray(v, images.dtype) for v in value_range)
    span = np.maximum(high - low, images.dtype.type(1e-5))
    result: npt.NDArray[Any] = (np.clip(images, low, high) - low) / span
    return result


def save_image(
    tensor: fastnn.Tensor | Sequence[fastnn.Tensor],
    fp: str | os.PathLike[str] | BinaryIO,
    format: str | None = None,
    **kwargs: Any,
) -> None:
    """Writes an image, or a grid of images, with values of 0 … 1.

    PNG needs nothing else; other formats need Pillow.

    Args:
        tensor: As of `make_grid`.
        fp: Name of the file, or a file open for writing.
        format: "png", "jpeg", …; the ending of the name if None.
        **kwargs: Further arguments of `make_grid`.

    Raises:
        ValueError: ``format`` is needed to write to an open file.
        ModuleNotFoundError: Another format than PNG without Pillow.

    >>> import io
    >>> file = io.BytesIO()
    >>> save_image(fastnn.rand(4, 3, 8, 8), file, format="png", nrow=2)
    >>> file.getvalue()[1:4]
    b'PNG'
    """
    grid = make_grid(tensor, **kwargs).numpy()
    values = np.clip(grid.astype(np.float64) * 255 + 0.5, 0, 255).astype(np.uint8)
    pixels = np.ascontiguousarray(values.transpose(1, 2, 0))
    named = isinstance(fp, (str, os.PathLike))
    if format is None:
        if not named:
            raise ValueError('save_image: give format="png" to write to an open file')
        format = Path(fp).suffix.lstrip(".")  # type: ignore[arg-type]
    if format.lower() != "png":
        from .transforms._images import pil_image

        pil_image(pixels).save(fp, format={"jpg": "jpeg"}.get(format.lower(), format))
        return
    content = encode_png(pixels)
    if named:
        with atomic_path(fp) as temporary:  # type: ignore[arg-type]
            temporary.write_bytes(content)
    else:
        fp.write(content)  # type: ignore[union-attr]


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The bytes of a PNG file (ISO/IEC 15948) of an array (H, W), or (H, W, C) with C from 1 to 4.

    Raises:
        ValueError: Another shape or dtype.
    """
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4) or 0 in pixels.shape:  # fmt: skip
        raise ValueError(
            f"PNG: expected uint8 of shape (H, W, 1 to 4), got {pixels.dtype} of {pixels.shape}"
        )
    height, width, channels = pixels.shape
    # Each row: the way it is stored (0: as it is), then its bytes.
    rows = np.zeros((height, 1 + width * channels), np.uint8)
    rows[:, 1:] = pixels.reshape(height, -1)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
