"""How to run a sample of PyTorch's operator database (``op_db``) on fastnn."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import fastnn
import fastnn.nn.functional as F

# Parts of op_db that are no aim: complex numbers, sparse tensors, quantization, FFT, special functions beyond the usual,
# masked tensors, and what is PyTorch's internal machinery and no function of a user's.
OUT_OF_SCOPE_PREFIXES = (
    "fft.",
    "special.bessel_",
    "special.modified_bessel_",
    "special.scaled_modified_bessel_",
    "special.shifted_chebyshev_",
    "special.chebyshev_",
    "special.hermite_",
    "sparse.",
    "masked.",
    "jiterator_",
    "_",
    "torch.ops.",
    "torch._",
)
KEPT_PREFIXES = ("__",)  # operators: __radd__, __getitem__ ...
OUT_OF_SCOPE = {
    "complex numbers": {
        "cdouble", "cfloat", "chalf", "complex", "imag", "polar", "view_as_complex", "view_as_real", "stft", "istft",
    },
    "sparse tensors": {"to_sparse"},
    "internal forms of other operations": {
        "native_batch_norm", "native_dropout_backward", "native_group_norm", "native_layer_norm", "constant_pad_nd",
        "max_pool2d_with_indices_backward", "grid_sampler_2d", "grid_sampler_3d", "alias_copy", "as_strided_copy",
        "diagonal_copy", "expand_copy", "narrow_copy", "permute_copy", "split_with_sizes_copy", "squeeze_copy",
        "t_copy", "transpose_copy", "unbind_copy", "unfold_copy", "unsqueeze_copy", "view_copy", "hash_tensor",
        "nonzero_static", "empty_permuted",
    },
    "special functions beyond the usual": {
        "special.airy_ai", "special.laguerre_polynomial_l", "special.legendre_polynomial_p",
        "special.spherical_bessel_j0",
    },
    "linear algebra with complex results, and indefinite factors": {
        "linalg.eig", "linalg.eigvals", "linalg.ldl_factor", "linalg.ldl_factor_ex", "linalg.ldl_solve",
    },
}  # fmt: skip


def out_of_scope(name: str) -> bool:
    """Whether ``name`` is a part of op_db that fastnn does not aim at."""
    if any(name in names for names in OUT_OF_SCOPE.values()):
        return True
    return name.startswith(OUT_OF_SCOPE_PREFIXES) and not name.startswith(KEPT_PREFIXES)


def _method(name: str) -> Callable[..., Any]:
    return lambda x, *args, **kwargs: getattr(x, name)(*args, **kwargs)


# Where the database calls something else than the function of the entry's name
ADAPTERS: dict[str, Callable[..., Any]] = {
    "T": lambda x: x.T,
    "H": lambda x: x.H,
    "mH": lambda x: x.mH,
    "mT": lambda x: x.mT,
    "__getitem__": operator.getitem,
    "slice": lambda x, dim=0, start=None, end=None, step=1: x[
        (slice(None),) * dim + (slice(start, end, step),)
    ],
    "uniform": lambda x, *args, **kwargs: x.clone().uniform_(*args, **kwargs),
    "cauchy": lambda x, *args, **kwargs: x.clone().cauchy_(*args, **kwargs),
    "exponential": lambda x, *args, **kwargs: x.clone().exponential_(*args, **kwargs),
    "geometric": lambda x, *args, **kwargs: x.clone().geometric_(*args, **kwargs),
    "log_normal": lambda x, *args, **kwargs: x.clone().log_normal_(*args, **kwargs),
    "normal:in_place": lambda x, *args, **kwargs: x.clone().normal_(*args, **kwargs),
    "resize_": lambda x, *args: x.clone().resize_(*args),
    "resize_as_": lambda x, *args: x.clone().resize_as_(*args),
    "zero_": lambda x: x.clone().zero_(),
    "where": lambda x, condition, other: fastnn.where(condition, x, other),
    "einsum": lambda tensors, equation: fastnn.einsum(equation, *tensors),
    "polygamma": lambda x, n: fastnn.polygamma(n, x),
    "special.polygamma": lambda x, n: fastnn.special.polygamma(n, x),
    "linalg.pinv:singular": lambda a, b: fastnn.linalg.pinv(a @ b.mT),
    "linalg.lstsq:grad_oriented": lambda a, b, driver: fastnn.linalg.lstsq(a, b, driver=driver)[:2],
    "svd_lowrank": lambda a, b, **kwargs: fastnn.svd_lowrank(a @ b.mT, **kwargs),
    "pca_lowrank": lambda a, b, **kwargs: fastnn.pca_lowrank(a @ b.mT, **kwargs),
    "nn.functional.embedding": lambda weight, index, **kwargs: F.embedding(index, weight, **kwargs),
    "nn.functional.embedding_bag": lambda weight, index, *args, **kwargs: F.embedding_bag(
        index, weight, *args, **kwargs
    ),
    "nn.functional.upsample_bilinear": lambda x, size=None, scale_factor=None: F.interpolate(
        x, size=size, scale_factor=scale_factor, mode="bilinear", align_corners=True
    ),
    "nn.functional.upsample_nearest": lambda x, size=None, scale_factor=None: F.interpolate(
        x, size=size, scale_factor=scale_factor, mode="nearest"
    ),
}


def _symmetric(x: Any, *args: Any) -> tuple[Any, ...]:
    return (x + x.mH, *args)


def _unit_triangular(x: Any, upper: bool = False) -> tuple[Any, ...]:
    ones = (x.detach() * 0 + 1).tril().triu()
    return ((x.triu(1) if upper else x.tril(-1)) + ones, upper)


def _triangular_second(b: Any, x: Any, upper: bool = False) -> tuple[Any, ...]:
    return b, (x.triu() if upper else x.tril()), upper


# Where arguments have a structure that a gradient in all elements would leave: what both libraries are called with
PREPARED: dict[str, Callable[..., tuple[Any, ...]]] = {
    "cholesky": _symmetric,
    "cholesky_inverse": _unit_triangular,
    "cholesky_solve": _triangular_second,
    "linalg.cholesky": _symmetric,
    "linalg.cholesky_ex": _symmetric,
    "linalg.eigh": _symmetric,
    "linalg.eigvalsh": _symmetric,
    "linalg.pinv:hermitian": _symmetric,
}
# Results that are determined up to signs: the processed form, of PyTorch's own tests, is compared
UP_TO_SIGNS = {"linalg.eigh", "linalg.svd", "pca_lowrank", "svd", "svd_lowrank"}


# Casts: finite differences of 1e-6 are lost in the narrower dtype
LOW_PRECISION = {"bfloat16", "float", "half", "to"}
RANDOM = {
    "bernoulli", "cauchy", "empty", "empty_like", "empty_strided", "exponential", "geometric", "log_normal", "multinomial",
    "new_empty", "new_empty_strided", "nn.functional.alpha_dropout", "nn.functional.dropout", "nn.functional.dropout2d",
    "nn.functional.dropout3d", "nn.functional.feature_alpha_dropout", "nn.functional.fractional_max_pool2d",
    "nn.functional.fractional_max_pool3d", "nn.functional.rrelu", "normal", "rand_like", "randint", "randint_like",
    "randn", "randn_like", "resize_", "resize_as_", "uniform",
}  # fmt: skip


def is_random(name: str, sample: Any) -> bool:
    """Whether this sample's result is random: PyTorch draws other numbers than fastnn."""
    if name == "nn.functional.scaled_dot_product_attention":
        return sample.kwargs.get("dropout_p", 0.0) > 0
    if name == "nn.functional.multi_head_attention_forward":
        return sample.args[9] > 0 and sample.kwargs.get("training", True)
    if name == "svd_lowrank":  # an approximation where the rank is above q
        return sample.kwargs.get("M") is not None
    return name in RANDOM


def resolve(name: str, variant: str = "") -> Callable[..., Any] | None:
    """fastnn's function for the entry ``name``: by its path, as a method, or by an adapter; None where there is none."""
    if f"{name}:{variant}" in ADAPTERS:
        return ADAPTERS[f"{name}:{variant}"]
    if name in ADAPTERS:
        return ADAPTERS[name]
    if not name.startswith("__"):
        found: Any = fastnn
        for part in name.split("."):
            found = getattr(found, part, None)
            if found is None:
                break
        if callable(found) and not isinstance(found, fastnn.dtype):
            return found
    if hasattr(fastnn.Tensor, name):
        return _method(name)
    return None
