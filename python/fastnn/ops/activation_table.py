"""Activations beside those of ``activation``: each a function of arrays and the rule of its gradient.

A rule is written once, in names that ``ARRAYS`` (NumPy) and ``GRAPH`` (tensors) have, so that it serves backward and
differentiable backward.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from .._device import place_beside
from ..autograd.grad_mode import mode
from ..autograd.node import Node, edge_of
from ..backends import by_type
from ..random import uniform_array
from .activation import _floating, leaky_relu, sigmoid, tanh
from .promotion import cast
from .select import where
from .softmax import softmax
from .unary import ARRAYS, GRAPH

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "celu",
    "hardshrink",
    "prelu",
    "rrelu",
    "selu",
    "threshold",
]


class ActivationNode(Node):
    """A function of one argument and some numbers, with a rule (xp, g, x, *numbers)."""

    __slots__ = ()
    rule: Any = None

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, *numbers = self.saved
        with np.errstate(all="ignore"):
            return (self.rule(ARRAYS, g, x._data, *numbers),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        return (self.rule(GRAPH, g, *self.saved),)


def _in_float32(function: Any, x: Tensor, *numbers: Any) -> Tensor:
    """``function`` of a half-precision tensor: computed in float32, and rounded once."""
    result: Tensor = function(cast(x, np.dtype(np.float32)), *numbers)
    return cast(result, x._data.dtype)


class _Activation:
    """A row: a name, the function on arrays, the node of its gradient's rule."""

    __slots__ = ("function", "name", "node")

    def __init__(self, name: str, function: Callable[..., Any], rule: Callable[..., Any]) -> None:
        self.name = name
        self.function = function
        node_name = name.capitalize() + "Backward0"
        members = {"__slots__": (), "rule": staticmethod(rule)}
        self.node = type(node_name, (ActivationNode,), members)

    def __call__(self, x: Tensor, *numbers: float) -> Tensor:
        data = _floating(x, self.name)._data
        if data.dtype.itemsize < 4:
            return _in_float32(self, x, *numbers)
        with np.errstate(all="ignore"):
            y = self.function(data, *numbers)
        if x._requires_grad and mode.enabled:
            return make(y, self.node((edge_of(x),), (x, *numbers)))
        return make(y)


def _elu_array(x: Any, alpha: float, scale: float, input_scale: float) -> Any:
    return np.where(x > 0, x * scale, np.expm1(np.minimum(x * input_scale, 0)) * (alpha * scale))


def _elu_rule(xp: Any, g: Any, x: Any, alpha: float, scale: float, input_scale: float) -> Any:
    slope = xp.exp(x * input_scale) * (alpha * scale * input_scale)
    return xp.where(x > 0, g * scale, g * slope)


_elu = _Activation("elu", _elu_array, _elu_rule)
_hardtanh = _Activation(
    "hardtanh",
    lambda x, low, high: np.clip(x, x.dtype.type(low), x.dtype.type(high)),
    lambda xp, g, x, low, high: xp.where((x > low) & (x < high), g, g * 0),
)
_hardsigmoid = _Activation(
    "hardsigmoid",
    lambda x: np.clip(x + 3, 0, 6) / x.dtype.type(6),
    lambda xp, g, x: xp.where((x > -3) & (x < 3), g * (1 / 6), g * 0),
)
_hardswish = _Activation(
    "hardswish",
    lambda x: x * np.clip(x + 3, 0, 6) / x.dtype.type(6),
    lambda xp, g, x: xp.where(x < -3, g * 0, xp.where(x <= 3, g * (x * (1 / 3) + 0.5), g)),
)
_softshrink = _Activation(
    "softshrink",
    lambda x, size: np.where(x > size, x - size, np.where(x < -size, x + size, x * 0)),
    lambda xp, g, x, size: xp.where((x > size) | (x < -size), g, g * 0),
)
_hardshrink = _Activation(
    "hardshrink",
    lambda x, size: np.where((x >= -size) & (x <= size), np.zeros_like(x), x),
    lambda xp, g, x, size: xp.where((x > size) | (x < -size), g, g * 0),
)
_threshold = _Activation(
    "threshold",
    lambda x, level, value: np.where(x <= level, np.full_like(x, value), x),
    lambda xp, g, x, level, value: xp.where(x <= level, g * 0, g),
)


def _softplus_array(x: Any, beta: float, limit: float) -> Any:
    t = x * beta
    return np.where(t > limit, x, np.log1p(np.exp(t)) / x.dtype.type(beta))


def _softplus_rule(xp: Any, g: Any, x: Any, beta: float, limit: float) -> Any:
    t = x * beta
    return xp.where(t > limit, g, g / (xp.exp(-t) + 1))


def _log_sigmoid_array(x: Any) -> Any:
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


_softplus = _Activation("softplus", _softplus_array, _softplus_rule)
_logsigmoid = _Activation("log_sigmoid", _log_sigmoid_array, lambda xp, g, x: g / (xp.exp(x) + 1))


def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else alpha * (exp(x) - 1).

    D. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by exponential linear units", 2015.
    """
    return _elu(input, alpha, 1.0, 1.0)


def celu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else alpha * (exp(x / alpha) - 1).

    Raises:
        RuntimeError: ``alpha`` is 0.
    """
    if alpha == 0:
        raise RuntimeError("celu: ZeroDivisionError: alpha cannot be 0 for CELU")
    return _elu(input, alpha, 1.0, 1.0 / alpha)


def selu(input: Tensor) -> Tensor:
    """scale * elu(x, alpha), with the constants that keep mean 0 and variance 1.

    G. Klambauer et al., "Self-normalizing neural networks", 2017 (the constants, to double precision).
    """
    return _elu(input, 1.6732632423543772, 1.0507009873554805, 1.0)


class GeluBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, approximate = self.saved
        return (by_type[type(g)].gelu_backward(g, x._data, approximate),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        x, approximate = self.saved
        if approximate:
            gate = tanh((x + x * x * x * 0.044715) * math.sqrt(2 / math.pi))
            slope = (1 - gate * gate) * ((x * x * 0.134145 + 1) * math.sqrt(0.5 / math.pi))
        else:
            gate = (x * math.sqrt(0.5)).erf()
            slope = (x * x * -0.5).exp() * math.sqrt(0.5 / math.pi)
        return (g * ((gate + 1) * 0.5 + x * slope),)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x * P(X <= x), X standard normal.

    Args:
        approximate: "none", or "tanh" for the approximation by tanh.

    Raises:
        RuntimeError: another ``approximate``.

    D. Hendrycks, K. Gimpel, "Gaussian error linear units", 2016.

    >>> import fastnn
    >>> fastnn.nn.functional.gelu(fastnn.tensor([-1., 0., 1.]))
    tensor([-0.1587,  0.0000,  0.8413])
    """
    if approximate not in ("none", "tanh"):
        raise RuntimeError(
            f'gelu: approximate argument must be either "none" or "tanh", got {approximate!r}'
        )
    data = _floating(input, "gelu")._data
    if data.dtype.itemsize < 4:
        return _in_float32(gelu, input, approximate)
    by_tanh = approximate == "tanh"
    y = by_type[type(data)].gelu(data, by_tanh)
    if input._requires_grad and mode.enabled:
        return make(y, GeluBackward0((edge_of(input),), (input, by_tanh)))
    return make(y)


class SiluBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (by_type[type(g)].silu_backward(g, self.saved[0]._data),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        x = self.saved[0]
        s = sigmoid(x)
        return (g * (s * (1 + x * (1 - s))),)


def silu(input: Tensor) -> Tensor:
    """x * sigmoid(x), also called swish."""
    data = _floating(input, "silu")._data
    if data.dtype.itemsize < 4:
        return _in_float32(silu, input)
    y = by_type[type(data)].silu(data)
    if input._requires_grad and mode.enabled:
        return make(y, SiluBackward0((edge_of(input),), (input,)))
    return make(y)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * x)) / beta; x itself where beta * x > threshold."""
    return _softplus(input, beta, threshold)


def mish(input: Tensor) -> Tensor:
    """x * tanh(softplus(x)).

    D. Misra, "Mish: a self regularized non-monotonic activation function", 2019.
    """
    return input * tanh(softplus(input))


def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(x)), without overflow."""
    return _logsigmoid(input)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x limited to [min_val, max_val].

    Raises:
        ValueError: ``min_val`` is greater than ``max_val``.
    """
    if min_val > max_val:
        raise ValueError(
            f"hardtanh: min_val cannot be greater than max_val, got {min_val} and {max_val}"
        )
    return _hardtanh(input, min_val, max_val)


def hardsigmoid(input: Tensor) -> Tensor:
    """(x + 3) / 6 limited to [0, 1]."""
    return _hardsigmoid(input)


def hardswish(input: Tensor) -> Tensor:
    """x * hardsigmoid(x).

    A. Howard et al., "Searching for MobileNetV3", 2019.
    """
    return _hardswish(input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by ``lambd``, and 0 where it is nearer.

    Raises:
        RuntimeError: a negative ``lambd``.
    """
    if lambd < 0:
        raise RuntimeError(f"softshrink: lambda must be greater or equal to 0, but found {lambd}")
    return _softshrink(input, lambd)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x, and 0 within ``lambd`` of 0."""
    return _hardshrink(input, lambd)


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    return input - tanh(input)


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return input / (input.abs() + 1)


def threshold(input: Tensor, threshold: float, value: float) -> Tensor:
    """x where x > threshold, else ``value``."""
    return _threshold(input, threshold, value)


def relu6(input: Tensor) -> Tensor:
    """x limited to [0, 6]."""
    return _hardtanh(input, 0.0, 6.0)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else weight * x.

    Args:
        input: (N, C, ...) or any shape.
        weight: one number, or (C,).

    Raises:
        RuntimeError: a weight of another shape.

    K. He et al., "Delving deep into rectifiers", 2015.
    """
    _floating(input, "prelu")
    shape, count = input._data.shape, weight._data.size
    if weight._data.ndim > 1:
        raise RuntimeError(
            f"prelu: expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight._data.ndim}"
        )
    if count == 1:
        factor = weight.reshape((1,) * len(shape))
    else:
        channels = shape[1] if len(shape) > 1 else 1
        if count != channels:
            raise RuntimeError(
                f"prelu: Mismatch of parameter numbers and input channel size. Found parameter numbers = {count} and "
                f"channel size = {channels}."
            )
        factor = weight.reshape((1, -1) + (1,) * (len(shape) - 2))
    return where(make(input._data > 0), input, input * factor)


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """x where x > 0, else slope * x, with a slope drawn for each element (training) or the middle one.

    B. Xu et al., "Empirical evaluation of rectified activations in convolutional network", 2015.
    """
    if not training:
        return leaky_relu(input, (lower + upper) / 2)
    data = _floating(input, "rrelu")._data
    noise = place_beside(uniform_array(data.shape, np.dtype(np.float64)), data)
    noise = noise * (upper - lower) + lower
    slope = np.where(data > 0, 1.0, noise).astype(data.dtype)
    return input * make(slope)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half of ``dim`` times the sigmoid of the second.

    Raises:
        RuntimeError: a scalar, or an odd size.

    Y. Dauphin et al., "Language modeling with gated convolutional networks", 2016.
    """
    _floating(input, "glu")
    if input._data.ndim == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    size = input.size(dim)
    if size % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {size}")
    first, second = input.split(size // 2, dim)
    return first * sigmoid(second)


def softmin(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """softmax(-x) along ``dim``."""
    return softmax(-input, dim, dtype)


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """softmax((logits + Gumbel noise) / tau): a sample of a category, differentiable.

    Args:
        hard: one-hot, with the gradient of the soft sample.
        eps: has no effect, as in PyTorch.

    E. Jang, S. Gu, B. Poole, "Categorical reparameterization with Gumbel-softmax", 2016.
    """
    data = _floating(logits, "gumbel_softmax")._data
    u = uniform_array(data.shape, np.dtype(np.float64))
    noise = -np.log(-np.log(np.maximum(u, np.finfo(np.float64).tiny)))
    noise = place_beside(noise.astype(data.dtype), data)
    soft = softmax((logits + make(noise)) / tau, dim)
    if not hard:
        return soft
    one = np.zeros_like(data)
    np.put_along_axis(one, soft._data.argmax(dim, keepdims=True), 1, dim)
    return make(one) - soft.detach() + soft
