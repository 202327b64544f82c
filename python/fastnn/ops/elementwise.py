"""Elementwise operations: arithmetic with broadcasting and promotion, mathematical functions, activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _dtype
from .._core import Scalar, make
from ..autograd.grad_mode import mode
from ..autograd.node import Node, edge_of
from ..backends import by_type
from .promotion import broadcast_error, cast, promote, result_type, unbroadcast

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "abs",
    "absolute",
    "acos",
    "add",
    "asin",
    "atan",
    "ceil",
    "cos",
    "cosh",
    "div",
    "divide",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "log",
    "log10",
    "log1p",
    "log2",
    "maximum",
    "minimum",
    "mul",
    "multiply",
    "neg",
    "negative",
    "pow",
    "reciprocal",
    "remainder",
    "round",
    "rsqrt",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "sub",
    "subtract",
    "tan",
    "true_divide",
    "trunc",
]


# -- arithmetic ----------------------------------------------------------------------------------------


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


def add(input: Any, other: Any, alpha: Scalar = 1) -> Tensor:
    """a + alpha * b, with broadcasting and type promotion.

    >>> import fastnn
    >>> fastnn.add(fastnn.tensor([1., 2.]), 10, alpha=2)
    tensor([21., 22.])
    """
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


def sub(input: Any, other: Any, alpha: Scalar = 1) -> Tensor:
    """a - alpha * b, with broadcasting and type promotion.

    Raises:
        RuntimeError: both are bool, as in PyTorch (use ``logical_xor``).
    """
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


def mul(input: Any, other: Any) -> Tensor:
    """a * b, with broadcasting and type promotion."""
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
    if mode.enabled:
        ra, rb = input._requires_grad, other._requires_grad
        if ra or rb:
            saved = (input if rb else None, other if ra else None, x.shape, y.shape)
            return make(out, MulBackward0((edge_of(input), edge_of(other)), saved))
    return make(out)


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


def div(input: Any, other: Any, rounding_mode: str | None = None) -> Tensor:
    """a / b. Integers divide to floating; ``rounding_mode`` is None, "trunc" or "floor".

    Raises:
        ValueError: another ``rounding_mode``.
    """
    if rounding_mode is not None:
        if rounding_mode == "floor":
            return floor_divide(input, other)
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
        return self._rule(_GRAPH, g, *self.saved)


class SquareBackward0(Node):
    """x ** 2, the power that training meets."""

    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g * (2 * self.saved[0]._data),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        return (g * (self.saved[0] * 2),)

    def name(self) -> str:
        return "PowBackward0"


def pow(input: Any, other: Any) -> Tensor:
    """a ** b, with broadcasting and type promotion.

    Raises:
        RuntimeError: an integer tensor to a negative integer power.
    """
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
        return self._rule(_GRAPH, g, a, b, greater)


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


def maximum(input: Tensor, other: Tensor) -> Tensor:
    """The larger of ``input`` and ``other``, element by element; NaN wins."""
    return _extremum(input, other, True, "maximum")


def minimum(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of ``input`` and ``other``, element by element; NaN wins."""
    return _extremum(input, other, False, "minimum")


def floor_divide(input: Any, other: Any) -> Tensor:
    """floor(a / b); not differentiable.

    Raises:
        RuntimeError: integer division by zero.
    """
    input, other = promote(input, other)
    x, y = input._data, other._data
    if x.dtype.kind in "iu" and not y.all():
        raise RuntimeError("floor_divide: division of integers by zero")
    with np.errstate(all="ignore"):
        return make(np.floor_divide(x, y))


class RemainderBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, b, quotient = self.saved
        return unbroadcast(g, a), unbroadcast(-g * quotient, b)


def remainder(input: Any, other: Any) -> Tensor:
    """a modulo b, with the sign of b (Python's ``%``).

    Raises:
        RuntimeError: integer modulo zero.
    """
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


# -- functions of one argument -------------------------------------------------------------------------
#
# Each is a row: the forward function, what its gradient needs ("x", "y" or None), and the gradient's rule. The rule is
# written once, on arrays (xp is numpy) and on tensors (xp is _GRAPH) alike.

Rule = Callable[[Any, Any, Any], Any]


class UnaryNode(Node):
    """A function of one argument with a rule from the table below."""

    __slots__ = ()
    rule: Any = None

    def backward(self, g: Any) -> tuple[Any, ...]:
        s = self.saved[0]
        with np.errstate(all="ignore"):
            return (self.rule(np, g, s._data if isinstance(s, Tensor) else s),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        s = self.saved[0]
        return (self.rule(_GRAPH, g, self.output(s) if isinstance(s, np.ndarray) else s),)


class _Unary:
    """A row of the table: how to compute a function, and its node."""

    __slots__ = ("function", "name", "needs", "node")

    def __init__(self, name: str, function: Any, needs: str | None, rule: Rule) -> None:
        self.name = name
        self.function = function
        self.needs = needs
        node_name = name.capitalize() + "Backward0"
        self.node = type(node_name, (UnaryNode,), {"__slots__": (), "rule": staticmethod(rule)})


def _zero(xp: Any, g: Any, s: Any) -> Any:
    return g * 0


_TABLE = {
    row.name: row
    for row in (
        _Unary("neg", "negative", None, lambda xp, g, s: -g),
        _Unary("abs", "absolute", "x", lambda xp, g, x: g * xp.sign(x)),
        _Unary("exp", "exp", "y", lambda xp, g, y: g * y),
        _Unary("expm1", np.expm1, "y", lambda xp, g, y: g * (y + 1)),
        _Unary("log", "log", "x", lambda xp, g, x: g / x),
        _Unary("log2", np.log2, "x", lambda xp, g, x: g / (x * 0.6931471805599453)),
        _Unary("log10", np.log10, "x", lambda xp, g, x: g / (x * 2.302585092994046)),
        _Unary("log1p", np.log1p, "x", lambda xp, g, x: g / (x + 1)),
        _Unary("sqrt", "sqrt", "y", lambda xp, g, y: g / (y * 2)),
        _Unary("rsqrt", lambda x: 1 / np.sqrt(x), "y", lambda xp, g, y: g * (y * y * y * -0.5)),
        _Unary("reciprocal", np.reciprocal, "y", lambda xp, g, y: -(g * (y * y))),
        _Unary("sin", np.sin, "x", lambda xp, g, x: g * xp.cos(x)),
        _Unary("cos", np.cos, "x", lambda xp, g, x: -(g * xp.sin(x))),
        _Unary("tan", np.tan, "y", lambda xp, g, y: g * (y * y + 1)),
        _Unary("sinh", np.sinh, "x", lambda xp, g, x: g * xp.cosh(x)),
        _Unary("cosh", np.cosh, "x", lambda xp, g, x: g * xp.sinh(x)),
        _Unary("asin", np.arcsin, "x", lambda xp, g, x: g / xp.sqrt(1 - x * x)),
        _Unary("acos", np.arccos, "x", lambda xp, g, x: -(g / xp.sqrt(1 - x * x))),
        _Unary("atan", np.arctan, "x", lambda xp, g, x: g / (x * x + 1)),
        _Unary("sign", np.sign, None, _zero),
        _Unary("floor", np.floor, None, _zero),
        _Unary("ceil", np.ceil, None, _zero),
        _Unary("round", np.round, None, _zero),
        _Unary("trunc", np.trunc, None, _zero),
    )
}
_KEEPS_INTEGERS = {"neg", "abs", "sign", "floor", "ceil", "round", "trunc"}


def _unary(name: str, x: Tensor) -> Tensor:
    row = _TABLE[name]
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}(): argument 'input' must be Tensor, not {type(x).__name__}")
    data = x._data
    kind = data.dtype.kind
    if kind in "iub":
        if name not in _KEEPS_INTEGERS:
            x = cast(x, _dtype.get_default_dtype().numpy)
            data = x._data
        elif kind == "b":
            raise RuntimeError(f"{name}: not implemented for bool tensors")
        elif name in ("floor", "ceil", "round", "trunc"):
            return x.clone()
    function = row.function
    if type(function) is str:
        function = getattr(by_type[type(data)], function)
    with np.errstate(all="ignore"):
        out = function(data)
    if x._requires_grad and mode.enabled:
        if row.needs == "y":
            out = np.asarray(out)
        saved = {"x": x, "y": out}.get(row.needs or "")
        return make(out, row.node((edge_of(x),), (saved,)))
    return make(out)


def neg(input: Tensor) -> Tensor:
    """-x."""
    return _unary("neg", input)


def abs(input: Tensor) -> Tensor:
    """The absolute value."""
    return _unary("abs", input)


def exp(input: Tensor) -> Tensor:
    """e to the power of x."""
    return _unary("exp", input)


def expm1(input: Tensor) -> Tensor:
    """exp(x) - 1, accurate near 0."""
    return _unary("expm1", input)


def log(input: Tensor) -> Tensor:
    """The natural logarithm."""
    return _unary("log", input)


def log2(input: Tensor) -> Tensor:
    """The logarithm to base 2."""
    return _unary("log2", input)


def log10(input: Tensor) -> Tensor:
    """The logarithm to base 10."""
    return _unary("log10", input)


def log1p(input: Tensor) -> Tensor:
    """log(1 + x), accurate near 0."""
    return _unary("log1p", input)


def sqrt(input: Tensor) -> Tensor:
    """The square root."""
    return _unary("sqrt", input)


def rsqrt(input: Tensor) -> Tensor:
    """1 / sqrt(x)."""
    return _unary("rsqrt", input)


def reciprocal(input: Tensor) -> Tensor:
    """1 / x."""
    return _unary("reciprocal", input)


def sin(input: Tensor) -> Tensor:
    """The sine of x, in radians."""
    return _unary("sin", input)


def cos(input: Tensor) -> Tensor:
    """The cosine of x, in radians."""
    return _unary("cos", input)


def tan(input: Tensor) -> Tensor:
    """The tangent of x, in radians."""
    return _unary("tan", input)


def sinh(input: Tensor) -> Tensor:
    """The hyperbolic sine."""
    return _unary("sinh", input)


def cosh(input: Tensor) -> Tensor:
    """The hyperbolic cosine."""
    return _unary("cosh", input)


def asin(input: Tensor) -> Tensor:
    """The inverse sine, in radians."""
    return _unary("asin", input)


def acos(input: Tensor) -> Tensor:
    """The inverse cosine, in radians."""
    return _unary("acos", input)


def atan(input: Tensor) -> Tensor:
    """The inverse tangent, in radians."""
    return _unary("atan", input)


def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1: the sign of each element; its gradient is 0."""
    return _unary("sign", input)


def floor(input: Tensor) -> Tensor:
    """The largest integer not above each element; its gradient is 0."""
    return _unary("floor", input)


def ceil(input: Tensor) -> Tensor:
    """The smallest integer not below each element; its gradient is 0."""
    return _unary("ceil", input)


def round(input: Tensor) -> Tensor:
    """The nearest integer, halves to even; its gradient is 0."""
    return _unary("round", input)


def trunc(input: Tensor) -> Tensor:
    """Each element without its fraction; its gradient is 0."""
    return _unary("trunc", input)


def square(input: Tensor) -> Tensor:
    """x * x."""
    data = input._data
    out = by_type[type(data)].square(data)
    if input._requires_grad and mode.enabled:
        return make(out, SquareBackward0((edge_of(input),), (input,)))
    return make(out)


class _Graph:
    """The names of ``numpy`` that the rules above use, on tensors."""

    sign = staticmethod(sign)
    log = staticmethod(log)
    sqrt = staticmethod(sqrt)
    sin = staticmethod(sin)
    cos = staticmethod(cos)
    sinh = staticmethod(sinh)
    cosh = staticmethod(cosh)
    power = staticmethod(pow)

    @staticmethod
    def where(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
        from .select import where

        return where(condition, a, b)


_GRAPH = _Graph()


subtract = sub
multiply = mul
divide = true_divide = div
negative = neg
absolute = abs
