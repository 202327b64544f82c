"""The backward pass: walks the graph from its roots and carries gradients to the leaves.

Each node runs once, when every gradient that flows into it has arrived (reference counts of edges, Kahn's
algorithm). Gradients are raw arrays, or tensors where ``create_graph`` asks for a graph of the backward pass itself.
"""

from __future__ import annotations

import operator
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core, _device
from ..backends import by_type
from . import version
from .grad_mode import mode

if TYPE_CHECKING:
    from ..tensor import Tensor

# Hooks on the gradients of non-leaf tensors. Empty for nearly every program, so that they cost one test a run.
_hooked = False  # whether there ever was one: asking a weak dictionary takes a dozen calls
node_hooks: weakref.WeakKeyDictionary[Any, OrderedDict[int, Any]] = weakref.WeakKeyDictionary()
# Hooks on nodes: before they run, on the gradients of their results, and after, on both sides' gradients.
before_hooks: weakref.WeakKeyDictionary[Any, OrderedDict[int, Any]] = weakref.WeakKeyDictionary()
after_hooks: weakref.WeakKeyDictionary[Any, OrderedDict[int, Any]] = weakref.WeakKeyDictionary()
# Nodes whose saved tensors were dropped, and what computes them again (utils.checkpoint).
recomputations: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
check_gradients: Any = (
    None  # set by anomaly detection: called with each node, its gradients and its results
)


def _count_dependencies(roots: Sequence[Any]) -> dict[Any, int]:
    """For each node reachable from ``roots``: how many edges lead into it."""
    counts: dict[Any, int] = dict.fromkeys(roots, 0)
    stack = list(counts)
    while stack:
        for edge in stack.pop().edges:
            if edge is not None and edge.is_node:
                if edge in counts:
                    counts[edge] += 1
                else:
                    counts[edge] = 1
                    stack.append(edge)
    return counts


def _references(holder: dict[int, Any]) -> int:
    """The reference count of a popped gradient that nothing else holds, as this interpreter counts."""
    g = holder.pop(0)
    return sys.getrefcount(g)


def _references_to_base(view: Any) -> int:
    """The same of the array that ``view`` shows."""
    return sys.getrefcount(view.base)


_UNSHARED = _references({0: np.zeros(1)})
_UNSHARED_BASE = _references_to_base(np.zeros((1, 1)).reshape(1))


def _owns(g: Any) -> bool:
    """Whether ``g`` has its memory for itself: its own, or all of an array that only this view of it holds."""
    return not isinstance(g.base, np.ndarray) or (
        g.base.size == g.size
        and g.base.flags.owndata
        and g.flags.c_contiguous
        and _references_to_base(g) <= _UNSHARED_BASE
    )


def _sum_arrays(a: Any, b: Any) -> Any:
    return by_type[type(a)].add(a, b)


def hooks_of(node: Any, hooks: Any = node_hooks) -> OrderedDict[int, Any]:
    """The hooks of a kind on ``node`` (by default on the gradient that flows into it), for one to be added."""
    keep_passes()
    found: OrderedDict[int, Any] = hooks.setdefault(node, OrderedDict())
    return found


def keep_passes() -> None:
    """From now on backward passes look for hooks, and ``passes`` knows what they reach."""
    global _hooked
    _hooked = True


class _Passes(threading.local):
    """The vertices of the backward passes that run in this thread, for hooks that ask what will be reached."""

    def __init__(self) -> None:
        self.stack: list[dict[Any, int]] = []


passes = _Passes()


def _watched(node: Any, g: Any, create_graph: bool) -> Any:
    """What the node's rule gives, with the hooks on the node around it and what anomaly detection says."""
    several = type(g) is list
    before, after = before_hooks.get(node), after_hooks.get(node)

    def wrapped(values: Any) -> tuple[Any, ...]:
        return tuple(v if v is None or create_graph else _core.make(v) for v in values)

    def raw(values: Any) -> list[Any]:
        return [v if v is None or create_graph else v._data for v in values]

    if before:
        for hook in list(before.values()):
            changed = hook(wrapped(g if several else (g,)))
            if changed is not None:
                changed = raw(changed if isinstance(changed, tuple) else (changed,))
                g = changed if several else changed[0]
    results = node.backward_graph(g) if create_graph else node.backward(g)
    if check_gradients is not None:
        check_gradients(node, g if several else (g,), results)
    if after:
        for hook in list(after.values()):
            changed = hook(wrapped(results), wrapped(g if several else (g,)))
            if changed is not None:
                results = tuple(raw(changed if isinstance(changed, tuple) else (changed,)))
    return results


def _run_hooks(hooks: Sequence[Any], g: Any, create_graph: bool) -> Any:
    t = g if create_graph else _core.make(g)
    for hook in list(hooks):
        new = hook(t)
        if new is not None:
            t = new
    return t if create_graph else t._data


def run(
    roots: Sequence[Tensor],
    gradients: Sequence[Any],
    *,
    retain_graph: bool,
    create_graph: bool,
    inputs: Sequence[Tensor] | None = None,
) -> list[Any]:
    """Carry ``gradients`` of ``roots`` backward.

    Gradients are tensors where ``create_graph``, else raw arrays. With ``inputs``, their gradients are
    returned (None where the roots do not depend on them) and nothing is accumulated; else each leaf's ``grad`` is.
    """
    if not _hooked:
        return _walk(roots, gradients, retain_graph, create_graph, inputs)
    depth = len(passes.stack)
    try:
        return _walk(roots, gradients, retain_graph, create_graph, inputs)
    finally:
        del passes.stack[depth:]


def _walk(
    roots: Sequence[Tensor],
    gradients: Sequence[Any],
    retain_graph: bool,
    create_graph: bool,
    inputs: Sequence[Tensor] | None,
    rule: Any = None,
) -> list[Any]:
    plus = operator.add if create_graph else _sum_arrays
    leaves: dict[Any, Any] = {}
    pending: dict[Any, Any] = {}
    captured: dict[Any, Any] = {}
    wanted = set() if inputs is None else {x._node for x in inputs if x._node is not None}
    for root, g in zip(roots, gradients, strict=True):
        vertex = root._node or root
        held = pending if vertex.is_node else leaves
        held[vertex] = g if vertex not in held else plus(held[vertex], g)
    counts = _count_dependencies(tuple(pending))
    ready = [node for node, count in counts.items() if count == 0]
    clock = version.clock[0]
    hooked = _hooked
    watched = hooked or check_gradients is not None
    if hooked:
        passes.stack.append(counts)
    del gradients

    while ready:
        node = ready.pop()
        g = pending.pop(node, None)
        if g is not None:
            if hooked and node in node_hooks:
                g = _run_hooks(list(node_hooks[node].values()), g, create_graph)
            if wanted and node in wanted:
                captured[node] = g
            parent = node.parent
            if parent is not None:
                slots = pending.get(parent)
                if slots is None:
                    slots = pending[parent] = [None] * parent.n_outputs
                held_part = slots[node.index]
                slots[node.index] = g if held_part is None else plus(held_part, g)
                results: Any = ()
            else:
                if node.saved is None and not recompute(node):
                    raise RuntimeError(
                        f"{node.name()}: trying to backward through the graph a second time: what it saved was "
                        "freed. Specify retain_graph=True in the first backward or autograd.grad call"
                    )
                if node.birth != clock:
                    node.check_versions()
                if rule is not None:
                    results = rule(node, g)
                elif watched:
                    results = _watched(node, g, create_graph)
                else:
                    results = node.backward_graph(g) if create_graph else node.backward(g)
                if not retain_graph and node.saved:
                    node.saved = None
        else:
            results = ()
        edges = node.edges
        for i in range(len(edges)):
            edge = edges[i]
            if edge is None:
                continue
            r = results[i] if results else None
            if not edge.is_node:
                if r is not None:
                    leaves[edge] = r if edge not in leaves else plus(leaves[edge], r)
                continue
            if r is not None:
                pending[edge] = r if edge not in pending else plus(pending[edge], r)
            left = counts[edge] - 1
            counts[edge] = left
            if left == 0:
                ready.append(edge)
        results = r = g = None

    if inputs is not None:
        for leaf in leaves:
            hooks = leaf._extra.hooks if leaf._extra is not None else None
            if hooks:
                own = list(hooks.values())
                if rule is None:
                    leaves[leaf] = _run_hooks(own, leaves[leaf], create_graph)
                else:  # a hook knows gradients of the leaf's shape
                    entries = [_run_hooks(own, _core.as_array(g), False) for g in leaves[leaf]]
                    leaves[leaf] = np.stack(entries)
        return [leaves.get(x) if x._node is None else captured.get(x._node) for x in inputs]
    while leaves:
        leaf, g = leaves.popitem()
        shared = sys.getrefcount(g) > _UNSHARED  # (not within the call, whose argument counts too)
        _accumulate(leaf, g, shared, create_graph)
    return []


def recompute(node: Any) -> bool:
    """Compute what ``node`` saved again, where that is how it was to be kept; False where it is not."""
    recomputation = recomputations.pop(node, None)
    if recomputation is None:
        return False
    recomputation(node)
    return node.saved is not None


def _in_dtype(g: Any, leaf: Tensor) -> Any:
    """``g`` in the leaf's dtype: NumPy widens bfloat16 in some of the rules."""
    if isinstance(g, _core.TensorBase):
        return g.to(leaf.dtype)  # type: ignore[attr-defined]
    return g if g.dtype == leaf._data.dtype else g.astype(leaf._data.dtype)


def _accumulate(leaf: Tensor, g: Any, shared: bool, create_graph: bool) -> None:
    """Add ``g`` to the leaf's ``grad``; an array that others hold is copied, since ``grad`` is written in place."""
    extra = leaf._extra
    if extra is not None and extra.hooks:
        g = _run_hooks(list(extra.hooks.values()), g, create_graph)
        shared = True
    old = leaf._grad
    if g.dtype != leaf.dtype if create_graph else g.dtype is not leaf._data.dtype:
        g = _in_dtype(g, leaf)
    if create_graph:
        leaf._grad = g if old is None else old + g
    elif old is None:
        if type(g) is np.ndarray:
            if shared or not g.flags.writeable or not _owns(g):
                g = g.copy()
        elif not _device.is_device_array(g):
            g = np.asarray(g)
        elif shared or g.base is not None:
            g = g.copy()
        leaf._grad = _core.make(g)
    elif old._requires_grad:
        leaf._grad = old + _core.make(g)
    else:
        np.add(old._data, g, out=old._data)
        version.bump(old._data)
    if extra is not None and extra.post_accumulate_hooks:
        for hook in list(extra.post_accumulate_hooks.values()):
            hook(leaf)


_ONES: dict[Any, Any] = {}  # a one of each dtype, where most backward passes start


class _BackwardMode:
    """Grad mode of a backward pass: recording only where ``create_graph`` asks for it."""

    __slots__ = ("create_graph", "previous")

    def __init__(self, create_graph: bool) -> None:
        self.create_graph = create_graph

    def __enter__(self) -> None:
        self.previous = mode.enabled
        mode.enabled = self.create_graph

    def __exit__(self, *exc: object) -> None:
        mode.enabled = self.previous


def root_gradient(root: Tensor, gradient: Any, create_graph: bool) -> Any:
    """The gradient that starts at ``root``: ones for a scalar, else ``gradient`` checked against its shape."""
    data = root._data
    if gradient is None:
        if data.size != 1:
            raise RuntimeError(
                f"grad can be implicitly created only for scalar outputs, got shape {data.shape}; pass gradient="
            )
        if data.ndim == 0 and not create_graph and type(data) is np.ndarray:
            one = _ONES.get(data.dtype)
            if one is None:
                one = _ONES[data.dtype] = np.ones((), data.dtype)
            return one
        ones = np.ones_like(data)
        return _core.make(ones) if create_graph else ones
    if not isinstance(gradient, _core.TensorBase):
        raise TypeError(
            f"backward: gradient must be a Tensor or None, got {type(gradient).__name__}"
        )
    if gradient._data.shape != data.shape:
        raise RuntimeError(
            f"backward: gradient has shape {tuple(gradient._data.shape)}, the output has {tuple(data.shape)}"
        )
    return gradient if create_graph else gradient._data.astype(data.dtype, copy=False)


def _checked_roots(outputs: Sequence[Tensor], operation: str) -> None:
    for output in outputs:
        if not output._requires_grad:
            raise RuntimeError(
                f"{operation}: element of tensors does not require grad and does not have a grad_fn"
            )


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Add the gradients of ``tensors`` to the ``grad`` of the leaves (of ``inputs`` alone, where given).

    Args:
        tensors: the outputs to differentiate.
        grad_tensors: their gradients; None means ones, for outputs of one element.
        retain_graph: keep what the graph saved, for another backward (default: ``create_graph``).
        create_graph: record the backward pass too, for gradients of gradients.
        grad_variables: the old name of ``grad_tensors``.
        inputs: tensors (one, several or a dict) whose ``grad`` is to be accumulated; others are left alone.

    Raises:
        RuntimeError: an output needs no gradient, a shape is wrong, or something saved was overwritten or freed.
    """
    outputs = [tensors] if isinstance(tensors, _core.TensorBase) else list(tensors)
    if grad_variables is not None:
        if grad_tensors is not None:
            raise RuntimeError(
                "backward: give grad_tensors or grad_variables (its old name), not both"
            )
        grad_tensors = grad_variables
    if inputs is not None:
        if isinstance(inputs, _core.TensorBase):
            inputs = [inputs]
        inputs = list(inputs.values()) if isinstance(inputs, dict) else list(inputs)
        if not inputs:
            raise RuntimeError("backward: inputs argument cannot be empty")
    if grad_tensors is None:
        given: list[Tensor | None] = [None] * len(outputs)
    else:
        given = [grad_tensors] if isinstance(grad_tensors, _core.TensorBase) else list(grad_tensors)
    if len(given) != len(outputs):
        raise RuntimeError(f"backward: got {len(outputs)} tensors and {len(given)} grad_tensors")
    _checked_roots(outputs, "backward")
    retain = create_graph if retain_graph is None else retain_graph
    with _BackwardMode(create_graph):
        start = [root_gradient(o, g, create_graph) for o, g in zip(outputs, given, strict=True)]
        found = run(outputs, start, retain_graph=retain, create_graph=create_graph, inputs=inputs)
        if inputs is not None:
            for x, g in zip(inputs, found, strict=True):
                if g is not None:
                    _accumulate(x, g, True, create_graph)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Any,
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> Any:
    """The gradients of ``outputs`` with respect to ``inputs``, without touching any ``grad``.

    Args:
        outputs: the tensors to differentiate.
        inputs: a tensor, several, or a dict of them.
        grad_outputs: gradients of the outputs; None means ones, for outputs of one element.
        retain_graph: keep what the graph saved, for another backward (default: ``create_graph``).
        create_graph: record the backward pass too, for gradients of gradients.
        only_inputs: True: nothing else is accumulated.
        allow_unused: None for inputs that the outputs do not depend on, instead of an error.
        is_grads_batched: ``grad_outputs`` have a first dim more: one backward pass for all of its entries, whose gradients
            are stacked; with ``create_graph`` or hooks on nodes, a pass for each.
        materialize_grads: zeros instead of None.

    Returns:
        A tuple of one tensor an input, or a dict where ``inputs`` is one.

    Raises:
        RuntimeError: as ``backward``, and for an unused input unless ``allow_unused``.

    >>> import fastnn
    >>> x = fastnn.tensor(3.0, requires_grad=True)
    >>> (dx,) = fastnn.autograd.grad(x * x, x, create_graph=True)
    >>> fastnn.autograd.grad(dx, x)[0].item()
    2.0
    """
    if not only_inputs:
        raise ValueError(
            "grad: only_inputs=False is not supported: call backward, which accumulates"
        )
    if isinstance(inputs, dict):
        found = grad(
            outputs, list(inputs.values()), grad_outputs, retain_graph, create_graph,
            allow_unused=allow_unused, is_grads_batched=is_grads_batched, materialize_grads=materialize_grads,
        )  # fmt: skip
        return dict(zip(inputs, found, strict=True))
    outs = [outputs] if isinstance(outputs, _core.TensorBase) else list(outputs)
    ins: list[Any] = [inputs] if isinstance(inputs, _core.TensorBase) else list(inputs)
    if grad_outputs is None:
        given: list[Tensor | None] = [None] * len(outs)
    else:
        given = [grad_outputs] if isinstance(grad_outputs, _core.TensorBase) else list(grad_outputs)
    if len(given) != len(outs):
        raise RuntimeError(f"grad: got {len(outs)} outputs and {len(given)} grad_outputs")
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False"
        )
    _checked_roots(outs, "grad")
    for x in ins:
        if not x._requires_grad:
            raise RuntimeError("grad: one of the differentiated tensors does not require grad")
    retain = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        return _batched(outs, ins, given, retain, create_graph, allow_unused, materialize_grads)
    with _BackwardMode(create_graph):
        start = [root_gradient(o, g, create_graph) for o, g in zip(outs, given, strict=True)]
        found = run(outs, start, retain_graph=retain, create_graph=create_graph, inputs=ins)
    result: list[Any] = []
    for x, g in zip(ins, found, strict=True):
        if g is None:
            if materialize_grads:
                result.append(_core.make(np.zeros_like(x._data)))
                continue
            if not allow_unused:
                raise RuntimeError(
                    "grad: one of the differentiated tensors appears to not have been used in the graph; "
                    "set allow_unused=True if this is the desired behavior"
                )
        result.append(g if g is None or create_graph else _core.make(g.copy()))
    return tuple(result)


def _stacked(x: Any, g: Any, n: int, allow_unused: bool | None, materialize: bool) -> Any:
    """What ``grad`` gives for input ``x``: the batch of its gradients, or what stands for none."""
    if g is not None:
        return _core.make(g.copy())
    if materialize:
        return _core.make(np.zeros((n, *x._data.shape), x._data.dtype, like=x._data))
    if not allow_unused:
        raise RuntimeError(
            "grad: one of the differentiated tensors appears to not have been used in the graph; "
            "set allow_unused=True if this is the desired behavior"
        )
    return None


def _batched(
    outs: list[Any],
    ins: list[Any],
    given: list[Any],
    retain: bool,
    create_graph: bool,
    allow_unused: bool | None,
    materialize: bool,
) -> tuple[Any, ...]:
    """``grad`` for all entries of the first dim of the gradients, the results stacked."""
    from ..ops.shape import stack

    for i, (o, g) in enumerate(zip(outs, given, strict=True)):
        if g is None or g._data.shape[1:] != o._data.shape or g._data.ndim != o._data.ndim + 1:
            raise RuntimeError(
                "If `is_grads_batched=True`, the first dimension of each grad_output is the batch dimension, and the "
                f"others are the output's: grad_output[{i}] has shape "
                f"{None if g is None else tuple(g._data.shape)}, output[{i}] has {tuple(o._data.shape)}"
            )
    sizes = {g._data.shape[0] for g in given}
    if len(sizes) != 1:
        raise RuntimeError(
            f"grad: the batches of the grad_outputs have different sizes: {sorted(sizes)}"
        )
    (n,) = sizes
    if n == 0:
        return tuple(
            _core.make(np.zeros((0, *x._data.shape), x._data.dtype, like=x._data)) for x in ins
        )
    hooks_on_nodes = node_hooks or before_hooks or after_hooks
    if not (create_graph or hooks_on_nodes or check_gradients is not None):
        from ..ops.batched import backward as rule

        with _BackwardMode(False):
            start = [
                g._data.astype(o._data.dtype, copy=False) for o, g in zip(outs, given, strict=True)
            ]
            found = _walk(outs, start, retain, False, ins, rule)
        return tuple(
            _stacked(x, g, n, allow_unused, materialize) for x, g in zip(ins, found, strict=True)
        )
    rows = [
        grad(
            outs, ins, [g[i] for g in given], retain or i < n - 1, create_graph,
            allow_unused=allow_unused, materialize_grads=materialize,
        )
        for i in range(n)
    ]  # fmt: skip
    return tuple(
        None if column[0] is None else stack(list(column)) for column in zip(*rows, strict=True)
    )
