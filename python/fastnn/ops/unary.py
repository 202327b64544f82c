"""Functions of one argument, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _dtype
from .._core import as_array, make
from ..autograd.grad_mode import mode
from ..autograd.node import ComposedNode, Node, edge_of
from ..autograd.output import into
from ..backends import by_type
from .promotion import cast

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "abs",
    "absolute",
    "acos",
    "acosh",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "deg2rad",
    "digamma",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "fix",
    "floor",
    "frac",
    "i0",
    "lgamma",
    "log",
    "log10",
    "log1p",
    "log2",
    "logit",
    "mvlgamma",
    "nan_to_num",
    "neg",
    "negative",
    "polygamma",
    "positive",
    "rad2deg",
    "reciprocal",
    "round",
    "rsqrt",
    "sgn",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "trunc",
]

# Each is a row: the forward function (by name: the backend's), what its gradient needs ("x", "y" or None), and the
# gradient's rule. The rule is written once, on arrays (xp is an _Arrays) and on tensors (xp is GRAPH) alike.

Rule = Callable[[Any, Any, Any], Any]
_TWO_BY_SQRT_PI = 1.1283791670955126


class UnaryNode(Node):
    """A function of one argument with a rule from the table below."""

    __slots__ = ()
    rule: Any = None

    def backward(self, g: Any) -> tuple[Any, ...]:
        s = self.saved[0]
        with np.errstate(all="ignore"):
            return (self.rule(ARRAYS, g, s._data if isinstance(s, Tensor) else s),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        s = self.saved[0]
        return (self.rule(GRAPH, g, s if s is None or isinstance(s, Tensor) else self.output(s)),)


class _Unary:
    """A row of the table: how to compute a function, and its node."""

    __slots__ = ("function", "name", "needs", "node")

    def __init__(self, name: str, function: Any, needs: str | None, rule: Rule) -> None:
        self.name = name
        self.function = function
        self.needs = needs
        node_name = name.capitalize() + "Backward0"
        self.node = type(node_name, (UnaryNode,), {"__slots__": (), "rule": staticmethod(rule)})


def _sinc(x: Any) -> Any:
    return np.sinc(x).astype(x.dtype)


def _sinc_slope(xp: Any, x: Any) -> Any:
    zero = x == 0
    t = xp.where(zero, x + 1, x) * math.pi
    slope = (t * xp.cos(t) - xp.sin(t)) / (t * t) * math.pi
    return xp.where(zero, x * (-math.pi * math.pi / 3), slope)


def _i1_slope(xp: Any, x: Any) -> Any:
    zero = x == 0
    safe = xp.where(zero, x + 1, x)
    return xp.where(zero, x * 0 + 0.5, xp.i0(x) - xp.i1(safe) / safe)


_TABLE = {
    row.name: row
    for row in (
        _Unary("neg", "negative", None, lambda xp, g, s: -g),
        _Unary("abs", "absolute", "x", lambda xp, g, x: g * xp.sign(x)),
        _Unary("exp", "exp", "y", lambda xp, g, y: g * y),
        _Unary("exp2", np.exp2, "y", lambda xp, g, y: g * (y * 0.6931471805599453)),
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
        _Unary("asinh", np.arcsinh, "x", lambda xp, g, x: g / xp.sqrt(x * x + 1)),
        _Unary("acosh", np.arccosh, "x", lambda xp, g, x: g / xp.sqrt(x * x - 1)),
        _Unary("atanh", np.arctanh, "x", lambda xp, g, x: g / (1 - x * x)),
        _Unary("sinc", _sinc, "x", lambda xp, g, x: g * _sinc_slope(xp, x)),
        _Unary(
            "deg2rad",
            lambda x: x * x.dtype.type(math.pi / 180),
            None,
            lambda xp, g, s: g * (math.pi / 180),
        ),
        _Unary(
            "rad2deg",
            lambda x: x * x.dtype.type(180 / math.pi),
            None,
            lambda xp, g, s: g * (180 / math.pi),
        ),
        _Unary("frac", lambda x: x - np.trunc(x), None, lambda xp, g, s: g),
        _Unary("sign", np.sign, None, lambda xp, g, s: g * 0),
        _Unary("floor", np.floor, None, lambda xp, g, s: g * 0),
        _Unary("ceil", np.ceil, None, lambda xp, g, s: g * 0),
        _Unary("trunc", np.trunc, None, lambda xp, g, s: g * 0),
        _Unary("erf", "erf", "x", lambda xp, g, x: g * (xp.exp(-(x * x)) * _TWO_BY_SQRT_PI)),
        _Unary("erfc", "erfc", "x", lambda xp, g, x: g * (xp.exp(-(x * x)) * -_TWO_BY_SQRT_PI)),
        _Unary("erfinv", "erfinv", "y", lambda xp, g, y: g * (xp.exp(y * y) / _TWO_BY_SQRT_PI)),
        _Unary("lgamma", "lgamma", "x", lambda xp, g, x: g * xp.digamma(x)),
        _Unary("digamma", "digamma", "x", lambda xp, g, x: g * xp.polygamma(1, x)),
        _Unary("i0", "i0", "x", lambda xp, g, x: g * xp.i1(x)),
        _Unary("i1", "i1", "x", lambda xp, g, x: g * _i1_slope(xp, x)),
    )
}
_KEEPS_INTEGERS = {"neg", "abs", "sign", "floor", "ceil", "trunc", "frac"}
_INTEGERS_STAY = {"floor", "ceil", "trunc"}


def unary(name: str, x: Tensor, out: Tensor | None = None) -> Tensor:
    """The function ``name`` of the table, of ``x``.

    Raises:
        TypeError: ``x`` is not a Tensor.
    """
    row = _TABLE[name]
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}(): argument 'input' must be Tensor, not {type(x).__name__}")
    if out is not None:
        return into(out, unary(name, x), name)
    data = x._data
    kind = data.dtype.kind
    if kind in "iub":
        if name not in _KEEPS_INTEGERS:
            x = cast(x, _dtype.get_default_dtype().numpy)
            data = x._data
        elif name == "sign" and kind == "b":
            return make(data.copy())
        elif kind == "b" or name == "frac":
            raise RuntimeError(f"{name}: not implemented for {x.dtype.name} tensors")
        elif name in _INTEGERS_STAY:
            return x.clone()
    function = row.function
    if type(function) is str:
        function = getattr(by_type[type(data)], function)
    with np.errstate(all="ignore"):
        y = function(data)
    if x._requires_grad and mode.enabled:
        if row.needs == "y":
            y = as_array(y)
        saved = {"x": x, "y": y}.get(row.needs or "")
        return make(y, row.node((edge_of(x),), (saved,)))
    return make(y)


def neg(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """-x."""
    return unary("neg", input, out)


def abs(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The absolute value."""
    return unary("abs", input, out)


def exp(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """e to the power of x."""
    return unary("exp", input, out)


def exp2(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """2 to the power of x."""
    return unary("exp2", input, out)


def expm1(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """exp(x) - 1, accurate near 0."""
    return unary("expm1", input, out)


def log(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The natural logarithm."""
    return unary("log", input, out)


def log2(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The logarithm to base 2."""
    return unary("log2", input, out)


def log10(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The logarithm to base 10."""
    return unary("log10", input, out)


def log1p(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """log(1 + x), accurate near 0."""
    return unary("log1p", input, out)


def sqrt(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The square root."""
    return unary("sqrt", input, out)


def rsqrt(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """1 / sqrt(x)."""
    return unary("rsqrt", input, out)


def reciprocal(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """1 / x."""
    return unary("reciprocal", input, out)


def sin(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The sine of x, in radians."""
    return unary("sin", input, out)


def cos(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The cosine of x, in radians."""
    return unary("cos", input, out)


def tan(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The tangent of x, in radians."""
    return unary("tan", input, out)


def sinh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The hyperbolic sine."""
    return unary("sinh", input, out)


def cosh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The hyperbolic cosine."""
    return unary("cosh", input, out)


def asin(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse sine, in radians."""
    return unary("asin", input, out)


def acos(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse cosine, in radians."""
    return unary("acos", input, out)


def atan(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse tangent, in radians."""
    return unary("atan", input, out)


def asinh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse hyperbolic sine."""
    return unary("asinh", input, out)


def acosh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse hyperbolic cosine."""
    return unary("acosh", input, out)


def atanh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse hyperbolic tangent."""
    return unary("atanh", input, out)


def sinc(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """sin(pi x) / (pi x), 1 at 0."""
    return unary("sinc", input, out)


def deg2rad(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Degrees to radians."""
    return unary("deg2rad", input, out)


def rad2deg(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Radians to degrees."""
    return unary("rad2deg", input, out)


def frac(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The fraction of each element, with its sign."""
    return unary("frac", input, out)


def sign(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """-1, 0 or 1: the sign of each element; its gradient is 0."""
    return unary("sign", input, out)


def floor(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The largest integer not above each element; its gradient is 0."""
    return unary("floor", input, out)


def ceil(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The smallest integer not below each element; its gradient is 0."""
    return unary("ceil", input, out)


def trunc(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Each element without its fraction; its gradient is 0."""
    return unary("trunc", input, out)


def erf(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The error function."""
    return unary("erf", input, out)


def erfc(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """1 - erf(x), accurate where that is small."""
    return unary("erfc", input, out)


def erfinv(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse of the error function on (-1, 1)."""
    return unary("erfinv", input, out)


def lgamma(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The logarithm of the gamma function's absolute value."""
    return unary("lgamma", input, out)


def digamma(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The derivative of ``lgamma``."""
    return unary("digamma", input, out)


def i0(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The modified Bessel function of the first kind, of order 0."""
    return unary("i0", input, out)


def i1(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The modified Bessel function of the first kind, of order 1."""
    return unary("i1", input, out)


class SquareBackward0(Node):
    """x ** 2, the power that training meets."""

    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g * (2 * self.saved[0]._data),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        return (g * (self.saved[0] * 2),)

    def name(self) -> str:
        return "PowBackward0"


def square(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """x * x."""
    if out is not None:
        return into(out, square(input), "square")
    data = input._data
    y = by_type[type(data)].square(data)
    if input._requires_grad and mode.enabled:
        return make(y, SquareBackward0((edge_of(input),), (input,)))
    return make(y)


class RoundBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g * 0,)

    backward_graph = backward


def round(input: Tensor, *, decimals: int = 0, out: Tensor | None = None) -> Tensor:
    """The nearest integer (or multiple of 10**-decimals), halves to even; its gradient is 0.

    Raises:
        RuntimeError: ``decimals`` for an integer tensor.
    """
    if out is not None:
        return into(out, round(input, decimals=decimals), "round")
    data = input._data
    if data.dtype.kind in "iub":
        if decimals:
            raise RuntimeError(
                f"round: decimals={decimals} needs a floating tensor, got {input.dtype}"
            )
        return input.clone()
    scale = data.dtype.type(10.0 ** (decimals if decimals > 0 else -decimals))
    with np.errstate(all="ignore"):
        if decimals > 0:
            y = np.rint(data * scale) / scale
        elif decimals < 0:
            y = np.rint(data / scale) * scale
        else:
            y = np.rint(data)
    if input._requires_grad and mode.enabled:
        return make(y, RoundBackward0((edge_of(input),)))
    return make(y)


def positive(input: Tensor) -> Tensor:
    """+x: the tensor itself.

    Raises:
        RuntimeError: a bool tensor.
    """
    if input._data.dtype.kind == "b":
        raise RuntimeError("positive: not implemented for bool tensors")
    return input


def signbit(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """True where the sign is negative, of zeros and NaNs too."""
    data = input._data
    y = make(np.signbit(data) if data.dtype.kind != "b" else np.zeros(data.shape, bool, like=data))
    return y if out is None else into(out, y, "signbit")


class PolygammaBackward0(ComposedNode):
    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        n, x = self.saved
        return (g * polygamma(n + 1, x),)


def polygamma(n: int, input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The n-th derivative of ``digamma``: (-1)**(n + 1) n! zeta(n + 1, x).

    Raises:
        RuntimeError: a negative ``n``.
    """
    if out is not None:
        return into(out, polygamma(n, input), "polygamma")
    if n < 0:
        raise RuntimeError(f"polygamma: n must be >= 0, got {n}")
    if n == 0:
        return digamma(input)
    if input._data.dtype.kind in "iub":
        input = cast(input, _dtype.get_default_dtype().numpy)
    data = input._data
    factor = (-1) ** (n + 1) * math.factorial(n)
    y = by_type[type(data)].zeta(np.float64(n + 1), data) * data.dtype.type(factor)
    if input._requires_grad and mode.enabled:
        return make(y, PolygammaBackward0((edge_of(input),), (n, input)))
    return make(y)


def mvlgamma(input: Tensor, p: int, *, out: Tensor | None = None) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension ``p``.

    Raises:
        RuntimeError: ``p`` below 1.
    """
    if p < 1:
        raise RuntimeError(f"mvlgamma: p has to be greater than or equal to 1, got {p}")
    y = lgamma(input)
    for i in range(1, p):
        y = y + lgamma(input - i / 2)
    y = y + p * (p - 1) / 4 * math.log(math.pi)
    return y if out is None else into(out, y, "mvlgamma")


def logit(input: Tensor, eps: float | None = None, *, out: Tensor | None = None) -> Tensor:
    """log(x / (1 - x)), the inverse of the sigmoid; with ``eps``, of x clamped to [eps, 1 - eps]."""
    if input._data.dtype.kind in "iub":
        input = cast(input, _dtype.get_default_dtype().numpy)
    x = input if eps is None else input.clamp(eps, 1 - eps)
    y = log(x / (1 - x))
    if (
        eps is None and input._requires_grad
    ):  # outside [0, 1] the result is NaN, and so is its gradient
        inside = (input._data >= 0) & (input._data <= 1)
        if not inside.all():
            y = GRAPH.where(make(inside), y, y * math.nan)
    return y if out is None else into(out, y, "logit")


def nan_to_num(
    input: Tensor,
    nan: float | None = 0.0,
    posinf: float | None = None,
    neginf: float | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """NaN replaced by ``nan``, the infinities by ``posinf`` and ``neginf`` (default: the dtype's largest and smallest)."""
    data = input._data
    if data.dtype.kind in "iub":
        y = input.clone()
    else:
        limits = _dtype.finfo(input.dtype)
        high = limits.max if posinf is None else posinf
        low = limits.min if neginf is None else neginf
        y = input.masked_fill(make(np.isnan(data)), 0.0 if nan is None else nan)
        y = y.masked_fill(make(data == np.inf), high).masked_fill(make(data == -np.inf), low)
    return y if out is None else into(out, y, "nan_to_num")


absolute = abs
negative = neg
arccos = acos
arccosh = acosh
arcsin = asin
arcsinh = asinh
arctan = atan
arctanh = atanh
fix = trunc
sgn = sign


class _Arrays:
    """The names that rules use, on arrays: NumPy's, and the backend's special functions."""

    sign = staticmethod(np.sign)
    exp = staticmethod(np.exp)
    log = staticmethod(np.log)
    sqrt = staticmethod(np.sqrt)
    sin = staticmethod(np.sin)
    cos = staticmethod(np.cos)
    sinh = staticmethod(np.sinh)
    cosh = staticmethod(np.cosh)
    power = staticmethod(np.power)
    where = staticmethod(np.where)

    @staticmethod
    def digamma(x: Any) -> Any:
        return by_type[type(x)].digamma(x)

    @staticmethod
    def polygamma(n: int, x: Any) -> Any:
        return polygamma(n, make(x))._data

    @staticmethod
    def i0(x: Any) -> Any:
        return by_type[type(x)].i0(x)

    @staticmethod
    def i1(x: Any) -> Any:
        return by_type[type(x)].i1(x)


class _Graph:
    """The same names on tensors."""

    sign = staticmethod(sign)
    exp = staticmethod(exp)
    log = staticmethod(log)
    sqrt = staticmethod(sqrt)
    sin = staticmethod(sin)
    cos = staticmethod(cos)
    sinh = staticmethod(sinh)
    cosh = staticmethod(cosh)
    digamma = staticmethod(digamma)
    polygamma = staticmethod(polygamma)
    i0 = staticmethod(i0)
    i1 = staticmethod(i1)

    @staticmethod
    def power(a: Tensor, b: Tensor) -> Tensor:
        return a**b

    @staticmethod
    def where(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
        from .select import where

        return where(condition, a, b)


ARRAYS = _Arrays()
GRAPH = _Graph()
