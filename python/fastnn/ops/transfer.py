"""Moving tensors between devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _device
from .._core import make
from ..autograd.grad_mode import mode
from ..autograd.node import Node, edge_of

if TYPE_CHECKING:
    from ..tensor import Tensor


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


def pin_memory(input: Tensor) -> Tensor:
    """A copy in page-locked memory, from which a GPU reads faster.

    Raises:
        RuntimeError: there is no GPU, or the tensor is on one.
    """
    from ..cuda import _runtime

    if _device.is_device_array(input._data):
        raise RuntimeError("pin_memory: only the memory of CPU tensors can be pinned")
    return make(_runtime.pinned(input._data))
