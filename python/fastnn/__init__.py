"""Deep learning with PyTorch's names, hand-written kernels and a NumPy fallback.

>>> import fastnn
>>> x = fastnn.tensor([[1., 2.], [3., 4.]], requires_grad=True)
>>> (x @ x).sum().backward()
>>> x.grad
tensor([[ 7., 11.],
        [ 9., 13.]])
"""

from __future__ import annotations

import importlib
from typing import Any

from . import autograd, nn, optim, random
from ._config import get_num_threads, set_num_threads, show_config
from ._core import Size
from ._device import (
    channels_last,
    contiguous_format,
    device,
    memory_format,
    preserve_format,
    strided,
    layout,
)
from ._dtype import (
    bfloat16,
    can_cast,
    dtype,
    float16,
    float32,
    float64,
    finfo,
    get_default_dtype,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
)
from ._dtype import bool_ as bool
from ._version import __version__
from .autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .nn.functional import conv2d, dropout
from .ops import (
    activation as _activation,
    arrange as _arrange,
    binary as _binary,
    comparison as _comparison,
    creation as _creation,
    elementwise as _elementwise,
    gemm as _gemm,
    indexing as _indexing,
    products as _products,
    promotion as _promotion,
    reduction as _reduction,
    scan as _scan,
    scatter as _scatter,
    rnn as _rnn,
    select as _select,
    shape as _shape,
    softmax as _softmax,
    sort as _sort,
    statistics as _statistics,
    unary as _unary,
    views as _views,
)
from .ops.activation import *
from .ops.arrange import *
from .ops.binary import *
from .ops.comparison import *
from .ops.creation import *
from .ops.elementwise import *
from .ops.gemm import *
from .ops.indexing import *
from .ops.products import *
from .ops.promotion import *
from .ops.reduction import *
from .ops.scan import *
from .ops.scatter import *
from .ops.rnn import *
from .ops.select import *
from .ops.shape import *
from .ops.softmax import *
from .ops.sort import *
from .ops.statistics import *
from .ops.unary import *
from .ops.views import *
from .random import (
    Generator,
    bernoulli,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    multinomial,
    normal,
    poisson,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    seed,
    set_rng_state,
)
from .tensor import Tensor

float = float32
double = float64
half = float16
long = int64
int = int32
short = int16
inf = float32.numpy.type("inf").item()
nan = float32.numpy.type("nan").item()
pi = 3.141592653589793

__all__ = [
    "Generator",
    "Size",
    "Tensor",
    "__version__",
    "autograd",
    "bernoulli",
    "bfloat16",
    "bool",
    "can_cast",
    "channels_last",
    "contiguous_format",
    "conv2d",
    "default_generator",
    "device",
    "double",
    "dropout",
    "dtype",
    "enable_grad",
    "float",
    "float16",
    "float32",
    "float64",
    "func",
    "finfo",
    "get_default_dtype",
    "iinfo",
    "get_num_threads",
    "get_rng_state",
    "half",
    "inf",
    "inference_mode",
    "initial_seed",
    "int",
    "int16",
    "int32",
    "int64",
    "int8",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "load",
    "long",
    "manual_seed",
    "layout",
    "memory_format",
    "multinomial",
    "nan",
    "poisson",
    "nn",
    "no_grad",
    "normal",
    "optim",
    "pi",
    "preserve_format",
    "promote_types",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "random",
    "randperm",
    "save",
    "seed",
    "set_default_dtype",
    "set_grad_enabled",
    "set_num_threads",
    "set_rng_state",
    "short",
    "signal",
    "show_config",
    "strided",
    "uint8",
    "utils",
    "vision",
    "vmap",
]
__all__ += _activation.__all__
__all__ += _arrange.__all__
__all__ += _binary.__all__
__all__ += _comparison.__all__
__all__ += _creation.__all__
__all__ += _elementwise.__all__
__all__ += _gemm.__all__
__all__ += _indexing.__all__
__all__ += _products.__all__
__all__ += _promotion.__all__
__all__ += _reduction.__all__
__all__ += _scan.__all__
__all__ += _scatter.__all__
__all__ += _rnn.__all__
__all__ += _select.__all__
__all__ += _shape.__all__
__all__ += _softmax.__all__
__all__ += _sort.__all__
__all__ += _statistics.__all__
__all__ += _unary.__all__
__all__ += _views.__all__

# Imported on first use: what training itself does not need
_LAZY = {"func": ".func", "signal": ".signal", "utils": ".utils", "vision": ".vision"}
_LAZY_NAMES = {
    "save": ".serialization",
    "load": ".serialization",
    "is_anomaly_check_nan_enabled": ".autograd.anomaly_mode",
    "is_anomaly_enabled": ".autograd.anomaly_mode",
    "vmap": ".func",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(_LAZY[name], __name__)
    if name in _LAZY_NAMES:
        return getattr(importlib.import_module(_LAZY_NAMES[name], __name__), name)
    raise AttributeError(f"module 'fastnn' has no attribute {name!r}")
