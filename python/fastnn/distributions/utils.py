"""What distributions share: broadcast parameters, probabilities and their logits, properties computed when first asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

import numpy as np

import fastnn

from .. import _dtype
from ..autograd.grad_mode import enable_grad
from ..nn import functional as F
from ..tensor import Tensor

__all__ = ["broadcast_all", "clamp_probs", "lazy_property", "logits_to_probs", "probs_to_logits"]

euler_constant = 0.57721566490153286060


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape; numbers take the tensors' dtype, or the default one.

    Raises:
        ValueError: neither a number nor a tensor.
    """
    tensors = [v for v in values if isinstance(v, Tensor)]
    for v in values:
        if not isinstance(v, (Tensor, int, float, np.number)):
            raise ValueError(
                "Input arguments must all be instances of Number, torch.Tensor or objects implementing __torch_function__, "
                f"got {type(v).__name__}"
            )
    dtype = tensors[0].dtype if tensors else _dtype.get_default_dtype()
    if not dtype.is_floating_point:
        dtype = _dtype.get_default_dtype()
    made = [v if isinstance(v, Tensor) else fastnn.tensor(v, dtype=dtype) for v in values]
    return fastnn.broadcast_tensors(*made)


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities kept off 0 and 1 by the dtype's epsilon, so that logarithms are finite."""
    eps = _dtype.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps).to(probs.dtype)


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """The sigmoid (``is_binary``), or the softmax over the last dim."""
    return fastnn.sigmoid(logits) if is_binary else F.softmax(logits, dim=-1)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """The logit (``is_binary``), or the logarithm, of clamped probabilities."""
    p = clamp_probs(probs)
    logits = p.log() - (-p).log1p() if is_binary else p.log()
    return logits.to(probs.dtype)


class lazy_property:
    """A property computed when first asked for, and kept."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        self.__doc__ = wrapped.__doc__

    @overload
    def __get__(self, instance: None, owner: Any = None) -> lazy_property: ...

    @overload
    def __get__(self, instance: object, owner: Any = None) -> Tensor: ...

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        with enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


def finite_sum(x: Tensor, dims: int) -> Tensor:
    """The sum over the last ``dims`` dims."""
    return x if dims == 0 else x.sum(tuple(range(-dims, 0)))


def xlogy(x: Tensor, y: Tensor) -> Tensor:
    """x log y, 0 where x is 0."""
    return fastnn.xlogy(x, y)


def expanded(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """``x`` in a larger shape, in memory of its own where it grows."""
    return x.expand(shape)


def either(probs: Any, logits: Any) -> bool:
    """Whether ``probs`` is given, of the two.

    Raises:
        ValueError: both or neither are.
    """
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")
    return probs is not None
