"""Convolution: forward, and with both gradients; in both layouts, grouped, depthwise, transposed, in one and three dims."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .measure import Row
from .same_code import channels_last, forward_and_backward, image, row

# (input, output channels, kernel, stride, padding, groups)
_CASES = (
    ((128, 1, 28, 28), 32, 3, 1, 0, 1),
    ((128, 32, 13, 13), 64, 3, 1, 0, 1),
    ((128, 1, 28, 28), 10, 5, 1, 0, 1),
    ((128, 6, 14, 14), 16, 5, 1, 0, 1),
    ((32, 3, 32, 32), 32, 3, 1, 1, 1),
    ((32, 64, 16, 16), 64, 3, 1, 1, 1),
    ((8, 3, 112, 112), 64, 7, 2, 3, 1),
    ((8, 64, 56, 56), 64, 1, 1, 0, 1),
    ((1, 64, 56, 56), 64, 3, 1, 1, 1),
    ((8, 128, 28, 28), 128, 3, 2, 1, 1),
    ((4, 512, 7, 7), 512, 3, 1, 1, 1),
    ((16, 64, 28, 28), 64, 3, 1, 1, 4),
    ((16, 64, 28, 28), 64, 3, 1, 1, 64),
)


def _size(i: int, kernel: int, stride: int, padding: int) -> int:
    return (i + 2 * padding - kernel) // stride + 1


def _conv2d(case: Any, last: bool, gradients: bool) -> Row:
    shape, channels, kernel, stride, padding, groups = case
    n, c, h, w = shape

    def make(library: Any, functional: Any, last: bool = last) -> Callable[[], object]:
        x = image(library, shape, last)
        weight = image(library, (channels, c // groups, kernel, kernel), last)
        bias = library.randn(channels).requires_grad_()

        def forward(*inputs: Any) -> Any:
            return functional.conv2d(*inputs, stride=stride, padding=padding, groups=groups)

        if gradients:
            return forward_and_backward(library, [x, weight, bias], forward)
        fixed = [v.detach() for v in (x, weight, bias)]
        return lambda: forward(*fixed)

    pixels = n * _size(h, kernel, stride, padding) * _size(w, kernel, stride, padding)
    weights = channels * (c // groups) * kernel**2
    times = 3 if gradients else 1
    kind = "depthwise, " if groups == c > 1 else f"{groups} groups, " if groups > 1 else ""
    return row(
        "conv",
        f"{shape} to {channels}, {kernel} x {kernel}, stride {stride}, {kind}"
        f"{'NHWC' if last else 'NCHW'}{', with gradients' if gradients else ''}",
        make,
        2,
        peers={} if last else channels_last(make),
        flops=2.0 * pixels * weights * times,
        bytes=4.0 * times * (math.prod(shape) + weights + pixels * channels),
    )


def _other(
    name: str,
    function: str,
    shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    options: dict[str, Any],
) -> Row:
    def make(library: Any, functional: Any) -> Callable[[], object]:
        inputs = [library.randn(*s).requires_grad_() for s in (shape, weight_shape)]
        return forward_and_backward(
            library, inputs, lambda x, w: getattr(functional, function)(x, w, **options)
        )

    return row("conv", f"{name}, with gradients", make, 2)


ROWS = [
    _conv2d(case, last, gradients)
    for case in _CASES
    for last in (False, True)
    for gradients in (False, True)
] + [
    _other("transposed (16, 64, 14, 14) to 32, 4 x 4, stride 2", "conv_transpose2d", (16, 64, 14, 14), (64, 32, 4, 4), {"stride": 2, "padding": 1}),
    _other("1-d (32, 64, 512) to 64, 5", "conv1d", (32, 64, 512), (64, 64, 5), {"padding": 2}),
    _other("3-d (4, 16, 16, 28, 28) to 32, 3 x 3 x 3", "conv3d", (4, 16, 16, 28, 28), (32, 16, 3, 3, 3), {"padding": 1}),
]  # fmt: skip
