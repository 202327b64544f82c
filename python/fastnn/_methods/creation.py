"""New tensors of this one's dtype, as methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._core import TensorBase
from ..ops import creation

if TYPE_CHECKING:
    from ..tensor import Tensor


def _beside(input: Tensor, options: dict[str, Any]) -> dict[str, Any]:
    """The options, with input's device where they name none."""
    if options.get("device") is None:
        options["device"] = input.device
    return options


def _new_tensor(
    input: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of ``data`` with this tensor's dtype."""
    kind = dtype or input.dtype
    return creation.tensor(
        data,
        dtype=kind,
        device=input.device if device is None else device,
        requires_grad=requires_grad,
    )


def _new_zeros(input: Tensor, *size: Any, dtype: Any = None, **options: Any) -> Tensor:
    """Zeros of this dtype."""
    return creation.zeros(*size, dtype=dtype or input.dtype, **_beside(input, options))


def _new_ones(input: Tensor, *size: Any, dtype: Any = None, **options: Any) -> Tensor:
    """Ones of this dtype."""
    return creation.ones(*size, dtype=dtype or input.dtype, **_beside(input, options))


def _new_empty(input: Tensor, *size: Any, dtype: Any = None, **options: Any) -> Tensor:
    """Uninitialised memory of this dtype."""
    return creation.empty(*size, dtype=dtype or input.dtype, **_beside(input, options))


def _new_full(
    input: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, **options: Any
) -> Tensor:
    """``fill_value`` in ``size``, of this dtype."""
    return creation.full(size, fill_value, dtype=dtype or input.dtype, **_beside(input, options))


def _new_empty_strided(
    input: Tensor, size: Any, stride: Any, *, dtype: Any = None, **options: Any
) -> Tensor:
    """Uninitialised memory of this dtype, with the strides given."""
    return creation.empty_strided(
        size, stride, dtype=dtype or input.dtype, **_beside(input, options)
    )


class CreationMethods(TensorBase):
    """Methods that make tensors like this one."""

    __slots__ = ()

    new_tensor = _new_tensor
    new_zeros = _new_zeros
    new_ones = _new_ones
    new_empty = _new_empty
    new_full = _new_full
    new_empty_strided = _new_empty_strided
