"""Pooling in one and three dims, by the 2-d operations: a line is an image one pixel high, and a volume is pooled
within its slices first, then across them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .conv import numbers
from .pool import adaptive_avg_pool2d, avg_pool2d, max_pool2d

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d",
    "avg_pool1d",
    "max_pool1d",
    "max_pool3d",
]
IntOrInts = int | tuple[int, ...]


def batched(x: Tensor, spatial: int, operation: str) -> tuple[Tensor, bool]:
    """``x`` with a batch axis, and whether it had none.

    Raises:
        RuntimeError: another count of dims, or a tensor that is not floating.
    """
    if x._data.dtype.kind in "iub":
        raise RuntimeError(f"{operation}: expects a floating tensor, got {x.dtype}")
    if x._data.ndim == spatial + 1:
        return x.unsqueeze(0), True
    if x._data.ndim != spatial + 2:
        raise RuntimeError(
            f"{operation}: expected {spatial + 1}D (unbatched) or {spatial + 2}D (batched) input, got "
            f"{tuple(x._data.shape)}"
        )
    return x, False


def step_of(stride: Any, kernel: tuple[int, ...], operation: str) -> tuple[int, ...]:
    """The stride as numbers; the kernel where none is given."""
    if stride is None or (isinstance(stride, (tuple, list)) and not stride):
        return kernel
    return numbers(stride, len(kernel), "stride", operation, 1)


def _plane(n: tuple[int, ...]) -> tuple[int, int]:
    return n[1], n[2]


def _line(n: tuple[int, ...], fill: int) -> tuple[int, int]:
    return fill, n[0]


def max_pool1d(
    input: Tensor,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of (N, C, L) or (C, L); arguments as ``max_pool2d``.

    >>> import fastnn
    >>> fastnn.nn.functional.max_pool1d(fastnn.arange(4.).view(1, 4), 2)
    tensor([[1., 3.]])
    """
    x, single = batched(input, 1, "max_pool1d")
    kernel = numbers(kernel_size, 1, "kernel_size", "max_pool1d", 1)
    step = step_of(stride, kernel, "max_pool1d")
    width = numbers(padding, 1, "padding", "max_pool1d")
    spread = numbers(dilation, 1, "dilation", "max_pool1d", 1)
    found = max_pool2d(
        x.unsqueeze(2),
        _line(kernel, 1),
        _line(step, 1),
        _line(width, 0),
        _line(spread, 1),
        ceil_mode,
        return_indices,
    )
    lines = [t.squeeze(2) for t in (found if return_indices else (found,))]
    if single:
        lines = [t.squeeze(0) for t in lines]
    return tuple(lines) if return_indices else lines[0]


def max_pool3d(
    input: Tensor,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of (N, C, D, H, W) or (C, D, H, W); arguments as ``max_pool2d``."""
    x, single = batched(input, 3, "max_pool3d")
    kernel = numbers(kernel_size, 3, "kernel_size", "max_pool3d", 1)
    step = step_of(stride, kernel, "max_pool3d")
    width = numbers(padding, 3, "padding", "max_pool3d")
    spread = numbers(dilation, 3, "dilation", "max_pool3d", 1)
    n, c, d, h, w = x._data.shape
    within, at = max_pool2d(
        x.reshape(n * c, d, h, w),
        _plane(kernel),
        _plane(step),
        _plane(width),
        _plane(spread),
        ceil_mode,
        True,
    )
    oh, ow = within._data.shape[2:]
    flat = within.reshape(n, c, d, oh * ow)
    y, chosen = max_pool2d(
        flat,
        (kernel[0], 1),
        (step[0], 1),
        (width[0], 0),
        (spread[0], 1),
        ceil_mode,
        True,
    )
    od = y._data.shape[2]
    y = y.reshape(n, c, od, oh, ow)
    # chosen says slice * (oh * ow) + pixel; `at` says where in that slice
    slices = at.reshape(n, c, -1).gather(2, chosen.reshape(n, c, -1))
    depth = chosen.reshape(n, c, -1) // max(oh * ow, 1)
    indices = (depth * (h * w) + slices).reshape(n, c, od, oh, ow)
    if single:
        y, indices = y.squeeze(0), indices.squeeze(0)
    return (y, indices) if return_indices else y


def avg_pool1d(
    input: Tensor,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of (N, C, L) or (C, L); arguments as ``avg_pool2d``."""
    x, single = batched(input, 1, "avg_pool1d")
    kernel = numbers(kernel_size, 1, "kernel_size", "avg_pool1d", 1)
    step = step_of(stride, kernel, "avg_pool1d")
    width = numbers(padding, 1, "padding", "avg_pool1d")
    y = avg_pool2d(
        x.unsqueeze(2),
        _line(kernel, 1),
        _line(step, 1),
        _line(width, 0),
        ceil_mode,
        count_include_pad,
    ).squeeze(2)
    return y.squeeze(0) if single else y


def avg_pool3d(
    input: Tensor,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of (N, C, D, H, W) or (C, D, H, W); arguments as ``avg_pool2d``."""
    x, single = batched(input, 3, "avg_pool3d")
    kernel = numbers(kernel_size, 3, "kernel_size", "avg_pool3d", 1)
    step = step_of(stride, kernel, "avg_pool3d")
    width = numbers(padding, 3, "padding", "avg_pool3d")
    if divisor_override == 0:
        raise RuntimeError("avg_pool3d: divisor must be not zero")
    n, c, d, h, w = x._data.shape
    sums = None if divisor_override is None else 1
    rule = (ceil_mode, count_include_pad, sums)
    within = avg_pool2d(
        x.reshape(n * c, d, h, w), _plane(kernel), _plane(step), _plane(width), *rule
    )
    oh, ow = within._data.shape[2:]
    flat = within.reshape(n, c, d, oh * ow)
    y = avg_pool2d(flat, (kernel[0], 1), (step[0], 1), (width[0], 0), *rule)
    y = y.reshape(n, c, y._data.shape[2], oh, ow)
    if divisor_override is not None:
        y = y / divisor_override
    return y.squeeze(0) if single else y


def adaptive_sizes(output_size: Any, sizes: Sequence[int], operation: str) -> tuple[int, ...]:
    """``output_size`` as numbers; None keeps an axis."""
    if isinstance(output_size, int):
        given: tuple[Any, ...] = (output_size,) * len(sizes)
    elif output_size is None:
        given = tuple(sizes)
    else:
        given = tuple(output_size)
    if len(given) == 1:
        given = given * len(sizes)
    if len(given) != len(sizes):
        raise ValueError(
            f"{operation}: output_size must be an int or {len(sizes)} ints, got {output_size!r}"
        )
    wanted = tuple(n if g is None else int(g) for g, n in zip(given, sizes, strict=True))
    if min(wanted) < 0:
        raise RuntimeError(
            f"{operation}: elements of output_size must be greater than or equal to 0, got {output_size!r}"
        )
    if 0 in sizes:
        raise RuntimeError(
            f"{operation}: expected input with non-zero spatial dims, got {tuple(sizes)}"
        )
    return wanted


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Means of windows chosen such that (N, C, L) becomes (N, C, output_size)."""
    x, single = batched(input, 1, "adaptive_avg_pool1d")
    (size,) = adaptive_sizes(output_size, x._data.shape[2:], "adaptive_avg_pool1d")
    y = adaptive_avg_pool2d(x.unsqueeze(2), (1, size)).squeeze(2)
    return y.squeeze(0) if single else y


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Means of windows chosen such that (N, C, D, H, W) becomes (N, C, *output_size); None keeps an axis."""
    x, single = batched(input, 3, "adaptive_avg_pool3d")
    size = adaptive_sizes(output_size, x._data.shape[2:], "adaptive_avg_pool3d")
    n, c, d, h, w = x._data.shape
    within = adaptive_avg_pool2d(x.reshape(n * c, d, h, w), size[1:])
    flat = within.reshape(n, c, d, size[1] * size[2])
    if flat.numel():
        y = adaptive_avg_pool2d(flat, (size[0], size[1] * size[2])).reshape(n, c, *size)
    else:
        y = flat.sum(2, keepdim=True).expand(n, c, size[0], -1).reshape(n, c, *size)
    return y.squeeze(0) if single else y


# -- power-average pooling -----------------------------------------------------------------------------


def _lp_pool(
    pool: Any, x: Tensor, norm_type: float, kernel: Any, stride: Any, ceil: bool
) -> Tensor:
    means = pool(x.pow(norm_type), kernel, stride, 0, ceil)
    count = math.prod(kernel)
    norm: Tensor = (means.sign() * means.abs().relu() * count).pow(1.0 / norm_type)
    return norm


def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The ``norm_type``-norm of each window of (N, C, L) or (C, L): (sum of x**p) ** (1 / p)."""
    kernel = numbers(kernel_size, 1, "kernel_size", "lp_pool1d", 1)
    return _lp_pool(avg_pool1d, input, norm_type, kernel, stride, ceil_mode)


def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The ``norm_type``-norm of each window of (N, C, H, W) or (C, H, W)."""
    kernel = numbers(kernel_size, 2, "kernel_size", "lp_pool2d", 1)
    return _lp_pool(avg_pool2d, input, norm_type, kernel, stride, ceil_mode)


def lp_pool3d(
    input: Tensor,
    norm_type: float,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The ``norm_type``-norm of each window of (N, C, D, H, W) or (C, D, H, W)."""
    kernel = numbers(kernel_size, 3, "kernel_size", "lp_pool3d", 1)
    return _lp_pool(avg_pool3d, input, norm_type, kernel, stride, ceil_mode)
