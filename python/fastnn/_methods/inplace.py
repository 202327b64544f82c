"""In-place operations, as methods: each computes its result and writes it into the tensor's memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from .._core import TensorBase
from ..autograd.inplace import write
from ..ops import activation, elementwise, select

if TYPE_CHECKING:
    from ..tensor import Tensor

P = ParamSpec("P")


def inplace(
    operation: Callable[Concatenate[Tensor, P], Tensor], name: str | None = None
) -> Callable[Concatenate[Tensor, P], Tensor]:
    """The in-place form of ``operation``, called ``name`` (default: the operation's name and ``_``)."""
    name = name or operation.__name__ + "_"

    def method(self: Tensor, /, *args: Any, **kwargs: Any) -> Tensor:
        return write(self, operation(self, *args, **kwargs), name)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"``{operation.__name__}``, in place."
    return method


class InplaceMethods(TensorBase):
    """Methods that write their result into this tensor, and return it."""

    __slots__ = ()

    add_ = __iadd__ = inplace(elementwise.add)
    sub_ = subtract_ = __isub__ = inplace(elementwise.sub)
    mul_ = multiply_ = __imul__ = inplace(elementwise.mul)
    div_ = divide_ = true_divide_ = __itruediv__ = inplace(elementwise.div)
    floor_divide_ = __ifloordiv__ = inplace(elementwise.floor_divide)
    remainder_ = __imod__ = inplace(elementwise.remainder)
    pow_ = __ipow__ = inplace(elementwise.pow)
    neg_ = negative_ = inplace(elementwise.neg)
    abs_ = absolute_ = inplace(elementwise.abs)
    exp_ = inplace(elementwise.exp)
    expm1_ = inplace(elementwise.expm1)
    log_ = inplace(elementwise.log)
    log2_ = inplace(elementwise.log2)
    log10_ = inplace(elementwise.log10)
    log1p_ = inplace(elementwise.log1p)
    sqrt_ = inplace(elementwise.sqrt)
    rsqrt_ = inplace(elementwise.rsqrt)
    reciprocal_ = inplace(elementwise.reciprocal)
    square_ = inplace(elementwise.square)
    sin_ = inplace(elementwise.sin)
    cos_ = inplace(elementwise.cos)
    tan_ = inplace(elementwise.tan)
    sinh_ = inplace(elementwise.sinh)
    cosh_ = inplace(elementwise.cosh)
    asin_ = inplace(elementwise.asin)
    acos_ = inplace(elementwise.acos)
    atan_ = inplace(elementwise.atan)
    sign_ = inplace(elementwise.sign)
    floor_ = inplace(elementwise.floor)
    ceil_ = inplace(elementwise.ceil)
    round_ = inplace(elementwise.round)
    trunc_ = inplace(elementwise.trunc)
    relu_ = inplace(activation.relu)
    sigmoid_ = inplace(activation.sigmoid)
    tanh_ = inplace(activation.tanh)
    clamp_ = clip_ = inplace(select.clamp)
    masked_fill_ = inplace(select.masked_fill)
