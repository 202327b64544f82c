"""2-d convolution (cross-correlation) and its two gradients.

A convolution is a sum over the taps (i, j) of the kernel. At one tap, every output pixel reads one input pixel,
a strided slice of the padded input, and the channels meet in a matrix product:

    y[n, o, p] = sum over taps, over c of  weight[o, c, i, j] * x_tap(i, j)[n, c, p]      p: output pixel

Each gradient is the same sum with the roles changed. Groups are a batch dimension of the products.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastnn.backends.numpy._layout import with_layout_of
from fastnn.backends.numpy.gemm import activate
from fastnn.backends.protocol import Array, Pair

Slices = tuple[slice, slice]


def taps(
    kernel: tuple[int, ...], output: tuple[int, ...], stride: Pair, dilation: Pair
) -> Iterator[tuple[int, int, Slices]]:
    """(i, j, the padded image's rows and columns that tap (i, j) reads) for every tap of the kernel."""
    for i in range(kernel[0]):
        rows = slice(i * dilation[0], i * dilation[0] + stride[0] * output[0], stride[0])
        for j in range(kernel[1]):
            columns = slice(j * dilation[1], j * dilation[1] + stride[1] * output[1], stride[1])
            yield i, j, (rows, columns)


def pad_image(x: Array, padding: Pair) -> Array:
    (ph, pw) = padding
    return np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw))) if ph or pw else x


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    activation: str | None = None,
) -> Array:
    """Cross-correlation: x (N, C, H, W), weight (O, C / groups, KH, KW), bias (O,)."""
    n, c = x.shape[:2]
    o, _, *kernel = weight.shape
    oh, ow = (
        output_size(*of) for of in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    )
    padded = pad_image(x, padding)
    w = weight.reshape(groups, o // groups, c // groups, *kernel)
    y = np.zeros((n, groups, o // groups, oh * ow), x.dtype, like=x)
    for i, j, (rows, columns) in taps(tuple(kernel), (oh, ow), stride, dilation):
        tap = padded[:, :, rows, columns].reshape(n, groups, c // groups, oh * ow)
        y += w[:, :, :, i, j] @ tap
    y = y.reshape(n, o, oh, ow)
    if bias is not None:
        y += bias[:, None, None]
    return with_layout_of(activate(y, activation), x)


def conv2d_input_grad(
    g: Array,
    weight: Array,
    input_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """Gradient (N, C, H, W) with respect to the input; g (N, O, OH, OW) is the output's."""
    n, c, h, w = input_shape
    o, _, *kernel = weight.shape
    oh, ow = g.shape[2:]
    (ph, pw) = padding
    wt = weight.reshape(groups, o // groups, c // groups, *kernel).swapaxes(1, 2)
    gy = g.reshape(n, groups, o // groups, oh * ow)
    gx = np.zeros((n, c, h + 2 * ph, w + 2 * pw), g.dtype, like=g)
    for i, j, (rows, columns) in taps(tuple(kernel), (oh, ow), stride, dilation):
        gx[:, :, rows, columns] += (wt[:, :, :, i, j] @ gy).reshape(n, c, oh, ow)
    return with_layout_of(gx[:, :, ph : ph + h, pw : pw + w], g)


def conv2d_weight_grad(
    g: Array,
    x: Array,
    weight_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """Gradient (O, C / groups, KH, KW) with respect to the weight."""
    n, c = x.shape[:2]
    o, _, *kernel = weight_shape
    oh, ow = g.shape[2:]
    padded = pad_image(x, padding)
    gy = g.reshape(n, groups, o // groups, oh * ow)
    gw = np.zeros((groups, o // groups, c // groups, *kernel), g.dtype, like=g)
    for i, j, (rows, columns) in taps(tuple(kernel), (oh, ow), stride, dilation):
        tap = padded[:, :, rows, columns].reshape(n, groups, c // groups, oh * ow)
        gw[:, :, :, i, j] = (gy @ tap.swapaxes(2, 3)).sum(0)
    return gw.reshape(weight_shape)
