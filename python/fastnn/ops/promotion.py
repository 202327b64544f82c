"""Operands of different dtypes and shapes: promotion, casts, broadcasting and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _dtype
from .._core import Scalar, make
from .._dtype import FROM_NUMPY, from_numpy_dtype
from ..autograd.grad_mode import mode
from ..autograd.node import Node, edge_of
from ..backends import by_type
from .transfer import transfer

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "result_type",
]


def _scalar_dtype(value: Any) -> _dtype.dtype:
    if isinstance(value, (bool, np.bool_)):
        return _dtype.bool_
    if isinstance(value, (int, np.integer)):
        return _dtype.int64
    if isinstance(value, (float, np.floating)):
        return _dtype.get_default_dtype()
    raise TypeError(f"expected a Tensor or a number, got {type(value).__name__}")


def result_type(*operands: Tensor | Scalar) -> _dtype.dtype:
    """The dtype of an operation on ``operands``, by PyTorch's rules.

    Tensors with dimensions decide; a zero-dimensional tensor, and after it a number, counts only where its
    category (bool < integer < floating) is higher.

    >>> import fastnn
    >>> fastnn.result_type(fastnn.ones(2, dtype=fastnn.int64), 1.5)
    fastnn.float32
    """
    groups: list[_dtype.dtype | None] = [None, None, None]
    for operand in operands:
        if isinstance(operand, (np.ndarray, Tensor)):
            if isinstance(operand, np.ndarray):
                operand = make(operand)
            level = 0 if operand._data.ndim else 1
            d = from_numpy_dtype(operand._data.dtype)
        else:
            level, d = 2, _scalar_dtype(operand)
        held = groups[level]
        groups[level] = d if held is None else _dtype.promote_types(held, d)
    result: _dtype.dtype | None = None
    for group in groups:
        if group is not None and (result is None or group._rank > result._rank):
            result = group
    if result is None:
        raise TypeError("result_type expects at least one operand")
    return result


def cast(x: Tensor, d: np.dtype[Any]) -> Tensor:
    """``x`` with NumPy dtype ``d``: itself where it has it."""
    data = x._data
    if data.dtype == d:
        return x
    with np.errstate(invalid="ignore", over="ignore"):
        out = data.astype(d)
    if x._requires_grad and mode.enabled and FROM_NUMPY[d].is_floating_point:
        return make(out, ToCopyBackward0((edge_of(x),), (data.dtype,)))
    return make(out)


class ToCopyBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g.astype(self.saved[0]),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        return (cast(g, self.saved[0]),)


def promote(a: Any, b: Any, *, floating: bool = False) -> tuple[Tensor, Tensor]:
    """Both operands as tensors of their common dtype (``floating``: integers become the default float)."""
    d = result_type(a, b)
    if floating and not d.is_floating_point:
        d = _dtype.get_default_dtype()
    n = d.numpy
    return on_one_device(_operand(a, n), _operand(b, n))


def on_one_device(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both operands on a GPU where one is; a number or a 0-d tensor of the CPU goes there.

    Raises:
        RuntimeError: the other has dims, and is on the CPU.
    """
    if type(a._data) is type(b._data):
        return a, b
    host, other = (a, b) if isinstance(a._data, np.ndarray) else (b, a)
    if not isinstance(host._data, np.ndarray):
        return a, b
    if host._data.ndim:
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"{other.device} and {host.device}!"
        )
    moved = transfer(host, other.device)
    return (moved, b) if host is a else (a, moved)


def same_device(*tensors: Tensor | None) -> None:
    """Check that tensors are on one device.

    Raises:
        RuntimeError: they are not.
    """
    first = None
    for x in tensors:
        if x is None:
            continue
        if first is None:
            first = x
        elif type(x._data) is not type(first._data):
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, "
                f"{first.device} and {x.device}!"
            )


def _operand(value: Any, d: np.dtype[Any]) -> Tensor:
    if isinstance(value, Tensor):
        return cast(value, d)
    if isinstance(value, np.ndarray):  # ndarrays count as tensors of their dtype
        return cast(make(value), d)
    try:
        return make(np.asarray(value, d))
    except OverflowError:  # integers wrap around
        return make(np.asarray(value, np.int64).astype(d))


def again(operation: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor) -> Tensor:
    """``operation`` once more, on one device; inside of an ``except``, whose error stands where that is not the reason.

    Raises:
        RuntimeError: operands with dims on two devices.
    """
    if type(a._data) is type(b._data):
        raise
    return operation(*on_one_device(a, b))


def broadcast_error(operation: str, *arrays: Any) -> RuntimeError:
    """The error for operands whose shapes do not broadcast."""
    shapes = " and ".join(str(tuple(x.shape)) for x in arrays)
    return RuntimeError(f"{operation}: the shapes {shapes} cannot be broadcast together")


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """The gradient ``g`` summed over the axes along which an operand of ``shape`` was broadcast."""
    if g.shape == shape:
        return g
    lead = g.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(
        i + lead for i, n in enumerate(shape) if n == 1 and g.shape[i + lead] != 1
    )
    if isinstance(g, Tensor):
        return g.sum(axes, keepdim=True).reshape(shape)
    total = by_type[type(g)].sum(g, axes, True)
    return total.reshape(shape)
