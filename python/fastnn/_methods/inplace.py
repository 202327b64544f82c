"""In-place operations, as methods: each computes its result and writes it into the tensor's memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from .._core import TensorBase
from ..autograd.inplace import write
from ..ops import (
    activation,
    arrange,
    binary,
    comparison,
    elementwise,
    products,
    scan,
    scatter,
    select,
    statistics,
    unary,
)
from .elementwise import _polygamma

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
    abs_ = inplace(unary.abs)
    absolute_ = inplace(unary.absolute, "absolute_")
    acos_ = inplace(unary.acos)
    acosh_ = inplace(unary.acosh)
    arccos_ = inplace(unary.arccos, "arccos_")
    arccosh_ = inplace(unary.arccosh, "arccosh_")
    arcsin_ = inplace(unary.arcsin, "arcsin_")
    arcsinh_ = inplace(unary.arcsinh, "arcsinh_")
    arctan_ = inplace(unary.arctan, "arctan_")
    arctanh_ = inplace(unary.arctanh, "arctanh_")
    asin_ = inplace(unary.asin)
    asinh_ = inplace(unary.asinh)
    atan_ = inplace(unary.atan)
    atanh_ = inplace(unary.atanh)
    ceil_ = inplace(unary.ceil)
    cos_ = inplace(unary.cos)
    cosh_ = inplace(unary.cosh)
    deg2rad_ = inplace(unary.deg2rad)
    digamma_ = inplace(unary.digamma)
    erf_ = inplace(unary.erf)
    erfc_ = inplace(unary.erfc)
    erfinv_ = inplace(unary.erfinv)
    exp_ = inplace(unary.exp)
    exp2_ = inplace(unary.exp2)
    expm1_ = inplace(unary.expm1)
    fix_ = inplace(unary.fix, "fix_")
    floor_ = inplace(unary.floor)
    frac_ = inplace(unary.frac)
    i0_ = inplace(unary.i0)
    lgamma_ = inplace(unary.lgamma)
    log_ = inplace(unary.log)
    log10_ = inplace(unary.log10)
    log1p_ = inplace(unary.log1p)
    log2_ = inplace(unary.log2)
    logit_ = inplace(unary.logit)
    nan_to_num_ = inplace(unary.nan_to_num)
    neg_ = inplace(unary.neg)
    negative_ = inplace(unary.negative, "negative_")
    polygamma_ = inplace(_polygamma, "polygamma_")
    rad2deg_ = inplace(unary.rad2deg)
    reciprocal_ = inplace(unary.reciprocal)
    round_ = inplace(unary.round)
    rsqrt_ = inplace(unary.rsqrt)
    sgn_ = inplace(unary.sgn, "sgn_")
    sign_ = inplace(unary.sign)
    sin_ = inplace(unary.sin)
    sinc_ = inplace(unary.sinc)
    sinh_ = inplace(unary.sinh)
    sqrt_ = inplace(unary.sqrt)
    square_ = inplace(unary.square)
    tan_ = inplace(unary.tan)
    trunc_ = inplace(unary.trunc)
    addcdiv_ = inplace(binary.addcdiv)
    addcmul_ = inplace(binary.addcmul)
    atan2_ = inplace(binary.atan2)
    clamp_max_ = inplace(binary.clamp_max)
    clamp_min_ = inplace(binary.clamp_min)
    copysign_ = inplace(binary.copysign)
    fmod_ = inplace(binary.fmod)
    heaviside_ = inplace(binary.heaviside)
    hypot_ = inplace(binary.hypot)
    igamma_ = inplace(binary.igamma)
    igammac_ = inplace(binary.igammac)
    ldexp_ = inplace(binary.ldexp)
    lerp_ = inplace(binary.lerp)
    nextafter_ = inplace(binary.nextafter)
    xlogy_ = inplace(binary.xlogy)
    arctan2_ = inplace(binary.atan2, "arctan2_")
    gcd_ = inplace(binary.gcd)
    lcm_ = inplace(binary.lcm)
    mvlgamma_ = inplace(unary.mvlgamma)
    float_power_ = inplace(binary.float_power)
    eq_ = inplace(comparison.eq)
    ne_ = not_equal_ = inplace(comparison.ne)
    lt_ = less_ = inplace(comparison.lt)
    le_ = less_equal_ = inplace(comparison.le)
    gt_ = greater_ = inplace(comparison.gt)
    ge_ = greater_equal_ = inplace(comparison.ge)
    logical_and_ = inplace(comparison.logical_and)
    logical_or_ = inplace(comparison.logical_or)
    logical_xor_ = inplace(comparison.logical_xor)
    logical_not_ = inplace(comparison.logical_not)
    bitwise_and_ = __iand__ = inplace(comparison.bitwise_and)
    bitwise_or_ = __ior__ = inplace(comparison.bitwise_or)
    bitwise_xor_ = __ixor__ = inplace(comparison.bitwise_xor)
    bitwise_not_ = inplace(comparison.bitwise_not)
    bitwise_left_shift_ = __ilshift__ = inplace(comparison.bitwise_left_shift)
    bitwise_right_shift_ = __irshift__ = inplace(comparison.bitwise_right_shift)
    addmm_ = inplace(products.addmm)
    addmv_ = inplace(products.addmv)
    addr_ = inplace(products.addr)
    addbmm_ = inplace(products.addbmm)
    baddbmm_ = inplace(products.baddbmm)
    cumsum_ = inplace(scan.cumsum)
    cumprod_ = inplace(scan.cumprod)
    tril_ = inplace(arrange.tril)
    triu_ = inplace(arrange.triu)
    scatter_ = inplace(scatter.scatter)
    scatter_add_ = inplace(scatter.scatter_add)
    scatter_reduce_ = inplace(scatter.scatter_reduce)
    index_add_ = inplace(scatter.index_add)
    index_copy_ = inplace(scatter.index_copy)
    index_fill_ = inplace(scatter.index_fill)
    index_reduce_ = inplace(scatter.index_reduce)
    index_put_ = inplace(scatter.index_put)
    put_ = inplace(scatter.put)
    masked_scatter_ = inplace(scatter.masked_scatter)
    renorm_ = inplace(statistics.renorm)
    relu_ = inplace(activation.relu)
    sigmoid_ = inplace(activation.sigmoid)
    tanh_ = inplace(activation.tanh)
    clamp_ = clip_ = inplace(select.clamp)
    masked_fill_ = inplace(select.masked_fill)
