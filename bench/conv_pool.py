"""Convolution, ReLU and max pooling in one call, beside PyTorch's three."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .measure import Row
from .same_code import channels_last, forward_and_backward, image, row

# (input, output channels, kernel)
_CASES = (((128, 1, 28, 28), 32, 3), ((128, 32, 13, 13), 64, 3), ((128, 3, 32, 32), 32, 5))


def _row(shape: tuple[int, ...], channels: int, kernel: int, gradients: bool) -> Row:
    def make(library: Any, functional: Any, last: bool = False) -> Callable[[], object]:
        x = image(library, shape, last).requires_grad_(shape[1] > 3)  # not of the pixels themselves
        weight = image(library, (channels, shape[1], kernel, kernel), last)
        bias = library.randn(channels).requires_grad_()
        if library.__name__ == "fastnn":
            fused = functional.conv2d_max_pool2d

            def forward(*inputs: Any) -> Any:
                return fused(*inputs, activation="relu", kernel_size=2)
        else:

            def forward(*inputs: Any) -> Any:
                return functional.max_pool2d(functional.relu(functional.conv2d(*inputs)), 2)

        if gradients:
            return forward_and_backward(library, [x, weight, bias], forward)
        fixed = [v.detach() for v in (x, weight, bias)]
        return lambda: forward(*fixed)

    return row(
        "conv_pool",
        f"{shape} to {channels}, {kernel} x {kernel}, ReLU, windows 2 x 2"
        f"{', with gradients' if gradients else ''}",
        make,
        compiled=not gradients,
        peers=channels_last(make),
    )


ROWS = [_row(*case, gradients) for case in _CASES for gradients in (False, True)]
