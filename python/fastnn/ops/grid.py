"""Sampling of images and volumes at given positions (spatial transformers).

M. Jaderberg et al., "Spatial transformer networks", 2015.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from .._device import place_beside
from .select import where
from .shape import stack

if TYPE_CHECKING:
    from ..tensor import Tensor


def _aligned(align_corners: bool | None, operation: str) -> bool:
    if align_corners is None:
        warnings.warn(
            f"{operation}: the default of align_corners is False; give it if that is meant",
            stacklevel=3,
        )
        return False
    return align_corners


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The positions in [-1, 1] that affine maps give to the pixels of images of ``size``.

    Args:
        theta: (N, 2, 3) for images, (N, 3, 4) for volumes.
        size: (N, C, H, W) or (N, C, D, H, W).
        align_corners: -1 and 1 are the centres of the corner pixels, not their outer edges.

    Returns:
        (N, H, W, 2) or (N, D, H, W, 3): x first.

    Raises:
        ValueError: a ``theta`` of another shape or dtype, or sizes that are not positive.
    """
    align = _aligned(align_corners, "affine_grid")
    if theta._data.dtype.kind in "iub":
        raise ValueError(
            f"affine_grid: expected theta to have floating point type, but got {theta.dtype}"
        )
    spatial = tuple(int(n) for n in size)[2:]
    d = len(spatial)
    if d not in (2, 3) or theta._data.shape[1:] != (d, d + 1) or theta._data.ndim != 3:
        raise ValueError(
            "affine_grid: expected theta (N, 2, 3) with a size of 4 numbers or (N, 3, 4) with 5, got "
            f"{tuple(theta.shape)} and {tuple(size)}"
        )
    if min(size) <= 0:
        raise ValueError(f"affine_grid: expected non-zero, positive output size. Got {tuple(size)}")
    axes = []
    for n in spatial:
        at = np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
        axes.append(at if align else at * ((n - 1) / n))
    grid = np.meshgrid(*axes, indexing="ij")
    base = np.stack([*reversed(grid), np.ones(spatial)], -1).reshape(-1, d + 1)
    base = place_beside(base.astype(theta._data.dtype), theta._data)
    points = make(base) @ theta.transpose(1, 2)
    return points.reshape(theta._data.shape[0], *spatial, d)


def _reflect(at: Tensor, low: float, high: float) -> Tensor:
    """``at`` mirrored at ``low`` and ``high`` until it lies between."""
    span = high - low
    if span == 0:
        return at * 0
    distance = (at - low).abs()
    turns = np.floor(distance._data / span)
    left = distance - make((turns * span).astype(distance._data.dtype))
    even = make(turns % 2 == 0)
    return where(even, left + low, span - left + low)


def _pad_positions(at: Tensor, size: int, padding_mode: str, align: bool) -> Tensor:
    """Positions in pixels, brought into the image as ``padding_mode`` says."""
    if padding_mode == "zeros":
        return at
    if padding_mode == "reflection":
        at = _reflect(at, 0.0, size - 1.0) if align else _reflect(at, -0.5, size - 0.5)
    # PyTorch's gradient is 0 on the border itself, too
    inside = make((at._data > 0) & (at._data < size - 1))
    return where(inside, at, make(np.clip(at._data, 0, size - 1).astype(at._data.dtype)))


def _gathered(x: Tensor, positions: Sequence[Any]) -> Tensor:
    """x (N, C, ...) at integer positions (N, P) of each axis; 0 outside."""
    n, c, *sizes = x._data.shape
    inside = np.ones_like(positions[0], np.bool_)
    flat = np.zeros_like(positions[0], np.int64)
    for at, size in zip(positions, sizes, strict=True):
        inside &= (at >= 0) & (at < size)
        flat = flat * size + np.clip(at, 0, size - 1).astype(np.int64)
    index = np.broadcast_to(flat[:, None], (n, c, flat.shape[1]))
    values = x.reshape(n, c, -1).gather(2, make(np.ascontiguousarray(index, like=index)))
    if inside.all():
        return values
    return values * make(inside[:, None].astype(x._data.dtype))


def _cubic_weights(part: Tensor) -> list[Tensor]:
    """The cubic convolution kernel (R. Keys, 1981; slope -0.75) at the four neighbours."""
    a = -0.75

    def near(t: Tensor) -> Tensor:
        return ((a + 2) * t - (a + 3)) * t * t + 1

    def far(t: Tensor) -> Tensor:
        return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a

    return [far(part + 1), near(part), near(1 - part), far(2 - part)]


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The values of ``input`` at the positions in ``grid``.

    Args:
        input: (N, C, H, W), or (N, C, D, H, W).
        grid: (N, H', W', 2), or (N, D', H', W', 3): positions in [-1, 1], x first.
        mode: "bilinear" (trilinear for volumes), "nearest", or "bicubic" (images).
        padding_mode: what lies outside: "zeros", "border" (the nearest pixel) or "reflection".
        align_corners: -1 and 1 are the centres of the corner pixels, not their outer edges.

    Returns:
        (N, C, H', W') or (N, C, D', H', W').

    Raises:
        ValueError: another mode.
        RuntimeError: shapes or dtypes that do not fit.
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            f"grid_sample: expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: {mode!r}"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "grid_sample: expected padding_mode to be 'zeros', 'border', or 'reflection', but got: "
            f"{padding_mode!r}"
        )
    align = _aligned(align_corners, "grid_sample")
    n, c, *sizes = input._data.shape
    d = len(sizes)
    shape = grid._data.shape
    if d not in (2, 3) or grid._data.ndim != d + 2 or shape[0] != n or shape[-1] != d:
        raise RuntimeError(
            "grid_sample: expected input (N, C, H, W) with grid (N, H', W', 2), or input (N, C, D, H, W) with grid "
            f"(N, D', H', W', 3), got {tuple(input.shape)} and {tuple(shape)}"
        )
    if input._data.dtype != grid._data.dtype:
        raise RuntimeError(
            f"grid_sample: expected input and grid to have same dtype, but got {input.dtype} and {grid.dtype}"
        )
    if 0 in sizes:
        raise RuntimeError(f"grid_sample: expected non-empty input, got {tuple(input.shape)}")
    if mode == "bicubic" and d != 2:
        raise RuntimeError("grid_sample: bicubic interpolation only supports 4D input")
    points = grid.reshape(n, -1, d)
    positions = []  # in pixels, in the order of the axes (y before x)
    for axis, size in enumerate(sizes):
        at = points[:, :, d - 1 - axis]
        at = (at + 1) * (0.5 * (size - 1)) if align else ((at + 1) * size - 1) * 0.5
        if mode != "bicubic":
            at = _pad_positions(at, size, padding_mode, align)
        positions.append(at)
    out = _sample(input, positions, mode, padding_mode, align)
    return out.reshape(n, c, *shape[1:-1])


def _sample(
    x: Tensor, positions: list[Tensor], mode: str, padding_mode: str, align: bool
) -> Tensor:
    if mode == "nearest":
        zero = _no_gradient(positions)
        nearest: Tensor = _gathered(x, [np.rint(at._data) for at in positions])
        return nearest if zero is None else nearest + zero
    floors = [np.floor(at._data) for at in positions]
    parts = [at - make(low) for at, low in zip(positions, floors, strict=True)]
    if mode == "bilinear":
        offsets, weights = range(2), [[1 - part, part] for part in parts]
    else:
        offsets, weights = range(-1, 3), [_cubic_weights(part) for part in parts]
    sizes = x._data.shape[2:]
    terms = []
    for corner in itertools.product(range(len(offsets)), repeat=len(positions)):
        places = []
        weight: Any = 1.0
        for axis, k in enumerate(corner):
            place = floors[axis] + offsets[k]
            if mode == "bicubic":
                place = _pad_positions(make(place), sizes[axis], padding_mode, align)._data
            places.append(place)
            weight = weights[axis][k] * weight
        terms.append(_gathered(x, places) * weight.unsqueeze(1))
    return stack(terms, 0).sum(0)


def _no_gradient(positions: list[Tensor]) -> Tensor | None:
    """A zero through which the grid has the gradient 0, as in PyTorch's nearest mode; None where it wants none."""
    if not any(at._requires_grad for at in positions):
        return None
    return stack([at * 0 for at in positions], 0).sum(0).unsqueeze(1)
