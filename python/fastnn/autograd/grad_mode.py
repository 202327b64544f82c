"""Grad modes: whether operations record the graph. Each thread has its own."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

_GENERATOR = 0x20  # inspect.CO_GENERATOR, without importing that module
F = TypeVar("F", bound=Callable[..., Any])


class _Mode(threading.local):
    enabled = True
    inference = False


mode = _Mode()


class _GradMode:
    """Context manager and decorator that sets the mode for a block or a function."""

    _enabled: bool
    _inference: bool | None = None

    def __enter__(self) -> None:
        stack = self.__dict__.setdefault("_stack", [])
        stack.append((mode.enabled, mode.inference))
        mode.enabled = self._enabled
        if self._inference is not None:
            mode.inference = self._inference

    def __exit__(self, *exc: object) -> None:
        mode.enabled, mode.inference = self.__dict__["_stack"].pop()

    def _fresh(self) -> _GradMode:
        """A copy with a stack of its own, so that a decorated function may run in several threads."""
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__, _stack=[])
        return new

    def __call__(self, function: F) -> F:
        """``function`` with this mode around every call; a generator has it while it runs."""
        code = getattr(function, "__code__", None)
        if code is not None and code.co_flags & _GENERATOR:

            @functools.wraps(function)
            def generator(*args: Any, **kwargs: Any) -> Any:
                running = function(*args, **kwargs)
                sent: Any = None
                while True:
                    try:
                        with self._fresh():
                            value = running.send(sent)
                    except StopIteration as stop:
                        return stop.value
                    try:
                        sent = yield value
                    except GeneratorExit:
                        with self._fresh():
                            running.close()
                        raise

            return generator  # type: ignore[return-value]

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self._fresh():
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class _NoArguments(_GradMode):
    """A mode that decorates with or without parentheses."""

    if not TYPE_CHECKING:  # type checkers know the form with parentheses

        def __new__(cls, function: Any = None) -> Any:
            """The mode, or the decorated function."""
            self = super().__new__(cls)
            return self if function is None else self(function)


class no_grad(_NoArguments):
    """Operations in this block record no graph; also a decorator.

    >>> import fastnn
    >>> x = fastnn.ones(2, requires_grad=True)
    >>> with fastnn.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    _enabled = False


class enable_grad(_NoArguments):
    """Operations in this block record the graph, also inside ``no_grad``."""

    _enabled = True


class inference_mode(_GradMode):
    """``no_grad`` under PyTorch's other name: no graph is recorded in this block.

    Tensors made here may take part in autograd later (PyTorch forbids it; nothing here depends on it).
    """

    if not TYPE_CHECKING:

        def __new__(cls, mode: Any = True) -> Any:
            """The mode, or the decorated function."""
            self = super().__new__(cls)
            if isinstance(mode, bool):
                return self
            self.__init__()
            return self(mode)

    def __init__(self, mode: bool = True) -> None:
        self._enabled = not mode
        self._inference = mode


class set_grad_enabled(_GradMode):
    """Set grad mode to ``mode``: at once when called, and for a block when used as a context manager."""

    def __init__(self, mode: bool) -> None:
        self._enabled = bool(mode)
        self._previous = globals()["mode"].enabled
        globals()["mode"].enabled = self._enabled

    def __call__(self, function: F) -> F:
        """As a decorator it sets the mode for the function alone."""
        mode.enabled = self._previous
        return super().__call__(function)

    def __enter__(self) -> None:
        super().__enter__()
        self.__dict__["_stack"][-1] = (self._previous, mode.inference)


def is_grad_enabled() -> bool:
    """True where operations on tensors that require gradients are recorded."""
    return mode.enabled


def is_inference_mode_enabled() -> bool:
    """True inside ``inference_mode``."""
    return mode.inference
