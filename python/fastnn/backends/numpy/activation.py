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


_BLOCK = 1 << 14  # elements: what erf computes on the way to its result stays in the cache


def _cdf(x: Array) -> Array:
    """P(X <= x), X standard normal."""
    flat = np.ascontiguousarray(x, like=x).reshape(-1)
    out = np.empty_like(flat)
    for start in range(0, flat.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        out[part] = (erf(flat[part] * _INV_SQRT_2) + 1) * 0.5
    return out.reshape(x.shape)


def gelu(x: Array, approximate: bool) -> Array:
    """x * P(X <= x), X standard normal; ``approximate``: by tanh."""
    if approximate:
        share = (np.tanh((x + x * x * x * _CUBIC) * _SQRT_2_BY_PI) + 1) * 0.5
    else:
        share = _cdf(x)
    y: Array = x * share
    return y


def gelu_backward(g: Array, x: Array, approximate: bool) -> Array:
    """g * (P(X <= x) + x * density(x)), and the same of the approximation."""
    if approximate:
        gate = np.tanh((x + x * x * x * _CUBIC) * _SQRT_2_BY_PI)
        share = (gate + 1) * 0.5
        slope = (1 - gate * gate) * ((x * x * (3 * _CUBIC) + 1) * (_SQRT_2_BY_PI / 2))
    else:
        share = _cdf(x)
        slope = np.exp(x * x * -0.5) * _INV_SQRT_2PI
    gx: Array = g * (share + x * slope)
    return gx


def silu(x: Array) -> Array:
    """x * sigmoid(x)."""
    y: Array = x * sigmoid(x)
    return y


def silu_backward(g: Array, x: Array) -> Array:
    s = sigmoid(x)
    gx: Array = g * (s * (1 + x * (1 - s)))
    return gx
