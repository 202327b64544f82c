"""Smooth gates: GELU and SiLU, the activations of Transformers and of convolutional networks after ReLU.

D. Hendrycks, K. Gimpel, "Gaussian error linear units", 2016. S. Elfwing, E. Uchibe, K. Doya, "Sigmoid-weighted linear
units", 2017.
"""

from __future__ import annotations

import math

import numpy as np

from fastnn.backends.numpy.elementwise import sigmoid
from fastnn.backends.numpy.special import erf
from fastnn.backends.protocol import Array

_INV_SQRT_2 = math.sqrt(0.5)
_INV_SQRT_2PI = math.sqrt(0.5 / math.pi)
_SQRT_2_BY_PI = math.sqrt(2 / math.pi)
_CUBIC = 0.044715  # Hendrycks and Gimpel's fit of the normal distribution by tanh


def gelu(x: Array, approximate: bool) -> Array:
    """x * P(X <= x), X standard normal; ``approximate``: by tanh."""
    if approximate:
        gate = np.tanh((x + x * x * x * _CUBIC) * _SQRT_2_BY_PI)
    else:
        gate = erf(x * _INV_SQRT_2)
    y: Array = x * ((gate + 1) * 0.5)
    return y


def gelu_backward(g: Array, x: Array, approximate: bool) -> Array:
    """g * (P(X <= x) + x * density(x)), and the same of the approximation."""
    if approximate:
        gate = np.tanh((x + x * x * x * _CUBIC) * _SQRT_2_BY_PI)
        slope = (1 - gate * gate) * ((x * x * (3 * _CUBIC) + 1) * (_SQRT_2_BY_PI / 2))
    else:
        gate = erf(x * _INV_SQRT_2)
        slope = np.exp(x * x * -0.5) * _INV_SQRT_2PI
    gx: Array = g * ((gate + 1) * 0.5 + x * slope)
    return gx


def silu(x: Array) -> Array:
    """x * sigmoid(x)."""
    y: Array = x * sigmoid(x)
    return y


def silu_backward(g: Array, x: Array) -> Array:
    s = sigmoid(x)
    gx: Array = g * (s * (1 + x * (1 - s)))
    return gx
