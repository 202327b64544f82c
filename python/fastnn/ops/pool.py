"""2-d pooling: maximum, average and adaptive average."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from ..autograd.grad_mode import mode
from ..autograd.node import Node, edge_of
from ..backends import by_type
from .conv import IntOrPair, pair

if TYPE_CHECKING:
    from ..tensor import Tensor


__all__ = [
    "max_pool2d",
]


def _image(x: Tensor, operation: str) -> Any:
    data = x._data
    if data.ndim != 4:
        raise RuntimeError(
            f"{operation}: expected (N, C, H, W) or (C, H, W), got {tuple(data.shape)}"
        )
    if data.dtype.kind in "iub":
        raise RuntimeError(f"{operation}: expects a floating tensor, got {x.dtype}")
    return data


def check_window(
    operation: str,
    size: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> None:
    """RuntimeError for a window that does not fit into ``size``."""
    for i in (0, 1):
        if padding[i] * 2 > kernel[i]:
            raise RuntimeError(
                f"{operation}: pad should be at most half of kernel size, got pad={padding[i]} and "
                f"kernel_size={kernel[i]}"
            )
        room = size[i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1
        if room + (stride[i] - 1 if ceil_mode else 0) < 0:
            raise RuntimeError(
                f"{operation}: kernel {kernel} (padding {padding}, dilation {dilation}) is larger than the input "
                f"{tuple(size)}; the output would be empty"
            )


class MaxPool2DBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        indices, shape = self.saved
        return (by_type[type(g)].max_pool2d_backward(g, indices, shape),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        indices, shape = self.saved
        return (max_unpool(g, indices, shape),)


class MaxUnpoolBackward0(Node):
    __slots__ = ()

    def backward(self, gg: Any) -> tuple[Any, ...]:
        (indices,) = self.saved
        n, c, h, w = indices.shape
        planes = gg.reshape(n, c, -1)
        picked = np.take_along_axis(planes, indices.reshape(n, c, -1).astype(np.int64), 2)
        return (picked.reshape(n, c, h, w),)

    def backward_graph(self, gg: Tensor) -> tuple[Any, ...]:
        (indices,) = self.saved
        n, c, h, w = indices.shape
        index = make(indices.reshape(n, c, -1).astype(np.int64))
        return (gg.reshape(n, c, -1).gather(2, index).reshape(n, c, h, w),)


def max_unpool(g: Tensor, indices: Any, shape: tuple[int, ...]) -> Tensor:
    """``g`` added at ``indices`` into zeros of ``shape``: max_pool2d's gradient, differentiable."""
    out = by_type[type(g._data)].max_pool2d_backward(g._data, indices, shape)
    if g._requires_grad and mode.enabled:
        return make(out, MaxUnpoolBackward0((edge_of(g),), (indices,)))
    return make(out)


def max_pool2d(
    input: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | tuple[()] | None = None,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window.

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        kernel_size, stride, padding, dilation: an int or (height, width); the stride is the kernel by default.
        ceil_mode: windows may reach over the end.
        return_indices: also return each maximum's flat position (int64) in its input plane.

    Raises:
        RuntimeError: shapes that do not fit.

    >>> import fastnn
    >>> fastnn.nn.functional.max_pool2d(fastnn.arange(4.).view(1, 1, 2, 2), 2)
    tensor([[[[3.]]]])
    """
    if input._data.ndim == 3:
        out = max_pool2d(
            input.unsqueeze(0), kernel_size, stride, padding, dilation, ceil_mode, return_indices
        )
        return (out[0].squeeze(0), out[1].squeeze(0)) if return_indices else out.squeeze(0)
    data = _image(input, "max_pool2d")
    kernel = pair(kernel_size, "kernel_size", "max_pool2d", 1)
    step = kernel if stride is None or stride == () else pair(stride, "stride", "max_pool2d", 1)
    pad = pair(padding, "padding", "max_pool2d")
    spread = pair(dilation, "dilation", "max_pool2d", 1)
    check_window("max_pool2d", data.shape[2:], kernel, step, pad, spread, ceil_mode)
    recorded = input._requires_grad and mode.enabled
    y, indices = by_type[type(data)].max_pool2d(
        data, kernel, step, pad, spread, ceil_mode, recorded or return_indices
    )
    if recorded:
        result = make(y, MaxPool2DBackward0((edge_of(input),), (indices, data.shape)))
    else:
        result = make(y)
    return (result, make(indices.astype(np.int64))) if return_indices else result


class AvgPool2DBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        shape, window = self.saved
        return (by_type[type(g)].avg_pool2d_backward(g, shape, *window),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        shape, window = self.saved
        out = by_type[type(g._data)].avg_pool2d_backward(g._data, shape, *window)
        if g._requires_grad and mode.enabled:
            return (make(out, AvgUnpoolBackward0((edge_of(g),), (shape, window))),)
        return (make(out),)


class AvgUnpoolBackward0(Node):
    """The gradient of avg_pool2d is linear; its own gradient is the pooling."""

    __slots__ = ()

    def backward(self, gg: Any) -> tuple[Any, ...]:
        _, window = self.saved
        return (by_type[type(gg)].avg_pool2d(gg, *window),)

    def backward_graph(self, gg: Tensor) -> tuple[Any, ...]:
        _, window = self.saved
        return (_avg_pool2d(gg, window),)


def _avg_pool2d(x: Tensor, window: tuple[Any, ...]) -> Tensor:
    data = x._data
    out = by_type[type(data)].avg_pool2d(data, *window)
    if x._requires_grad and mode.enabled:
        return make(out, AvgPool2DBackward0((edge_of(x),), (data.shape, window)))
    return make(out)


def avg_pool2d(
    input: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | tuple[()] | None = None,
    padding: IntOrPair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window.

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        kernel_size, stride, padding: an int or (height, width); the stride is the kernel by default.
        ceil_mode: windows may reach over the end.
        count_include_pad: padding counts in the divisor.
        divisor_override: divide by this instead.

    Raises:
        RuntimeError: shapes that do not fit, or a divisor of 0.
    """
    if input._data.ndim == 3:
        return avg_pool2d(
            input.unsqueeze(0),
            kernel_size,
            stride,
            padding,
            ceil_mode,
            count_include_pad,
            divisor_override,
        ).squeeze(0)
    data = _image(input, "avg_pool2d")
    kernel = pair(kernel_size, "kernel_size", "avg_pool2d", 1)
    step = kernel if stride is None or stride == () else pair(stride, "stride", "avg_pool2d", 1)
    pad = pair(padding, "padding", "avg_pool2d")
    if divisor_override == 0:
        raise RuntimeError("avg_pool2d: divisor must be not zero")
    check_window("avg_pool2d", data.shape[2:], kernel, step, pad, (1, 1), ceil_mode)
    return _avg_pool2d(input, (kernel, step, pad, ceil_mode, count_include_pad, divisor_override))


class AdaptiveAvgPool2DBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (by_type[type(g)].adaptive_avg_pool2d_backward(g, self.saved[0]),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        (shape,) = self.saved
        out = by_type[type(g._data)].adaptive_avg_pool2d_backward(g._data, shape)
        if g._requires_grad and mode.enabled:
            return (make(out, AdaptiveUnpoolBackward0((edge_of(g),), (g._data.shape[2:],))),)
        return (make(out),)


class AdaptiveUnpoolBackward0(Node):
    """The gradient of adaptive_avg_pool2d is linear; its own gradient is the pooling."""

    __slots__ = ()

    def backward(self, gg: Any) -> tuple[Any, ...]:
        return (by_type[type(gg)].adaptive_avg_pool2d(gg, self.saved[0]),)

    def backward_graph(self, gg: Tensor) -> tuple[Any, ...]:
        return (adaptive_avg_pool2d(gg, self.saved[0]),)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means of windows chosen such that the result has ``output_size``: an int or (height, width), None keeps."""
    if input._data.ndim == 3:
        return adaptive_avg_pool2d(input.unsqueeze(0), output_size).squeeze(0)
    data = _image(input, "adaptive_avg_pool2d")
    given = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
    sizes = tuple(data.shape[2 + i] if n is None else n for i, n in enumerate(given))
    size = pair(sizes, "output_size", "adaptive_avg_pool2d")
    if 0 in data.shape[2:]:
        raise RuntimeError(f"adaptive_avg_pool2d: empty image, got {tuple(data.shape)}")
    out = by_type[type(data)].adaptive_avg_pool2d(data, size)
    if input._requires_grad and mode.enabled:
        return make(out, AdaptiveAvgPool2DBackward0((edge_of(input),), (data.shape,)))
    return make(out)
