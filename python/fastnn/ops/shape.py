"""Shapes: views of a tensor (which share its memory), and joining and splitting tensors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import as_array, make, normalize_dim
from ..autograd.grad_mode import mode
from ..autograd.inplace import register_view
from ..autograd.node import MultiNode, Node, Output, edge_of
from ..autograd.output import accepts_out
from ..autograd.version import storage_root
from .promotion import cast, result_type, same_device, unbroadcast

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "broadcast_tensors",
    "cat",
    "chunk",
    "clone",
    "concat",
    "concatenate",
    "flatten",
    "moveaxis",
    "movedim",
    "permute",
    "reshape",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "swapdims",
    "t",
    "transpose",
    "unbind",
    "unsafe_chunk",
    "unsafe_split",
    "unsqueeze",
]


def _view(x: Tensor, array: Any, node: type[Node], *saved: Any) -> Tensor:
    """The tensor over ``array``, a view of x's array, with a gradient node where one is wanted."""
    if not mode.enabled:
        return make(array)
    out = make(array, node((edge_of(x),), saved)) if x._requires_grad else make(array)
    register_view(out, x)
    return out


def _numbers(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes given as separate arguments or as one sequence."""
    if len(sizes) == 1 and not isinstance(sizes[0], (int, np.integer)):
        sizes = tuple(sizes[0])
    return tuple(map(int, sizes))


class ViewBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g.reshape(self.saved[0]),)

    backward_graph = backward


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """``input`` in another shape, as a view where its strides allow it; one size may be -1.

    Raises:
        RuntimeError: the number of elements differs.
    """
    data = input._data
    sizes = _numbers(shape)
    try:
        array = data.reshape(sizes)
    except ValueError:
        raise RuntimeError(
            f"reshape: shape {sizes} is invalid for input of size {data.size}, shape {tuple(data.shape)}"
        ) from None
    if not mode.enabled:
        return make(array)
    if array.base is not None and storage_root(array) is storage_root(data):
        return _view(input, array, ViewBackward0, data.shape)
    if input._requires_grad:
        return make(array, ViewBackward0((edge_of(input),), (data.shape,)))
    return make(array)


def view(input: Tensor, *shape: Any) -> Tensor:
    """``input`` in another shape, always as a view of the same memory.

    Raises:
        RuntimeError: the number of elements differs, or the strides make a view impossible (use ``reshape``).
    """
    out = reshape(input, *shape)
    base = out._data.base
    if base is not None and (base is input._data or base is input._data.base):
        return out
    if input._data.size and storage_root(out._data) is not storage_root(input._data):
        raise RuntimeError(
            f"view: size {_numbers(shape)} is not compatible with input tensor's size {tuple(input.shape)} and stride "
            f"{input.stride()}; use .reshape(...) instead"
        )
    return out


def view_as(input: Tensor, other: Tensor) -> Tensor:
    """A view of ``input`` with the shape of ``other``."""
    return view(input, other._data.shape)


def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """``input`` in the shape of ``other``."""
    return reshape(input, other._data.shape)


def sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """``input`` summed to ``size``, to which it must broadcast back.

    Raises:
        RuntimeError: it does not.
    """
    wanted = _numbers(size)
    try:
        np.broadcast_to(np.empty(wanted, np.bool_), input._data.shape)
    except ValueError:
        raise RuntimeError(
            f"sum_to_size: size {wanted} is not expandable to size {tuple(input.shape)}"
        ) from None
    total: Tensor = unbroadcast(input, wanted)
    return total


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """``input`` expanded to the shape of ``other``."""
    return expand(input, other._data.shape)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """``input`` with the dims from ``start_dim`` to ``end_dim`` made one.

    >>> import fastnn
    >>> fastnn.zeros(2, 3, 4).flatten(1).shape
    fastnn.Size([2, 12])
    """
    shape = input._data.shape
    start, end = normalize_dim(start_dim, len(shape)), normalize_dim(end_dim, len(shape))
    if start > end:
        raise RuntimeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    if start == end and shape:
        return input
    middle = 1
    for n in shape[start : end + 1]:
        middle *= n
    return reshape(input, (*shape[:start], middle, *shape[end + 1 :]))


class PermuteBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g.transpose(self.saved[0]),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        return (permute(g, self.saved[0]),)


def permute(input: Tensor, *dims: Any) -> Tensor:
    """A view of ``input`` with its dims in another order.

    Raises:
        RuntimeError: ``dims`` is not an order of all dims.
    """
    axes = _numbers(dims)
    ndim = input._data.ndim
    if len(axes) != ndim:
        raise RuntimeError(f"permute: got {len(axes)} dims {axes} for a tensor of {ndim}")
    if sorted(axes) != list(range(ndim)):
        axes = tuple(normalize_dim(a, ndim) for a in axes)
        if len(set(axes)) != ndim:
            raise RuntimeError(f"permute: repeated dim in {axes}")
    inverse = None
    if input._requires_grad and mode.enabled:
        inverse = tuple(sorted(range(ndim), key=axes.__getitem__))
    return _view(input, input._data.transpose(axes), PermuteBackward0, inverse)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view of ``input`` with two dims exchanged."""
    ndim = input._data.ndim
    a, b = normalize_dim(dim0, ndim), normalize_dim(dim1, ndim)
    axes = list(range(ndim))
    if ndim:
        axes[a], axes[b] = b, a
    order = tuple(axes)
    return _view(input, input._data.transpose(order), PermuteBackward0, order)


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix (a vector is itself).

    Raises:
        RuntimeError: more than two dims.
    """
    if input._data.ndim > 2:
        raise RuntimeError(
            f"t() expects a tensor with <= 2 dimensions, but self is {input._data.ndim}D"
        )
    return transpose(input, 0, 1) if input._data.ndim == 2 else input


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """A view of ``input`` with the dims ``source`` (an int or several) at the positions ``destination``.

    Raises:
        RuntimeError: lists of different lengths, or a dim named twice.
    """
    ndim = input._data.ndim
    froms = (source,) if isinstance(source, int) else tuple(source)
    tos = (destination,) if isinstance(destination, int) else tuple(destination)
    if len(froms) != len(tos):
        raise RuntimeError(
            f"movedim: source {froms} and destination {tos} must have the same number of dims"
        )
    froms = tuple(normalize_dim(d, ndim) for d in froms)
    tos = tuple(normalize_dim(d, ndim) for d in tos)
    if len(set(froms)) != len(froms) or len(set(tos)) != len(tos):
        raise RuntimeError(f"movedim: repeated dim in source {froms} or destination {tos}")
    if ndim == 0:
        return permute(input)
    axes = [d for d in range(ndim) if d not in froms]
    for to, place in sorted(zip(tos, froms, strict=True)):
        axes.insert(to, place)
    return permute(input, axes)


def squeeze(input: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """A view of ``input`` without its dims of size 1 (those of ``dim`` alone, where given)."""
    shape = input._data.shape
    if dim is None:
        axes = tuple(i for i, n in enumerate(shape) if n == 1)
    else:
        given = dim if isinstance(dim, tuple) else (dim,)
        axes = tuple(
            a for a in (normalize_dim(d, len(shape)) for d in given) if shape and shape[a] == 1
        )
    kept = tuple(n for i, n in enumerate(shape) if i not in axes)
    return _view(input, input._data.reshape(kept), ViewBackward0, shape)


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A view of ``input`` with a new dim of size 1 at position ``dim``."""
    shape = input._data.shape
    axis = normalize_dim(dim, len(shape) + 1)
    return _view(input, input._data.reshape(*shape[:axis], 1, *shape[axis:]), ViewBackward0, shape)


class ExpandBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (unbroadcast(g, self.saved[0]),)

    backward_graph = backward


def expand(input: Tensor, *sizes: Any) -> Tensor:
    """A read-only view of ``input`` with dims of size 1 repeated; -1 keeps a size.

    Raises:
        RuntimeError: a dim of another size than 1 would have to change.
    """
    shape = input._data.shape
    wanted = _numbers(sizes)
    lead = len(wanted) - len(shape)
    full = tuple(shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(wanted))
    try:
        array = np.broadcast_to(input._data, full)
    except ValueError:
        raise RuntimeError(
            f"expand: the expanded size {wanted} must match the existing size {tuple(shape)} at non-singleton dims"
        ) from None
    return _view(input, array, ExpandBackward0, shape)


class CloneBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g,)

    backward_graph = backward


def clone(input: Tensor, order: str = "K") -> Tensor:
    """A copy of ``input`` in memory of its own; ``order`` is NumPy's ("K" keeps the layout, "C" is row-major)."""
    out = input._data.copy(order)
    if input._requires_grad and mode.enabled:
        return make(out, CloneBackward0((edge_of(input),)))
    return make(out)


# -- joining and splitting -----------------------------------------------------------------------------


class CatBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        axis, bounds = self.saved
        index = [slice(None)] * g.ndim
        parts = []
        for edge, start, stop in zip(self.edges, bounds[:-1], bounds[1:], strict=True):
            index[axis] = slice(start, stop)
            parts.append(None if edge is None else g[tuple(index)])
        return tuple(parts)

    backward_graph = backward


@accepts_out
def cat(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The tensors joined along an existing dim; their dtypes are promoted.

    Raises:
        ValueError: an empty list.
        RuntimeError: sizes that differ in another dim.

    >>> import fastnn
    >>> fastnn.cat([fastnn.ones(1, 2), fastnn.zeros(2, 2)]).shape
    fastnn.Size([3, 2])
    """
    tensors = list(tensors)
    if not tensors:
        raise ValueError("cat: expected a non-empty list of tensors")
    d = result_type(*tensors).numpy
    # PyTorch skips 1-d tensors of size 0 among others
    ndim = max(x._data.ndim for x in tensors)
    parts = [cast(x, d) for x in tensors if x._data.shape != (0,) or ndim == 1]
    arrays = [x._data for x in parts]
    axis = normalize_dim(dim, ndim)
    try:
        joined = np.concatenate(arrays, axis)
    except TypeError:
        same_device(*parts)
        raise
    except ValueError:
        shapes = ", ".join(str(tuple(a.shape)) for a in arrays)
        raise RuntimeError(f"cat: sizes must match except in dim {dim}, got {shapes}") from None
    if mode.enabled and any(x._requires_grad for x in parts):
        bounds = np.cumsum([0] + [a.shape[axis] for a in arrays]).tolist()
        return make(joined, CatBackward0(tuple(edge_of(x) for x in parts), (axis, bounds)))
    return make(joined)


@accepts_out
def stack(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The tensors, all of one shape, joined along a new dim.

    Raises:
        ValueError: an empty list.
        RuntimeError: shapes that differ.
    """
    tensors = list(tensors)
    if not tensors:
        raise ValueError("stack: expected a non-empty list of tensors")
    shape = tensors[0]._data.shape
    for x in tensors:
        if x._data.shape != shape:
            raise RuntimeError(
                f"stack: expects equal shapes, got {tuple(shape)} and {tuple(x._data.shape)}"
            )
    axis = normalize_dim(dim, len(shape) + 1)
    return cat([unsqueeze(x, axis) for x in tensors], axis)


class SplitBackward0(MultiNode):
    """Several parts of one tensor: their gradients are written side by side.

    The axes of the result lie in memory in the order of the tensor's, so that the views that made the tensor are
    undone without a copy.
    """

    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        indices, shape, dtype, strides = self.saved
        beside = next((part for part in g if part is not None), None)
        like = None if beside is None else as_array(beside)
        order = sorted(range(len(shape)), key=lambda axis: -strides[axis])
        new = np.zeros if any(part is None for part in g) else np.empty
        stored = new([shape[axis] for axis in order], dtype, like=like)
        out = stored.transpose(np.argsort(order).tolist())
        for index, part in zip(indices, g, strict=True):
            if part is not None:
                out[index] = part
        return (out,)

    def backward_graph(self, g: Any) -> tuple[Any, ...]:
        from .indexing import scatter

        indices, shape, _, _ = self.saved
        total: Any = None
        for index, part in zip(indices, g, strict=True):
            if part is not None:
                piece = scatter(part, index, shape, True)
                total = piece if total is None else total + piece
        return (total,)


def _parts(x: Tensor, indices: list[tuple[Any, ...]]) -> tuple[Tensor, ...]:
    data = x._data
    if not (x._requires_grad and mode.enabled):
        outs = tuple(make(data[i]) for i in indices)
    else:
        node = SplitBackward0(
            (edge_of(x),), (indices, data.shape, data.dtype, data.strides), len(indices)
        )
        outs = tuple(make(data[index], Output(node, i)) for i, index in enumerate(indices))
    if mode.enabled:
        for out in outs:
            register_view(out, x)
    return outs


def split(input: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of ``input`` along ``dim``: of ``split_size`` each (the last may be smaller), or of the sizes listed.

    Raises:
        RuntimeError: sizes that do not sum to the dim's size, or a negative size.
    """
    axis = normalize_dim(dim, input._data.ndim)
    n = input._data.shape[axis]
    if isinstance(split_size, int):
        if split_size < 0 or (split_size == 0 and n):
            raise RuntimeError(f"split: split_size must be positive, got {split_size}")
        sizes = [min(split_size, n - s) for s in range(0, n, split_size)] if n else [0]
    else:
        sizes = list(split_size)
        if sum(sizes) != n or min(sizes, default=0) < 0:
            raise RuntimeError(f"split: sizes {sizes} must sum to {n}, the size of dim {dim}")
    lead = (slice(None),) * axis
    bounds = np.cumsum([0, *sizes]).tolist()
    return _parts(input, [(*lead, slice(a, b)) for a, b in pairwise(bounds)])


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of ``input``: at most ``chunks`` parts of equal size along ``dim`` (the last may be smaller).

    Raises:
        RuntimeError: ``chunks`` is not positive.
    """
    if chunks < 1:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    n = input._data.shape[normalize_dim(dim, input._data.ndim)]
    return split(input, max(-(-n // chunks), 1), dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """A view of each slice of ``input`` along ``dim``, without that dim."""
    if input._data.ndim == 0:
        raise RuntimeError("unbind: a zero-dimensional tensor has no dim to remove")
    axis = normalize_dim(dim, input._data.ndim)
    lead = (slice(None),) * axis
    return _parts(input, [(*lead, i) for i in range(input._data.shape[axis])])


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors expanded to their common shape."""
    shape = np.broadcast_shapes(*(x._data.shape for x in tensors))
    return tuple(expand(x, shape) for x in tensors)


concat = concatenate = cat
swapaxes = swapdims = transpose
moveaxis = movedim
unsafe_chunk = chunk
unsafe_split = split
