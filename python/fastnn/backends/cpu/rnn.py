"""Recurrent layers on the C++ kernels: float32 and float64, one call for a layer and its sequence.

Arrays that are not dense, or not aligned, are made so first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import _cpu
from fastnn.backends import numpy as spec


def _kernel(name: str, specification: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel; where it does not serve, the kernel on dense arrays; where that does not, the specification."""
    dense = _cpu.with_fallback(name, specification)

    def on_dense_arrays(*args: Any) -> Any:
        return dense(
            *(np.require(a, None, ["C", "A"]) if isinstance(a, np.ndarray) else a for a in args)
        )

    return _cpu.with_fallback(name, on_dense_arrays)


rnn = _kernel("rnn", spec.rnn)
rnn_backward = _kernel("rnn_backward", spec.rnn_backward)
lstm = _kernel("lstm", spec.lstm)
lstm_backward = _kernel("lstm_backward", spec.lstm_backward)
gru = _kernel("gru", spec.gru)
gru_backward = _kernel("gru_backward", spec.gru_backward)
