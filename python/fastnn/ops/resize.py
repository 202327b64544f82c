"""Resizing of lines, images and volumes: along each axis, every output is a weighted sum of a few inputs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._core import make
from .._device import place_beside
from ..autograd.grad_mode import mode as grad_mode
from ..autograd.node import Node, edge_of
from .pool import adaptive_avg_pool2d
from .pool_nd import adaptive_avg_pool1d, adaptive_avg_pool3d

if TYPE_CHECKING:
    from ..tensor import Tensor


class Taps(NamedTuple):
    """One axis: output i is the sum over k of weights[i, k] * input[sources[i, k]]."""

    axis: int
    size: int  # of the input
    sources: Any
    weights: Any  # None: 1, with one source


def _resampled(data: Any, taps: Taps) -> Any:
    axis, _, sources, weights = taps
    if weights is None:
        return data.take(sources[:, 0], axis)
    shape = [1] * data.ndim
    shape[axis] = len(sources)
    out = None
    for k in range(sources.shape[1]):
        factor = place_beside(weights[:, k].reshape(shape).astype(data.dtype), data)
        part = data.take(sources[:, k], axis) * factor
        out = part if out is None else np.add(out, part, out=out)
    return out


def _matrix(taps: Taps, dtype: Any) -> Any:
    """(size, outputs): the taps as a matrix."""
    _, size, sources, weights = taps
    matrix = np.zeros((size, len(sources)), dtype)
    to = np.arange(len(sources))
    for k in range(sources.shape[1]):
        part = 1 if weights is None else weights[:, k].astype(dtype)
        np.add.at(matrix, (sources[:, k], to), part)
    return matrix


def _spread(g: Any, taps: Taps) -> Any:
    """The adjoint of ``_resampled``, as a product with its matrix."""
    axis, size = taps.axis, taps.size
    wide = g.dtype if g.dtype.itemsize >= 4 else np.dtype(np.float32)
    matrix = place_beside(_matrix(taps, wide), g)
    shape = (*g.shape[:axis], size, *g.shape[axis + 1 :])
    rows, columns = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    flat = np.ascontiguousarray(g, wide, like=g).reshape(rows, g.shape[axis], columns)
    product = flat[:, :, 0] @ matrix.T if columns == 1 else matrix @ flat
    return product.astype(g.dtype, copy=False).reshape(shape)


class ResampleBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (_spread(g, self.saved[0]),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        (taps,) = self.saved
        out = _spread(g._data, taps)
        if g._requires_grad and grad_mode.enabled:
            return (make(out, ResampleAdjointBackward0((edge_of(g),), (taps,))),)
        return (make(out),)


class ResampleAdjointBackward0(Node):
    """The gradient of resampling is linear; its own gradient is the resampling."""

    __slots__ = ()

    def backward(self, gg: Any) -> tuple[Any, ...]:
        return (_resampled(gg, self.saved[0]),)

    def backward_graph(self, gg: Tensor) -> tuple[Any, ...]:
        return (_resample(gg, self.saved[0]),)


def _resample(x: Tensor, taps: Taps) -> Tensor:
    out = _resampled(x._data, taps)
    if x._requires_grad and grad_mode.enabled:
        return make(out, ResampleBackward0((edge_of(x),), (taps,)))
    return make(out)


# -- where outputs lie in the input --------------------------------------------------------------------


def _cubic(distance: Any, a: float) -> Any:
    """The cubic convolution kernel (R. Keys, 1981) at ``distance``, with the slope ``a`` at 1."""
    t = np.abs(distance)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((t - 5) * t + 8) * t * a - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


def _centres(size: int, out: int, scale: float | None, align_corners: bool) -> tuple[Any, float]:
    """The position in the input of every output's centre, and the step between them."""
    i = np.arange(out)
    if align_corners:
        step = (size - 1) / (out - 1) if out > 1 else 0.0
        return i * step, step
    step = 1.0 / scale if scale else size / out
    return (i + 0.5) * step - 0.5, step


def _nearest(axis: int, size: int, out: int, scale: float | None, exact: bool) -> Taps:
    step = np.float32(1.0 / scale if scale else size / out)  # PyTorch rounds it so
    at = np.arange(out, dtype=np.float32)
    sources = np.floor((at + np.float32(0.5)) * step if exact else at * step).astype(np.int64)
    return Taps(axis, size, np.minimum(sources, size - 1)[:, None], None)


def _linear(axis: int, size: int, out: int, scale: float | None, align: bool) -> Taps:
    centre, _ = _centres(size, out, scale, align)
    centre = np.maximum(centre, 0)
    low = np.minimum(np.floor(centre).astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    part = np.clip(centre - low, 0, 1)
    return Taps(axis, size, np.stack([low, high], 1), np.stack([1 - part, part], 1))


def _bicubic(axis: int, size: int, out: int, scale: float | None, align: bool) -> Taps:
    centre, _ = _centres(size, out, scale, align)
    low = np.floor(centre)
    offsets = np.arange(-1, 3)
    weights = _cubic(offsets - (centre - low)[:, None], -0.75)
    sources = (low[:, None] + offsets).astype(np.int64).clip(0, size - 1)
    return Taps(axis, size, sources, weights)


def _antialiased(
    axis: int, size: int, out: int, scale: float | None, align: bool, cubic: bool
) -> Taps:
    """A kernel as wide as the step between outputs, so that every input counts when an image shrinks."""
    _, step = _centres(size, out, scale, align)
    width = max(step, 1.0)
    reach = (2 if cubic else 1) * width
    centre = step * (np.arange(out) + 0.5)
    first = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + reach + 0.5).astype(np.int64), size)
    count = max(int((last - first).max(initial=1)), 1)
    sources = first[:, None] + np.arange(count)
    distance = (sources - centre[:, None] + 0.5) / width
    weights = _cubic(distance, -0.5) if cubic else np.maximum(1 - np.abs(distance), 0)
    weights = np.where(sources < last[:, None], weights, 0)
    weights = weights / weights.sum(1, keepdims=True)
    return Taps(axis, size, np.minimum(sources, size - 1), weights)


_SPATIAL = {"linear": (1,), "bilinear": (2,), "bicubic": (2,), "trilinear": (3,)}
_ALIGNS = ("linear", "bilinear", "bicubic", "trilinear")
_MODES = ("nearest", "nearest-exact", "area", *_ALIGNS)


def _sizes(
    x: Tensor, size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """The output's spatial sizes, and the given scale of each axis where it is to be used as it is."""
    sizes = x._data.shape[2:]
    count = len(sizes)
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: exactly one of size and scale_factor must be given")
    if size is not None:
        if recompute:
            raise ValueError(
                "interpolate: recompute_scale_factor is not meaningful with an explicit size."
            )
        wanted = (size,) * count if isinstance(size, int) else tuple(int(n) for n in size)
        if len(wanted) != count:
            raise ValueError(
                f"interpolate: input has {count} spatial dims, but size has {len(wanted)}: {size!r}"
            )
        return wanted, (None,) * count
    scales = (
        (float(scale_factor),) * count
        if isinstance(scale_factor, (int, float))
        else tuple(float(s) for s in scale_factor)
    )
    if len(scales) != count:
        raise ValueError(
            f"interpolate: input has {count} spatial dims, but scale_factor has {len(scales)}: {scale_factor!r}"
        )
    wanted = tuple(math.floor(n * s) for n, s in zip(sizes, scales, strict=True))
    return wanted, (None,) * count if recompute else scales


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize the spatial axes of (N, C, ...).

    Args:
        size: the spatial sizes wanted, an int or one for each axis; or
        scale_factor: by how much to enlarge them.
        mode: "nearest" or "nearest-exact" (1 to 3 axes), "linear" (1), "bilinear" or "bicubic" (2), "trilinear" (3),
            "area" (means of windows).
        align_corners: the corners' centres stay where they are (linear and cubic modes).
        recompute_scale_factor: use the ratio of the sizes, which are rounded, in place of ``scale_factor``.
        antialias: smooth while shrinking ("bilinear" and "bicubic").

    Raises:
        ValueError: arguments that do not fit together.
        NotImplementedError: a mode for another number of axes.

    R. Keys, "Cubic convolution interpolation for digital image processing", 1981.

    >>> import fastnn
    >>> fastnn.nn.functional.interpolate(fastnn.tensor([[[1., 3.]]]), scale_factor=2)
    tensor([[[1., 1., 3., 3.]]])
    """
    spatial = input._data.ndim - 2
    if mode not in _MODES:
        raise NotImplementedError(f"interpolate: mode must be one of {_MODES}, got {mode!r}")
    if spatial not in (1, 2, 3) or spatial not in _SPATIAL.get(mode, (1, 2, 3)):
        raise NotImplementedError(
            f"interpolate: mode {mode!r} does not resize input of {input._data.ndim} dims {tuple(input.shape)}; "
            "modes are nearest, nearest-exact and area for 3 to 5 dims, linear for 3, bilinear and bicubic for 4, "
            "trilinear for 5"
        )
    if align_corners is not None and mode not in _ALIGNS:
        raise ValueError(
            "interpolate: align_corners option can only be set with the interpolating modes: "
            + " | ".join(_ALIGNS)
        )
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError(
            "interpolate: Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor"
        )
    if input._data.dtype.kind in "iub" and not mode.startswith("nearest"):
        raise NotImplementedError(
            f"interpolate: mode {mode!r} expects a floating tensor, got {input.dtype}"
        )
    wanted, scales = _sizes(input, size, scale_factor, recompute_scale_factor)
    if min(wanted) < 1 or 0 in input._data.shape[2:]:
        raise RuntimeError(
            f"interpolate: input and output sizes should be greater than 0, but got input of {tuple(input.shape)} "
            f"and output {wanted}"
        )
    if mode == "area":
        pools = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)
        area: Tensor = pools[spatial - 1](input, wanted)
        return area
    align = bool(align_corners)
    for i, (out, scale) in enumerate(zip(wanted, scales, strict=True)):
        place = (i + 2, input._data.shape[i + 2], out, scale)
        if mode.startswith("nearest"):
            taps = _nearest(*place, mode == "nearest-exact")
        elif antialias:
            taps = _antialiased(*place, align, mode == "bicubic")
        elif mode == "bicubic":
            taps = _bicubic(*place, align)
        else:
            taps = _linear(*place, align)
        input = _resample(input, taps)
    return input


def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """``interpolate`` by its old name."""
    warnings.warn("upsample is deprecated, use interpolate", stacklevel=2)
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """``interpolate`` with mode "nearest", by its old name."""
    warnings.warn("upsample_nearest is deprecated, use interpolate", stacklevel=2)
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """``interpolate`` with mode "bilinear" and aligned corners, by its old name."""
    warnings.warn("upsample_bilinear is deprecated, use interpolate", stacklevel=2)
    return interpolate(input, size, scale_factor, "bilinear", True)
