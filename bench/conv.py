"""Convolution: forward, and with both gradients, in both layouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .same_code import Make, forward_and_backward, image, row

# (input, output channels, kernel, stride, padding)
_CASES = (
    ((128, 1, 28, 28), 32, 3, 1, 0),
    ((128, 32, 13, 13), 64, 3, 1, 0),
    ((32, 3, 32, 32), 32, 3, 1, 1),
    ((32, 64, 16, 16), 64, 3, 1, 1),
    ((8, 64, 56, 56), 64, 1, 1, 0),
    ((1, 64, 56, 56), 64, 3, 1, 1),
    ((8, 128, 28, 28), 128, 3, 2, 1),
    ((4, 512, 7, 7), 512, 3, 1, 1),
)


def _make(case: Any, last: bool, gradients: bool) -> Make:
    shape, channels, kernel, stride, padding = case

    def make(library: Any, functional: Any) -> Callable[[], object]:
        x = image(library, shape, last)
        weight = image(library, (channels, shape[1], kernel, kernel), last)
        bias = library.randn(channels).requires_grad_()

        def forward(*inputs: Any) -> Any:
            return functional.conv2d(*inputs, stride=stride, padding=padding)

        if gradients:
            return forward_and_backward(library, [x, weight, bias], forward)
        fixed = [v.detach() for v in (x, weight, bias)]
        return lambda: forward(*fixed)

    return make


ROWS = [
    row(
        "conv",
        f"{case[0]} to {case[1]}, {case[2]} x {case[2]}, stride {case[3]},"
        f" {'NHWC' if last else 'NCHW'}{', with gradients' if gradients else ''}",
        _make(case, last, gradients),
        2,
    )
    for case in _CASES
    for last in (False, True)
    for gradients in (False, True)
]
