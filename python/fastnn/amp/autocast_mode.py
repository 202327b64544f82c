"""autocast: the context that picks a dtype for each operation, narrow where that is safe."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .. import _dtype
from .._core import TensorBase

_F = TypeVar("_F", bound=Callable[..., Any])
_DEVICES = ("cpu", "cuda")
_DTYPES = (_dtype.float16, _dtype.bfloat16)


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast can be on for a type of device.

    >>> import fastnn
    >>> fastnn.amp.is_autocast_available("cpu")
    True
    """
    if not isinstance(device_type, str):
        raise TypeError(
            f"is_autocast_available expects the name of a device, got {type(device_type).__name__}"
        )
    return device_type in _DEVICES


def gpu_is_available() -> bool:
    """Whether mixed precision has a GPU to run on."""
    from .. import cuda  # which has older names for what is here

    return cuda.is_available()


class autocast:
    """A context (or decorator) for mixed precision: operations choose the dtype that they compute in.

    Matrix products, convolutions, attention and recurrent layers compute in ``dtype``; softmax, logarithms, norms, losses
    and long sums in float32; all others in the dtypes that they get. Parameters stay float32: they are cast where they are
    used, once for each context, and their gradients are float32. Run the forward pass and the loss inside, ``backward``
    outside. With float16, scale the loss by ``GradScaler``, since small gradients underflow.

    Args:
        device_type: "cpu" or "cuda": tensors on other devices are left alone.
        dtype: float16 (the default on "cuda") or bfloat16 (on "cpu").
        enabled: False switches mixed precision off inside of an outer context; on "cuda" without a GPU it warns, and
            stays off.
        cache_enabled: whether cast parameters are kept until the outermost context ends.

    Raises:
        RuntimeError: another device.

    P. Micikevicius et al., "Mixed precision training", 2018.

    >>> import fastnn
    >>> x = fastnn.ones(2, 2)
    >>> with fastnn.autocast("cpu", dtype=fastnn.bfloat16):
    ...     (x @ x).dtype, x.exp().dtype
    (fastnn.bfloat16, fastnn.float32)
    """

    def __init__(
        self,
        device_type: str,
        dtype: _dtype.dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(
                f"autocast: device_type must be a str such as 'cpu', got {type(device_type).__name__}"
            )
        if device_type not in _DEVICES:
            raise RuntimeError(
                f"autocast: device_type must be 'cpu' or 'cuda', got {device_type!r}"
            )
        if enabled and device_type == "cuda" and not gpu_is_available():
            warnings.warn(
                "autocast: there is no GPU, so autocast('cuda') is off", UserWarning, stacklevel=2
            )
            enabled = False
        fast = dtype or default_dtype(device_type)
        if enabled and fast not in _DTYPES:
            warnings.warn(
                f"autocast: dtype must be float16 or bfloat16, got {fast}; autocast is off",
                UserWarning,
                stacklevel=2,
            )
            enabled = False
        self.device = device_type
        self.fast_dtype = fast
        self._enabled = enabled
        self._cache_enabled = cache_enabled
        self._outer: list[tuple[Any, bool, bool]] = []

    def __enter__(self) -> autocast:
        from . import _policies

        if self._enabled:
            _policies.switch_on()
        state = _policies.state
        self._outer.append((state.dtypes[self.device], state.caching, state.casts))
        state.dtypes[self.device] = self.fast_dtype.numpy if self._enabled else None
        if self._cache_enabled is not None:
            state.caching = self._cache_enabled
        state.casts = any(d is not None for d in state.dtypes.values())
        state.depth += 1
        return self

    def __exit__(self, *exc: object) -> None:
        from . import _policies

        state = _policies.state
        state.depth -= 1
        state.dtypes[self.device], state.caching, state.casts = self._outer.pop()
        if not state.depth:
            state.cache.clear()
        if self._enabled:
            _policies.switch_off()

    def __call__(self, function: _F) -> _F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


def default_dtype(device_type: str) -> _dtype.dtype:
    """The dtype of an autocast that names none."""
    return _dtype.bfloat16 if device_type == "cpu" else _dtype.float16


def dtype_of(device_type: str) -> Any:
    """The NumPy dtype that autocast computes in on a device; None where it is off."""
    from . import _policies

    return _policies.state.dtypes[device_type]


def custom_fwd(fwd: Any = None, *, device_type: str, cast_inputs: Any = None) -> Any:
    """Mark the ``forward`` of an ``autograd.Function``: its ``backward``, by ``custom_bwd``, has the same autocast state.

    Args:
        fwd: the ``forward``.
        device_type: whose autocast is meant.
        cast_inputs: inside of an enabled autocast, cast floating tensors on that device to this dtype, and run with
            autocast off.
    """
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        dtype = dtype_of(device_type)
        ctx._autocast_dtype = dtype
        if cast_inputs is None or dtype is None:
            return fwd(ctx, *args, **kwargs)
        ctx._autocast_dtype = None
        with autocast(device_type, enabled=False):
            new = [_cast(a, device_type, cast_inputs) for a in args]
            named = {k: _cast(v, device_type, cast_inputs) for k, v in kwargs.items()}
            return fwd(ctx, *new, **named)

    return forward


def _cast(value: Any, device_type: str, dtype: Any) -> Any:
    """A value with the floating tensors in it cast, but for float64 ones and those of other devices."""
    if isinstance(value, TensorBase):
        x: Any = value
        fits = x.is_floating_point() and x._data.dtype != np.float64
        return x.to(dtype) if fits and x.device.type == device_type else x
    if isinstance(value, (tuple, list)):
        return type(value)([_cast(v, device_type, dtype) for v in value])
    return value


def custom_bwd(bwd: Any = None, *, device_type: str) -> Any:
    """Mark the ``backward`` of an ``autograd.Function``: it runs with the autocast state of its ``forward``."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def backward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        found = getattr(ctx, "_autocast_dtype", None)
        dtype = None if found is None else _dtype.from_numpy_dtype(found)
        with autocast(device_type, dtype, enabled=found is not None):
            return bwd(ctx, *args, **kwargs)

    return backward
