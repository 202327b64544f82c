"""Activations that the kernels compute in one pass, forward and backward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._core import as_array, make
from .._dtype import get_default_dtype
from ..autograd.grad_mode import mode
from ..autograd.node import Node, edge_of
from ..backends import by_type
from .promotion import cast

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "relu",
    "sigmoid",
    "tanh",
]


def _floating(x: Tensor, operation: str) -> Tensor:
    """``x``, or RuntimeError where it is not a floating tensor."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{operation}(): argument 'input' must be Tensor, not {type(x).__name__}")
    if x._data.dtype.kind in "iub":
        raise RuntimeError(f"{operation}: expects a floating tensor, got {x.dtype}")
    return x


class ReluBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (by_type[type(g)].relu_backward(g, self.saved[0]),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        return (g * cast(make(self.saved[0] > 0), g._data.dtype),)


def relu(input: Tensor) -> Tensor:
    """max(x, 0), element by element.

    >>> import fastnn
    >>> fastnn.relu(fastnn.tensor([-1., 2.]))
    tensor([0., 2.])
    """
    data = input._data
    out = by_type[type(data)].relu(data)
    if input._requires_grad and mode.enabled:
        return make(out, ReluBackward0((edge_of(input),), (out,)))
    return make(out)


class LeakyReluBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, slope = self.saved
        return (by_type[type(g)].leaky_relu_backward(g, x._data, slope),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        x, slope = self.saved
        positive = cast(make(x._data > 0), g._data.dtype)
        return (g * (positive * (1.0 - slope) + slope),)


def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, else negative_slope * x."""
    data = _floating(input, "leaky_relu")._data
    out = by_type[type(data)].leaky_relu(data, negative_slope)
    if input._requires_grad and mode.enabled:
        return make(out, LeakyReluBackward0((edge_of(input),), (input, negative_slope)))
    return make(out)


class SigmoidBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (by_type[type(g)].sigmoid_backward(g, self.saved[0]),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        y = self.output(self.saved[0])
        return (g * (y * (1.0 - y)),)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), element by element.

    >>> import fastnn
    >>> fastnn.sigmoid(fastnn.tensor([0.]))
    tensor([0.5000])
    """
    data = input._data
    if data.dtype.kind in "iub":
        return sigmoid(cast(input, get_default_dtype().numpy))
    out = by_type[type(data)].sigmoid(data)
    if input._requires_grad and mode.enabled:
        out = as_array(out)
        return make(out, SigmoidBackward0((edge_of(input),), (out,)))
    return make(out)


class TanhBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (by_type[type(g)].tanh_backward(g, self.saved[0]),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        y = self.output(self.saved[0])
        return (g * (1.0 - y * y),)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent, element by element."""
    data = input._data
    if data.dtype.kind in "iub":
        return tanh(cast(input, get_default_dtype().numpy))
    out = by_type[type(data)].tanh(data)
    if input._requires_grad and mode.enabled:
        out = as_array(out)
        return make(out, TanhBackward0((edge_of(input),), (out,)))
    return make(out)
