"""Operations that choose between values by a condition: where, masked_fill, clamp."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np

from .._core import Scalar, make
from .._device import place_beside
from ..autograd.grad_mode import mode
from ..autograd.node import Node, edge_of
from ..autograd.output import accepts_out
from .promotion import broadcast_error, cast, promote, same_device, unbroadcast

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "clamp",
    "clip",
    "masked_fill",
    "where",
]


class WhereBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        condition, a, b = self.saved
        zero = g.dtype.type(0)
        return (
            unbroadcast(np.where(condition, g, zero), a),
            unbroadcast(np.where(condition, zero, g), b),
        )

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        condition, a, b = self.saved
        c = make(condition)
        return unbroadcast(where(c, g, 0), a), unbroadcast(where(c, 0, g), b)


def where_method(input: Tensor, condition: Tensor, other: Any) -> Tensor:
    """``input`` where ``condition`` holds, else ``other``: the method."""
    return where(condition, input, other)


@overload
def where(condition: Tensor) -> tuple[Tensor, ...]: ...


@overload
def where(condition: Tensor, input: Any, other: Any, *, out: Tensor | None = None) -> Tensor: ...


@accepts_out
def where(
    condition: Tensor, input: Any = None, other: Any = None, *, out: Tensor | None = None
) -> Any:
    """``input`` where ``condition`` (bool) holds, else ``other``; all three broadcast. Alone: ``nonzero(as_tuple=True)``.

    Raises:
        RuntimeError: the condition is not bool, or the shapes do not broadcast.
    """
    if input is None and other is None:
        from .indexing import nonzero

        return nonzero(condition, as_tuple=True)
    c = condition._data
    if c.dtype == np.uint8:
        c = c.astype(np.bool_)
    if c.dtype != np.bool_:
        raise RuntimeError(f"where: expects a bool condition, got {condition.dtype}")
    input, other = promote(input, other)
    try:
        out = np.where(c, input._data, other._data)
    except TypeError:
        same_device(condition, input, other)
        raise
    except ValueError:
        raise broadcast_error("where", c, input._data, other._data) from None
    if mode.enabled and (input._requires_grad or other._requires_grad):
        saved = (c, input._data.shape, other._data.shape)
        return make(out, WhereBackward0((edge_of(input), edge_of(other)), saved))
    return make(out)


def masked_fill(input: Tensor, mask: Tensor, value: Scalar | Tensor) -> Tensor:
    """``input`` with ``value`` where ``mask`` (bool, broadcast to x) holds; the dtype stays input's.

    Raises:
        RuntimeError: the mask is not bool, or ``value`` is a tensor with dims.
    """
    if isinstance(value, Tensor) and value._data.ndim:
        raise RuntimeError(
            f"masked_fill: only supports a 0-dimensional value tensor, got shape {tuple(value.shape)}"
        )
    v = (
        value
        if isinstance(value, Tensor)
        else make(place_beside(np.asarray(value, input._data.dtype), input._data))
    )
    return where(mask, cast(v, input._data.dtype), input)


class ClampBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g * self.saved[0],)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        return (g * cast(make(self.saved[0]), g._data.dtype),)


@accepts_out
def clamp(input: Tensor, min: Any = None, max: Any = None, *, out: Tensor | None = None) -> Tensor:
    """``input`` limited to [min, max]; a bound may be a number, a tensor or None.

    Raises:
        RuntimeError: both bounds are None.
    """
    if min is None and max is None:
        raise RuntimeError("clamp: at least one of min or max must not be None")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        from .elementwise import maximum, minimum

        input = input if min is None else maximum(input, min)
        return input if max is None else minimum(input, max)
    data = input._data
    for bound in (min, max):
        if bound is not None:
            input, _ = promote(input, bound)
    data = input._data
    clipped = np.clip(
        data,
        None if min is None else data.dtype.type(min),
        None if max is None else data.dtype.type(max),
    )
    limited: Any = (
        clipped if clipped.dtype == data.dtype else clipped.astype(data.dtype)
    )  # bfloat16 widens
    if input._requires_grad and mode.enabled:
        inside = np.ones_like(data, np.bool_)
        if min is not None:
            inside &= data >= min
        if max is not None:
            inside &= data <= max
        return make(limited, ClampBackward0((edge_of(input),), (inside,)))
    return make(limited)


clip = clamp
