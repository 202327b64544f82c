"""Convolution layers, and transposed ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..ops import conv as conv_ops
from ..ops import conv_nd, conv_pool
from ..ops.conv import numbers
from ..ops.conv_nd import IntOrInts
from ..ops.creation import empty
from ..ops.norm import folded
from ..ops.padding import pad
from ..tensor import Tensor
from . import init
from .batchnorm import BatchNorm2d
from .module import Module
from .parameter import Parameter
from .pooling import MaxPool2d

# To fold a normalisation into weights takes as long as to normalise so many results, beside the weights.
_FOLDING = 16384
_PAD_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """What all convolutions hold."""

    _spatial: int
    bias: Parameter | None
    padding: tuple[int, ...] | str

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrInts,
        stride: IntOrInts,
        padding: IntOrInts | str,
        dilation: IntOrInts,
        transposed: bool,
        output_padding: IntOrInts,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        for label, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(
                    f"{label} must be divisible by groups, got {channels} and {groups}"
                )
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(
                f"Invalid padding string {padding!r}, should be one of 'valid', 'same'"
            )
        if padding_mode not in _PAD_MODES:
            raise ValueError(
                f"padding_mode must be one of {list(_PAD_MODES)}, but got padding_mode={padding_mode!r}"
            )
        n = self._spatial
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = numbers(kernel_size, n, "kernel_size", name, 1)
        self.stride = numbers(stride, n, "stride", name, 1)
        self.padding = padding if isinstance(padding, str) else numbers(padding, n, "padding", name)
        self.dilation = numbers(dilation, n, "dilation", name, 1)
        self.transposed = transposed
        self.output_padding = numbers(output_padding, n, "output_padding", name)
        self.groups = groups
        self.padding_mode = padding_mode
        if padding == "same" and any(s != 1 for s in self.stride):
            raise ValueError("padding='same' is not supported for strided convolutions")
        self._pad_widths = self._widths_around()
        first, second = (in_channels, out_channels) if transposed else (out_channels, in_channels)
        self.weight = Parameter(
            empty((first, second // groups, *self.kernel_size), device=device, dtype=dtype)
        )
        self.register_parameter(
            "bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def _widths_around(self) -> list[int]:
        """The padding as ``functional.pad`` takes it, for the modes that pad the input first."""
        if self.padding == "valid":
            sides = [(0, 0)] * self._spatial
        elif isinstance(self.padding, str):
            totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            sides = [(t // 2, t - t // 2) for t in totals]
        else:
            sides = [(p, p) for p in self.padding]
        return [n for side in reversed(sides) for n in side]

    def reset_parameters(self) -> None:
        """Draw new values, uniform in +-1 / sqrt(fan_in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            init.fan_in_uniform_(self.bias, math.prod(self.weight.shape[1:]))

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        zeros, ones = (0,) * self._spatial, (1,) * self._spatial
        if self.padding != zeros:
            text += f", padding={self.padding}"
        if self.dilation != ones:
            text += f", dilation={self.dilation}"
        if self.output_padding != zeros:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class _Conv(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrInts,
        stride: IntOrInts = 1,
        padding: IntOrInts | str = 0,
        dilation: IntOrInts = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, False, 0, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip

    def _padded(self, input: Tensor) -> tuple[Tensor, Any]:
        """The input and the padding that is left to the convolution."""
        if self.padding_mode == "zeros":
            return input, self.padding
        return pad(input, self._pad_widths, self.padding_mode), 0


class Conv1d(_Conv):
    """1-d convolution (cross-correlation) of (N, C, L) or (C, L); arguments as ``Conv2d``."""

    _spatial = 1

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, L) to (N, out_channels, L')."""
        x, padding = self._padded(input)
        return conv_nd.conv1d(
            x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


class Conv2d(_Conv):
    """2-d convolution (cross-correlation) of (N, C, H, W) or (C, H, W).

    Args:
        in_channels, out_channels: the channels of input and output.
        kernel_size, stride, padding, dilation: an int or (height, width); padding also "valid" or "same".
        groups: blocks of channels that are convolved apart.
        bias: have a bias.
        padding_mode: "zeros", "reflect", "replicate" or "circular".

    Raises:
        ValueError: channels that the groups do not divide, or an argument out of range.

    >>> import fastnn
    >>> fastnn.nn.Conv2d(1, 8, 3, padding=1)(fastnn.ones(2, 1, 28, 28)).shape
    fastnn.Size([2, 8, 28, 28])
    """

    _spatial = 2

    def forward(
        self,
        input: Tensor,
        activation: str | None = None,
        pool: MaxPool2d | None = None,
        norm: BatchNorm2d | None = None,
    ) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H', W').

        Args:
            input: the images.
            activation: None or "relu".
            pool: the pooling that follows, done on the way.
            norm: the normalisation between the convolution and its activation, by running statistics; done by weights
                where those are fewer than what it would normalise. Without gradients.
        """
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input, padding = self._padded(input)
        weight, bias = self._weight_and_bias()
        stride: Any = self.stride
        dilation: Any = self.dilation
        groups = self.groups
        if norm is not None:
            mean: Any = norm._buffers["running_mean"]
            var: Any = norm._buffers["running_var"]
            gamma, beta = norm._weight_and_bias()
            if not self._worth_folding(input, weight, (mean, var, gamma, beta)):
                y: Tensor = norm(
                    conv_ops.conv2d(input, weight, bias, stride, padding, dilation, groups),
                    activation=activation,
                )
                return y if pool is None else pool(y)
            weight, bias = folded(weight, bias, mean, var, gamma, beta, norm.eps)
        if pool is None:
            return conv_ops.conv2d(
                input, weight, bias, stride, padding, dilation, groups, activation
            )
        arguments: Any = (
            input, weight, bias, stride, padding, dilation, groups, activation,
            pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode,
        )  # fmt: skip
        return conv_pool.conv2d_max_pool2d(*arguments)

    def _worth_folding(
        self, input: Tensor, weight: Tensor, statistics: tuple[Tensor | None, ...]
    ) -> bool:
        """Whether normalisation by the weights takes less than by the results, and all are alike."""
        x, w = input._data, weight._data
        if x.ndim != 4 or any(
            t is not None and (t._data.dtype != w.dtype or t._data.shape != w.shape[:1])
            for t in statistics
        ):
            return False
        pixels = x.shape[0] * x.shape[2] * x.shape[3] // (self.stride[0] * self.stride[1])
        worth: bool = w.dtype.kind == "f" and w.shape[0] * pixels > w.size + _FOLDING
        return worth


class Conv3d(_Conv):
    """3-d convolution (cross-correlation) of (N, C, D, H, W) or (C, D, H, W); arguments as ``Conv2d``."""

    _spatial = 3

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, D, H, W) to (N, out_channels, D', H', W')."""
        x, padding = self._padded(input)
        return conv_nd.conv3d(
            x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


class _ConvTranspose(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrInts,
        stride: IntOrInts = 1,
        padding: IntOrInts = 0,
        output_padding: IntOrInts = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: IntOrInts = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        name = type(self).__name__
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {name}')
        if isinstance(padding, str):
            raise TypeError(f"{name}: padding must be an int or ints, got {padding!r}")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, True, output_padding, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip

    def _extra(self, input: Tensor, output_size: Sequence[int] | None) -> tuple[int, ...]:
        """The output padding that gives ``output_size``.

        Raises:
            ValueError: a size that no output padding gives.
        """
        if output_size is None:
            return self.output_padding
        n = self._spatial
        batched = input._data.ndim == n + 2
        if len(output_size) == n + (2 if batched else 1):
            output_size = output_size[-n:]
        if len(output_size) != n:
            raise ValueError(
                f"{type(self).__name__}: for {input._data.ndim}D input, output_size must have {n} elements or the "
                f"output's full shape (got {len(output_size)})"
            )
        sizes = input._data.shape[-n:]
        padding: Any = self.padding
        least = [
            (size - 1) * s - 2 * p + d * (k - 1) + 1
            for size, s, p, d, k in zip(
                sizes, self.stride, padding, self.dilation, self.kernel_size, strict=True
            )
        ]
        most = [low + s - 1 for low, s in zip(least, self.stride, strict=True)]
        if any(not a <= o <= b for a, o, b in zip(least, output_size, most, strict=True)):
            raise ValueError(
                f"requested an output size of {tuple(output_size)}, but valid sizes range from {least} to {most} "
                f"(for an input of {tuple(sizes)})"
            )
        return tuple(o - a for o, a in zip(output_size, least, strict=True))

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """The output; ``output_size`` chooses between the sizes that a stride allows."""
        return conv_nd.transposed(
            type(self).__name__,
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self._extra(input, output_size),
            self.groups,
            self.dilation,
            self._spatial,
        )


class ConvTranspose1d(_ConvTranspose):
    """Transposed 1-d convolution of (N, C, L) or (C, L); arguments as ``ConvTranspose2d``."""

    _spatial = 1


class ConvTranspose2d(_ConvTranspose):
    """Transposed 2-d convolution of (N, C, H, W) or (C, H, W).

    Args:
        in_channels, out_channels: the channels of input and output.
        kernel_size, stride, padding, output_padding, dilation: an int or (height, width); as
            ``functional.conv_transpose2d``.
        groups: blocks of channels that are convolved apart.
        bias: have a bias.
        padding_mode: "zeros".

    Raises:
        ValueError: channels that the groups do not divide, or an argument out of range.

    >>> import fastnn
    >>> up = fastnn.nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1)
    >>> up(fastnn.ones(1, 4, 5, 5)).shape, up(fastnn.ones(1, 4, 5, 5), output_size=(10, 10)).shape
    (fastnn.Size([1, 2, 9, 9]), fastnn.Size([1, 2, 10, 10]))
    """

    _spatial = 2


class ConvTranspose3d(_ConvTranspose):
    """Transposed 3-d convolution of (N, C, D, H, W) or (C, D, H, W); arguments as ``ConvTranspose2d``."""

    _spatial = 3
