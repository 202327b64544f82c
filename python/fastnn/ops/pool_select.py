"""Pooling that chooses an element: adaptive maxima, and the way back from maxima to their places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from .._device import place_beside
from ..autograd.grad_mode import mode
from ..autograd.node import ComposedNode, edge_of
from .conv import numbers
from .pool_nd import IntOrInts, adaptive_sizes, batched, step_of

if TYPE_CHECKING:
    from ..tensor import Tensor


def _bins(size: int, out: int) -> Any:
    """(out, longest bin): the positions that each output of an axis looks at; short bins repeat their last one."""
    start = np.arange(out) * size // max(out, 1)
    end = -(-(np.arange(1, out + 1) * size) // max(out, 1))
    longest = int((end - start).max(initial=1))
    return np.minimum(start[:, None] + np.arange(longest), end[:, None] - 1)


def _windows(sizes: Sequence[int], wanted: tuple[int, ...]) -> Any:
    """(prod(wanted), window): flat positions in row-major order."""
    count = len(sizes)
    flat: Any = np.zeros((1,) * (2 * count), np.int64)
    for i, (n, out) in enumerate(zip(sizes, wanted, strict=True)):
        bins = _bins(n, out)
        shape = [1] * (2 * count)
        shape[i], shape[count + i] = bins.shape
        flat = flat * n + bins.reshape(shape)
    return flat.reshape(math.prod(wanted), -1)


def _adaptive_max(x: Tensor, output_size: Any, spatial: int, return_indices: bool) -> Any:
    operation = f"adaptive_max_pool{spatial}d"
    image, single = batched(x, spatial, operation)
    n, c, *sizes = image._data.shape
    wanted = adaptive_sizes(output_size, sizes, operation)
    planes = image.reshape(n, c, -1)
    if math.prod(wanted):
        windows = place_beside(_windows(sizes, wanted), planes._data)
        seen = planes._data[:, :, windows]
        which = seen.argmax(-1)
        indices = make(windows[np.arange(len(windows), like=windows), which])
    else:
        indices = make(np.zeros((n, c, 0), np.int64, like=planes._data))
    y = planes.gather(2, indices).reshape(n, c, *wanted)
    indices = indices.reshape(n, c, *wanted)
    if single:
        y, indices = y.squeeze(0), indices.squeeze(0)
    return (y, indices) if return_indices else y


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of windows chosen such that (N, C, L) becomes (N, C, output_size).

    >>> import fastnn
    >>> fastnn.nn.functional.adaptive_max_pool1d(fastnn.arange(5.).view(1, 5), 2)
    tensor([[2., 4.]])
    """
    return _adaptive_max(input, output_size, 1, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of windows chosen such that (N, C, H, W) becomes (N, C, *output_size); None keeps an axis."""
    return _adaptive_max(input, output_size, 2, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of windows chosen such that (N, C, D, H, W) becomes (N, C, *output_size); None keeps an axis."""
    return _adaptive_max(input, output_size, 3, return_indices)


class MaxUnpoolNdBackward0(ComposedNode):
    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        indices, shape = self.saved
        n, c = shape[:2]
        return (g.reshape(n, c, -1).gather(2, make(indices)).reshape(shape),)


def _max_unpool(
    x: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Sequence[int] | None,
    spatial: int,
) -> Tensor:
    operation = f"max_unpool{spatial}d"
    if indices._data.dtype != np.int64:
        raise RuntimeError(f"{operation}: indices must be int64, got {indices.dtype}")
    if indices._data.shape != x._data.shape:
        raise RuntimeError(
            f"{operation}: expected indices of input's shape {tuple(x.shape)}, got {tuple(indices.shape)}"
        )
    image, single = batched(x, spatial, operation)
    kernel = numbers(kernel_size, spatial, "kernel_size", operation, 1)
    step = step_of(stride, kernel, operation)
    width = numbers(padding, spatial, "padding", operation)
    shape = image._data.shape
    usual = tuple(
        (n - 1) * s - 2 * p + k for n, s, p, k in zip(shape[2:], step, width, kernel, strict=True)
    )
    sizes = usual
    if output_size is not None:
        given = tuple(int(n) for n in output_size)
        sizes = given[-spatial:]
        if len(given) not in (spatial, spatial + 1, spatial + 2) or any(
            not u - s < n < u + s for u, s, n in zip(usual, step, sizes, strict=True)
        ):
            raise ValueError(
                f"{operation}: invalid output_size {given}: each must be less than a stride {step} from {usual}"
            )
    n, c = shape[:2]
    at = indices._data.reshape(n, c, -1)
    area = math.prod(sizes)
    if at.size and (at.min() < 0 or at.max() >= area):
        raise RuntimeError(
            f"{operation}: found an invalid max index: positions must be in 0..{area - 1} for the output "
            f"{sizes}, got {at.min()}..{at.max()}"
        )
    flat = np.zeros((n, c, area), x._data.dtype, like=x._data)
    np.put_along_axis(flat, at, image._data.reshape(n, c, -1), 2)
    out = flat.reshape(n, c, *sizes)
    if image._requires_grad and mode.enabled:
        y = make(out, MaxUnpoolNdBackward0((edge_of(image),), (at, shape)))
    else:
        y = make(out)
    return y.squeeze(0) if single else y


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Zeros with the values of ``input`` where ``max_pool1d`` found them; arguments as ``max_unpool2d``."""
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 1)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Zeros with the values of ``input`` where ``max_pool2d`` found them.

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        indices: what ``max_pool2d(..., return_indices=True)`` returned, of input's shape.
        kernel_size, stride, padding: those of the pooling.
        output_size: the size that was pooled, where several give the same result.

    Raises:
        RuntimeError: indices of another shape or dtype, or outside the output.
        ValueError: an ``output_size`` that no such pooling has.

    >>> import fastnn, fastnn.nn.functional as F
    >>> y, at = F.max_pool2d(fastnn.arange(4.).view(1, 2, 2), 2, return_indices=True)
    >>> F.max_unpool2d(y, at, 2)
    tensor([[[0., 0.],
             [0., 3.]]])
    """
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 2)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Zeros with the values of ``input`` where ``max_pool3d`` found them; arguments as ``max_unpool2d``."""
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 3)
