"""The graph from outside: hooks on several tensors, edges, and what a backward pass keeps."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from . import engine, version
from .node import Node

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]

_metadata: weakref.WeakKeyDictionary[Any, dict[Any, Any]] = weakref.WeakKeyDictionary()


def metadata_of(node: Any) -> dict[Any, Any]:
    """The dict of ``Node.metadata``."""
    return _metadata.setdefault(node, {})


class GradientEdge(NamedTuple):
    """Where the gradient of a tensor goes: the node that made it (or the leaf itself), and which of its results."""

    node: Any
    output_nr: int


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The edge that the gradient of ``tensor`` flows into.

    Raises:
        RuntimeError: it does not require grad.
    """
    if not tensor._requires_grad:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require gradients"
        )
    node: Any = tensor._node or tensor
    return GradientEdge(node, getattr(node, "index", 0))


def increment_version(tensor: Any) -> None:
    """Note a write to the memory of ``tensor`` (or of several) that fastnn did not see."""
    for t in [tensor] if hasattr(tensor, "_data") else tensor:
        version.bump(t._data)


def _reached(tensors: Sequence[Tensor]) -> list[bool]:
    """Whether the backward pass that runs now comes to each of ``tensors``."""
    counts = engine.passes.stack[-1] if engine.passes.stack else {}
    leaves = {id(edge) for node in counts for edge in node.edges if edge is not None}
    return [(x._node in counts) if x._node is not None else id(x) in leaves for x in tensors]


class _MultiHandle:
    """Removes the hooks of several tensors."""

    def __init__(self, handles: Sequence[Any]) -> None:
        self._handles = handles

    def remove(self) -> None:
        """Take the hooks away; a second call does nothing."""
        for handle in self._handles:
            handle.remove()

    def __enter__(self) -> _MultiHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def register_multi_grad_hook(
    tensors: Sequence[Tensor], fn: Callable[[Any], None], *, mode: str = "all"
) -> Any:
    """Call ``fn`` when the gradients of several tensors are computed.

    Args:
        tensors: tensors that require grad.
        fn: called with a list of their gradients (None for those that the backward pass does not come to) once all
            are there; with mode "any" with the first gradient alone. What it returns does not count.
        mode: "all" or "any".

    Returns:
        A handle whose ``remove`` takes the hook away.

    Raises:
        ValueError: another mode.

    >>> import fastnn
    >>> a, b = (fastnn.ones(1, requires_grad=True) for _ in range(2))
    >>> handle = fastnn.autograd.graph.register_multi_grad_hook([a, b], lambda g: print(g[0].item(), g[1].item()))
    >>> (2 * a + 3 * b).sum().backward()
    2.0 3.0
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    engine.keep_passes()
    lock = threading.Lock()
    seen: dict[int, Any] = {}  # by backward pass: the gradients so far
    wanted: dict[int, int] = {}

    def one(i: int) -> Callable[[Tensor], None]:
        def hook(g: Tensor) -> None:
            key = id(engine.passes.stack[-1])
            with lock:
                first = key not in seen
                if first:
                    seen.clear()
                    wanted.clear()
                    seen[key] = [None] * len(tensors)
                    wanted[key] = sum(_reached(tensors))
                if mode == "any":
                    ready = first
                else:
                    seen[key][i] = g
                    wanted[key] -= 1
                    ready = wanted[key] == 0
                gradients = seen[key]
            if ready:
                fn(g if mode == "any" else gradients)

        return hook

    return _MultiHandle([t.register_hook(one(i)) for i, t in enumerate(tensors)])


class saved_tensors_hooks:
    """Not supported: a node here keeps arrays and plain values that no hook could pack.

    Raises:
        NotImplementedError: always; ``utils.checkpoint`` saves memory, and ``save_on_cpu`` changes nothing on the CPU.
    """

    def __init__(self, pack_hook: Any, unpack_hook: Any) -> None:
        raise NotImplementedError(
            "autograd.graph.saved_tensors_hooks is not supported: use utils.checkpoint to keep less for backward"
        )


class save_on_cpu:
    """Keep what backward needs in the CPU's memory, where it is anyhow."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        if pin_memory:
            raise ValueError(
                "save_on_cpu: pin_memory=True is not supported: there is no memory to pin it for"
            )

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        return None


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Refuse ``saved_tensors_hooks`` in this block, as everywhere."""
    yield


class allow_mutation_on_saved_tensors:
    """Not supported: what was overwritten is gone.

    Raises:
        NotImplementedError: always; clone the tensor before it is written to.
    """

    def __init__(self) -> None:
        raise NotImplementedError(
            "autograd.graph.allow_mutation_on_saved_tensors is not supported: clone() before writing in place"
        )
