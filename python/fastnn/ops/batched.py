"""Backward passes of many gradients at once: each array has the batch as its first dim, before the node's own dims.

The rules below take a whole batch in one call; for every other node its own rule runs once for each entry. Their results
are those of one pass after another, but for the order in which matrix products sum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..backends import by_type
from . import activation, elementwise, gemm, promotion, reduction, select, shape, softmax, unary

Rule = Callable[[Any, Any], tuple[Any, ...]]


def _unbroadcast(g: Any, wanted: tuple[int, ...]) -> Any:
    """``promotion.unbroadcast`` behind the batch."""
    if g.shape[1:] == wanted:
        return g
    lead = g.ndim - 1 - len(wanted)
    axes = tuple(range(1, 1 + lead)) + tuple(
        i + 1 + lead for i, n in enumerate(wanted) if n == 1 and g.shape[i + 1 + lead] != 1
    )
    total = by_type[type(g)].sum(g, axes, True) if axes else g
    return total.reshape(g.shape[0], *wanted)


def _plain(node: Any, g: Any) -> tuple[Any, ...]:
    """Rules that compute element by element broadcast over the batch as they are."""
    results: tuple[Any, ...] = node.backward(g)
    return results


def _add(node: Any, g: Any) -> tuple[Any, ...]:
    if not node.saved:
        return g, g
    a, b = node.saved
    return _unbroadcast(g, a), _unbroadcast(g, b)


def _sub(node: Any, g: Any) -> tuple[Any, ...]:
    a, b = node.saved
    return _unbroadcast(g, a), _unbroadcast(-g, b)


def _mul(node: Any, g: Any) -> tuple[Any, ...]:
    a, b, shape_a, shape_b = node.saved
    return (
        None if b is None else _unbroadcast(g * b._data, shape_a),
        None if a is None else _unbroadcast(g * a._data, shape_b),
    )


def _div(node: Any, g: Any) -> tuple[Any, ...]:
    a, b, shape_a, shape_b = node.saved
    ea, eb = node.edges
    with np.errstate(all="ignore"):
        ga = g / b._data
        return (
            None if ea is None else _unbroadcast(ga, shape_a),
            None if eb is None else _unbroadcast(-(ga * (a._data / b._data)), shape_b),
        )


def _matmul(node: Any, g: Any) -> tuple[Any, ...]:
    a, b, shape_a, shape_b = node.saved
    if len(shape_a) != 2 or len(shape_b) != 2:
        return _one_by_one(node, g)
    multiply = by_type[type(g)].matmul
    return (
        None if b is None else multiply(g, b._data.T),
        None if a is None else multiply(a._data.T, g),
    )


def _linear(node: Any, g: Any) -> tuple[Any, ...]:
    x, weight, y = node.saved
    if y is not None:
        g = np.where(y > 0, g, g.dtype.type(0))
    backend = by_type[type(g)]
    rows = g.reshape(g.shape[0], -1, g.shape[-1])
    to_x, to_weight, to_bias = node.edges
    gx = gw = gb = None
    if to_x is not None:
        gx = backend.matmul(rows, weight._data).reshape(*g.shape[:-1], weight._data.shape[1])
    if to_weight is not None:
        data = x._data
        gw = backend.matmul(rows.swapaxes(1, 2), data.reshape(-1, data.shape[-1]))
    if to_bias is not None:
        gb = backend.sum(rows, (1,), False)
    return gx, gw, gb


def _spread(g: Any, wanted: tuple[int, ...], axes: tuple[int, ...] | None, keepdim: bool) -> Any:
    """The gradient of a reduced result in the shape that was reduced, behind the batch."""
    if axes is None:
        axes = tuple(range(len(wanted)))
    if not keepdim:
        g = g.reshape(g.shape[0], *(1 if i in axes else n for i, n in enumerate(wanted)))
    return np.broadcast_to(g, (g.shape[0], *wanted))


def _sum(node: Any, g: Any) -> tuple[Any, ...]:
    return (_spread(g, *node.saved),)


def _mean(node: Any, g: Any) -> tuple[Any, ...]:
    wanted, axes, keepdim, count = node.saved
    return (_spread(g * g.dtype.type(1.0 / count), wanted, axes, keepdim),)


def _view(node: Any, g: Any) -> tuple[Any, ...]:
    return (g.reshape(g.shape[0], *node.saved[0]),)


def _permute(node: Any, g: Any) -> tuple[Any, ...]:
    return (g.transpose(0, *(axis + 1 for axis in node.saved[0])),)


def _expand(node: Any, g: Any) -> tuple[Any, ...]:
    return (_unbroadcast(g, node.saved[0]),)


def _relu(node: Any, g: Any) -> tuple[Any, ...]:
    return (np.where(node.saved[0] > 0, g, g.dtype.type(0)),)


def _tanh(node: Any, g: Any) -> tuple[Any, ...]:
    y = node.saved[0]
    return (g * (1 - y * y),)


def _sigmoid(node: Any, g: Any) -> tuple[Any, ...]:
    y = node.saved[0]
    return (g * (y * (1 - y)),)


def _softmax(node: Any, g: Any) -> tuple[Any, ...]:
    y, axis = node.saved
    gy = g * y
    return (gy - y * gy.sum(axis + 1, keepdims=True),)


def _log_softmax(node: Any, g: Any) -> tuple[Any, ...]:
    y, axis = node.saved
    return (g - np.exp(y) * g.sum(axis + 1, keepdims=True),)


def _one_by_one(node: Any, g: Any) -> tuple[Any, ...]:
    """The node's own rule for each entry; a node of several results has a list of gradients, some of them None."""
    if isinstance(g, list):
        count = next(part.shape[0] for part in g if part is not None)
        entries: Any = ([None if p is None else p[i] for p in g] for i in range(count))
    else:
        entries = (np.asarray(g[i]) for i in range(g.shape[0]))
    columns = zip(*(node.backward(entry) for entry in entries), strict=True)
    return tuple(None if c[0] is None else np.stack(c) for c in columns)


_RULES: dict[type, Rule] = {
    elementwise.AddBackward0: _add,
    elementwise.SubBackward0: _sub,
    elementwise.MulBackward0: _mul,
    elementwise.DivBackward0: _div,
    unary.SquareBackward0: _plain,
    select.ClampBackward0: _plain,
    promotion.ToCopyBackward0: _plain,
    gemm.MmBackward0: _matmul,
    gemm.LinearBackward0: _linear,
    reduction.SumBackward0: _sum,
    reduction.MeanBackward0: _mean,
    shape.ViewBackward0: _view,
    shape.PermuteBackward0: _permute,
    shape.ExpandBackward0: _expand,
    shape.CloneBackward0: _plain,
    activation.ReluBackward0: _relu,
    activation.TanhBackward0: _tanh,
    activation.SigmoidBackward0: _sigmoid,
    softmax.SoftmaxBackward0: _softmax,
    softmax.LogSoftmaxBackward0: _log_softmax,
}


def backward(node: Any, g: Any) -> tuple[Any, ...]:
    """The gradients of the node's inputs from a batch of gradients of its result (for several results: a list)."""
    rule = _RULES.get(type(node))
    if rule is None and isinstance(node, unary.UnaryNode):
        rule = _plain
    return (rule or _one_by_one)(node, g)
