"""Draws of the library's default generator, as Python numbers: ``fastnn.manual_seed`` reproduces a transform."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

import fastnn
from fastnn.random import normal_array, uniform_array

__all__: list[str] = []

_FLOAT64 = np.dtype(np.float64)


def uniform(low: float = 0.0, high: float = 1.0) -> float:
    """A number in [low, high)."""
    return float(low + (high - low) * uniform_array((), _FLOAT64))


def uniforms(count: int) -> npt.NDArray[np.float64]:
    """``count`` numbers in [0, 1)."""
    drawn: npt.NDArray[np.float64] = uniform_array((count,), _FLOAT64)
    return drawn


def chance(p: float) -> bool:
    """True with probability ``p``."""
    return uniform() < p


def integer(low: int, high: int) -> int:
    """An integer in [low, high)."""
    return low + min(int(uniform() * (high - low)), high - low - 1)


def integers(high: int, count: int) -> npt.NDArray[np.int64]:
    """``count`` integers in [0, high)."""
    drawn: npt.NDArray[np.int64] = (uniforms(count) * high).astype(np.int64)
    return drawn


def log_uniform(low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return math.exp(uniform(math.log(low), math.log(high)))


def permutation(count: int) -> list[int]:
    """0 … count - 1 in random order."""
    order: list[int] = fastnn.randperm(count).tolist()
    return order


def normal(shape: tuple[int, ...], dtype: Any) -> Any:
    """Standard normal numbers."""
    return normal_array(shape, np.dtype(dtype))


def choice(count: int, weights: Any = None) -> int:
    """An index in [0, count), with probabilities in proportion to ``weights``."""
    if weights is None:
        return integer(0, count)
    cumulative = np.cumsum(np.asarray(weights, dtype=np.float64))
    found = int(np.searchsorted(cumulative, uniform() * cumulative[-1], side="right"))
    return min(found, count - 1)


def gamma(shape: float) -> float:
    """A number of the gamma distribution with scale 1 (Marsaglia and Tsang 2000)."""
    if shape < 1:
        return gamma(shape + 1) * math.pow(1.0 - uniform(), 1 / shape)
    d = shape - 1 / 3
    while True:
        x = float(normal((1,), np.float64)[0])
        v = (1 + x / math.sqrt(9 * d)) ** 3
        if v > 0 and math.log(1.0 - uniform()) < 0.5 * x * x + d - d * v + d * math.log(v):
            return d * v


def beta(a: float, b: float) -> float:
    """A number of the beta distribution."""
    x, y = gamma(a), gamma(b)
    return x / (x + y) if x + y > 0 else 0.5


def dirichlet(alpha: float, count: int) -> npt.NDArray[np.float64]:
    """Weights that sum to 1, of the symmetric Dirichlet distribution."""
    drawn = np.array([gamma(alpha) for _ in range(count)])
    weights: npt.NDArray[np.float64] = drawn / drawn.sum()
    return weights
