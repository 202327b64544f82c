"""Which operations autocast computes in a narrow dtype, which in float32, and how their calls are reached.

While no autocast is on, operations run as they were written and know nothing of it: entering one gives the functions of the
lists below other code, which casts the tensors among the arguments and calls the original; leaving gives them theirs back.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from .._core import TensorBase
from ..autograd.grad_mode import mode
from ..ops.promotion import cast

# In the narrow dtype: products, convolutions, attention, recurrent layers.
_NARROW = {
    "ops.gemm": "matmul linear",
    "ops.products": "mm bmm mv addmm addmv addr addbmm baddbmm chain_matmul einsum",
    "ops.linalg": "multi_dot vecdot",
    "ops.conv": "conv2d",
    "ops.conv_pool": "conv2d_max_pool2d",
    "ops.conv_nd": "conv1d conv3d conv_transpose1d conv_transpose2d conv_transpose3d",
    "ops.attention": "scaled_dot_product_attention",
    "ops.activation_table": "prelu",
    "ops.rnn": "run_layers _cell",
}
# In float32 on "cuda": what overflows or cancels in a narrow dtype, and sums of many terms.
_FULL = {
    "ops.unary": "acos asin cosh erfinv exp expm1 log log10 log1p log2 reciprocal rsqrt sinh tan",
    "ops.elementwise": "pow",
    "ops.activation_table": "softplus",
    "ops.softmax": "softmax log_softmax cross_entropy nll_loss",
    "nn._activation_functions": "softmin",
    "ops.statistics": "norm dist renorm cdist",
    "ops.distance": "cosine_similarity pdist normalize",
    "ops.loss": "l1_loss mse_loss binary_cross_entropy_with_logits",
    "ops.loss_regression": "smooth_l1_loss huber_loss kl_div poisson_nll_loss gaussian_nll_loss",
    "ops.loss_margin": (
        "cosine_embedding_loss hinge_embedding_loss margin_ranking_loss triplet_margin_loss soft_margin_loss "
        "multi_margin_loss multilabel_margin_loss multilabel_soft_margin_loss"
    ),
    "ops.linear_loss": "linear_cross_entropy",
    "ops.ctc": "ctc_loss",
    "ops.reduction": "sum prod",
    "ops.scan": "cumsum cumprod",
}
# PyTorch's list for the CPU is another: bfloat16 has float32's range.
_FULL_ON_CPU = frozenset(
    [
        "prod",
        "cdist",
        "ctc_loss",
        "cross_entropy",
        "nll_loss",
        "l1_loss",
        "mse_loss",
        "binary_cross_entropy_with_logits",
        "smooth_l1_loss",
        "huber_loss",
        "kl_div",
        "poisson_nll_loss",
        "cosine_embedding_loss",
        "hinge_embedding_loss",
        "margin_ranking_loss",
        "triplet_margin_loss",
        "soft_margin_loss",
        "multi_margin_loss",
        "multilabel_margin_loss",
        "linear_cross_entropy",
    ]
)
# Computed in float32; the result float32 on "cuda", of the input's dtype on "cpu", where PyTorch mixes input and weight.
_NORMS = {"ops.norm_rows": "layer_norm group_norm rms_norm"}
# Computed in float32, with a result of the input's dtype.
_NORMS_OF_BATCHES = {"ops.norm": "batch_norm", "ops.norm_rows": "instance_norm"}
# In the widest dtype among the operands.
_WIDEST = {
    "ops.binary": "addcdiv addcmul atan2",
    "ops.bilinear": "bilinear",
    "ops.products": "cross dot tensordot",
    "ops.grid": "grid_sample",
    "ops.scatter": "index_put scatter_add",
}
_REFUSED = {"ops.loss": "binary_cross_entropy"}
_AS_WRITTEN = {"autograd.engine": "run"}  # a backward pass computes in the dtypes of its forward

_FLOAT32 = np.dtype(np.float32)


class _State(threading.local):
    """What autocast does in this thread."""

    def __init__(self) -> None:
        self.casts = False  # False inside of an operation that has cast its arguments
        self.dtypes: dict[str, np.dtype[Any] | None] = {"cpu": None, "cuda": None}
        self.depth = 0
        self.caching = True
        self.cache: dict[int, tuple[Any, int, Any]] = {}  # id: the parameter, its version, it cast


state = _State()


def _device_type(x: Any) -> str:
    return "cpu" if type(x._data) is np.ndarray else "cuda"


def _eligible(x: Any) -> bool:
    """Whether autocast may cast a tensor: a floating one, on a device where it is on, and not float64."""
    dtype = x._data.dtype
    return (
        (dtype.kind == "f" or dtype.name == "bfloat16")
        and dtype.itemsize <= 4
        and state.dtypes[_device_type(x)] is not None
    )


def _narrow(x: Any) -> Any:
    if not _eligible(x):
        return x
    dtype: Any = state.dtypes[_device_type(x)]
    if x._data.dtype == dtype:
        return x
    kept = (
        state.caching
        and mode.enabled
        and x._requires_grad
        and x._node is None
        and x._data.dtype == _FLOAT32
    )
    if not kept:
        return cast(x, dtype)
    found = state.cache.get(id(x))
    if found is None or found[1] != x._version or found[2]._data.dtype != dtype:
        found = state.cache[id(x)] = (x, x._version, cast(x, dtype))
    return found[2]


def _full(x: Any) -> Any:
    return cast(x, _FLOAT32) if _eligible(x) else x


def _mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """A value with ``function`` of the tensors in it."""
    if isinstance(value, TensorBase):
        return function(value)
    if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
        return type(value)([_mapped(v, function) for v in value])
    return value


def _tensors(value: Any) -> list[Any]:
    if isinstance(value, TensorBase):
        return [value]
    if isinstance(value, (tuple, list)):
        return [x for v in value for x in _tensors(v)]
    return []


Run = Callable[..., Any]


def _with_arguments(inner: Run, args: Any, kwargs: Any, function: Callable[[Any], Any]) -> Any:
    new = [_mapped(a, function) for a in args]
    named = {k: v if k == "out" else _mapped(v, function) for k, v in kwargs.items()}
    state.casts = False
    try:
        return inner(*new, **named)
    finally:
        state.casts = True


def _run_narrow(inner: Run) -> Run:
    def run(*args: Any, **kwargs: Any) -> Any:
        return (
            _with_arguments(inner, args, kwargs, _narrow) if state.casts else inner(*args, **kwargs)
        )

    return run


def _run_full(inner: Run) -> Run:
    on_cpu = inner.__name__ in _FULL_ON_CPU

    def full(x: Any) -> Any:
        return _full(x) if on_cpu or _device_type(x) != "cpu" else x

    def run(*args: Any, **kwargs: Any) -> Any:
        if not state.casts or kwargs.get("dtype") is not None:
            return inner(*args, **kwargs)
        return _with_arguments(inner, args, kwargs, full)

    return run


def _run_norm_of_batches(inner: Run) -> Run:
    def run(input: Any, *args: Any, **kwargs: Any) -> Any:
        if not state.casts or not _eligible(input):
            return inner(input, *args, **kwargs)
        y = _with_arguments(inner, (input, *args), kwargs, _full)
        return cast(y, input._data.dtype)

    return run


def _run_norm_of_rows(inner: Run) -> Run:
    on_cuda, on_cpu = _run_full(inner), _run_norm_of_batches(inner)

    def run(input: Any, *args: Any, **kwargs: Any) -> Any:
        return (on_cpu if _device_type(input) == "cpu" else on_cuda)(input, *args, **kwargs)

    return run


def _run_widest(inner: Run) -> Run:
    def run(*args: Any, **kwargs: Any) -> Any:
        if not state.casts:
            return inner(*args, **kwargs)
        found = {x._data.dtype for x in _tensors((args, tuple(kwargs.values()))) if _eligible(x)}
        if len(found) < 2:
            return inner(*args, **kwargs)
        # float16 and bfloat16 together are float32, as by promotion
        return _with_arguments(inner, args, kwargs, _full)

    return run


def _run_refused(inner: Run) -> Run:
    def run(*args: Any, **kwargs: Any) -> Any:
        if state.casts and any(_device_type(x) == "cuda" and _eligible(x) for x in _tensors(args)):
            raise RuntimeError(
                "binary_cross_entropy and BCELoss are unsafe to autocast: the gradient of a sigmoid near 0 or 1 "
                "overflows float16; use binary_cross_entropy_with_logits or BCEWithLogitsLoss"
            )
        return (
            _with_arguments(inner, args, kwargs, _full) if state.casts else inner(*args, **kwargs)
        )

    return run


def _run_as_written(inner: Run) -> Run:
    def run(*args: Any, **kwargs: Any) -> Any:
        if not state.casts:
            return inner(*args, **kwargs)
        return _with_arguments(inner, args, kwargs, lambda x: x)

    return run


def _template(*args: Any, **kwargs: Any) -> Any:
    run: Any = "run"
    return run(*args, **kwargs)


def _calling(run: Run) -> CodeType:
    """The code of a function that calls ``run``."""
    code = _template.__code__
    return code.replace(co_consts=tuple(run if c == "run" else c for c in code.co_consts))


def _originals(table: dict[str, str]) -> list[FunctionType]:
    """The functions of a list, without what decorators put around them."""
    found = []
    for module, names in table.items():
        home = importlib.import_module(f"fastnn.{module}")
        for name in names.split():
            function = getattr(home, name)
            while hasattr(function, "__wrapped__"):
                function = function.__wrapped__
            found.append(function)
    return found


_lock = threading.Lock()
_on = 0  # how many autocasts are on, in all threads
_codes: list[tuple[FunctionType, CodeType, CodeType]] = []  # function, its own code, autocast's


def _prepare() -> None:
    for table, policy in (
        (_NARROW, _run_narrow),
        (_FULL, _run_full),
        (_NORMS, _run_norm_of_rows),
        (_NORMS_OF_BATCHES, _run_norm_of_batches),
        (_WIDEST, _run_widest),
        (_REFUSED, _run_refused),
        (_AS_WRITTEN, _run_as_written),
    ):
        for function in _originals(table):
            inner = FunctionType(
                function.__code__, function.__globals__, function.__name__, function.__defaults__
            )
            inner.__kwdefaults__ = function.__kwdefaults__
            _codes.append((function, function.__code__, _calling(policy(inner))))


def switch_on() -> None:
    """Let the functions of the lists cast, until as many calls of ``switch_off``."""
    global _on
    with _lock:
        if not _codes:
            _prepare()
        if not _on:
            for function, _, ours in _codes:
                function.__code__ = ours
        _on += 1


def switch_off() -> None:
    """Undo one ``switch_on``."""
    global _on
    with _lock:
        _on -= 1
        if not _on:
            for function, own, _ in _codes:
                function.__code__ = own
