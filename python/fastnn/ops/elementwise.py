"""Arithmetic of two arguments, with broadcasting and promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import Scalar, make
from ..autograd.grad_mode import mode
from ..autograd.node import ComposedNode, Node, edge_of
from ..autograd.output import accepts_out, into
from ..backends import by_type
from .promotion import again, broadcast_error, cast, promote, result_type, unbroadcast
from .unary import GRAPH, square, trunc

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "add",
    "div",
    "divide",
    "floor_divide",
    "maximum",
    "minimum",
    "mul",
    "multiply",
    "pow",
    "remainder",
    "sub",
    "subtract",
    "true_divide",
]


class AddBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        if not self.saved:
            return g, g
        a, b = self.saved
        ea, eb = self.edges
        return (
            None if ea is None else unbroadcast(g, a),
            None if eb is None else unbroadcast(g, b),
        )

    backward_graph = backward


def add(input: Any, other: Any, alpha: Scalar = 1, *, out: Tensor | None = None) -> Tensor:
    """a + alpha * b, with broadcasting and type promotion.

    >>> import fastnn
    >>> fastnn.add(fastnn.tensor([1., 2.]), 10, alpha=2)
    tensor([21., 22.])
    """
    if out is not None:
        return into(out, add(input, other, alpha), "add")
    if alpha != 1:
        other = mul(other, alpha)
    if not (
        isinstance(input, Tensor)
        and isinstance(other, Tensor)
        and input._data.dtype is other._data.dtype
    ):
        input, other = promote(input, other)
    x, y = input._data, other._data
    try:
        out = by_type[type(x)].add(x, y)
    except ValueError:
        raise broadcast_error("add", x, y) from None
    except TypeError:  # on two devices
        return again(add, input, other)
    if mode.enabled and (input._requires_grad or other._requires_grad):
        shapes = () if x.shape == y.shape else (x.shape, y.shape)
        return make(out, AddBackward0((edge_of(input), edge_of(other)), shapes))
    return make(out)


class SubBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, b = self.saved
        ea, eb = self.edges
        return (
            None if ea is None else unbroadcast(g, a),
            None if eb is None else unbroadcast(-g, b),
        )

    backward_graph = backward


def sub(input: Any, other: Any, alpha: Scalar = 1, *, out: Tensor | None = None) -> Tensor:
    """a - alpha * b, with broadcasting and type promotion.

    Raises:
        RuntimeError: both are bool, as in PyTorch (use ``logical_xor``).
    """
    if out is not None:
        return into(out, sub(input, other, alpha), "sub")
    if alpha != 1:
        other = mul(other, alpha)
    if not (
        isinstance(input, Tensor)
        and isinstance(other, Tensor)
        and input._data.dtype is other._data.dtype
    ):
        input, other = promote(input, other)
    x, y = input._data, other._data
    if x.dtype == np.bool_:
        raise RuntimeError(
            "sub: subtraction of bool tensors is not supported; use ^ or logical_xor"
        )
    try:
        out = by_type[type(x)].subtract(x, y)
    except ValueError:
        raise broadcast_error("sub", x, y) from None
    except TypeError:  # on two devices
        return again(sub, input, other)
    if mode.enabled and (input._requires_grad or other._requires_grad):
        return make(out, SubBackward0((edge_of(input), edge_of(other)), (x.shape, y.shape)))
    return make(out)


class MulBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, b, shape_a, shape_b = self.saved
        ga = gb = None
        multiply = by_type[type(g)].multiply
        if b is not None:
            ga = multiply(g, b._data)
            if ga.shape != shape_a:
                ga = unbroadcast(ga, shape_a)
        if a is not None:
            gb = multiply(g, a._data)
            if gb.shape != shape_b:
                gb = unbroadcast(gb, shape_b)
        return ga, gb

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        a, b, shape_a, shape_b = self.saved
        return (
            None if b is None else unbroadcast(g * b, shape_a),
            None if a is None else unbroadcast(g * a, shape_b),
        )


def mul(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """a * b, with broadcasting and type promotion."""
    if out is not None:
        return into(out, mul(input, other), "mul")
    if not (
        isinstance(input, Tensor)
        and isinstance(other, Tensor)
        and input._data.dtype is other._data.dtype
    ):
        input, other = promote(input, other)
    x, y = input._data, other._data
    try:
        out = by_type[type(x)].multiply(x, y)
    except ValueError:
        raise broadcast_error("mul", x, y) from None
    except TypeError:  # on two devices
        return again(mul, input, other)
    if mode.enabled:
        ra, rb = input._requires_grad, other._requires_grad
        if ra or rb:
            saved = (input if rb else None, other if ra else None, x.shape, y.shape)
            return make(out, MulBackward0((edge_of(input), edge_of(other)), saved))
    return make(out)


class DivModeBackward0(ComposedNode):
    """A rounded quotient: piecewise constant."""

    __slots__ = ()

    def name(self) -> str:
        return "DivBackward1"

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        a, b = self.saved
        return unbroadcast(g * 0, a), unbroadcast(g * 0, b)


class DivBackward0(Node):
    __slots__ = ()

    def _rule(self, g: Any, a: Any, b: Any) -> tuple[Any, ...]:
        _, _, shape_a, shape_b = self.saved
        ea, eb = self.edges
        ga = g / b
        return (
            None if ea is None else unbroadcast(ga, shape_a),
            None if eb is None else unbroadcast(-(ga * (a / b)), shape_b),
        )

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, b = self.saved[:2]
        with np.errstate(all="ignore"):
            return self._rule(g, None if a is None else a._data, b._data)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        return self._rule(g, *self.saved[:2])


def div(
    input: Any, other: Any, *, rounding_mode: str | None = None, out: Tensor | None = None
) -> Tensor:
    """a / b. Integers divide to floating; ``rounding_mode`` is None, "trunc" or "floor".

    Raises:
        ValueError: another ``rounding_mode``.
    """
    if out is not None:
        return into(out, div(input, other, rounding_mode=rounding_mode), "div")
    if rounding_mode is not None:
        if rounding_mode == "floor":
            input, other = promote(input, other)
            quotient = floor_divide(input, other)
            if mode.enabled and (input._requires_grad or other._requires_grad):
                shapes = (input._data.shape, other._data.shape)
                node = DivModeBackward0((edge_of(input), edge_of(other)), shapes)
                return make(quotient._data, node)
            return quotient
        if rounding_mode == "trunc":
            d = result_type(input, other)
            return cast(trunc(div(input, other)), d.numpy)
        raise ValueError(
            f'div: rounding_mode must be None, "trunc" or "floor", got {rounding_mode!r}'
        )
    if not (
        isinstance(input, Tensor)
        and isinstance(other, Tensor)
        and input._data.dtype is other._data.dtype
        and input._data.dtype.kind == "f"
    ):
        input, other = promote(input, other, floating=True)
    x, y = input._data, other._data
    try:
        with np.errstate(all="ignore"):
            out = by_type[type(x)].divide(x, y)
    except ValueError:
        raise broadcast_error("div", x, y) from None
    except TypeError:  # on two devices
        return again(div, input, other)
    if mode.enabled and (input._requires_grad or other._requires_grad):
        saved = (input if other._requires_grad else None, other, x.shape, y.shape)
        return make(out, DivBackward0((edge_of(input), edge_of(other)), saved))
    return make(out)


class PowBackward0(Node):
    __slots__ = ()

    def _rule(self, xp: Any, g: Any, a: Any, b: Any) -> tuple[Any, ...]:
        ea, eb = self.edges
        ga = gb = None
        if ea is not None:
            # 0 where b is 0: 0 * a**-1 would be nan at a = 0
            ga = unbroadcast(xp.where(b == 0, g * 0, g * b * xp.power(a, b - 1)), a.shape)
        if eb is not None:
            # a**b * log(a), which is 0 at a = 0 for b >= 0
            safe = xp.where(a == 0, a * 0 + 1, a)
            rule = g * xp.power(a, b) * xp.log(safe)
            gb = unbroadcast(xp.where((a == 0) & (b >= 0), rule * 0, rule), b.shape)
        return ga, gb

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, b = self.saved
        with np.errstate(all="ignore"):
            return self._rule(np, g, a._data, b._data)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        return self._rule(GRAPH, g, *self.saved)


def pow(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """a ** b, with broadcasting and type promotion.

    Raises:
        RuntimeError: an integer tensor to a negative integer power.
    """
    if out is not None:
        return into(out, pow(input, other), "pow")
    if (
        type(other) in (int, float)
        and other == 2
        and isinstance(input, Tensor)
        and input._data.dtype.kind == "f"
    ):
        return square(input)
    input, other = promote(input, other)
    x, y = input._data, other._data
    if x.dtype.kind in "iu" and y.size and y.min() < 0:
        raise RuntimeError("pow: integers to negative integer powers are not allowed")
    try:
        with np.errstate(all="ignore"):
            out = by_type[type(x)].power(x, y)
    except ValueError:
        raise broadcast_error("pow", x, y) from None
    except TypeError:  # on two devices
        return again(pow, input, other)
    if mode.enabled and (input._requires_grad or other._requires_grad):
        return make(out, PowBackward0((edge_of(input), edge_of(other)), (input, other)))
    return make(out)


class ExtremumBackward0(Node):
    """maximum and minimum: the gradient goes to the winner, half to each in a tie (as PyTorch does)."""

    __slots__ = ()

    def _rule(self, xp: Any, g: Any, a: Any, b: Any, greater: bool) -> tuple[Any, ...]:
        wins = a > b if greater else a < b
        half = xp.where(a == b, g * 0.5, g * 0)
        share = xp.where(wins, g, half)
        ea, eb = self.edges
        return (
            None if ea is None else unbroadcast(share, a.shape),
            None if eb is None else unbroadcast(g - share, b.shape),
        )

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, b, greater = self.saved
        return self._rule(np, g, a._data, b._data, greater)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        a, b, greater = self.saved
        return self._rule(GRAPH, g, a, b, greater)


def _extremum(a: Any, b: Any, greater: bool, name: str) -> Tensor:
    a, b = promote(a, b)
    x, y = a._data, b._data
    backend = by_type[type(x)]
    try:
        out = backend.maximum(x, y) if greater else backend.minimum(x, y)
    except ValueError:
        raise broadcast_error(name, x, y) from None
    if mode.enabled and (a._requires_grad or b._requires_grad):
        return make(out, ExtremumBackward0((edge_of(a), edge_of(b)), (a, b, greater)))
    return make(out)


@accepts_out
def maximum(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The larger of ``input`` and ``other``, element by element; NaN wins."""
    return _extremum(input, other, True, "maximum")


@accepts_out
def minimum(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The smaller of ``input`` and ``other``, element by element; NaN wins."""
    return _extremum(input, other, False, "minimum")


def floor_divide(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """floor(a / b); not differentiable.

    Raises:
        RuntimeError: integer division by zero.
    """
    if out is not None:
        return into(out, floor_divide(input, other), "floor_divide")
    input, other = promote(input, other)
    x, y = input._data, other._data
    if x.dtype.kind in "iu" and not y.all():
        raise RuntimeError("floor_divide: division of integers by zero")
    with np.errstate(all="ignore"):
        return make(np.floor_divide(x, y))


class RemainderBackward0(ComposedNode):
    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        a, b, quotient = self.saved
        return unbroadcast(g, a), unbroadcast(-g * make(quotient), b)


def remainder(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """a modulo b, with the sign of b (Python's ``%``).

    Raises:
        RuntimeError: integer modulo zero.
    """
    if out is not None:
        return into(out, remainder(input, other), "remainder")
    input, other = promote(input, other)
    x, y = input._data, other._data
    if x.dtype.kind in "iu" and not y.all():
        raise RuntimeError("remainder: modulo of integers by zero")
    with np.errstate(all="ignore"):
        out = np.remainder(x, y)
        if mode.enabled and (input._requires_grad or other._requires_grad):
            saved = (x.shape, y.shape, np.floor_divide(x, y))
            return make(out, RemainderBackward0((edge_of(input), edge_of(other)), saved))
    return make(out)


subtract = sub
multiply = mul
divide = true_divide = div
