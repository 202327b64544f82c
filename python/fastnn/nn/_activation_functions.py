"""Activations as ``functional`` has them: with ``inplace``, and in the forms whose names end in ``_``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

from ..autograd.grad_mode import mode
from ..ops import activation, activation_table
from ..ops import softmax as softmax_ops
from ..tensor import Tensor

P = ParamSpec("P")


def _run(inplace: bool, operation: Callable[..., Tensor], input: Tensor, *numbers: Any) -> Tensor:
    """``operation``, written into ``input`` where ``inplace``.

    Gradients need the input as it was, so that an operation in place works on a copy where they are recorded.
    """
    if not inplace:
        return operation(input, *numbers)
    given = input.clone() if mode.enabled and input.requires_grad else input
    return input._write(operation(given, *numbers), operation.__name__ + "_")


def _inplace(
    operation: Callable[Concatenate[Tensor, P], Tensor],
) -> Callable[Concatenate[Tensor, P], Tensor]:
    """The form of ``operation`` that writes into its input."""

    def function(input: Tensor, /, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        given = input.clone() if mode.enabled and input.requires_grad else input
        return input._write(operation(given, *args, **kwargs), operation.__name__ + "_")

    function.__name__ = function.__qualname__ = operation.__name__ + "_"
    function.__doc__ = f"``{operation.__name__}``, written into ``input``."
    return function


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0), element by element; ``inplace`` writes it into ``input``."""
    return input.relu_() if inplace else activation.relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input where it is positive, else negative_slope * input; ``inplace`` writes it into ``input``."""
    return _run(inplace, activation.leaky_relu, input, negative_slope)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """``input`` limited to [0, 6]; ``inplace`` writes it into ``input``."""
    return _run(inplace, activation_table.relu6, input)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha * (exp(x) - 1); ``inplace`` writes it into ``input``."""
    return _run(inplace, activation_table.elu, input, alpha)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha * (exp(x / alpha) - 1); ``inplace`` writes it into ``input``."""
    return _run(inplace, activation_table.celu, input, alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """The scaled ELU that keeps mean 0 and variance 1; ``inplace`` writes it into ``input``."""
    return _run(inplace, activation_table.selu, input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x * sigmoid(x); ``inplace`` writes it into ``input``."""
    return _run(inplace, activation_table.silu, input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * tanh(softplus(x)); ``inplace`` writes it into ``input``."""
    return _run(inplace, activation_table.mish, input)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """``input`` limited to [min_val, max_val]; ``inplace`` writes it into ``input``.

    Raises:
        ValueError: ``min_val`` is greater than ``max_val``.
    """
    return _run(inplace, activation_table.hardtanh, input, min_val, max_val)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """(x + 3) / 6 limited to [0, 1]; ``inplace`` writes it into ``input``."""
    return _run(inplace, activation_table.hardsigmoid, input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * hardsigmoid(x); ``inplace`` writes it into ``input``."""
    return _run(inplace, activation_table.hardswish, input)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else ``value``; ``inplace`` writes it into ``input``."""
    return _run(inplace, activation_table.threshold, input, threshold, value)


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """x where x > 0, else a slope between ``lower`` and ``upper`` times x; ``inplace`` writes it into ``input``."""
    return _run(inplace, activation_table.rrelu, input, lower, upper, training)


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """exp(x) / sum(exp(x)) along ``dim``, without overflow; ``_stacklevel`` has no effect.

    >>> import fastnn
    >>> fastnn.nn.functional.softmax(fastnn.zeros(1, 4), dim=1)
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    return softmax_ops.softmax(input, dim, dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """log(softmax(x)) along ``dim``, accurate where softmax underflows; ``_stacklevel`` has no effect."""
    return softmax_ops.log_softmax(input, dim, dtype)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """softmax(-x) along ``dim``; ``_stacklevel`` has no effect."""
    return activation_table.softmin(input, dim, dtype)


relu_ = _inplace(activation.relu)
leaky_relu_ = _inplace(activation.leaky_relu)
elu_ = _inplace(activation_table.elu)
celu_ = _inplace(activation_table.celu)
selu_ = _inplace(activation_table.selu)
hardtanh_ = _inplace(activation_table.hardtanh)
threshold_ = _inplace(activation_table.threshold)
rrelu_ = _inplace(activation_table.rrelu)
