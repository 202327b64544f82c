"""Arithmetic, mathematical functions, comparisons and activations, as methods."""

from __future__ import annotations

from .._core import TensorBase
from ..ops import activation, comparison, elementwise, gemm, select
from ..ops import softmax as softmax_ops


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
    neg = negative = elementwise.neg
    abs = absolute = elementwise.abs
    exp = elementwise.exp
    expm1 = elementwise.expm1
    log = elementwise.log
    log2 = elementwise.log2
    log10 = elementwise.log10
    log1p = elementwise.log1p
    sqrt = elementwise.sqrt
    rsqrt = elementwise.rsqrt
    reciprocal = elementwise.reciprocal
    square = elementwise.square
    sin = elementwise.sin
    cos = elementwise.cos
    tan = elementwise.tan
    sinh = elementwise.sinh
    cosh = elementwise.cosh
    asin = elementwise.asin
    acos = elementwise.acos
    atan = elementwise.atan
    sign = elementwise.sign
    floor = elementwise.floor
    ceil = elementwise.ceil
    round = elementwise.round
    trunc = elementwise.trunc
    relu = activation.relu
    sigmoid = activation.sigmoid
    tanh = activation.tanh
    softmax = softmax_ops.softmax
    log_softmax = softmax_ops.log_softmax
    clamp = clip = select.clamp
    masked_fill = select.masked_fill
    matmul = gemm.matmul
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
