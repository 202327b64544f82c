"""Pooling layers; arguments as the functions of the same names in ``functional``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ops import pool, pool_nd, pool_select
from ..ops.pool_nd import IntOrInts
from ..tensor import Tensor
from .module import Module


class _MaxPool(Module):
    _operation: Any

    def __init__(
        self,
        kernel_size: IntOrInts,
        stride: IntOrInts | None = None,
        padding: IntOrInts = 0,
        dilation: IntOrInts = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        """The maxima, and with ``return_indices`` their positions."""
        return self._operation(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The maximum of each window of (N, C, L) or (C, L)."""

    _operation = staticmethod(pool_nd.max_pool1d)


class MaxPool2d(_MaxPool):
    """The maximum of each window of (N, C, H, W) or (C, H, W)."""

    _operation = staticmethod(pool.max_pool2d)


class MaxPool3d(_MaxPool):
    """The maximum of each window of (N, C, D, H, W) or (C, D, H, W)."""

    _operation = staticmethod(pool_nd.max_pool3d)


class _MaxUnpool(Module):
    _operation: Any

    def __init__(
        self,
        kernel_size: IntOrInts,
        stride: IntOrInts | None = None,
        padding: IntOrInts = 0,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding

    def forward(
        self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        """The input's values at ``indices``, zeros elsewhere."""
        result: Tensor = self._operation(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )
        return result

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """The way back from ``MaxPool1d``: maxima at their places, zeros elsewhere."""

    _operation = staticmethod(pool_select.max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    """The way back from ``MaxPool2d``: maxima at their places, zeros elsewhere."""

    _operation = staticmethod(pool_select.max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    """The way back from ``MaxPool3d``: maxima at their places, zeros elsewhere."""

    _operation = staticmethod(pool_select.max_unpool3d)


class AvgPool1d(Module):
    """The mean of each window of (N, C, L) or (C, L)."""

    def __init__(
        self,
        kernel_size: IntOrInts,
        stride: IntOrInts | None = None,
        padding: IntOrInts = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, L) to (N, C, L')."""
        return pool_nd.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AvgPool(Module):
    _operation: Any

    def __init__(
        self,
        kernel_size: IntOrInts,
        stride: IntOrInts | None = None,
        padding: IntOrInts = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """The means."""
        result: Tensor = self._operation(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )
        return result

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPool):
    """The mean of each window of (N, C, H, W) or (C, H, W)."""

    _operation = staticmethod(pool.avg_pool2d)


class AvgPool3d(_AvgPool):
    """The mean of each window of (N, C, D, H, W) or (C, D, H, W)."""

    _operation = staticmethod(pool_nd.avg_pool3d)


class _LPPool(Module):
    _operation: Any

    def __init__(
        self,
        norm_type: float,
        kernel_size: IntOrInts,
        stride: IntOrInts | None = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """The norm of each window."""
        result: Tensor = self._operation(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )
        return result

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """The ``norm_type``-norm of each window of (N, C, L) or (C, L)."""

    _operation = staticmethod(pool_nd.lp_pool1d)


class LPPool2d(_LPPool):
    """The ``norm_type``-norm of each window of (N, C, H, W) or (C, H, W)."""

    _operation = staticmethod(pool_nd.lp_pool2d)


class LPPool3d(_LPPool):
    """The ``norm_type``-norm of each window of (N, C, D, H, W) or (C, D, H, W)."""

    _operation = staticmethod(pool_nd.lp_pool3d)


class _AdaptiveAvgPool(Module):
    _operation: Any

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...) to (N, C, *output_size)."""
        result: Tensor = self._operation(input, self.output_size)
        return result

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Means of windows chosen such that the result has ``output_size``."""

    _operation = staticmethod(pool_nd.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means of windows chosen such that the result has ``output_size``; None keeps an axis."""

    _operation = staticmethod(pool.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Means of windows chosen such that the result has ``output_size``; None keeps an axis."""

    _operation = staticmethod(pool_nd.adaptive_avg_pool3d)


class _AdaptiveMaxPool(Module):
    _operation: Any

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        """(N, C, ...) to (N, C, *output_size), and with ``return_indices`` the positions."""
        return self._operation(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Maxima of windows chosen such that the result has ``output_size``."""

    _operation = staticmethod(pool_select.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Maxima of windows chosen such that the result has ``output_size``; None keeps an axis."""

    _operation = staticmethod(pool_select.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Maxima of windows chosen such that the result has ``output_size``; None keeps an axis."""

    _operation = staticmethod(pool_select.adaptive_max_pool3d)
