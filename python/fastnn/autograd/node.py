"""Graph nodes: what an operation leaves behind so that its gradient can be computed.

An edge is where a gradient goes: another ``Node``, a leaf tensor, or None where no gradient is wanted. Nodes point
from results to inputs only, so a graph is freed by reference counts alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .. import _core
from . import version

if TYPE_CHECKING:
    from ..tensor import Tensor

_clock = version.clock


class Node:
    """One recorded operation: edges to its inputs, what its gradient needs, and the rule for it.

    ``saved`` holds input tensors, raw arrays (results, masks) and plain values. ``backward`` takes and returns
    raw arrays, one for each edge. ``backward_graph`` does the same on tensors, by differentiable operations, for
    gradients of gradients.
    """

    __slots__ = ("__weakref__", "birth", "edges", "saved")
    is_node: ClassVar[bool] = True  # a leaf tensor, the other kind of vertex, says False
    parent: MultiNode | None = None  # of an Output alone

    def __init__(self, edges: tuple[Any, ...], saved: tuple[Any, ...] = ()) -> None:
        self.edges = edges
        self.saved: Any = saved
        self.birth = _clock[0]

    def backward(self, g: Any) -> tuple[Any, ...]:
        """Gradients of the inputs from ``g``, the gradient of the result; all raw arrays."""
        raise NotImplementedError

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        """The same on tensors, differentiable again."""
        raise RuntimeError(
            f"{self.name()}: the gradient of this operation is not differentiable; "
            "call backward without create_graph=True"
        )

    def output(self, array: Any) -> Tensor:
        """The saved result ``array`` as the tensor that this node made (for ``backward_graph``)."""

        return _core.make(array, self)

    def name(self) -> str:
        """The node's name, as PyTorch prints it."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The edges, in PyTorch's form."""
        return tuple((e, 0) for e in self.edges)

    @property
    def metadata(self) -> dict[Any, Any]:
        """A dict for whatever a program wants to remember of this node."""
        from .graph import metadata_of

        return metadata_of(self.parent or self)

    def register_hook(self, fn: Any) -> Any:
        """Call ``fn(grad_inputs, grad_outputs)`` when this node's gradients are computed.

        Both are tuples of tensors and None: the gradients of its inputs (those that ``fn`` returns replace them)
        and of its results. Returns a handle that removes it.
        """
        from ..tensor import RemovableHandle
        from . import engine

        return RemovableHandle(engine.hooks_of(self.parent or self, engine.after_hooks), fn)

    def register_prehook(self, fn: Any) -> Any:
        """Call ``fn(grad_outputs)`` before this node's gradients are computed; what it returns replaces them."""
        from ..tensor import RemovableHandle
        from . import engine

        return RemovableHandle(engine.hooks_of(self.parent or self, engine.before_hooks), fn)

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"

    def check_versions(self) -> None:
        """Raise where something saved was overwritten since this node was made."""
        for item in self.saved:
            array = getattr(item, "_data", item)
            if hasattr(array, "base") and version.written_after(array, self.birth):
                raise RuntimeError(
                    f"{self.name()}: one of the tensors needed for gradient computation has been modified by an "
                    f"in-place operation: {tuple(array.shape)} {array.dtype}, written to after it was saved. "
                    "Use the out-of-place form of that operation, or clone() first"
                )


class ComposedNode(Node):
    """A node whose one rule, ``backward_graph``, is written in differentiable operations.

    What it costs to make tensors does not count beside the work of the operations that use it; those of training's
    inner loop have a rule on raw arrays as well.
    """

    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        results = self.backward_graph(_core.make(g))
        return tuple(None if r is None else r._data for r in results)


class MultiNode(Node):
    """A node with several results. Its ``backward`` takes a list with one gradient (or None) a result."""

    __slots__ = ("n_outputs",)

    def __init__(self, edges: tuple[Any, ...], saved: tuple[Any, ...], n_outputs: int) -> None:
        super().__init__(edges, saved)
        self.n_outputs = n_outputs


class ComposedMultiNode(MultiNode):
    """A ``ComposedNode`` of several results: ``backward_graph`` takes a list of tensors (or None)."""

    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        results = self.backward_graph([None if part is None else _core.make(part) for part in g])
        return tuple(None if r is None else r._data for r in results)

    def backward_graph(self, g: Any) -> tuple[Any, ...]:
        """Gradients of the inputs from those of the results."""
        raise NotImplementedError

    def result(self, index: int, array: Any) -> Tensor:
        """The saved result ``array``, number ``index``, as the tensor that this node made."""
        return _core.make(array, Output(self, index))


class Output(Node):
    """One result of a ``MultiNode``: carries its gradient to the right place of the parent's list."""

    __slots__ = ("index", "parent")

    def __init__(self, parent: MultiNode, index: int) -> None:
        super().__init__((parent,))
        self.parent = parent
        self.index = index

    def name(self) -> str:
        parent: MultiNode | None = self.parent  # None once the graph was freed
        return "MultiNode" if parent is None else parent.name()


def edge_of(x: Tensor) -> Any:
    """Where the gradient of ``x`` goes."""
    return (x._node or x) if x._requires_grad else None
