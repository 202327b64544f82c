"""Convolution layers."""

from __future__ import annotations

import math
from typing import Any

from .._device import check_device
from ..ops.conv import IntOrPair, conv2d, pair
from ..ops.creation import empty
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter


class Conv2d(Module):
    """2-d convolution (cross-correlation) of (N, C, H, W) or (C, H, W).

    Args:
        in_channels, out_channels: the channels of input and output.
        kernel_size, stride, padding, dilation: an int or (height, width); padding also "valid" or "same".
        groups: blocks of channels that are convolved apart.
        bias: have a bias.
        padding_mode: "zeros".

    Raises:
        ValueError: channels that the groups do not divide, or an argument out of range.

    >>> import fastnn
    >>> fastnn.nn.Conv2d(1, 8, 3, padding=1)(fastnn.ones(2, 1, 28, 28)).shape
    fastnn.Size([2, 8, 28, 28])
    """

    bias: Parameter | None
    padding: tuple[int, int] | str

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrPair,
        stride: IntOrPair = 1,
        padding: IntOrPair | str = 0,
        dilation: IntOrPair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_device(device, "Conv2d")
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups:
            raise ValueError(
                f"in_channels must be divisible by groups, got {in_channels} and {groups}"
            )
        if out_channels % groups:
            raise ValueError(
                f"out_channels must be divisible by groups, got {out_channels} and {groups}"
            )
        if padding_mode != "zeros":
            raise ValueError(
                f"Conv2d: padding_mode {padding_mode!r} is not supported, only 'zeros'; pad the input first"
            )
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(
                f"Invalid padding string {padding!r}, should be one of 'valid', 'same'"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = pair(kernel_size, "kernel_size", "Conv2d", 1)
        self.stride = pair(stride, "stride", "Conv2d", 1)
        self.padding = padding if isinstance(padding, str) else pair(padding, "padding", "Conv2d")
        self.dilation = pair(dilation, "dilation", "Conv2d", 1)
        self.groups = groups
        self.padding_mode = padding_mode
        if self.padding == "same" and self.stride != (1, 1):
            raise ValueError("padding='same' is not supported for strided convolutions")
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(empty(shape, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(empty(out_channels, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values, uniform in +-1 / sqrt(fan_in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            init.fan_in_uniform_(self.bias, math.prod(self.weight.shape[1:]))

    def forward(self, input: Tensor, activation: str | None = None) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H', W'); ``activation`` is None or "relu"."""
        members = self._parameters
        return conv2d(
            input,
            members["weight"],  # type: ignore[arg-type]
            members["bias"],
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            activation,
        )

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding not in ((0, 0), "valid"):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else text + ", bias=False"
