"""Reductions, as methods."""

from __future__ import annotations

from .._core import TensorBase
from ..ops import reduction


class ReductionMethods(TensorBase):
    """Methods that reduce dims."""

    __slots__ = ()

    sum = reduction.sum
    mean = reduction.mean
    amax = reduction.amax
    amin = reduction.amin
    max = reduction.max
    min = reduction.min
    argmax = reduction.argmax
    argmin = reduction.argmin
    prod = reduction.prod
    var = reduction.var
    std = reduction.std
    norm = reduction.norm
    any = reduction.any
    all = reduction.all
