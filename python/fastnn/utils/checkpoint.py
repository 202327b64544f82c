"""Checkpointing: a part of a model keeps nothing for backward but its inputs, and is computed again when it is needed.

T. Chen et al., "Training deep nets with sublinear memory cost", 2016.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from .. import _core, random
from ..autograd import engine
from ..autograd.grad_mode import enable_grad, mode

__all__ = ["CheckpointError", "checkpoint", "checkpoint_sequential", "noop_context_fn"]


class CheckpointError(RuntimeError):
    """A part of a model did other operations when it was computed again."""


def noop_context_fn() -> tuple[Any, Any]:
    """The contexts of a checkpoint that needs none."""
    return contextlib.nullcontext(), contextlib.nullcontext()


class _Recorder(threading.local):
    """The nodes that this thread makes inside of checkpoints, one set for each that is running."""

    def __init__(self) -> None:
        self.running: list[set[Any]] = []


_recorder = _Recorder()
_lock = threading.Lock()
_watching = 0


def _note(t: Any) -> None:
    node = t._node
    if node is not None:
        for nodes in _recorder.running:
            nodes.add(node)
            if node.parent is not None:
                nodes.add(node.parent)


class _Recording:
    """Collects the nodes that are made in a block."""

    def __enter__(self) -> set[Any]:
        global _watching
        self.nodes: set[Any] = set()
        _recorder.running.append(self.nodes)
        with _lock:
            if _watching == 0:
                _core.watch(_note)
            _watching += 1
        return self.nodes

    def __exit__(self, *exc: object) -> None:
        global _watching
        with _lock:
            _watching -= 1
            if _watching == 0:
                _core.unwatch(_note)
        _recorder.running.pop()


def _tensors(value: Any) -> list[Any]:
    if isinstance(value, _core.TensorBase):
        return [value]
    if isinstance(value, dict):
        return [t for v in value.values() for t in _tensors(v)]
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in _tensors(v)]
    return []


def _order(roots: list[Any], nodes: set[Any]) -> list[Any]:
    """The nodes among ``nodes`` that are reached from ``roots`` by way of them, in an order that the graph's form gives."""
    found: dict[Any, None] = {}
    stack = [r for r in roots if r is not None]
    while stack:
        node = stack.pop()
        if node not in found and node in nodes:
            found[node] = None
            stack += [e for e in node.edges if e is not None and e.is_node]
    return list(found)


def _kind(node: Any) -> str:
    return f"{node.name()} with {len(node.edges)} inputs"


class _Part:
    """A part of a graph that was emptied: computes it again, and fills the nodes that are left.

    Nodes are held weakly, since this is what the engine keeps for each of them.
    """

    def __init__(self, again: Callable[[], Any], result: Any, nodes: set[Any], check: bool) -> None:
        self.again = again
        self.check = check
        order = _order([t._node for t in _tensors(result)], nodes)
        self.nodes = [weakref.ref(node) for node in order]
        self.kinds = [_kind(node) for node in order]
        for node in order:
            if node.saved:
                node.saved = None
            if node.saved is None:
                engine.recomputations[node] = self

    def __call__(self, _: Any) -> None:
        with _Recording() as nodes:
            result = self.again()
        order = _order([t._node for t in _tensors(result)], nodes)
        kinds = [_kind(node) for node in order]
        if len(kinds) != len(self.kinds) or (self.check and kinds != self.kinds):
            first = next(
                (pair for pair in zip(self.kinds, kinds, strict=False) if pair[0] != pair[1]),
                (f"{len(self.kinds)} operations", f"{len(kinds)}"),
            )
            raise CheckpointError(
                f"checkpoint: {first[1]} when computed again, {first[0]} at first: the function must do the same each "
                "time (determinism_check='none' looks at the number of operations alone)"
            )
        for reference, new in zip(self.nodes, order, strict=True):
            old = reference()
            if old is not None and old.saved is None:
                _fill(old, new)


def _fill(old: Any, new: Any) -> None:
    engine.recomputations.pop(old, None)
    if new.saved is not None:
        old.saved, old.birth = new.saved, new.birth
        return

    def later(node: Any) -> None:  # it was emptied itself, by a checkpoint inside
        if new.saved is not None or engine.recompute(new):
            node.saved, node.birth = new.saved, new.birth

    engine.recomputations[old] = later


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """Call ``function`` and keep nothing for backward but its arguments; backward calls it again.

    Both of PyTorch's variants are one here: the graph stays as it is, and its nodes are emptied and filled again when
    backward comes to them. ``autograd.grad``, gradients of gradients, hooks and keyword arguments work.

    Args:
        function: a part of the model; it must do the same operations each time.
        args, kwargs: its arguments.
        use_reentrant: False; True is PyTorch's older variant, which takes no ``kwargs``; None warns as PyTorch does.
        context_fn: gives two contexts, for the first and the second call.
        determinism_check: "default": the second call's operations are held to the first's; "none": only their number is.
        debug: must be False: errors name the operation that differs.
        early_stop: accepted for PyTorch's scripts: the function is computed to its end.
        preserve_rng_state: the second call draws the same random numbers as the first.

    Raises:
        CheckpointError: (in backward) the second call did other operations.
        ValueError: an option that is not supported.

    >>> import fastnn
    >>> x = fastnn.tensor([1., 2.], requires_grad=True)
    >>> y = fastnn.utils.checkpoint.checkpoint(lambda t: t.exp() * t, x, use_reentrant=False)
    >>> y.sum().backward()
    >>> x.grad
    tensor([ 5.4366, 22.1672])
    """
    if use_reentrant is None:
        warnings.warn(
            "checkpoint: the use_reentrant parameter should be passed explicitly; use_reentrant=False is recommended",
            UserWarning,
            stacklevel=2,
        )
        use_reentrant = True
    if debug:
        raise ValueError(
            "checkpoint: debug=True is not supported: errors name the operation that differs"
        )
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"checkpoint: determinism_check should be one of ('default', 'none'), got {determinism_check!r}"
        )
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn:
            raise ValueError(
                "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
            )
    first, second = context_fn()
    if not mode.enabled:
        with first:
            return function(*args, **kwargs)
    state = random.get_rng_state() if preserve_rng_state else None
    with _Recording() as nodes, first:
        result = function(*args, **kwargs)

    def again() -> Any:
        present = random.get_rng_state()
        try:
            if state is not None:
                random.set_rng_state(state)
            with enable_grad(), second:
                return function(*args, **kwargs)
        finally:
            if state is not None:
                random.set_rng_state(present)

    _Part(again, result, nodes, determinism_check == "default")
    return result


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """A chain of functions in ``segments`` checkpoints, but for the last, which keeps what it needs.

    Args:
        functions: an ``nn.Sequential`` or a list of functions of one argument.
        segments: the number of parts.
        input: the first function's argument.
        use_reentrant, preserve_rng_state: as ``checkpoint``'s.

    Raises:
        ValueError: no segment, or more than functions.
    """
    if use_reentrant is None:
        warnings.warn(
            "checkpoint_sequential: the use_reentrant parameter should be passed explicitly; "
            "use_reentrant=False is recommended",
            UserWarning,
            stacklevel=2,
        )
        use_reentrant = True
    chain: Sequence[Any] = (
        list(functions.children()) if hasattr(functions, "children") else list(functions)
    )
    if not 1 <= segments <= len(chain):
        raise ValueError(
            f"checkpoint_sequential: segments must be between 1 and the number of functions, {len(chain)}, got {segments}"
        )

    def run(part: Sequence[Any]) -> Callable[[Any], Any]:
        def forward(x: Any) -> Any:
            for function in part:
                x = function(x)
            return x

        return forward

    size = len(chain) // segments
    for i in range(segments - 1):
        input = checkpoint(
            run(chain[i * size : (i + 1) * size]),
            input,
            use_reentrant=use_reentrant,
            preserve_rng_state=preserve_rng_state,
        )
    return run(chain[(segments - 1) * size :])(input)
