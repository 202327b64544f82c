"""Special functions: PyTorch's ``torch.special``.

>>> import fastnn
>>> fastnn.special.ndtr(fastnn.tensor(0.0))
tensor(0.5000)
"""

from __future__ import annotations

from ._help import getattr_of
from .ops.activation import sigmoid as expit
from .ops.binary import igamma as gammainc
from .ops.binary import igammac as gammaincc
from .ops.binary import xlogy
from .ops.softmax import log_softmax, softmax
from .ops.special import (
    entr,
    erfcx,
    i0e,
    i1,
    i1e,
    log_ndtr,
    ndtr,
    ndtri,
    xlog1py,
    zeta,
)
from .ops.statistics import logsumexp
from .ops.unary import (
    digamma,
    erf,
    erfc,
    erfinv,
    exp2,
    expm1,
    i0,
    log1p,
    logit,
    polygamma,
    round,
    sinc,
)
from .ops.unary import lgamma as gammaln
from .ops.unary import mvlgamma as multigammaln

psi = digamma

__all__ = [
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammainc",
    "gammaincc",
    "gammaln",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
    "sinc",
    "softmax",
    "xlog1py",
    "xlogy",
    "zeta",
]

__getattr__ = getattr_of(__name__)
