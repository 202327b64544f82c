"""Norms, logarithms of sums, moments together, sums without NaN, counts, covariances and distances."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _dtype
from .._core import as_array, make
from ..autograd.grad_mode import mode
from ..autograd.node import ComposedNode, edge_of
from ..autograd.output import accepts_out
from ..backends import by_type
from . import comparison, select, unary
from .gemm import matmul
from .promotion import cast
from .reduction import Dim, _expanded, amax, amin, mean, normalize_dims, std, sum, var

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "cdist",
    "corrcoef",
    "count_nonzero",
    "cov",
    "dist",
    "logsumexp",
    "nanmean",
    "nansum",
    "norm",
    "renorm",
    "std_mean",
    "var_mean",
]


class NormBackward0(ComposedNode):
    """The gradient of a p-norm: g * sign(x) |x|**(p-1) / norm**(p-1); 0 where the norm is 0."""

    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        x, y, p, axes, keepdim = self.saved
        shape = x._data.shape
        result = self.output(y)
        full = _expanded(result, shape, axes, keepdim)
        g = _expanded(g, shape, axes, keepdim)
        zero = make(full._data == 0)
        safe = full.masked_fill(zero, 1.0)
        if p == 2:
            return (g * (x / safe).masked_fill(zero, 0.0),)
        size = unary.abs(x)
        if p < 1:  # the slope at an element of 0 is infinite; PyTorch gives 0
            empty = make(x._data == 0)
            size = size.masked_fill(empty, 1.0)
            ratio = (size ** (p - 1.0)).masked_fill(empty, 0.0) / safe ** (p - 1.0)
        elif p < 2:
            ratio = (size / safe) ** (p - 1.0)
            ratio = ratio.masked_fill(make(x._data == 0), 0.0)
        else:
            ratio = (size / safe) ** (p - 1.0)
        return (g * (unary.sign(x) * ratio).masked_fill(zero, 0.0),)


def vector_norm(x: Tensor, p: float, dim: Dim, keepdim: bool) -> Tensor:
    """The p-norm over ``dim`` (None: all)."""
    if p == math.inf:
        return amax(unary.abs(x), dim, keepdim)
    if p == -math.inf:
        return amin(unary.abs(x), dim, keepdim)
    if p == 1:
        return sum(unary.abs(x), dim, keepdim)
    if p == 0:
        counted = sum(cast(x != 0, x._data.dtype), dim, keepdim)
        return counted + sum(x * 0, dim, keepdim) if x._requires_grad else counted
    data = x._data
    axes = normalize_dims(dim, data.ndim)
    with np.errstate(all="ignore"):
        if p == 2:
            total = by_type[type(data)].sum(np.square(data), axes, keepdim)
            y = np.sqrt(total)
        else:
            total = by_type[type(data)].sum(np.abs(data) ** data.dtype.type(p), axes, keepdim)
            y = total ** data.dtype.type(1.0 / p)
    y = as_array(y).astype(data.dtype, copy=False)
    if x._requires_grad and mode.enabled:
        return make(y, NormBackward0((edge_of(x),), (x, y, p, axes, keepdim)))
    return make(y)


@accepts_out
def norm(
    input: Tensor,
    p: float | str | None = "fro",
    dim: Dim = None,
    keepdim: bool = False,
    out: Tensor | None = None,
    dtype: _dtype.dtype | None = None,
) -> Tensor:
    """The vector norm of order ``p`` over ``dim`` (None: of all elements).

    Args:
        p: a number (also inf, -inf, 0), "fro" (2), or "nuc" (the sum of singular values of a matrix).

    Raises:
        RuntimeError: an integer tensor, or another ``p``.
    """
    if dtype is not None:
        input = cast(input, dtype.numpy)
    if input._data.dtype.kind in "iub":
        raise RuntimeError(f"norm: expects a floating tensor, got {input.dtype}; cast it first")
    if p == "nuc":
        from .linalg_norm import matrix_norm

        axes = normalize_dims(dim, input._data.ndim)
        pair = tuple(range(input._data.ndim)) if axes is None else axes
        return matrix_norm(input, "nuc", pair, keepdim)
    if p is None or p == "fro":
        p = 2.0
    if isinstance(p, str):
        raise RuntimeError(f'norm: p must be a number, "fro" or "nuc", got {p!r}')
    return vector_norm(input, float(p), dim, keepdim)


@accepts_out
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of input - other."""
    return vector_norm(input - other, float(p), None, False)


@accepts_out
def renorm(
    input: Tensor, p: float, dim: int, maxnorm: float, *, out: Tensor | None = None
) -> Tensor:
    """``input`` with each slice along ``dim`` whose p-norm is above ``maxnorm`` scaled down to it.

    Raises:
        RuntimeError: p or maxnorm not positive, or less than 2 dims.
    """
    if p <= 0 or maxnorm < 0 or input._data.ndim < 2:
        raise RuntimeError(
            f"renorm: expects p > 0, maxnorm >= 0 and at least 2 dims, got p={p}, maxnorm={maxnorm}, shape "
            f"{tuple(input.shape)}"
        )
    axis = dim % input._data.ndim
    others = tuple(i for i in range(input._data.ndim) if i != axis)
    norms = vector_norm(input, float(p), others, True)
    factor = select.where(norms > maxnorm, maxnorm / (norms + 1e-7), 1.0)
    result: Tensor = input * cast(factor, input._data.dtype)
    return result


@accepts_out
def logsumexp(
    input: Tensor, dim: Dim = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The logarithm of the sum of exponentials over ``dim``, without overflow."""
    if input._data.dtype.kind in "iub":
        input = cast(input, _dtype.get_default_dtype().numpy)
    if input._data.size == 0:
        return unary.log(sum(unary.exp(input), dim, keepdim))
    top = amax(input.detach(), dim, True)
    top = top.masked_fill(~comparison.isfinite(top), 0.0)
    total = unary.log(sum(unary.exp(input - top), dim, True)) + top
    axes = normalize_dims(dim, input._data.ndim)
    if keepdim:
        return total
    return total.reshape(()) if axes is None else total.squeeze(axes)


@accepts_out
def std_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """``std`` and ``mean`` over ``dim``."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return (
        std(input, dim, unbiased, keepdim, correction=correction),
        mean(input, dim, keepdim),
    )


@accepts_out
def var_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """``var`` and ``mean`` over ``dim``."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return (
        var(input, dim, unbiased, keepdim, correction=correction),
        mean(input, dim, keepdim),
    )


@accepts_out
def nansum(
    input: Tensor,
    dim: Dim = None,
    keepdim: bool = False,
    *,
    dtype: _dtype.dtype | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The sum over ``dim`` of the elements that are not NaN."""
    if input._data.dtype.kind != "f":
        return sum(input, dim, keepdim, dtype=dtype)
    return sum(input.masked_fill(make(np.isnan(input._data)), 0.0), dim, keepdim, dtype=dtype)


@accepts_out
def nanmean(
    input: Tensor,
    dim: Dim = None,
    keepdim: bool = False,
    *,
    dtype: _dtype.dtype | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The mean over ``dim`` of the elements that are not NaN."""
    there = make((~np.isnan(input._data)).astype(input._data.dtype))
    total = nansum(input, dim, keepdim, dtype=dtype)
    return total / sum(there, dim, keepdim)


def count_nonzero(input: Tensor, dim: Dim = None) -> Tensor:
    """How many elements over ``dim`` (None: all) are not 0."""
    axes = normalize_dims(dim, input._data.ndim)
    return make(as_array(np.count_nonzero(input._data, axis=axes)).astype(np.int64, copy=False))


def cov(
    input: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    """The covariance matrix of variables in rows, observations in columns.

    Args:
        input: (variables, observations), or one variable's observations.
        fweights: how often each observation counts (integers).
        aweights: the weight of each observation.

    Raises:
        RuntimeError: more than 2 dims.
    """
    if input._data.ndim > 2:
        raise RuntimeError(f"cov: expected at most two dimensions, got shape {tuple(input.shape)}")
    x = input.reshape(1, -1) if input._data.ndim < 2 else input
    if x._data.dtype.kind in "iub":
        x = cast(x, _dtype.get_default_dtype().numpy)
    n = x._data.shape[1]
    w: Any = None
    if fweights is not None:
        w = cast(fweights, x._data.dtype)
    if aweights is not None:
        w = aweights if w is None else w * aweights
    total: Any = n if w is None else w.sum()
    centre = mean(x, 1, True) if w is None else (x * w).sum(1, keepdim=True) / total
    centred = x - centre
    if w is None or aweights is None or correction == 0:
        left = total - correction
    else:
        weight = w * aweights
        left = total - correction * weight.sum() / total
    left = left.clamp(min=0) if isinstance(left, Tensor) else max(left, 0)
    weighted = centred if w is None else centred * w
    out = matmul(weighted, centred.t()) / left
    return out.reshape(()) if x._data.shape[0] == 1 else out


def corrcoef(input: Tensor) -> Tensor:
    """The matrix of Pearson's correlation coefficients of variables in rows, observations in columns."""
    c = cov(input)
    if c._data.ndim == 0:
        return c / c
    deviation = c.diagonal().sqrt()
    return (c / deviation.unsqueeze(1) / deviation.unsqueeze(0)).clamp(-1, 1)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """The p-norm distances of all pairs: (..., P, M) and (..., R, M) give (..., P, R).

    Args:
        compute_mode: PyTorch's choice of method; the differences are always taken directly, the most accurate way.

    Raises:
        RuntimeError: shapes that do not fit, or a negative ``p``.
    """
    if x1._data.ndim < 2 or x2._data.ndim < 2 or x1._data.shape[-1] != x2._data.shape[-1]:
        raise RuntimeError(
            f"cdist: expects (..., P, M) and (..., R, M), got {tuple(x1.shape)} and {tuple(x2.shape)}"
        )
    if p < 0:
        raise RuntimeError(f"cdist: only supports non-negative p values, got {p}")
    return vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), float(p), (-1,), False)
