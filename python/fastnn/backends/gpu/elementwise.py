"""Activations and their gradients in one pass over memory; plain arithmetic is the array library's.

An array that is dense in another order of axes (channels last) is taken in the order of its memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn.backends.gpu._arrays import contiguous, empty, is_float, kernels, memory_order, stream
from fastnn.backends.numpy import activation as activation_spec
from fastnn.backends.numpy import elementwise as spec
from fastnn.backends.protocol import Array


def _run(kernel: Callable[..., None], arrays: tuple[Array, ...], parameter: float) -> Array:
    """The kernel over arrays of one shape, with the result in the first one's memory order."""
    first = arrays[0]
    order = memory_order(first)
    views = [contiguous(x.transpose(order)) for x in arrays]
    y: Array = empty(views[0].shape, first.dtype, like=first)
    kernel(*views, y, parameter, stream())
    back = sorted(range(first.ndim), key=order.__getitem__)
    in_order: Array = y.transpose(back)
    return in_order


def _function(name: str, fallback: Callable[..., Any]) -> Callable[..., Any]:
    """One array, or gradient and array, and the parameter where there is one."""
    kernel = getattr(kernels, name)

    def call(*args: Any) -> Any:
        arrays = tuple(a for a in args if hasattr(a, "dtype"))
        parameter = args[len(arrays)] if len(arrays) < len(args) else 0.0
        if not is_float(arrays[0]) or any(
            a.shape != arrays[0].shape or a.dtype != arrays[0].dtype for a in arrays
        ):
            return fallback(*args)
        return _run(kernel, arrays, float(parameter))

    call.__name__ = name
    return call


relu = _function("relu", spec.relu)
relu_backward = _function("relu_backward", spec.relu_backward)
leaky_relu = _function("leaky_relu", spec.leaky_relu)
leaky_relu_backward = _function("leaky_relu_backward", spec.leaky_relu_backward)
sigmoid = _function("sigmoid", spec.sigmoid)
sigmoid_backward = _function("sigmoid_backward", spec.sigmoid_backward)
tanh_backward = _function("tanh_backward", spec.tanh_backward)
silu = _function("silu", activation_spec.silu)
silu_backward = _function("silu_backward", activation_spec.silu_backward)
_gelu = _function("gelu", lambda x: activation_spec.gelu(x, False))
_gelu_tanh = _function("gelu_tanh", lambda x: activation_spec.gelu(x, True))
_gelu_backward = _function("gelu_backward", lambda g, x: activation_spec.gelu_backward(g, x, False))
_gelu_tanh_backward = _function(
    "gelu_tanh_backward", lambda g, x: activation_spec.gelu_backward(g, x, True)
)


def gelu(x: Array, approximate: bool) -> Array:
    """x * P(X <= x), X standard normal; ``approximate``: by tanh."""
    y: Array = (_gelu_tanh if approximate else _gelu)(x)
    return y


def gelu_backward(g: Array, x: Array, approximate: bool) -> Array:
    """The gradient of ``gelu``."""
    gx: Array = (_gelu_tanh_backward if approximate else _gelu_backward)(g, x)
    return gx
