"""Reductions, as methods."""

from __future__ import annotations

from .._core import TensorBase
from ..ops import reduction, scan, statistics
from ..ops import sort as sort_ops


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
    any = reduction.any
    all = reduction.all
    corrcoef = statistics.corrcoef
    count_nonzero = statistics.count_nonzero
    cov = statistics.cov
    dist = statistics.dist
    logsumexp = statistics.logsumexp
    nanmean = statistics.nanmean
    nansum = statistics.nansum
    norm = statistics.norm
    renorm = statistics.renorm
    cummax = scan.cummax
    cummin = scan.cummin
    cumprod = scan.cumprod
    cumsum = scan.cumsum
    diff = scan.diff
    gradient = scan.gradient
    logcumsumexp = scan.logcumsumexp
    aminmax = sort_ops.aminmax
    argsort = sort_ops.argsort
    bincount = sort_ops.bincount
    histc = sort_ops.histc
    histogram = sort_ops.histogram
    kthvalue = sort_ops.kthvalue
    median = sort_ops.median
    mode = sort_ops.mode
    msort = sort_ops.msort
    nanmedian = sort_ops.nanmedian
    nanquantile = sort_ops.nanquantile
    quantile = sort_ops.quantile
    sort = sort_ops.sort
    topk = sort_ops.topk
    unique = sort_ops.unique
    unique_consecutive = sort_ops.unique_consecutive
