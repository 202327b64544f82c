"""Images as columns of patches and back; channels as pixels and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from ..autograd.grad_mode import mode
from ..autograd.node import Node, edge_of
from .conv import pair

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "channel_shuffle",
    "pixel_shuffle",
    "pixel_unshuffle",
]
IntOrPair = int | tuple[int, int]


class Patches:
    """How patches lie in an image: where each tap of the kernel reads.

    Attributes:
        image: the image's height and width.
        count: the rows and columns of patches.
    """

    __slots__ = ("count", "dilation", "image", "kernel", "padding", "stride")

    def __init__(
        self, operation: str, image: Any, kernel: Any, dilation: Any, padding: Any, stride: Any
    ) -> None:
        self.image = pair(image, "output_size", operation, 1)
        self.kernel = pair(kernel, "kernel_size", operation, 1)
        self.dilation = pair(dilation, "dilation", operation, 1)
        self.padding = pair(padding, "padding", operation)
        self.stride = pair(stride, "stride", operation, 1)
        rows, columns = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(
                self.image, self.padding, self.dilation, self.kernel, self.stride, strict=True
            )
        )
        if rows < 1 or columns < 1:
            raise RuntimeError(
                f"{operation}: given image {self.image}, kernel_size {self.kernel}, dilation {self.dilation}, padding "
                f"{self.padding} and stride {self.stride}, the array of patches would be {(rows, columns)}, which is "
                "too small (non-positive)"
            )
        self.count = (rows, columns)

    def taps(self) -> Any:
        """(i, j, rows and columns of the padded image) for every tap."""
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                yield (
                    i,
                    j,
                    tuple(
                        slice(at * d, at * d + s * (n - 1) + 1, s)
                        for at, d, s, n in zip(
                            (i, j), self.dilation, self.stride, self.count, strict=True
                        )
                    ),
                )

    def unfold(self, x: Any) -> Any:
        """(N, C, H, W) to (N, C * KH * KW, patches)."""
        n, c = x.shape[:2]
        (ph, pw) = self.padding
        padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw))) if ph or pw else x
        out = np.empty((n, c, *self.kernel, *self.count), x.dtype, like=x)
        for i, j, (rows, columns) in self.taps():
            out[:, :, i, j] = padded[:, :, rows, columns]
        area = self.kernel[0] * self.kernel[1]
        return out.reshape(n, c * area, self.count[0] * self.count[1])

    def fold(self, columns: Any) -> Any:
        """(N, C * KH * KW, patches) to (N, C, H, W), added where patches overlap."""
        n = columns.shape[0]
        c = columns.shape[1] // (self.kernel[0] * self.kernel[1])
        patches = columns.reshape(n, c, *self.kernel, *self.count)
        (h, w), (ph, pw) = self.image, self.padding
        out = np.zeros((n, c, h + 2 * ph, w + 2 * pw), columns.dtype, like=columns)
        for i, j, (rows, cols) in self.taps():
            out[:, :, rows, cols] += patches[:, :, i, j]
        return np.ascontiguousarray(out[:, :, ph : ph + h, pw : pw + w], like=out)


class Im2ColBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (self.saved[0].fold(g),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        return (_fold(g, self.saved[0]),)


class Col2ImBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (self.saved[0].unfold(g),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        return (_unfold(g, self.saved[0]),)


def _unfold(x: Tensor, patches: Patches) -> Tensor:
    out = patches.unfold(x._data)
    if x._requires_grad and mode.enabled:
        return make(out, Im2ColBackward0((edge_of(x),), (patches,)))
    return make(out)


def _fold(x: Tensor, patches: Patches) -> Tensor:
    out = patches.fold(x._data)
    if x._requires_grad and mode.enabled:
        return make(out, Col2ImBackward0((edge_of(x),), (patches,)))
    return make(out)


def unfold(
    input: Tensor,
    kernel_size: IntOrPair,
    dilation: IntOrPair = 1,
    padding: IntOrPair = 0,
    stride: IntOrPair = 1,
) -> Tensor:
    """Every patch that a convolution would see, as a column.

    Args:
        input: (N, C, H, W) or (C, H, W).
        kernel_size, dilation, padding, stride: an int or (height, width).

    Returns:
        (N, C * KH * KW, patches).

    Raises:
        RuntimeError: another count of dims, or no room for a patch.

    >>> import fastnn
    >>> fastnn.nn.functional.unfold(fastnn.arange(4.).view(1, 1, 2, 2), (1, 2))
    tensor([[[0., 2.],
             [1., 3.]]])
    """
    if input._data.ndim == 3:
        return unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    if input._data.ndim != 4:
        raise RuntimeError(
            f"unfold: expected 3D or 4D (batched) input, got {tuple(input._data.shape)}"
        )
    image = input._data.shape[2:]
    return _unfold(input, Patches("unfold", image, kernel_size, dilation, padding, stride))


def fold(
    input: Tensor,
    output_size: IntOrPair,
    kernel_size: IntOrPair,
    dilation: IntOrPair = 1,
    padding: IntOrPair = 0,
    stride: IntOrPair = 1,
) -> Tensor:
    """Columns of patches added into an image: the transpose of ``unfold``.

    Args:
        input: (N, C * KH * KW, patches) or (C * KH * KW, patches).
        output_size: the image's (height, width).

    Raises:
        RuntimeError: a shape that these patches do not have.
    """
    if input._data.ndim == 2:
        given = (output_size, kernel_size, dilation, padding, stride)
        return fold(input.unsqueeze(0), *given).squeeze(0)
    patches = Patches("fold", output_size, kernel_size, dilation, padding, stride)
    shape = input._data.shape
    area = patches.kernel[0] * patches.kernel[1]
    count = patches.count[0] * patches.count[1]
    if len(shape) != 3 or shape[1] % area or shape[2] != count:
        raise RuntimeError(
            f"fold: expected input of (N, C * {area}, {count}) for output_size {patches.image} and kernel_size "
            f"{patches.kernel}, got {tuple(shape)}"
        )
    return _fold(input, patches)


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(..., C * r**2, H, W) to (..., C, H * r, W * r): channels become pixels.

    W. Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural
    network", 2016.

    Raises:
        RuntimeError: fewer than 3 dims, or channels that r**2 does not divide.
    """
    r = upscale_factor
    shape = input._data.shape
    if r < 1 or len(shape) < 3 or shape[-3] % (r * r):
        raise RuntimeError(
            f"pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, "
            f"got {tuple(shape)} and upscale_factor {r}"
        )
    *batch, c, h, w = shape
    n = len(batch)
    split = input.reshape(*batch, c // (r * r), r, r, h, w)
    order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return split.permute(order).reshape(*batch, c // (r * r), h * r, w * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(..., C, H * r, W * r) to (..., C * r**2, H, W): pixels become channels.

    Raises:
        RuntimeError: fewer than 3 dims, or a size that r does not divide.
    """
    r = downscale_factor
    shape = input._data.shape
    if r < 1 or len(shape) < 3 or shape[-2] % r or shape[-1] % r:
        raise RuntimeError(
            f"pixel_unshuffle expects height and width to be divisible by downscale_factor, got {tuple(shape)} and "
            f"downscale_factor {r}"
        )
    *batch, c, h, w = shape
    n = len(batch)
    split = input.reshape(*batch, c, h // r, r, w // r, r)
    order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return split.permute(order).reshape(*batch, c * r * r, h // r, w // r)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels of (N, C, ...) dealt out, so that every new group has some of every old one.

    X. Zhang et al., "ShuffleNet", 2017.

    Raises:
        RuntimeError: fewer than 3 dims, or channels that the groups do not divide.
    """
    shape = input._data.shape
    if len(shape) < 3 or groups < 1 or shape[1] % groups:
        raise RuntimeError(
            f"channel_shuffle: number of channels must be divisible by groups, got {tuple(shape)} and groups {groups}"
        )
    n, c, *rest = shape
    return input.reshape(n, groups, c // groups, *rest).transpose(1, 2).reshape(shape)
