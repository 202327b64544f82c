"""Custom differentiable functions."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .grad_mode import mode
from .node import MultiNode, Node, Output, edge_of

if TYPE_CHECKING:
    from ..tensor import Tensor


class FunctionCtx:
    """What ``forward`` leaves for ``backward``: saved tensors, marks, and any attribute set on it."""

    def __init__(self) -> None:
        self._to_save: tuple[Tensor | None, ...] = ()
        self._non_differentiable: set[int] = set()
        self._dirty: tuple[Tensor, ...] = ()
        self._materialize = True
        self.needs_input_grad: tuple[bool, ...] = ()
        self._node: weakref.ref[_FunctionNode] | None = None  # weak: the node holds this object

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or outputs of ``forward`` for ``backward`` (checked against in-place writes)."""
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What ``save_for_backward`` kept."""
        node = None if self._node is None else self._node()
        if node is not None and node.saved is None:
            raise RuntimeError(
                f"{node.name()}: trying to backward through the graph a second time: what it saved was freed"
            )
        return self._to_save if node is None else node.unpack()

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """For a ``jvp`` rule, which is never called here: derivatives are computed in reverse mode alone."""

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """These outputs have no gradient."""
        self._non_differentiable = {id(t) for t in tensors}

    def mark_dirty(self, *tensors: Tensor) -> None:
        """These inputs were written to in place by ``forward``."""
        self._dirty = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """False: ``backward`` gets None, instead of zeros, for outputs without a gradient."""
        self._materialize = value


class _FunctionNode(MultiNode):
    """The node of a custom function: calls its ``backward`` with tensors."""

    __slots__ = ("ctx", "function", "out_specs", "places")
    function: Any
    ctx: FunctionCtx
    out_specs: list[tuple[tuple[int, ...], Any]]
    places: list[int]  # position of each edge's tensor among forward's arguments

    def name(self) -> str:
        return f"{self.function.__name__}Backward"

    def unpack(self) -> tuple[Any, ...]:
        """The saved tensors; outputs come back with this node as their history."""
        from .._core import make

        return tuple(
            make(item[0], Output(self, item[1])) if type(item) is tuple else item
            for item in self.saved
        )

    def check_versions(self) -> None:
        kept = self.saved
        try:
            self.saved = tuple(item[0] if type(item) is tuple else item for item in kept)
            super().check_versions()
        finally:
            self.saved = kept

    def backward(self, g: Any) -> tuple[Any, ...]:
        from .._core import make

        results = self.backward_graph([None if a is None else make(a) for a in g])
        return tuple(None if r is None else r._data for r in results)

    def backward_graph(self, g: Any) -> tuple[Any, ...]:
        from .._core import make

        if self.ctx._materialize:
            g = [
                make(np.zeros(shape, d)) if t is None else t
                for t, (shape, d) in zip(g, self.out_specs, strict=True)
            ]
        function = self.function
        rule = function.vjp if function.vjp is not Function.vjp else function.backward
        returned = rule(self.ctx, *g)
        if not isinstance(returned, tuple):
            returned = (returned,)
        expected = len(self.ctx.needs_input_grad)
        if len(returned) < expected or any(r is not None for r in returned[expected:]):
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients "
                f"(expected {expected}, got {len(returned)})"
            )
        results = []
        for edge, place in zip(self.edges, self.places, strict=True):
            r = returned[place]
            if edge is not None and r is not None:
                shape = self.saved_shapes[place]
                if not hasattr(r, "_data"):
                    raise TypeError(
                        f"function {self.name()} returned a {type(r).__name__} as the gradient at index {place}; "
                        "it must be a Tensor or None"
                    )
                if r._data.shape != shape:
                    raise RuntimeError(
                        f"function {self.name()} returned an invalid gradient at index {place} - got "
                        f"{tuple(r.shape)} but expected shape compatible with {shape}"
                    )
            results.append(r if edge is not None else None)
        return tuple(results)

    @property
    def saved_shapes(self) -> dict[int, tuple[int, ...]]:
        """The shape of each tensor argument, by position."""
        shapes: dict[int, tuple[int, ...]] = self.ctx.__dict__["_input_shapes"]
        return shapes


class Function:
    """A differentiable function of your own: define ``forward`` and ``backward``, call ``apply``.

    >>> import fastnn
    >>> class Cube(fastnn.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return 3 * x * x * g
    >>> x = fastnn.tensor(2., requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the result: ``forward(ctx, *args)``, which keeps in ``ctx`` what ``backward`` needs.

        Or ``forward(*args)``, where the class defines ``setup_context`` too.
        """
        raise NotImplementedError("a Function must define a static forward(ctx, *args)")

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep in ``ctx`` what ``backward`` needs, from the arguments and result of a ``forward`` without ``ctx``."""
        raise NotImplementedError("setup_context is not defined")

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Any) -> Any:
        """The gradients of forward's arguments (None for those without) from those of its results."""
        raise NotImplementedError(
            "a Function must define a static backward(ctx, *grads) (or vjp) to be used with backward mode AD"
        )

    @staticmethod
    def vjp(ctx: FunctionCtx, *grads: Any) -> Any:
        """Another name of ``backward``."""
        raise NotImplementedError("vjp is not defined")

    @staticmethod
    def jvp(ctx: FunctionCtx, *tangents: Any) -> Any:
        """The rule of forward mode, which fastnn does not have: it is never called."""
        raise NotImplementedError(
            "forward-mode differentiation is not supported: autograd.functional.jvp works in reverse mode"
        )

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        """The rule of ``func.vmap``, which calls ``forward`` for each entry instead: it is never called."""
        raise NotImplementedError("func.vmap calls forward for each entry of the batch")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run ``forward`` and record it; returns what forward returns.

        Raises:
            RuntimeError: both ``backward`` and ``vjp`` are defined.
        """
        from .._core import TensorBase, make
        from .inplace import rebase

        if cls.vjp is not Function.vjp and cls.backward is not Function.backward:
            raise RuntimeError(
                f"Implementing both 'backward' and 'vjp' for a custom Function is not allowed: {cls.__name__}"
            )
        ctx = FunctionCtx()
        tensors = [(i, a) for i, a in enumerate(args) if isinstance(a, TensorBase)]
        ctx.needs_input_grad = tuple(isinstance(a, TensorBase) and a._requires_grad for a in args)
        record = mode.enabled and any(ctx.needs_input_grad)
        previous = mode.enabled
        mode.enabled = False
        try:
            if cls.setup_context is Function.setup_context:
                result = cls.forward(ctx, *args)
            else:
                result = cls.forward(*args)
                cls.setup_context(ctx, args, result)
        finally:
            mode.enabled = previous
        if not record:
            return result
        outputs = result if isinstance(result, tuple) else (result,)
        edges = tuple(edge_of(t) for _, t in tensors)  # type: ignore[arg-type]
        node = _FunctionNode(edges, (), len(outputs))
        node.function, node.ctx, node.places = cls, ctx, [i for i, _ in tensors]
        ctx.__dict__["_input_shapes"] = {i: t._data.shape for i, t in tensors}
        node.out_specs = [
            (o._data.shape, o._data.dtype)
            if isinstance(o, TensorBase)
            else ((), np.dtype(np.float32))
            for o in outputs
        ]
        positions = {id(o): i for i, o in enumerate(outputs)}
        # An output is kept as (array, position): as a tensor it would hold the node that holds it
        node.saved = tuple(
            (t._data, positions[id(t)]) if t is not None and id(t) in positions else t
            for t in ctx._to_save
        )
        ctx._to_save = ()
        ctx._node = weakref.ref(node)
        dirty = {id(t) for t in ctx._dirty}
        wrapped: list[Any] = []
        for i, o in enumerate(outputs):
            if not isinstance(o, TensorBase) or id(o) in ctx._non_differentiable:
                wrapped.append(o)
            elif id(o) in dirty:
                rebase(o, Output(node, i))  # type: ignore[arg-type]
                wrapped.append(o)
            elif o._data.dtype.kind in "iub":
                wrapped.append(o)
            else:
                wrapped.append(make(o._data, Output(node, i)))
        return tuple(wrapped) if isinstance(result, tuple) else wrapped[0]


class _Once(Node):
    """Behind the gradients of a function that can be differentiated once: whoever comes here gets an error."""

    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )

    def backward_graph(self, g: Any) -> tuple[Any, ...]:
        return self.backward(g)


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a static ``backward`` whose operations are not recorded: gradients of its gradients raise.

    >>> import fastnn
    >>> class Double(fastnn.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return 2 * x
    ...     @staticmethod
    ...     @fastnn.autograd.function.once_differentiable
    ...     def backward(ctx, g):
    ...         return 2 * g
    """

    @functools.wraps(fn)
    def wrapper(ctx: FunctionCtx, *grads: Any) -> Any:
        from .._core import TensorBase, make

        record = mode.enabled
        mode.enabled = False
        try:
            results = fn(ctx, *grads)
        finally:
            mode.enabled = record
        edges = tuple(edge_of(g) for g in grads if getattr(g, "_requires_grad", False))
        node = ctx._node() if ctx._node is not None else None
        saved: Any = () if node is None else node.unpack()
        edges += tuple(edge_of(t) for t in saved if getattr(t, "_requires_grad", False))
        if not record or not edges:
            return results
        several = isinstance(results, tuple)
        marked = tuple(
            make(r._data, _Once(edges)) if isinstance(r, TensorBase) else r
            for r in (results if several else (results,))
        )
        return marked if several else marked[0]

    return wrapper
