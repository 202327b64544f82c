"""Special functions that ``fastnn.special`` alone names: scaled Bessel and error functions, the normal distribution's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _dtype
from .._core import as_array, make
from ..autograd.grad_mode import mode
from ..autograd.node import ComposedNode, edge_of
from ..autograd.output import accepts_out
from ..backends.numpy import special as arrays
from . import select, unary
from .promotion import cast, promote, unbroadcast

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

_SQRT2 = math.sqrt(2)
_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class SpecialBackward0(ComposedNode):
    """``saved`` is (x, result, rule); the rule gives the slope from both, as tensors."""

    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        x, y, rule = self.saved
        return (g * rule(x, self.output(y)),)


def _apply(
    function: Callable[[Any], Any], rule: Callable[[Tensor, Tensor], Any], x: Tensor
) -> Tensor:
    """``function`` on the array of ``x``, computed in float64; integers become the default float."""
    if x._data.dtype.kind in "iub":
        x = cast(x, _dtype.get_default_dtype().numpy)
    with np.errstate(all="ignore"):
        y = as_array(function(x._data.astype(np.float64))).astype(x._data.dtype)
    if x._requires_grad and mode.enabled:
        return make(y, SpecialBackward0((edge_of(x),), (x, y, rule)))
    return make(y)


@accepts_out
def i0e(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """exp(-|x|) times the modified Bessel function of order 0."""
    return _apply(lambda x: arrays._bessel(0, x), lambda x, y: i1e(x) - unary.sign(x) * y, input)


def _i1e_slope(x: Tensor, y: Tensor) -> Tensor:
    zero = make(x._data == 0)
    safe = select.masked_fill(x, zero, 1.0)
    slope = i0e(x) - y * (unary.sign(x) + 1 / safe)
    return select.masked_fill(slope, zero, 0.5)


@accepts_out
def i1e(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """exp(-|x|) times the modified Bessel function of order 1."""
    return _apply(lambda x: arrays._bessel(1, x), _i1e_slope, input)


@accepts_out
def i1(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The modified Bessel function of order 1."""
    return unary.unary("i1", input)


def _erfcx_array(x: Any) -> Any:
    near = np.exp(x * x) * arrays._erfc64(x)
    return np.where(x > 0.46875, arrays._scaled_tail(np.maximum(x, 0.46875)), near)


@accepts_out
def erfcx(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """exp(x**2) erfc(x), which does not underflow."""
    return _apply(_erfcx_array, lambda x, y: 2 * x * y - 2 / math.sqrt(math.pi), input)


def _log_ndtr_array(x: Any) -> Any:
    tail = np.log(_erfcx_array(np.maximum(-x, 0) / _SQRT2) / 2) - x * x / 2
    return np.where(x < -1, tail, np.log1p(-arrays._erfc64(x / _SQRT2) / 2))


@accepts_out
def log_ndtr(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The logarithm of ``ndtr``, accurate far below 0."""
    return _apply(_log_ndtr_array, lambda x, y: unary.exp(x * x * -0.5 - y - _LOG_SQRT_2PI), input)


@accepts_out
def ndtr(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The standard normal distribution function."""
    return unary.erfc(input * (-1 / _SQRT2)) * 0.5


def _ndtri_array(p: Any) -> Any:
    """The inverse of the erf in the middle, Newton's steps on the logarithm in the tails."""
    small = np.minimum(p, 1 - p)
    log = np.log(np.maximum(small, np.finfo(np.float64).tiny))
    y = -np.sqrt(np.maximum(-2 * log, 0))
    for _ in range(8):
        found = _log_ndtr_array(y)
        y = y - (found - log) * np.exp(found + y * y / 2 + _LOG_SQRT_2PI)
    y = np.where(p > 0.5, -y, y)
    y = np.where(small > 0.1, _SQRT2 * arrays._erfinv64(2 * p - 1), y)
    y = np.where(p == 0, -np.inf, np.where(p == 1, np.inf, y))
    return np.where((p < 0) | (p > 1) | np.isnan(p), np.nan, y)


@accepts_out
def ndtri(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse of ``ndtr``."""
    return _apply(_ndtri_array, lambda x, y: unary.exp(y * y * 0.5 + _LOG_SQRT_2PI), input)


def _entr_array(x: Any) -> Any:
    y = -x * np.log(np.where(x > 0, x, 1))
    return np.where(np.isnan(x) | (x > 0), y, np.where(x == 0, 0.0, -np.inf))


@accepts_out
def entr(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """-x log x: 0 at 0, -inf below."""
    return _apply(_entr_array, lambda x, y: -(unary.log(x) + 1), input)


class Xlog1pyBackward0(ComposedNode):
    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        x, y = self.saved
        flat = make((x._data == 0) & (y._data <= -1))
        gx = g * select.masked_fill(unary.log1p(y), flat, 0.0)
        gy = g * (x / (y + 1))
        return unbroadcast(gx, x._data.shape), unbroadcast(gy, y._data.shape)


@accepts_out
def xlog1py(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """x log(1 + y), 0 where x is 0."""
    a, b = promote(input, other, floating=True)
    x, y = a._data, b._data
    with np.errstate(all="ignore"):
        z = np.where((x == 0) & ~np.isnan(y), x * 0, x * np.log1p(y)).astype(x.dtype)
    if mode.enabled and (a._requires_grad or b._requires_grad):
        return make(z, Xlog1pyBackward0((edge_of(a), edge_of(b)), (a, b)))
    return make(z)


class ZetaBackward0(ComposedNode):
    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        s, q = self.saved
        if self.edges[0] is not None:
            raise RuntimeError(
                "zeta: the gradient with respect to the first argument is not implemented"
            )
        return None, unbroadcast(g * -s * zeta(s + 1, q), q._data.shape)


def _zeta_array(s: Any, q: Any) -> Any:
    s, q = np.broadcast_arrays(s, q)
    orders: Any = s
    y = arrays._zeta64(orders, q)
    whole = q == np.floor(q)
    y = np.where(q <= 0, np.where(whole, np.inf, np.where(s == np.floor(s), y, np.nan)), y)
    return np.where(s == 1, np.inf, np.where(s < 1, np.nan, y))


@accepts_out
def zeta(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """Hurwitz's zeta function: the sum of (other + k)**-input over k >= 0; differentiable in ``other``."""
    s, q = promote(input, other, floating=True)
    with np.errstate(all="ignore"):
        y = _zeta_array(s._data.astype(np.float64), q._data.astype(np.float64)).astype(
            q._data.dtype
        )
    if mode.enabled and (s._requires_grad or q._requires_grad):
        return make(y, ZetaBackward0((edge_of(s), edge_of(q)), (s, q)))
    return make(y)
