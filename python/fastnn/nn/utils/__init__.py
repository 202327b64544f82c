"""Helpers for training and for the parameters of modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._help import getattr_of
from . import rnn

# Loaded on first use: what layers themselves do not need, and what needs layers
_MODULES = ("parametrizations", "parametrize", "prune", "stateless")
_NAMES = {
    "clip_grad_norm": "clip_grad",
    "clip_grad_norm_": "clip_grad",
    "clip_grad_value_": "clip_grad",
    "clip_grads_with_norm_": "clip_grad",
    "fuse_conv_bn_eval": "fusion",
    "fuse_conv_bn_weights": "fusion",
    "fuse_linear_bn_eval": "fusion",
    "fuse_linear_bn_weights": "fusion",
    "get_total_norm": "clip_grad",
    "parameters_to_vector": "convert_parameters",
    "remove_spectral_norm": "_spectral_norm",
    "remove_weight_norm": "_weight_norm",
    "skip_init": "init",
    "spectral_norm": "_spectral_norm",
    "vector_to_parameters": "convert_parameters",
    "weight_norm": "_weight_norm",
}
__all__ = [*_MODULES, *_NAMES, "rnn"]

if not TYPE_CHECKING:  # a checker must see that a name is missing
    __getattr__ = getattr_of(
        __name__,
        lazy=(*_MODULES, "clip_grad", "convert_parameters", "fusion", "init"),
        names=_NAMES,
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
