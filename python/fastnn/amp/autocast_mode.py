"""autocast: the context that picks a narrow dtype for each operation, where the device gains by it."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from .. import _dtype

_F = TypeVar("_F", bound=Callable[..., Any])
_DEVICES = ("cpu", "cuda")


def is_autocast_available(device_type: str) -> bool:
    """False: no device here computes faster in a narrow dtype."""
    if not isinstance(device_type, str):
        raise TypeError(
            f"is_autocast_available expects the name of a device, got {type(device_type).__name__}"
        )
    return False


def gpu_is_available() -> bool:
    """Whether mixed precision has a GPU to run on."""
    from .. import cuda  # which has older names for what is here

    return cuda.is_available()


class autocast:
    """A context (or decorator) for mixed precision, which is off: everything keeps its dtype.

    Args:
        device_type: "cpu" or "cuda".
        dtype: the narrow dtype.
        enabled: on "cuda" it warns and stays off, as PyTorch does without a GPU.
        cache_enabled: meaningless while it is off.

    Raises:
        RuntimeError: enabled on "cpu", or another device.

    >>> import fastnn
    >>> with fastnn.autocast("cpu", enabled=False):
    ...     (fastnn.ones(2, 2) @ fastnn.ones(2, 2)).dtype
    fastnn.float32
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
        if enabled and device_type == "cpu":
            raise RuntimeError(
                "autocast: mixed precision on the CPU is not supported; pass enabled=False (float32 runs at full "
                "speed), or convert the model and its inputs by .to(fastnn.bfloat16)"
            )
        if enabled and gpu_is_available():
            raise RuntimeError(
                "autocast: choosing a dtype for each operation is not supported on the GPU yet; pass enabled=False, or "
                "convert the model and its inputs by .to(fastnn.bfloat16)"
            )
        if enabled:
            warnings.warn(
                "autocast: there is no GPU, so autocast('cuda') is off", UserWarning, stacklevel=2
            )
        self.device = device_type
        self.fast_dtype = dtype or (_dtype.bfloat16 if device_type == "cpu" else _dtype.float16)
        self._enabled = False

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def __call__(self, function: _F) -> _F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


def custom_fwd(fwd: Any = None, *, device_type: str, cast_inputs: Any = None) -> Any:
    """Mark the ``forward`` of an ``autograd.Function`` as one that autocast knows of.

    ``cast_inputs`` acts inside of an enabled autocast only, in PyTorch too; here there is none.
    """
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)
    return fwd


def custom_bwd(bwd: Any = None, *, device_type: str) -> Any:
    """Mark the ``backward`` of an ``autograd.Function``: it runs with the autocast state of its forward, off."""
    return functools.partial(custom_bwd, device_type=device_type) if bwd is None else bwd
