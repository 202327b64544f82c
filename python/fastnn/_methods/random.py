"""Filling a tensor with random numbers, as methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import random
from .._core import TensorBase, make
from ..autograd.inplace import write

if TYPE_CHECKING:
    from ..tensor import Tensor


def _open_uniform(input: Tensor, generator: Any) -> Any:
    """Uniform numbers in (0, 1], in float64: logarithms of them are finite."""
    return 1.0 - random.uniform_array(input._data.shape, np.dtype(np.float64), generator)


def _put(input: Tensor, values: Any, operation: str) -> Tensor:
    return write(input, make(np.asarray(values).astype(input._data.dtype)), operation)


def _uniform(input: Tensor, low: float = 0.0, to: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fill with uniform random numbers in [low, to).

    Raises:
        RuntimeError: ``to`` below ``low``.
    """
    if to < low:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low} > to={to}"
        )
    d = input._data.dtype
    u = random.uniform_array(input._data.shape, d, generator)
    return write(input, make(u * d.type(to - low) + d.type(low)), "uniform_")


def _normal(input: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fill with normal random numbers.

    Raises:
        RuntimeError: a negative ``std``.
    """
    if std < 0:
        raise RuntimeError(f"normal_ expects std >= 0.0, but found std {std}")
    d = input._data.dtype
    z = random.normal_array(input._data.shape, d, generator)
    return write(input, make(z * d.type(std) + d.type(mean)), "normal_")


def _bernoulli(input: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Fill with 1 (probability ``p``, a number or a tensor that broadcasts) and 0."""
    chance = p._data if isinstance(p, TensorBase) else p
    u = random.uniform_array(input._data.shape, np.dtype(np.float32), generator)
    return _put(input, u < chance, "bernoulli_")


def _exponential(input: Tensor, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fill with exponentially distributed numbers of rate ``lambd``.

    Raises:
        RuntimeError: a rate that is not positive.
    """
    if lambd <= 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
    return _put(input, -np.log(_open_uniform(input, generator)) / lambd, "exponential_")


def _cauchy(
    input: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None
) -> Tensor:
    """Fill with Cauchy distributed numbers.

    Raises:
        RuntimeError: a ``sigma`` that is not positive.
    """
    if sigma <= 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    u = _open_uniform(input, generator)
    return _put(input, median + sigma * np.tan(np.pi * (u - 0.5)), "cauchy_")


def _geometric(input: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """Fill with the number of trials (from 1) until the first success of probability ``p``.

    Raises:
        RuntimeError: ``p`` outside (0, 1).
    """
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    u = _open_uniform(input, generator)
    return _put(input, np.maximum(np.ceil(np.log(u) / np.log1p(-p)), 1), "geometric_")


def _log_normal(
    input: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Any = None
) -> Tensor:
    """Fill with numbers whose logarithm is normal, of this mean and standard deviation.

    Raises:
        RuntimeError: a ``std`` that is not positive.
    """
    if std <= 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
    z = random.normal_array(input._data.shape, np.dtype(np.float64), generator)
    with np.errstate(over="ignore"):
        return _put(input, np.exp(z * std + mean), "log_normal_")


def _random(input: Tensor, low: int = 0, to: int | None = None, *, generator: Any = None) -> Tensor:
    """Fill with random integers in [low, to); one number alone is ``to``; none: all that the dtype holds exactly.

    Raises:
        RuntimeError: an empty range.
    """
    d = input._data.dtype
    if to is None and low:
        low, to = 0, low
    if to is None:
        if d.kind == "b":
            to = 2
        elif d.kind in "iu":
            to = int(np.iinfo(d).max)
        else:
            to = 2 ** (np.finfo(d).nmant + 1) + 1 if d.kind == "f" else 257
    if to <= low:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={to}"
        )
    drawn = random.randint(low, to, input._data.shape, generator=generator)
    return _put(input, drawn._data, "random_")


class RandomMethods(TensorBase):
    """Methods that fill this tensor with random numbers, and return it."""

    __slots__ = ()

    uniform_ = _uniform
    normal_ = _normal
    bernoulli_ = _bernoulli
    exponential_ = _exponential
    cauchy_ = _cauchy
    geometric_ = _geometric
    log_normal_ = _log_normal
    random_ = _random
    bernoulli = random.bernoulli
    multinomial = random.multinomial
