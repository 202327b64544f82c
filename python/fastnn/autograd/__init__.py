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
    "Variable",
    "anomaly_mode",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
]

if TYPE_CHECKING:
    from . import anomaly_mode as anomaly_mode
    from . import functional as functional
    from . import graph as graph
    from . import profiler as profiler
    from .anomaly_mode import (
        detect_anomaly,
        is_anomaly_check_nan_enabled,
        is_anomaly_enabled,
        set_detect_anomaly,
    )
    from .variable import Variable, set_multithreading_enabled
else:  # what training does not need, loaded on first use
    __getattr__ = getattr_of(
        __name__,
        lazy=("anomaly_mode", "functional", "graph", "profiler"),
        names={
            "detect_anomaly": "anomaly_mode",
            "is_anomaly_check_nan_enabled": "anomaly_mode",
            "is_anomaly_enabled": "anomaly_mode",
            "set_detect_anomaly": "anomaly_mode",
            "Variable": "variable",
            "set_multithreading_enabled": "variable",
        },
    )
