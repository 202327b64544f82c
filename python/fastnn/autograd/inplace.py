"""In-place writes in the graph.

An in-place operation computes its result out of place, writes it into the tensor's memory and gives the tensor the
result's history. Views share that memory, so their histories follow: a write through a view becomes part of its
base's history, and every other view of the base is then derived from the base anew.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core, _device
from . import version
from .grad_mode import mode
from .node import Node, edge_of

if TYPE_CHECKING:
    from ..tensor import Tensor


class Extra:
    """What few tensors have: hooks, and the ties between a view and its base."""

    __slots__ = ("base", "hooks", "post_accumulate_hooks", "retains_grad", "views")

    def __init__(self) -> None:
        self.hooks: OrderedDict[int, Any] | None = None
        self.post_accumulate_hooks: OrderedDict[int, Any] | None = None
        self.base: Tensor | None = None
        self.views: list[weakref.ref[Tensor]] | None = None
        self.retains_grad = False


def extra_of(x: Tensor) -> Extra:
    """The tensor's ``Extra``, made on first use."""
    extra: Extra | None = x._extra
    if extra is None:
        x._extra = extra = Extra()
    return extra


def register_view(view: Tensor, x: Tensor) -> None:
    """Tie ``view`` to the tensor whose memory it shows: ``x``, or the base of x."""
    extra = x._extra
    leaf = x._requires_grad and x._node is None  # a base of its own, whatever memory it was made of
    base = x if leaf or extra is None or extra.base is None else extra.base
    view._extra = own = Extra()
    own.base = base
    extra = extra_of(base)
    if extra.views is None:
        extra.views = []
    views = extra.views
    views.append(weakref.ref(view))
    if (
        len(views) > 16 and len(views) & (len(views) - 1) == 0
    ):  # at powers of two: forget dead views
        extra.views = [v for v in views if v() is not None]


def _index_in_base(base: Any, view: Any) -> tuple[Any, ...]:
    """The elements of ``base`` that ``view`` (of the same memory) shows, as an index into ``base``."""
    item = base.itemsize
    strides = [s // item for s in base.strides]
    low = sum(min(0, (n - 1) * s) for n, s in zip(base.shape, strides, strict=True))
    high = sum(max(0, (n - 1) * s) for n, s in zip(base.shape, strides, strict=True))
    buffer = np.zeros(high - low + 1, np.int64)
    numbered = np.ndarray(base.shape, np.int64, buffer, -low * 8, [s * 8 for s in strides])
    numbered[...] = np.arange(base.size).reshape(base.shape)
    offset = _device.address(view) - _device.address(base)
    start = (offset // item - low) * 8
    shown = np.ndarray(view.shape, np.int64, buffer, start, [s // item * 8 for s in view.strides])
    return np.unravel_index(shown.copy(), base.shape) if base.ndim else ()


class AsStridedBackward0(Node):
    """A view that was derived anew from its base after an in-place write."""

    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        index, shape = self.saved
        out = np.zeros(shape, g.dtype, like=_core.as_array(g))
        _device.scatter(np.add, out, index, g)
        return (out,)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        from ..ops.indexing import scatter

        index, shape = self.saved
        return (scatter(g, index, shape, False),)


class CopySlices(Node):
    """A base after a write through one of its views: edges to what it was, and to what was written."""

    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        (index,) = self.saved
        rest = g.copy()
        rest[index] = 0
        return rest, g[index]

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        (index,) = self.saved
        mask = np.ones_like(g._data)
        mask[index] = 0

        return g * _core.make(mask), g[index]


def _derive_views(base: Tensor) -> None:
    extra = base._extra
    if extra is None or not extra.views:
        return
    for reference in extra.views:
        view = reference()
        if view is not None:
            index = _index_in_base(base._data, view._data)
            view._node = AsStridedBackward0((edge_of(base),), (index, base._data.shape))
            view._requires_grad = True


def rebase(x: Tensor, node: Node) -> None:
    """Give ``x``, just written to in place, the history ``node``; its base and their views follow."""
    base = x._extra.base if x._extra is not None else None
    if base is None:
        x._node = node
        x._requires_grad = True
        _derive_views(x)
        return
    index = _index_in_base(base._data, x._data)
    base._node = CopySlices((edge_of(base), node), (index,))
    base._requires_grad = True
    _derive_views(base)


def check_writable(x: Tensor, operation: str) -> None:
    """Raise where an in-place write to ``x`` is not allowed."""
    if mode.enabled:
        if x._requires_grad and x._node is None:
            raise RuntimeError(
                f"{operation}: a leaf Variable that requires grad is being used in an in-place operation; "
                "wrap it in no_grad()"
            )
        base = x._extra.base if x._extra is not None else None
        if base is not None and base._requires_grad and base._node is None:
            raise RuntimeError(
                f"{operation}: a view of a leaf Variable that requires grad is being used in an in-place operation; "
                "wrap it in no_grad()"
            )
    if not _device.is_writeable(x._data):
        raise RuntimeError(
            f"{operation}: the tensor is read-only (an expanded view or a read-only array); clone() it first"
        )


class FillBackward0(Node):
    """A tensor overwritten by values that need no gradient."""

    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (None if self.edges[0] is None else g * 0,)

    backward_graph = backward


def write(x: Tensor, result: Tensor, operation: str) -> Tensor:
    """Write ``result`` into ``x``'s memory and give ``x`` its history; returns ``x``.

    Raises:
        RuntimeError: ``x`` is a leaf that requires grad or read-only, the shapes differ, or the dtype cannot be cast.
    """
    from .._dtype import can_cast

    check_writable(x, operation)
    data, new = x._data, result._data
    if data.shape != new.shape:
        raise RuntimeError(
            f"{operation}: output with shape {tuple(data.shape)} doesn't match the broadcast shape {tuple(new.shape)}"
        )
    if data.dtype != new.dtype:
        if not can_cast(result.dtype, x.dtype):
            raise RuntimeError(
                f"{operation}: result type {result.dtype} can't be cast to the desired output type {x.dtype}"
            )
        from ..ops.promotion import cast

        result = cast(result, data.dtype)
        new = result._data
    if type(new) is not type(data):
        new = _device.place(new, x.device)
    np.copyto(data, new)
    version.bump(data)
    if mode.enabled and (result._requires_grad or x._requires_grad):
        node = edge_of(result)
        if node is None:
            node = FillBackward0((edge_of(x),))
        elif not node.is_node:
            from ..ops.shape import CloneBackward0

            node = CloneBackward0((node,))
        rebase(x, node)
    return x
