"""Moving tensors between devices."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from .. import _device
from .._core import TensorBase, make
from ..autograd.grad_mode import mode
from ..autograd.node import Node, edge_of

if TYPE_CHECKING:
    from ..tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")


class ToCopyBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        (home,) = self.saved
        return (_device.place(g, home),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        (home,) = self.saved
        return (transfer(g, home),)


def transfer(input: Tensor, device: _device.device) -> Tensor:
    """``input`` on a device; itself where it is there.

    Raises:
        RuntimeError: there is no such device.
    """
    data = input._data
    moved = _device.place(data, device)
    if moved is data:
        return input
    if input._requires_grad and mode.enabled:
        return make(moved, ToCopyBackward0((edge_of(input),), (_device.of(data),)))
    return make(moved)


def on_host(operation: Callable[P, R]) -> Callable[P, R]:
    """``operation`` computed on the CPU where its tensors are on a GPU: operands go there, results come back.

    For what CuPy does not have, or not with the errors of NumPy. Moving is differentiable, so that gradients of all orders go
    the same way. docs/cuda.md names the operations.
    """

    @functools.wraps(operation)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        home = _home((*args, *kwargs.values()))
        if home is None:
            return operation(*args, **kwargs)
        with _device.device("cpu"):  # where it makes new tensors
            result = operation(
                *[_moved(a, _device.CPU) for a in args],
                **{k: _moved(v, _device.CPU) for k, v in kwargs.items()},
            )
        back: R = _moved(result, home)
        return back

    return call


def _home(values: Iterable[Any]) -> _device.device | None:
    """The GPU of the first tensor that is on one."""
    for value in values:
        if isinstance(value, TensorBase):
            if type(value._data) is not np.ndarray:
                return value.device
        elif isinstance(value, (tuple, list)):
            found = _home(value)
            if found is not None:
                return found
    return None


def _moved(value: Any, device: _device.device) -> Any:
    """A value with the tensors in it on a device."""
    if isinstance(value, TensorBase):
        return transfer(value, device)  # type: ignore[arg-type]
    if isinstance(value, (tuple, list)):
        moved = [_moved(v, device) for v in value]
        return type(value)(moved) if type(value) in (tuple, list) else type(value)(*moved)
    return value


def pin_memory(input: Tensor) -> Tensor:
    """A copy in page-locked memory, from which a GPU reads faster.

    Raises:
        RuntimeError: there is no GPU, or the tensor is on one.
    """
    from ..cuda import _runtime

    if _device.is_device_array(input._data):
        raise RuntimeError("pin_memory: only the memory of CPU tensors can be pinned")
    return make(_runtime.pinned(input._data))
