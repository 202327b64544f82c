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
from typing import TYPE_CHECKING, Any

from . import autograd, nn, optim, random
from ._config import get_num_threads, set_num_threads, show_config
from . import _settings
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
from ._methods import linalg as _linalg
from ._printing import set_printoptions
from ._settings import *
from ._version import __version__
from .autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .nn.functional import (
    adaptive_avg_pool1d,
    alpha_dropout,
    avg_pool1d,
    bilinear,
    binary_cross_entropy_with_logits,
    celu,
    celu_,
    channel_shuffle,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    cosine_embedding_loss,
    cosine_similarity,
    dropout,
    feature_alpha_dropout,
    group_norm,
    hardshrink,
    hinge_embedding_loss,
    kl_div,
    layer_norm,
    margin_ranking_loss,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    pairwise_distance,
    pdist,
    pixel_shuffle,
    pixel_unshuffle,
    poisson_nll_loss,
    prelu,
    relu_,
    rms_norm,
    rrelu,
    rrelu_,
    selu,
    selu_,
    threshold,
    threshold_,
    triplet_margin_loss,
)
from .ops import (
    activation as _activation,
    arrange as _arrange,
    binary as _binary,
    comparison as _comparison,
    creation as _creation,
    elementwise as _elementwise,
    gemm as _gemm,
    indexing as _indexing,
    information as _information,
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
from .ops.gemm import _int_mm as _int_mm
from .ops.indexing import *
from .ops.information import *
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
    "adaptive_avg_pool1d",
    "alpha_dropout",
    "avg_pool1d",
    "binary_cross_entropy_with_logits",
    "celu",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "dropout",
    "feature_alpha_dropout",
    "group_norm",
    "hardshrink",
    "hinge_embedding_loss",
    "kl_div",
    "layer_norm",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "rms_norm",
    "rrelu",
    "selu",
    "threshold",
    "triplet_margin_loss",
    "Generator",
    "Size",
    "Tensor",
    "__version__",
    "autograd",
    "bernoulli",
    "bfloat16",
    "binomial",
    "bool",
    "can_cast",
    "channels_last",
    "contiguous_format",
    "default_generator",
    "device",
    "distributions",
    "double",
    "dtype",
    "enable_grad",
    "float",
    "func",
    "float16",
    "float32",
    "float64",
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
    "linalg",
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
    "set_printoptions",
    "set_grad_enabled",
    "set_num_threads",
    "set_rng_state",
    "short",
    "signal",
    "show_config",
    "special",
    "strided",
    "uint8",
    "utils",
    "bartlett_window",
    "blackman_window",
    "hamming_window",
    "hann_window",
    "kaiser_window",
    "vision",
    "bilinear",
    "celu_",
    "relu_",
    "rrelu_",
    "selu_",
    "threshold_",
    "vmap",
]
__all__ += _settings.__all__
__all__ += _activation.__all__
__all__ += _arrange.__all__
__all__ += _binary.__all__
__all__ += _comparison.__all__
__all__ += _creation.__all__
__all__ += _elementwise.__all__
__all__ += _gemm.__all__
__all__ += _indexing.__all__
__all__ += _information.__all__
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
__all__ += [  # of _linalg.FUNCTIONS, spelled out for type checkers
    "cholesky",
    "cholesky_inverse",
    "cholesky_solve",
    "det",
    "geqrf",
    "inverse",
    "logdet",
    "lu",
    "lu_solve",
    "lu_unpack",
    "matrix_exp",
    "matrix_power",
    "orgqr",
    "ormqr",
    "pca_lowrank",
    "pinverse",
    "qr",
    "slogdet",
    "svd",
    "svd_lowrank",
    "triangular_solve",
]

_WINDOWS = (
    "bartlett_window",
    "blackman_window",
    "hamming_window",
    "hann_window",
    "kaiser_window",
)
_LEGACY = (
    "FloatTensor",
    "DoubleTensor",
    "HalfTensor",
    "BFloat16Tensor",
    "LongTensor",
    "IntTensor",
    "ShortTensor",
    "CharTensor",
    "ByteTensor",
    "BoolTensor",
)
# Imported on first use: what training itself does not need
_LAZY = {
    "accelerator",
    "amp",
    "backends",
    "compiler",
    "cuda",
    "distributions",
    "func",
    "linalg",
    "profiler",
    "signal",
    "special",
    "testing",
    "types",
    "utils",
    "version",
    "vision",
}
_LAZY_NAMES = {
    "binomial": ".ops.sampling",
    "autocast": ".amp",
    **dict.fromkeys(_LEGACY, "._legacy"),
    "save": ".serialization",
    "load": ".serialization",
    "summary": ".utils.summary",
    **dict.fromkeys(_WINDOWS, ".signal.windows"),
    "print_runtime_info": "._config",
    "is_anomaly_check_nan_enabled": ".autograd.anomaly_mode",
    "is_anomaly_enabled": ".autograd.anomaly_mode",
    "vmap": ".func",
}

if TYPE_CHECKING:
    from . import distributions, func, linalg, signal, special, utils, vision
    from .autograd.anomaly_mode import is_anomaly_check_nan_enabled, is_anomaly_enabled
    from .func import vmap
    from .ops.linalg import matrix_exp, matrix_power, pca_lowrank, svd_lowrank
    from .ops.linalg_factor import cholesky_inverse, cholesky_solve
    from .ops.linalg_factor import torch_cholesky as cholesky
    from .ops.linalg_factor import torch_qr as qr
    from .ops.linalg_factor import torch_svd as svd
    from .ops.linalg_lu import geqrf, lu_unpack, ormqr
    from .ops.linalg_lu import householder_product as orgqr
    from .ops.linalg_lu import torch_lu as lu
    from .ops.linalg_lu import torch_lu_solve as lu_solve
    from .ops.linalg_norm import pinverse
    from .ops.linalg_solve import det, inverse, logdet, slogdet, triangular_solve
    from .ops.sampling import binomial
    from .serialization import load, save
    from .signal.windows import (
        bartlett_window,
        blackman_window,
        hamming_window,
        hann_window,
        kaiser_window,
    )
    from .utils.summary import summary as summary
else:

    def __getattr__(name: str) -> Any:
        if name in _LAZY:
            try:
                return importlib.import_module(f".{name}", __name__)
            except ModuleNotFoundError as error:
                if error.name != f"{__name__}.{name}":
                    raise
        if name in _LAZY_NAMES:
            return getattr(importlib.import_module(_LAZY_NAMES[name], __name__), name)
        if name in _linalg.FUNCTIONS:
            return _linalg.function(name)
        if name.startswith("__"):
            raise AttributeError(f"module 'fastnn' has no attribute {name!r}")
        if name.endswith("_") and hasattr(Tensor, name):
            return getattr(Tensor, name)  # torch.relu_(x) and its like
        from ._help import missing

        raise AttributeError(missing("module 'fastnn'", name, [*__all__, *_LAZY, *_LAZY_NAMES]))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_LAZY, *_LAZY_NAMES})
