"""Anomaly detection: the first NaN or infinity, in a result or in a gradient, and where in the model it arose.

Nothing of this runs when it is off: switching it on makes ``make``, ``Module.__call__`` and the engine call it.
"""

from __future__ import annotations

import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from . import engine

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["AnomalyError", "detect_anomaly", "set_detect_anomaly"]

_PACKAGE = __name__.partition(".")[0] + "."
# Other operations may well give -inf: attention masks with it, and it is the identity of a maximum.
_NO_MASKS = (
    "Div", "Exp", "Log1", "Log2", "LogBackward", "Reciprocal", "Pow", "Rsqrt", "Sqrt", "Square", "Mm", "MatMul",
    "Linear", "Addmm", "Bmm", "Conv", "Mean", "Var", "Norm",
)  # fmt: skip


class AnomalyError(RuntimeError):
    """A NaN or infinity that anomaly detection found."""

    @property
    def _module_trail(self) -> list[Any]:  # the message names the module already
        return [object(), [], ""]

    @_module_trail.setter
    def _module_trail(self, value: Any) -> None:
        return None


class _State(threading.local):
    def __init__(self) -> None:
        self.modules: list[tuple[Any, str]] = []  # the modules that are running, with their paths


_state = _State()
_enabled = False
_check_nan = True
_made_in: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


def is_anomaly_enabled() -> bool:
    """True where anomaly detection is on."""
    return _enabled


def is_anomaly_check_nan_enabled() -> bool:
    """True where anomaly detection looks for NaN and infinity."""
    return _check_nan


def _name(node: Any) -> str:
    return "the operation" if node is None else node.name()


def _where() -> str:
    """The module that runs, and the line outside this package that is being executed."""
    path = _state.modules[-1][1] if _state.modules else None
    frame = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        frame = frame.f_back  # type: ignore[assignment]
    line = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "?"
    return f"{f'module {path}, ' if path else ''}{line}"


def _what(array: Any) -> str | None:
    """What is wrong with the array's numbers, and where first; None where nothing is."""
    if array.dtype.kind not in "fcV":
        return None
    with np.errstate(all="ignore"):
        bad = ~np.isfinite(array)
        if not bad.any():
            return None
        nan = np.isnan(array)
        kind = "NaN" if nan.any() else "Inf"
        first = np.argwhere(nan if nan.any() else bad)[0]
    return f"{kind} ({int(bad.sum())} of {array.size}, first at {tuple(int(i) for i in first)})"


def _only_minus_infinity(array: Any) -> bool:
    with np.errstate(all="ignore"):
        bad = ~np.isfinite(array)
        return bool((array[bad] == -np.inf).all())


def _check_result(t: Tensor) -> None:
    node: Any = t._node
    if node is None:
        return
    where = _where()
    _made_in[node] = where
    if node.parent is not None:
        _made_in[node.parent] = where
    if not _check_nan:
        return
    problem = _what(t._data)
    if problem is None or (_only_minus_infinity(t._data) and not node.name().startswith(_NO_MASKS)):
        return
    shapes = [tuple(e._data.shape) for e in node.saved or () if hasattr(e, "_data")]
    of = f", computed from shapes {', '.join(map(str, shapes))}" if shapes else ""
    raise AnomalyError(
        f"{_in(where)}{node.name()}: the result, shape {tuple(t._data.shape)}, has {problem}{of}"
    )


def _in(where: str | None) -> str:
    return f"{where}: " if where else ""


def _check_gradients(node: Any, outputs: Any, inputs: Any) -> None:
    if not _check_nan:
        return
    for i, g in enumerate(inputs):
        array = getattr(g, "_data", g)
        problem = None if array is None else _what(_core.as_array(array))
        if problem is not None:
            shapes = ", ".join(
                "None" if o is None else str(tuple(getattr(o, "_data", o).shape)) for o in outputs
            )
            raise AnomalyError(
                f"{_in(_made_in.get(node))}Function '{node.name()}' returned nan or inf values in its {i}th output: "
                f"the gradient of its input {i}, shape {tuple(array.shape)}, has {problem}; "
                f"the gradient of its result has shape {shapes}"
            )


def _path_of(module: Any) -> str:
    """The dotted path of ``module``, which the module that runs calls."""
    if not _state.modules:
        return ""
    parent, path = _state.modules[-1]
    name = next((n for n, m in parent.named_modules() if m is module), type(module).__name__)
    return f"{path}.{name}" if path and name else path or name


def _switch(enabled: bool, check_nan: bool) -> None:
    global _enabled, _check_nan
    from ..nn.module import Module

    _check_nan = check_nan
    if enabled == _enabled:
        return
    _enabled = enabled
    if not enabled:
        _core.unwatch(_check_result)
        engine.check_gradients = None
        Module.__call__ = Module.__dict__["__call__"].__wrapped__  # type: ignore[method-assign]
        return
    call = Module.__call__

    def watched_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        _state.modules.append((self, _path_of(self)))
        try:
            return call(self, *args, **kwargs)
        finally:
            _state.modules.pop()

    watched_call.__wrapped__ = call  # type: ignore[attr-defined]
    Module.__call__ = watched_call  # type: ignore[method-assign]
    engine.check_gradients = _check_gradients
    _core.watch(_check_result)


class set_detect_anomaly:
    """Switch anomaly detection on or off: at once when called, and for a block when used as a context manager.

    Args:
        mode: on or off.
        check_nan: look for NaN and infinity; False: only note where each node was made.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._previous = _enabled, _check_nan
        _switch(bool(mode), bool(check_nan))

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        _switch(*self._previous)


class detect_anomaly:
    """Raise at the first NaN or infinity in this block, naming the module, the operation and the shapes.

    Results of operations that are recorded are looked at as they are made (PyTorch looks at gradients alone), and
    gradients as they are computed. -inf is let pass where masks make it. Slow: for debugging.

    Args:
        check_nan: False: only note where each node was made.

    Raises:
        RuntimeError: a NaN or infinity arose.

    >>> import fastnn
    >>> x = fastnn.tensor([0., 1.], requires_grad=True)
    >>> with fastnn.autograd.detect_anomaly():
    ...     (x.sqrt() * 0).sum().backward()
    Traceback (most recent call last):
        ...
    fastnn.autograd.anomaly_mode.AnomalyError: ...SqrtBackward0...
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = check_nan

    def __enter__(self) -> None:
        self._previous = _enabled, _check_nan
        _switch(True, self._check_nan)

    def __exit__(self, *exc: object) -> None:
        _switch(*self._previous)
