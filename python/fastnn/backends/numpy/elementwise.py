"""Elementwise functions. Where NumPy's ufunc is the function, it is bound as it is: no call between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.backends.protocol import Array

Binary = Callable[[Array, Array], Array]
Unary = Callable[[Array], Array]

add: Binary = np.add
subtract: Binary = np.subtract
multiply: Binary = np.multiply
divide: Binary = np.true_divide
maximum: Binary = np.maximum
minimum: Binary = np.minimum
power: Binary = np.power
negative: Unary = np.negative
absolute: Unary = np.absolute
square: Unary = np.square
sqrt: Unary = np.sqrt
exp: Unary = np.exp
log: Unary = np.log
tanh: Unary = np.tanh


class _Zeros(dict[np.dtype[Any], Array]):
    """A 0-d zero of each dtype: as an operand it costs half of what the Python scalar 0 costs."""

    def __missing__(self, dtype: np.dtype[Any]) -> Array:
        zero = np.zeros((), dtype)
        zero.flags.writeable = False
        self[dtype] = zero
        return zero


zeros = _Zeros()


def tanh_backward(g: Array, y: Array) -> Array:
    gx: Array = g * (1 - y * y)
    return gx


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), written with exp(-|x|), so that nothing overflows."""
    e = np.exp(-np.abs(x))
    y: Array = np.where(x >= 0, 1, e) / (1 + e)
    return y


def sigmoid_backward(g: Array, y: Array) -> Array:
    gx: Array = g * (y * (1 - y))
    return gx


def relu(x: Array) -> Array:
    return np.maximum(x, zeros[x.dtype])


def relu_backward(g: Array, y: Array) -> Array:
    zero = zeros[g.dtype]
    gx: Array = np.where(y > zero, g, zero)
    return gx


def leaky_relu(x: Array, negative_slope: float) -> Array:
    y: Array = np.where(x > 0, x, x * x.dtype.type(negative_slope))
    return y


def leaky_relu_backward(g: Array, x: Array, negative_slope: float) -> Array:
    gx: Array = np.where(x > 0, g, g * g.dtype.type(negative_slope))
    return gx
