"""Automatic differentiation in reverse mode: the graph, the engine, custom functions and checks."""

from typing import TYPE_CHECKING

from .._help import getattr_of
from .engine import backward, grad
from .function import Function
from .grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .gradcheck import gradcheck, gradgradcheck

__all__ = [
    "Function",
    "backward",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "set_grad_enabled",
]

if not TYPE_CHECKING:  # a checker must see that a name is missing
    __getattr__ = getattr_of(__name__)
