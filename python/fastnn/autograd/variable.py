"""Names of older programs."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor

__all__ = ["Variable", "set_multithreading_enabled"]


class _VariableMeta(type):
    """Makes a tensor an instance of ``Variable``."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_VariableMeta):
    """The tensor itself: tensors and variables are one.

    >>> import fastnn
    >>> fastnn.autograd.Variable(fastnn.ones(2), requires_grad=True)
    tensor([1., 1.], requires_grad=True)
    """

    def __new__(
        cls, data: Any = None, requires_grad: bool | None = None, volatile: Any = None
    ) -> Any:
        """``data`` as a tensor outside the graph that shares its memory.

        Raises:
            ValueError: ``volatile``, which is no more; use ``no_grad``.
        """
        if volatile:
            raise ValueError("Variable: volatile was removed: use `with no_grad():` instead")
        tensor = Tensor() if data is None else data.detach()
        return tensor.requires_grad_() if requires_grad else tensor


class set_multithreading_enabled:
    """Accepted for PyTorch's scripts: a backward pass runs in the thread that calls it."""

    def __init__(self, mode: bool) -> None:
        return None

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        return None
