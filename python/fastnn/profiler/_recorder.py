"""Recording: while it is on, operations, gradient rules and modules are replaced by functions that time them.

Nothing of it costs when no profile is active: the replacements are put in at the start and taken out at the end.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from .. import ops
from .._core import TensorBase
from ..autograd.node import Node
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from ._events import Event

_PLUMBING = ("fastnn.ops", "fastnn.autograd", "fastnn.backends", "fastnn.profiler")


class Recorder:
    """Collects events; ``start`` and ``stop`` put the timing functions in place and away."""

    def __init__(self, shapes: bool, memory: bool) -> None:
        self.events: list[Event] = []
        self.shapes = shapes
        self.memory = memory
        self._open = threading.local()
        self._undo: list[tuple[Any, str, Any]] = []

    # -- spans -----------------------------------------------------------------------------------------

    def _stack(self) -> list[Event]:
        stack: list[Event] | None = getattr(self._open, "stack", None)
        if stack is None:
            stack = self._open.stack = []
        return stack

    def begin(self, name: str, kind: str, args: Any = ()) -> Event:
        """Open a span."""
        stack = self._stack()
        parent = stack[-1] if stack else None
        event = Event(name, kind, 0, depth=len(stack), thread=threading.get_native_id())
        event.module = "" if parent is None else parent.module
        if self.shapes:
            event.shapes = tuple(tuple(a._data.shape) for a in args if isinstance(a, TensorBase))
        stack.append(event)
        event.start = time.perf_counter_ns()
        return event

    def end(self, event: Event, result: Any = None) -> None:
        """Close a span."""
        event.end = time.perf_counter_ns()
        stack = self._stack()
        while stack and stack.pop() is not event:
            pass
        if stack:
            stack[-1].children += event.end - event.start
        if self.memory:
            event.memory = _bytes_of(result)
        self.events.append(event)

    # -- replacing -------------------------------------------------------------------------------------

    def _replace(self, owner: Any, name: str, new: Any) -> None:
        self._undo.append((owner, name, owner.__dict__[name]))
        setattr(owner, name, new)

    def _timed(self, function: Callable[..., Any], name: str, kind: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            event = self.begin(name, kind, args)
            result = None
            try:
                result = function(*args, **kwargs)
                return result
            finally:
                self.end(event, result)

        return timed

    def start(self) -> None:
        """Put the timing functions in place."""
        _active.append(self)
        timed = {f: self._timed(f, name, "operation") for f, name in _operations().items()}
        for owner in _users():
            for name, value in list(vars(owner).items()):
                if callable(value) and getattr(value, "__hash__", None) and value in timed:
                    self._replace(owner, name, timed[value])
        for node in _subclasses(Node):
            if "backward" in node.__dict__:
                self._replace(node, "backward", self._timed_backward(node.__dict__["backward"]))
        self._replace(Module, "__call__", self._timed_module(Module.__call__))
        for kind in (Optimizer, *_subclasses(Optimizer)):
            if "step" in kind.__dict__:
                self._replace(kind, "step", self._timed_step(kind.__dict__["step"]))

    def stop(self) -> None:
        """Take the timing functions away."""
        for owner, name, old in reversed(self._undo):
            setattr(owner, name, old)
        self._undo.clear()
        _active.remove(self)

    def _timed_backward(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def backward(node: Any, g: Any) -> Any:
            event = self.begin(node.name(), "backward")
            results = None
            try:
                results = function(node, g)
                return results
            finally:
                self.end(event, results)

        return backward

    def _timed_step(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def step(optimizer: Any, *args: Any, **kwargs: Any) -> Any:
            event = self.begin(f"Optimizer.step#{type(optimizer).__name__}.step", "operation")
            try:
                return function(optimizer, *args, **kwargs)
            finally:
                self.end(event)

        return step

    def _timed_module(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def __call__(module: Any, *args: Any, **kwargs: Any) -> Any:
            modules: list[Any] = self._open.__dict__.setdefault("modules", [])
            own = ""
            if modules:
                parent = modules[-1]
                members = parent.__dict__["_modules"]
                own = next((n for n, m in members.items() if m is module), "")
            kind = type(module).__name__
            event = self.begin(f"nn.Module: {kind}", "module", args)
            event.module = f"{event.module}.{own}" if event.module and own else own or event.module
            if event.module:
                event.name = f"nn.Module: {event.module} ({kind})"
            modules.append(module)
            result = None
            try:
                result = function(module, *args, **kwargs)
                return result
            finally:
                modules.pop()
                self.end(event, result)

        return __call__


_active: list[Recorder] = []


def _bytes_of(result: Any) -> int:
    if isinstance(result, (tuple, list)):
        return sum(_bytes_of(r) for r in result)
    data = getattr(result, "_data", result)
    return int(getattr(data, "nbytes", 0))


def _operations() -> dict[Callable[..., Any], str]:
    """Every public operation and its name."""
    found: dict[Callable[..., Any], str] = {}
    for info in pkgutil.iter_modules(ops.__path__, f"{ops.__name__}."):
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if callable(value) and not isinstance(value, type) and not name.startswith("_"):
                home = getattr(value, "__module__", "")
                if home == info.name and value not in found:
                    found[value] = value.__name__
    return found


def _users() -> list[Any]:
    """The modules and classes that users call operations by."""
    from ..tensor import Tensor

    names = [n for n in sys.modules if n == "fastnn" or n.startswith("fastnn.")]
    modules = [sys.modules[n] for n in names if not n.startswith(_PLUMBING)]
    return [*modules, *(c for c in Tensor.__mro__ if c.__module__.startswith("fastnn"))]


def _subclasses(kind: type) -> list[type]:
    found: list[type] = []
    children: list[type] = kind.__subclasses__()
    for child in children:
        found += [child, *_subclasses(child)]
    return list(dict.fromkeys(found))


class record_function:
    """A named block in the profile: a context manager, or a decorator. Outside a profile it does nothing."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name if args is None else f"{name}({args})"
        self._events: list[tuple[Recorder, Event]] = []

    def __enter__(self) -> record_function:
        self._events = [(r, r.begin(self.name, "user")) for r in _active]
        return self

    def __exit__(self, *exc: object) -> None:
        for recorder, event in self._events:
            recorder.end(event)
        self._events = []

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name):
                return function(*args, **kwargs)

        return wrapped
