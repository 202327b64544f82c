"""Gradients limited in norm or in value, in place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..._core import as_array, make
from ...autograd import version
from ...tensor import Tensor


def _tensors(given: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [given] if isinstance(given, Tensor) else list(given)


def _grads(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [p.grad for p in _tensors(parameters) if p.grad is not None]


def _norm(x: Any, order: float) -> Any:
    flat = x.reshape(-1)
    if flat.dtype.itemsize < 4:
        flat = flat.astype(np.float32)
    if flat.size == 0:
        return np.zeros((), flat.dtype, like=flat)
    return np.linalg.norm(flat, order)


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors as if they were one vector.

    Args:
        tensors: a tensor or several.
        norm_type: the p of the norm; ``float("inf")`` for the largest value.
        error_if_nonfinite: raise where the norm is NaN or infinite.
        foreach: a matter of speed in PyTorch; changes nothing.

    Raises:
        RuntimeError: such a norm.
    """
    arrays = [t._data for t in _tensors(tensors)]
    order = float(norm_type)
    if not arrays:
        return make(np.zeros((), np.float32))
    norms = [_norm(a, order) for a in arrays]
    total = as_array(np.linalg.norm(np.stack(norms), order)).astype(arrays[0].dtype)
    if error_if_nonfinite and not np.isfinite(total.astype(np.float64)):
        raise RuntimeError(
            f"The total norm of order {order} for gradients from `parameters` is non-finite, so it cannot be clipped. "
            "To disable this error and scale the gradients by the non-finite norm anyway, set error_if_nonfinite=False"
        )
    return make(total)


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Scale the gradients of ``parameters``, in place, so that a norm of ``total_norm`` becomes at most ``max_norm``."""
    factor = min(float(max_norm) / (float(total_norm.item()) + 1e-6), 1.0)
    if not factor < 1.0 and factor == factor:
        return
    for g in _grads(parameters):
        data = g._data
        with np.errstate(invalid="ignore"):  # an infinite gradient over an infinite norm is NaN
            np.multiply(data, data.dtype.type(factor), out=data)
        version.bump(data)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients of ``parameters``, in place, so that the norm of all of them is at most ``max_norm``.

    Args: as ``get_total_norm``.

    Returns:
        The norm that they had.

    R. Pascanu et al., "On the difficulty of training recurrent neural networks", 2013.

    >>> import fastnn
    >>> p = fastnn.zeros(2, requires_grad=True)
    >>> (p * fastnn.tensor([3., 4.])).sum().backward()
    >>> fastnn.nn.utils.clip_grad_norm_([p], 1.0), p.grad
    (tensor(5.), tensor([0.6000, 0.8000]))
    """
    kept = _tensors(parameters)
    total = get_total_norm(_grads(kept), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(kept, max_norm, total, foreach)
    return total


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Limit every gradient of ``parameters``, in place, to [-clip_value, clip_value]."""
    bound = float(clip_value)
    for g in _grads(parameters):
        data = g._data
        np.clip(data, data.dtype.type(-bound), data.dtype.type(bound), out=data)
        version.bump(data)


clip_grad_norm = clip_grad_norm_
