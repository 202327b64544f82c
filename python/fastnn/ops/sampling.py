"""Random numbers with parameters in tensors: gamma (differentiable) and binomial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _dtype, random
from .._core import make
from ..autograd.grad_mode import mode
from ..autograd.node import Node, edge_of
from ..backends import by_type
from .transfer import on_host

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

_FLOAT64 = np.dtype(np.float64)


def gamma_array(shape: Any, generator: random.Generator | None = None) -> Any:
    """Gamma distributed numbers of rate 1 and shape parameters ``shape`` (float64), by rejection.

    G. Marsaglia, W. Tsang, "A simple method for generating gamma variables", 2000; below 1 a draw for shape + 1 times
    u**(1 / shape).
    """
    a = np.asarray(shape, np.float64)
    flat = a.reshape(-1)
    d = np.where(flat < 1, flat + 1, flat) - 1 / 3
    c = 1 / np.sqrt(9 * d)
    out = np.empty(flat.size)
    left = np.arange(flat.size)
    while left.size:
        x = random.normal_array((left.size,), _FLOAT64, generator)
        u = 1.0 - random.uniform_array((left.size,), _FLOAT64, generator)
        v = (1 + c[left] * x) ** 3
        with np.errstate(invalid="ignore", divide="ignore"):
            bound = 0.5 * x * x + d[left] * (1 - v + np.log(v))
            # A shape that is NaN gives NaN, and is not drawn again
            taken = ((v > 0) & (np.log(u) < bound)) | np.isnan(d[left])
        out[left[taken]] = (d[left] * v)[taken]
        left = left[~taken]
    small = flat < 1
    if small.any():
        u = 1.0 - random.uniform_array((int(small.sum()),), _FLOAT64, generator)
        out[small] *= u ** (1 / flat[small])
    # Neither 0 nor infinity: logarithms and gradients stay finite
    return np.maximum(out, np.finfo(np.float64).tiny).reshape(a.shape)


def gamma_slope(shape: Any, x: Any) -> Any:
    """dx / d shape of a draw x at a fixed value of the distribution function F: -(dF / d shape) / (dF / dx).

    dF / d shape is the central difference, improved by Richardson, of the smaller of F and 1 - F. M. Figurnov and
    others, "Implicit reparameterization gradients", 2018.
    """
    a, x = np.asarray(shape, np.float64), np.asarray(x, np.float64)
    backend = by_type[np.ndarray]
    lower = backend.gammainc(a, x) < 0.5

    def tail(b: Any) -> Any:
        return np.where(lower, backend.gammainc(b, x), -backend.gammaincc(b, x))

    h = 1e-3 * np.minimum(np.maximum(np.sqrt(a), 1e-3), a)
    near = (tail(a + h) - tail(a - h)) / (2 * h)
    far = (tail(a + 2 * h) - tail(a - 2 * h)) / (4 * h)
    with np.errstate(all="ignore"):
        density = np.exp((a - 1) * np.log(x) - x - backend.lgamma(a))
        return -((4 * near - far) / 3) / density


class StandardGammaBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        shape, x = self.saved
        return ((g * gamma_slope(shape._data, x)).astype(g.dtype),)


@on_host
def standard_gamma(shape: Tensor, generator: random.Generator | None = None) -> Tensor:
    """Gamma distributed numbers of rate 1, differentiable (once) with respect to the shape parameter."""
    data = shape._data
    drawn = gamma_array(data, generator)
    x = np.maximum(drawn, _dtype.finfo(shape.dtype).tiny).astype(data.dtype)
    if shape._requires_grad and mode.enabled:
        return make(x, StandardGammaBackward0((edge_of(shape),), (shape, drawn)))
    return make(x)


# Above this count a binomial number is split at the median of its uniform draws
_SPLIT_ABOVE = 64


@on_host
def binomial(count: Tensor, prob: Tensor, generator: random.Generator | None = None) -> Tensor:
    """The number of successes in ``count`` trials of probability ``prob``, in the dtype of ``count``.

    Large counts are halved by drawing the median of the trials' uniform numbers, a beta variable (L. Devroye, "Non-uniform
    random variate generation", 1986, X.4.3); small ones by inversion.

    Raises:
        RuntimeError: another dtype than a floating one, a negative count, or a probability outside [0, 1].
    """
    if count._data.dtype.kind in "iub" or count._data.dtype != prob._data.dtype:
        raise RuntimeError(
            f"binomial: expects count and prob of the same floating dtype, got {count.dtype} and {prob.dtype}"
        )
    n, p = np.broadcast_arrays(count._data.astype(np.float64), prob._data.astype(np.float64))
    if (n < 0).any() or (p < 0).any() or (p > 1).any():
        raise RuntimeError("binomial: expects count >= 0 and prob in [0, 1]")
    shape = n.shape
    left = np.floor(n).reshape(-1)
    chance = np.array(p.reshape(-1))
    total = np.zeros(left.size)
    while True:
        many = np.flatnonzero(left > _SPLIT_ABOVE)
        if not many.size:
            break
        i = np.floor((left[many] + 1) / 2)
        x = gamma_array(i, generator)
        x = x / (x + gamma_array(left[many] + 1 - i, generator))
        below = x <= chance[many]  # i of the trials are successes; else only those below x can be
        total[many] += np.where(below, i, 0)
        rest = chance[many]
        with np.errstate(all="ignore"):
            chance[many] = np.where(below, (rest - x) / (1 - x), rest / x).clip(0, 1)
        left[many] = np.where(below, left[many] - i, i - 1)
    u = random.uniform_array((left.size,), _FLOAT64, generator)
    flipped = chance > 0.5
    q = np.where(flipped, 1 - chance, chance)
    term = (1 - q) ** left
    below_k, drawn = term.copy(), np.zeros(left.size)
    for k in range(_SPLIT_ABOVE):
        more = (u > below_k) & (drawn < left)
        if not more.any():
            break
        drawn += more
        term = term * (left - k) / (k + 1) * q / (1 - q)
        below_k = below_k + term
    total += np.where(flipped, left - drawn, drawn)
    return make(total.reshape(shape).astype(count._data.dtype))
