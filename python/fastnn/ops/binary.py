"""Functions of two and three arguments, element by element, beyond plain arithmetic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _dtype
from .._core import Scalar, as_array, make
from ..autograd.grad_mode import mode
from ..autograd.node import ComposedNode, edge_of
from ..autograd.output import accepts_out
from ..backends import by_type
from . import elementwise, select, unary
from .promotion import broadcast_error, cast, promote, result_type, unbroadcast

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "addcdiv",
    "addcmul",
    "arctan2",
    "atan2",
    "clamp_max",
    "clamp_min",
    "copysign",
    "float_power",
    "fmax",
    "fmin",
    "fmod",
    "frexp",
    "gcd",
    "heaviside",
    "hypot",
    "igamma",
    "igammac",
    "lcm",
    "ldexp",
    "lerp",
    "logaddexp",
    "logaddexp2",
    "nextafter",
    "rsub",
    "xlogy",
]


class BinaryNode(ComposedNode):
    """A function of two arguments: ``rule(g, a, b)`` gives both gradients, before broadcasting is undone."""

    __slots__ = ()
    rule: Any = None

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        a, b = self.saved
        ga, gb = self.rule(g, a, b)
        ea, eb = self.edges
        return (
            None if ea is None or ga is None else unbroadcast(ga, a._data.shape),
            None if eb is None or gb is None else unbroadcast(gb, b._data.shape),
        )


def _node(name: str, rule: Any) -> type[BinaryNode]:
    return type(name + "Backward0", (BinaryNode,), {"__slots__": (), "rule": staticmethod(rule)})


def _binary(name: str, function: Any, node: Any, a: Any, b: Any, floating: bool = False) -> Tensor:
    a, b = promote(a, b, floating=floating)
    try:
        with np.errstate(all="ignore"):
            out = as_array(function(a._data, b._data))
    except ValueError:
        raise broadcast_error(name, a._data, b._data) from None
    if node is not None and mode.enabled and (a._requires_grad or b._requires_grad):
        return make(out, node((edge_of(a), edge_of(b)), (a, b)))
    return make(out)


def _fmax_rule(g: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    x, y = a._data, b._data
    first = (x >= y) | np.isnan(y)
    return g * make(first.astype(x.dtype)), g * make((~first).astype(x.dtype))


def _fmin_rule(g: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    x, y = a._data, b._data
    first = (x <= y) | np.isnan(y)
    return g * make(first.astype(x.dtype)), g * make((~first).astype(x.dtype))


def _hypot_rule(g: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    length = hypot(a, b)
    return g * (a / length), g * (b / length)


def _atan2_rule(g: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    square = a * a + b * b
    scale = g / select.where(make(square._data == 0), square + 1, square)
    return scale * b, -(scale * a)


def _logaddexp_rule(g: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    same = make((a._data == b._data) & np.isinf(a._data))  # inf - inf
    d = select.where(same, (a - b) * 0, a - b).masked_fill(same, 0.0)
    first = d.sigmoid()
    return g * first, g * (1 - first)


def _logaddexp2_rule(g: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return _logaddexp_rule(g, a * math.log(2), b * math.log(2))


def _xlogy_rule(g: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    flat = make((a._data == 0) & (b._data <= 0))
    return g * unary.log(b).masked_fill(flat, 0.0), g * (a / b)


def _copysign_rule(g: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor | None]:
    x = a._data
    ratio = np.where(x == 0, 0, np.copysign(1, x) * np.copysign(1, b._data)).astype(x.dtype)
    return g * make(ratio), g * 0


def _fmod_rule(g: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    with np.errstate(all="ignore"):
        return g, -g * make(np.trunc(a._data / b._data))


def _nextafter_rule(g: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return g * make((a._data != b._data).astype(a._data.dtype)), g * 0


def _igamma_rule(g: Tensor, a: Tensor, x: Tensor) -> tuple[None, Tensor]:
    if a._requires_grad:
        raise RuntimeError(
            "igamma: the gradient with respect to 'input' is not implemented, only to 'other'"
        )
    return None, g * unary.exp((a - 1) * unary.log(x) - x - unary.lgamma(a))


def _igammac_rule(g: Tensor, a: Tensor, x: Tensor) -> tuple[None, Tensor]:
    return None, -_igamma_rule(g, a, x)[1]


_NODES = {
    name: _node(name.capitalize(), rule)
    for name, rule in {
        "fmax": _fmax_rule,
        "fmin": _fmin_rule,
        "hypot": _hypot_rule,
        "atan2": _atan2_rule,
        "logaddexp": _logaddexp_rule,
        "logaddexp2": _logaddexp2_rule,
        "xlogy": _xlogy_rule,
        "copysign": _copysign_rule,
        "fmod": _fmod_rule,
        "nextafter": _nextafter_rule,
        "igamma": _igamma_rule,
        "igammac": _igammac_rule,
    }.items()
}


@accepts_out
def fmax(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The larger of both; a NaN only where both are."""
    return _binary("fmax", np.fmax, _NODES["fmax"], input, other)


@accepts_out
def fmin(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The smaller of both; a NaN only where both are."""
    return _binary("fmin", np.fmin, _NODES["fmin"], input, other)


@accepts_out
def hypot(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """sqrt(a**2 + b**2)."""
    return _binary("hypot", np.hypot, _NODES["hypot"], input, other)


@accepts_out
def atan2(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The angle of the point (other, input), in radians in [-pi, pi]."""
    return _binary("atan2", np.arctan2, _NODES["atan2"], input, other, floating=True)


@accepts_out
def logaddexp(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """log(exp(a) + exp(b)), without overflow."""
    return _binary("logaddexp", np.logaddexp, _NODES["logaddexp"], input, other)


@accepts_out
def logaddexp2(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """log2(2**a + 2**b), without overflow."""
    return _binary("logaddexp2", np.logaddexp2, _NODES["logaddexp2"], input, other)


def _xlogy_array(x: Any, y: Any) -> Any:
    return np.where(np.isnan(y), y, np.where(x == 0, x.dtype.type(0), x * np.log(y)))


@accepts_out
def xlogy(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """a * log(b), and 0 where a is 0 (NaN where b is)."""
    return _binary("xlogy", _xlogy_array, _NODES["xlogy"], input, other, floating=True)


@accepts_out
def copysign(input: Tensor, other: Any, *, out: Tensor | None = None) -> Tensor:
    """The size of ``input`` with the sign of ``other``."""
    return _binary("copysign", np.copysign, _NODES["copysign"], input, other, floating=True)


@accepts_out
def fmod(input: Tensor, other: Any, *, out: Tensor | None = None) -> Tensor:
    """a modulo b with the sign of a (C's ``fmod``).

    Raises:
        RuntimeError: integer modulo zero.
    """
    if result_type(input, other)._rank < 2 and not np.all(getattr(other, "_data", other)):
        raise RuntimeError("fmod: modulo of integers by zero")
    return _binary("fmod", np.fmod, _NODES["fmod"], input, other)


@accepts_out
def igamma(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The regularised lower incomplete gamma function P(input, other)."""
    return _binary("igamma", by_type[np.ndarray].gammainc, _NODES["igamma"], input, other)


@accepts_out
def igammac(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The regularised upper incomplete gamma function Q(input, other) = 1 - P."""
    return _binary("igammac", by_type[np.ndarray].gammaincc, _NODES["igammac"], input, other)


@accepts_out
def nextafter(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The floating number next to a, towards b."""
    return _binary("nextafter", np.nextafter, _NODES["nextafter"], input, other)


@accepts_out
def heaviside(input: Tensor, values: Tensor, *, out: Tensor | None = None) -> Tensor:
    """0 below 0, 1 above, ``values`` at 0.

    Raises:
        RuntimeError: different dtypes.
    """
    if input._data.dtype != values._data.dtype:
        raise RuntimeError(
            f"heaviside: tensors of different dtypes, {input.dtype} and {values.dtype}"
        )
    return _binary("heaviside", np.heaviside, None, input, values)


def _integers(name: str, a: Tensor, b: Tensor) -> None:
    for x in (a, b):
        if x._data.dtype.kind not in "iu":
            raise RuntimeError(f"{name}: expects integer tensors, got {x.dtype}")


@accepts_out
def gcd(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The greatest common divisor of integers."""
    _integers("gcd", input, other)
    return _binary("gcd", np.gcd, None, input, other)


@accepts_out
def lcm(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The least common multiple of integers."""
    _integers("lcm", input, other)
    return _binary("lcm", np.lcm, None, input, other)


@accepts_out
def ldexp(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """input * 2**other."""
    return elementwise.mul(input, elementwise.pow(2.0, other))


@accepts_out
def rsub(input: Tensor, other: Any, *, alpha: Scalar = 1, out: Tensor | None = None) -> Tensor:
    """other - alpha * input."""
    return elementwise.sub(other, input, alpha)


@accepts_out
def float_power(input: Any, exponent: Any, *, out: Tensor | None = None) -> Tensor:
    """input ** exponent, computed in float64."""
    double = _dtype.float64.numpy
    a = cast(input, double) if isinstance(input, Tensor) else float(input)
    b = cast(exponent, double) if isinstance(exponent, Tensor) else float(exponent)
    return elementwise.pow(a, b)


@accepts_out
def clamp_min(input: Tensor, min: Any, *, out: Tensor | None = None) -> Tensor:
    """``input``, and ``min`` where it is below."""
    return select.clamp(input, min=min)


@accepts_out
def clamp_max(input: Tensor, max: Any, *, out: Tensor | None = None) -> Tensor:
    """``input``, and ``max`` where it is above."""
    return select.clamp(input, max=max)


@accepts_out
def lerp(input: Tensor, end: Tensor, weight: Any, *, out: Tensor | None = None) -> Tensor:
    """input + weight * (end - input); exact at both ends.

    Raises:
        RuntimeError: different dtypes.
    """
    if input._data.dtype != end._data.dtype:
        raise RuntimeError(
            f"lerp: expected dtype {input.dtype} for `end` but got dtype {end.dtype}"
        )
    moved: Tensor = input + weight * (end - input)
    return moved


@accepts_out
def addcmul(
    input: Tensor,
    tensor1: Tensor,
    tensor2: Tensor,
    *,
    value: Scalar = 1,
    out: Tensor | None = None,
) -> Tensor:
    """input + value * tensor1 * tensor2."""
    product = tensor1 * tensor2
    return input + (product if value == 1 else product * value)


@accepts_out
def addcdiv(
    input: Tensor,
    tensor1: Tensor,
    tensor2: Tensor,
    *,
    value: Scalar = 1,
    out: Tensor | None = None,
) -> Tensor:
    """input + value * tensor1 / tensor2.

    Raises:
        RuntimeError: integer tensors.
    """
    if tensor1._data.dtype.kind in "iub" and tensor2._data.dtype.kind in "iub":
        raise RuntimeError("addcdiv: integer division is not supported; use true_divide and add")
    return input + (tensor1 if value == 1 else value * tensor1) / tensor2


class MantissaExponent(NamedTuple):
    """What ``frexp`` returns."""

    mantissa: Tensor
    exponent: Tensor


def frexp(input: Tensor) -> MantissaExponent:
    """The mantissa in (-1, -0.5] or [0.5, 1) and the exponent (int32): input = mantissa * 2**exponent.

    Raises:
        RuntimeError: an integer tensor.
    """
    if input._data.dtype.kind in "iub":
        raise RuntimeError(f"frexp: expects a floating tensor, got {input.dtype}")
    _, exponent = np.frexp(input._data)
    exponent = as_array(exponent).astype(np.int32, copy=False)
    return MantissaExponent(
        elementwise.mul(input, make(np.ldexp(np.ones_like(input._data), -exponent))),
        make(exponent),
    )


arctan2 = atan2
