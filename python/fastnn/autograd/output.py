"""``out=``: a result written into a tensor that the caller gives."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from .. import _core, _device
from .._dtype import can_cast
from . import version
from .grad_mode import mode

if TYPE_CHECKING:
    from ..tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")
_NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim", "x": "input", "x1": "input", "x2": "other"}


def into(out: Any, result: Tensor, operation: str) -> Tensor:
    """Write ``result`` into ``out``, which takes its shape, and return ``out``.

    Raises:
        TypeError: ``out`` is not a Tensor.
        RuntimeError: gradients are wanted (``out=`` has none), ``out`` is read-only, or its dtype cannot hold the result.
    """
    if not isinstance(out, _core.TensorBase):
        raise TypeError(f"{operation}: argument 'out' must be Tensor, not {type(out).__name__}")
    if mode.enabled and (result._requires_grad or out._requires_grad):
        raise RuntimeError(
            f"{operation}: functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad"
        )
    if not can_cast(result.dtype, out.dtype):
        raise RuntimeError(
            f"{operation}: result type {result.dtype} can't be cast to the desired output type {out.dtype}"
        )
    data, new = out._data, result._data
    if data.shape != new.shape:
        if data.size:
            warnings.warn(
                f"{operation}: an output with one or more elements was resized since it had shape "
                f"{tuple(data.shape)}, which does not match the required output shape {tuple(new.shape)}",
                UserWarning,
                stacklevel=3,
            )
        out._data = np.array(new, data.dtype)
        return out  # type: ignore[return-value]
    if not _device.is_writeable(data):
        raise RuntimeError(f"{operation}: 'out' is read-only; clone() it first")
    np.copyto(data, new, casting="unsafe")
    version.bump(data)
    return out  # type: ignore[return-value]


def accepts_out(function: Callable[P, R]) -> Callable[P, R]:
    """``function`` as PyTorch lets it be called: with ``out`` (a tensor, or one a result), and NumPy's argument names."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not kwargs:
            return function(*args)  # type: ignore[call-arg]
        out: Any = kwargs.pop("out", None)
        for alias in kwargs.keys() & _NUMPY_NAMES.keys():
            kwargs[_NUMPY_NAMES[alias]] = kwargs.pop(alias)
        result: Any = function(*args, **kwargs)
        if out is None:
            return result  # type: ignore[no-any-return]
        name = function.__name__
        if not isinstance(result, tuple):
            return into(out, result, name)  # type: ignore[return-value]
        if not isinstance(out, (tuple, list)) or len(out) != len(result):
            raise TypeError(f"{name}: 'out' must be a tuple of {len(result)} Tensors, got {out!r}")
        written = [into(o, r, name) for o, r in zip(out, result, strict=True)]
        return type(result)(*written)  # type: ignore[return-value]

    return call
