"""Global switches of PyTorch's that scripts set: what each is worth here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import _device, _dtype, backends

__all__ = [
    "are_deterministic_algorithms_enabled",
    "compile",
    "get_autocast_dtype",
    "get_default_device",
    "get_deterministic_debug_mode",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "is_autocast_cache_enabled",
    "is_autocast_enabled",
    "is_deterministic_algorithms_warn_only_enabled",
    "set_default_device",
    "set_default_tensor_type",
    "set_deterministic_debug_mode",
    "set_float32_matmul_precision",
    "set_flush_denormal",
    "set_num_interop_threads",
    "use_deterministic_algorithms",
]

_state: dict[str, Any] = {"deterministic": False, "warn_only": False, "precision": "highest"}
_PRECISIONS = ("highest", "high", "medium", "bfloat16_x6")


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for the same bits from the same inputs, which all operations give anyway; the wish is remembered."""
    _state["deterministic"] = bool(mode)
    _state["warn_only"] = bool(mode) and warn_only


def are_deterministic_algorithms_enabled() -> bool:
    """What ``use_deterministic_algorithms`` was told last (False at first)."""
    return bool(_state["deterministic"])


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """The ``warn_only`` that ``use_deterministic_algorithms`` was told last."""
    return bool(_state["warn_only"])


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """``use_deterministic_algorithms`` by a level: "default" (0), "warn" (1) or "error" (2).

    Raises:
        RuntimeError: another level.
    """
    levels: dict[int | str, int] = {"default": 0, "warn": 1, "error": 2, 0: 0, 1: 1, 2: 2}
    if debug_mode not in levels:
        raise RuntimeError(
            f"set_deterministic_debug_mode: expected default, warn or error (0, 1, 2), got {debug_mode!r}"
        )
    level = levels[debug_mode]
    use_deterministic_algorithms(level > 0, warn_only=level == 1)


def get_deterministic_debug_mode() -> int:
    """0 for "default", 1 for "warn", 2 for "error"."""
    if not _state["deterministic"]:
        return 0
    return 1 if _state["warn_only"] else 2


def set_float32_matmul_precision(precision: str) -> None:
    """Allow products of float32 matrices (``matmul``, ``linear`` and what is built on them) less precision.

    What is not faster on the device stays float32's own arithmetic, which every precision allows.

    ===============  ===========================================  ==================================
    precision        CPU with AMX                                 GPU
    ===============  ===========================================  ==================================
    ``highest``      float32's own arithmetic (the default)       the same
    ``high``         three products of two bfloat16 parts, with   three TF32 products, with errors
                     errors of about 4e-6 of the results [1]_     like float32's
    ``medium``       one product of operands rounded to bfloat16  one TF32 product
    ``bfloat16_x6``  six products of three bfloat16 parts, with   float32's own arithmetic
                     errors like float32's
    ===============  ===========================================  ==================================

    ``medium`` is one bfloat16 product on a CPU with AVX512-BF16 too. ``bfloat16_x6`` is fastnn's own, for
    speed without a loss of accuracy; the others are PyTorch's.

    .. [1] the root of their mean square, for operands of normally distributed numbers.

    Args:
        precision: one of the names above.

    Raises:
        ValueError: another name.

    >>> import fastnn
    >>> fastnn.set_float32_matmul_precision("high")
    >>> fastnn.get_float32_matmul_precision()
    'high'
    >>> fastnn.set_float32_matmul_precision("highest")
    """
    if precision not in _PRECISIONS:
        raise ValueError(
            f"set_float32_matmul_precision: expected one of {', '.join(_PRECISIONS)}, got {precision!r}"
        )
    if (kernels := backends.cpu_kernels()) is not None:
        kernels.set_float32_matmul_precision(precision)
    _state["precision"] = precision


def get_float32_matmul_precision() -> str:
    """What ``set_float32_matmul_precision`` was told last ("highest" at first)."""
    return str(_state["precision"])


def set_default_device(device: Any) -> None:
    """Make new tensors on ``device``; None: on the CPU.

    Raises:
        RuntimeError: there is no such device.
    """
    chosen = _device.CPU if device is None else _device.resolve(device)
    _device.prototype(chosen, "set_default_device")
    _device.default.device = chosen


def get_default_device() -> _device.device:
    """Where new tensors are made that no argument places."""
    return _device.default.device


def set_default_tensor_type(t: Any) -> None:
    """``set_default_dtype`` by an old type: ``fastnn.FloatTensor`` or its name.

    Raises:
        TypeError: not a floating type of tensors on the CPU.
    """
    from . import _legacy

    d = _legacy.named(t) if isinstance(t, str) else getattr(t, "dtype", t)
    if not isinstance(d, _dtype.dtype) or not d.is_floating_point:
        raise TypeError(f"set_default_tensor_type expects a type such as FloatTensor, got {t!r}")
    _dtype.set_default_dtype(d)


def set_flush_denormal(mode: bool) -> bool:
    """Ask for denormal numbers to be flushed to zero; returns False, which means that they are not."""
    return False


def get_num_interop_threads() -> int:
    """1: operations run one after another, each on ``get_num_threads()`` threads."""
    return 1


def set_num_interop_threads(n: int) -> None:
    """Allow ``n`` operations at a time; one runs at a time here.

    Raises:
        RuntimeError: ``n`` is not positive.
    """
    if n < 1:
        raise RuntimeError(f"set_num_interop_threads expects a positive integer, got {n}")


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether mixed precision is on for a type of device ("cuda" for None); see ``amp.autocast``."""
    from .amp import autocast_mode

    return autocast_mode.dtype_of(device_type or "cuda") is not None


def is_autocast_cache_enabled() -> bool:
    """Whether autocast keeps cast parameters until its context ends."""
    from .amp import _policies

    return _policies.state.caching


def get_autocast_dtype(device_type: str) -> _dtype.dtype:
    """The dtype that autocast uses on ``device_type``; where it is off, float16 on "cuda" and bfloat16 on "cpu"."""
    from .amp import autocast_mode

    found = autocast_mode.dtype_of(device_type)
    return (
        autocast_mode.default_dtype(device_type)
        if found is None
        else _dtype.from_numpy_dtype(found)
    )


def compile(
    model: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Any:
    """``model`` itself (or a decorator that returns the function): kernels are called eagerly, without a compiler.

    The options change in PyTorch how fast the same result comes, and so change nothing here.

    Raises:
        TypeError: ``model`` cannot be called.

    >>> import fastnn
    >>> model = fastnn.nn.Linear(2, 1)
    >>> fastnn.compile(model, mode="max-autotune") is model
    True
    """
    if model is None:
        return lambda function: compile(function)
    if not callable(model):
        raise TypeError(f"compile expects a module or a function, got {type(model).__name__}")
    return model
