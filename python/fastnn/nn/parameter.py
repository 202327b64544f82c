"""Parameters, which a module trains, and buffers, which belong to its state without being trained."""

from __future__ import annotations

from typing import Any

from .._core import as_array
from ..tensor import Tensor


class Parameter(Tensor):
    """A tensor that becomes a module's parameter when it is assigned to it; shares memory with ``data``.

    >>> import fastnn
    >>> fastnn.nn.Parameter(fastnn.ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """

    # no __slots__: users set attributes on parameters

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        if data is None:
            data = Tensor()
        self._data = data._data if isinstance(data, Tensor) else as_array(data)
        self._node = self._grad = self._extra = None
        self._requires_grad = False
        if requires_grad:
            self.requires_grad_()

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


class Buffer(Tensor):
    """A tensor that becomes a module's buffer when it is assigned to it; shares memory with ``data``.

    Args:
        data: the values.
        persistent: part of ``state_dict``.

    >>> import fastnn
    >>> m = fastnn.nn.Module()
    >>> m.scale = fastnn.nn.Buffer(fastnn.ones(2))
    >>> list(m.state_dict())
    ['scale']
    """

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        if data is None:
            data = Tensor()
        self._data = data._data if isinstance(data, Tensor) else as_array(data)
        self._node = self._grad = self._extra = None
        self._requires_grad = False
        self.persistent = persistent
