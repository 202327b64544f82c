"""Max and average pooling and their gradients: loops over the taps of the window, as in conv.py.

Output size: floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1; with ceil_mode the division
rounds up, but no window starts behind the input and its left padding.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastnn.backends.numpy._layout import with_layout_of
from fastnn.backends.numpy.conv import Slices, taps
from fastnn.backends.protocol import Array, Pair


def pooled_size(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> int:
    """Length of one axis of the output (not positive: the window does not fit).

    >>> pooled_size(5, 2, 2, 0, 1, False), pooled_size(5, 2, 2, 0, 1, True)
    (2, 3)
    """
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return span // stride + 1
    out = -(-span // stride) + 1
    return out - 1 if (out - 1) * stride >= size + padding else out


def _pad(
    x: Array, output: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """x with zeros around it, as far as the windows reach (with ceil_mode: further than the padding)."""
    widths = [(0, 0), (0, 0)]
    for size, out, k, s, p, d in zip(
        x.shape[2:], output, kernel, stride, padding, dilation, strict=True
    ):
        end = (out - 1) * s + d * (k - 1) + 1
        widths.append((p, max(end - p - size, 0)))
    return np.pad(x, widths)


def max_pool2d(
    x: Array,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    ceil_mode: bool,
    indices_wanted: bool = True,
) -> tuple[Array, Array | None]:
    """(y, indices): indices int32, each maximum's flat position h * W + w in its input plane.

    The first maximum in row-major order wins; a NaN wins over everything, the last one if there are more (as in
    PyTorch). A window that lies in the padding altogether gives the dtype's lowest value and the index -1.
    """
    n, c, h, w = x.shape
    oh = pooled_size(h, kernel[0], stride[0], padding[0], dilation[0], ceil_mode)
    ow = pooled_size(w, kernel[1], stride[1], padding[1], dilation[1], ceil_mode)
    padded = _pad(x, (oh, ow), kernel, stride, padding, dilation)
    lowest = -np.inf if x.dtype.kind not in "iu" else np.iinfo(x.dtype).min
    y = np.full_like(x, lowest, order="C", shape=(n, c, oh, ow))
    indices = np.full_like(x, -1, np.int32, order="C", shape=(n, c, oh, ow))
    for i, j, (rows, columns) in taps(kernel, (oh, ow), stride, dilation):
        row = np.arange(oh, like=x)[:, None] * stride[0] - padding[0] + i * dilation[0]
        column = np.arange(ow, like=x) * stride[1] - padding[1] + j * dilation[1]
        inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
        tap = padded[:, :, rows, columns]
        take = inside & ((tap > y) | (tap != tap) | (indices < 0))
        np.copyto(y, tap, where=take)
        np.copyto(indices, row * w + column, where=take, casting="unsafe")
    return with_layout_of(y, x), with_layout_of(indices, x) if indices_wanted else None


def max_pool2d_backward(g: Array, indices: Array, input_shape: tuple[int, ...]) -> Array:
    """Adds every g to its maximum's position, in row-major order of the outputs."""
    n, c, h, w = input_shape
    gx = np.zeros((n * c, h * w), g.dtype, like=g)
    at = indices.reshape(n * c, g.shape[2] * g.shape[3])
    plane, output = np.nonzero(at >= 0)
    np.add.at(gx, (plane, at[plane, output]), g.reshape(at.shape)[plane, output])
    return with_layout_of(gx.reshape(n, c, h, w), g)


def _divisor(
    size: int, out: int, kernel: int, stride: int, padding: int, count_include_pad: bool
) -> Array:
    """How many rows (or columns) each output's window averages over."""
    start = np.arange(out) * stride - padding
    end = np.minimum(start + kernel, size + padding)
    if not count_include_pad:
        start, end = np.maximum(start, 0), np.minimum(end, size)
    return end - start


def _divisors(
    shape: tuple[int, ...],
    output: Pair,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    if divisor_override is not None:
        return np.full(output, divisor_override)
    rows, columns = (
        _divisor(*of, count_include_pad)
        for of in zip(shape[2:], output, kernel, stride, padding, strict=True)
    )
    return rows[:, None] * columns


def avg_pool2d(
    x: Array,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    oh = pooled_size(x.shape[2], kernel[0], stride[0], padding[0], 1, ceil_mode)
    ow = pooled_size(x.shape[3], kernel[1], stride[1], padding[1], 1, ceil_mode)
    padded = _pad(x, (oh, ow), kernel, stride, padding, (1, 1))
    y = np.zeros((*x.shape[:2], oh, ow), x.dtype)
    for _, _, (rows, columns) in taps(kernel, (oh, ow), stride, (1, 1)):
        y += padded[:, :, rows, columns]
    divisors = _divisors(
        x.shape, (oh, ow), kernel, stride, padding, count_include_pad, divisor_override
    )
    return with_layout_of(y / divisors.astype(x.dtype), x)


def avg_pool2d_backward(
    g: Array,
    input_shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    n, c, h, w = input_shape
    oh, ow = g.shape[2:]
    divisors = _divisors(
        input_shape, (oh, ow), kernel, stride, padding, count_include_pad, divisor_override
    )
    share = g / divisors.astype(g.dtype)
    gx = _pad(np.zeros(input_shape, g.dtype), (oh, ow), kernel, stride, padding, (1, 1))
    for _, _, (rows, columns) in taps(kernel, (oh, ow), stride, (1, 1)):
        gx[:, :, rows, columns] += share
    return with_layout_of(gx[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w], g)


def _bins(size: int, out: int) -> list[slice]:
    """Input range of each output: from floor(i * size / out) to ceil((i + 1) * size / out)."""
    return [slice(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]


def _cells(input_shape: tuple[int, ...], output_size: Pair) -> Iterator[tuple[int, int, Slices]]:
    for i, rows in enumerate(_bins(input_shape[2], output_size[0])):
        for j, columns in enumerate(_bins(input_shape[3], output_size[1])):
            yield i, j, (rows, columns)


def adaptive_avg_pool2d(x: Array, output_size: Pair) -> Array:
    y = np.empty((*x.shape[:2], *output_size), x.dtype)
    for i, j, (rows, columns) in _cells(x.shape, output_size):
        y[:, :, i, j] = x[:, :, rows, columns].mean((2, 3))
    return with_layout_of(y, x)


def adaptive_avg_pool2d_backward(g: Array, input_shape: tuple[int, ...]) -> Array:
    gx = np.zeros(input_shape, g.dtype)
    for i, j, (rows, columns) in _cells(input_shape, (g.shape[2], g.shape[3])):
        cell = gx[:, :, rows, columns]
        cell += g[:, :, i, j, None, None] / g.dtype.type(cell.shape[2] * cell.shape[3])
    return with_layout_of(gx, g)
