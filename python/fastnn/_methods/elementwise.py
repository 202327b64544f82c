"""Arithmetic, mathematical functions, comparisons and activations, as methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core import TensorBase
from ..ops import (
    activation,
    activation_table,
    binary,
    comparison,
    elementwise,
    gemm,
    products,
    select,
    unary,
)
from ..ops import softmax as softmax_ops

if TYPE_CHECKING:
    from ..tensor import Tensor


def _polygamma(input: Tensor, n: int, *, out: Tensor | None = None) -> Tensor:
    """The n-th derivative of ``digamma``."""
    return unary.polygamma(n, input, out=out)


class ElementwiseMethods(TensorBase):
    """Methods that compute element by element, and products of matrices."""

    __slots__ = ()

    add = elementwise.add
    sub = subtract = elementwise.sub
    mul = multiply = elementwise.mul
    div = divide = true_divide = elementwise.div
    floor_divide = elementwise.floor_divide
    remainder = elementwise.remainder
    pow = elementwise.pow
    maximum = elementwise.maximum
    minimum = elementwise.minimum
    abs = unary.abs
    absolute = unary.absolute
    acos = unary.acos
    acosh = unary.acosh
    arccos = unary.arccos
    arccosh = unary.arccosh
    arcsin = unary.arcsin
    arcsinh = unary.arcsinh
    arctan = unary.arctan
    arctanh = unary.arctanh
    asin = unary.asin
    asinh = unary.asinh
    atan = unary.atan
    atanh = unary.atanh
    ceil = unary.ceil
    cos = unary.cos
    cosh = unary.cosh
    deg2rad = unary.deg2rad
    digamma = unary.digamma
    erf = unary.erf
    erfc = unary.erfc
    erfinv = unary.erfinv
    exp = unary.exp
    exp2 = unary.exp2
    expm1 = unary.expm1
    fix = unary.fix
    floor = unary.floor
    frac = unary.frac
    i0 = unary.i0
    lgamma = unary.lgamma
    log = unary.log
    log10 = unary.log10
    log1p = unary.log1p
    log2 = unary.log2
    logit = unary.logit
    mvlgamma = unary.mvlgamma
    nan_to_num = unary.nan_to_num
    neg = unary.neg
    negative = unary.negative
    polygamma = _polygamma
    positive = unary.positive
    rad2deg = unary.rad2deg
    reciprocal = unary.reciprocal
    round = unary.round
    rsqrt = unary.rsqrt
    sgn = unary.sgn
    sign = unary.sign
    signbit = unary.signbit
    sin = unary.sin
    sinc = unary.sinc
    sinh = unary.sinh
    sqrt = unary.sqrt
    square = unary.square
    tan = unary.tan
    trunc = unary.trunc
    addcdiv = binary.addcdiv
    addcmul = binary.addcmul
    arctan2 = binary.arctan2
    atan2 = binary.atan2
    clamp_max = binary.clamp_max
    clamp_min = binary.clamp_min
    copysign = binary.copysign
    float_power = binary.float_power
    fmax = binary.fmax
    fmin = binary.fmin
    fmod = binary.fmod
    frexp = binary.frexp
    gcd = binary.gcd
    heaviside = binary.heaviside
    hypot = binary.hypot
    igamma = binary.igamma
    igammac = binary.igammac
    lcm = binary.lcm
    ldexp = binary.ldexp
    lerp = binary.lerp
    logaddexp = binary.logaddexp
    logaddexp2 = binary.logaddexp2
    nextafter = binary.nextafter
    xlogy = binary.xlogy
    relu = activation.relu
    hardshrink = activation_table.hardshrink
    prelu = activation_table.prelu
    sigmoid = activation.sigmoid
    tanh = activation.tanh
    softmax = softmax_ops.softmax
    log_softmax = softmax_ops.log_softmax
    clamp = clip = select.clamp
    masked_fill = select.masked_fill
    matmul = gemm.matmul
    addbmm = products.addbmm
    addmm = products.addmm
    addmv = products.addmv
    addr = products.addr
    baddbmm = products.baddbmm
    bmm = products.bmm
    cross = products.cross
    dot = products.dot
    ger = products.ger
    inner = products.inner
    kron = products.kron
    mm = products.mm
    mv = products.mv
    outer = products.outer
    trace = products.trace
    vdot = products.vdot
    greater = comparison.greater
    greater_equal = comparison.greater_equal
    isclose = comparison.isclose
    isneginf = comparison.isneginf
    isposinf = comparison.isposinf
    isreal = comparison.isreal
    less = comparison.less
    less_equal = comparison.less_equal
    logical_xor = comparison.logical_xor
    not_equal = comparison.not_equal
    bitwise_left_shift = comparison.bitwise_left_shift
    bitwise_right_shift = comparison.bitwise_right_shift
    eq = comparison.eq
    ne = comparison.ne
    lt = comparison.lt
    le = comparison.le
    gt = comparison.gt
    ge = comparison.ge
    isnan = comparison.isnan
    isinf = comparison.isinf
    isfinite = comparison.isfinite
    logical_not = comparison.logical_not
    logical_and = comparison.logical_and
    logical_or = comparison.logical_or
    bitwise_and = comparison.bitwise_and
    bitwise_or = comparison.bitwise_or
    bitwise_xor = comparison.bitwise_xor
    bitwise_not = comparison.bitwise_not
    allclose = comparison.allclose
    equal = comparison.equal
