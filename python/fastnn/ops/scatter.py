"""Writing and reading at indices: the scatter family, index_add and its like, put, take, masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _device
from .._core import Scalar, as_array, make, normalize_dim
from ..autograd.grad_mode import mode
from ..autograd.node import ComposedNode, edge_of
from ..autograd.output import accepts_out
from . import indexing, select, shape
from .promotion import cast, same_device

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "argwhere",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "index_reduce",
    "masked_scatter",
    "masked_select",
    "put",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "take",
    "take_along_dim",
]

_REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


def _grid(name: str, data: Any, axis: int, index: Tensor, src: Any) -> tuple[Any, ...]:
    """The full index of each element of ``index``, which says where it goes along ``axis``."""
    places = index._data
    if type(places) is not type(data):
        same_device(make(data), index)
    if places.dtype.kind not in "iu":
        raise RuntimeError(f"{name}: expected an integer index, got {index.dtype}")
    if places.ndim != data.ndim and not (places.ndim == 0 or data.ndim == 0):
        if places.size == 0:
            return tuple(np.zeros(0, np.int64) for _ in range(max(data.ndim, 1)))
        raise RuntimeError(
            f"{name}: index must have input's number of dims, got shapes {tuple(places.shape)} and {tuple(data.shape)}"
        )
    places = places.reshape((1,) * max(data.ndim, 1)) if places.ndim == 0 else places
    if data.ndim == 0:
        places = places.reshape(-1)
    limits = data.shape or (1,)
    for i, n in enumerate(places.shape):
        if (i != axis and n > limits[i]) or (src is not None and src.ndim and n > src.shape[i]):
            shown = "" if src is None else f" and src {tuple(src.shape)}"
            raise RuntimeError(
                f"{name}: index of shape {tuple(places.shape)} does not fit input {tuple(data.shape)}{shown}"
            )
    if places.size and (places.min() < 0 or places.max() >= limits[axis]):
        bad = places.min() if places.min() < 0 else places.max()
        raise IndexError(
            f"{name}: index {bad} is out of bounds for dim {axis} with size {limits[axis]}"
        )
    grid: list[Any] = list(np.indices(places.shape, sparse=True))
    grid[axis] = places
    return tuple(grid)


def _window(index: Tensor) -> tuple[slice, ...]:
    """The part of ``src`` that ``index`` covers."""
    return tuple(slice(n) for n in index._data.shape)


def _lifted(x: Tensor) -> Tensor:
    return x.reshape(1) if x._data.ndim == 0 else x


def _write(x: Tensor, grid: tuple[Any, ...], value: Tensor) -> Tensor:
    """A copy of ``x`` with ``value`` at ``grid`` (the last of several writes to one place wins)."""
    out = x.clone()
    indexing.setitem(out, tuple(make(as_array(g)) for g in grid), value)
    return out


class AddAtBackward0(ComposedNode):
    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        grid, sizes = self.saved
        return g, indexing._take(g, grid, False).reshape(sizes)


def _add_at(x: Tensor, grid: tuple[Any, ...], value: Tensor) -> Tensor:
    """A copy of ``x`` with ``value`` added at ``grid``."""
    out = x._data.copy()
    _device.scatter(np.add, out, grid, value._data)
    if mode.enabled and (x._requires_grad or value._requires_grad):
        saved = (grid, value._data.shape)
        return make(out, AddAtBackward0((edge_of(x), edge_of(value)), saved))
    return make(out)


@accepts_out
def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor | Scalar | None = None,
    *,
    value: Scalar | None = None,
    reduce: str | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """A copy of ``input`` with elements of ``src`` written along ``dim`` at ``index``: out[index[i][j]][j] = src[i][j] for dim 0.

    Args:
        input: any shape.
        index: integers, with input's number of dims, no larger than src (and, but for ``dim``, than input).
        src, value: a tensor of input's dtype, or a number.
        reduce: "add" or "multiply" instead of writing.

    Raises:
        RuntimeError: shapes or dtypes that do not fit, or another ``reduce``.
        IndexError: an index out of range.
    """
    given = value if src is None else src
    if given is None:
        raise TypeError("scatter: expects src or value")
    if isinstance(given, Tensor) and given._data.dtype != input._data.dtype:
        raise RuntimeError(
            f"scatter: expected src of input's dtype {input.dtype}, got {given.dtype}"
        )
    if reduce is not None:
        names = {"add": "sum", "multiply": "prod"}
        if reduce not in names:
            raise RuntimeError(
                f'scatter: reduce argument must be either "add" or "multiply", got {reduce!r}'
            )
        if not isinstance(given, Tensor):
            given = make(np.full_like(input._data, given, shape=index._data.shape))
        return scatter_reduce(input, dim, index, given, names[reduce])
    x = _lifted(input)
    axis = normalize_dim(dim, x._data.ndim)
    if not isinstance(given, Tensor):
        grid = _grid("scatter", input._data, axis, index, None)
        result = _write(x, grid, make(np.asarray(given, input._data.dtype)))
    else:
        grid = _grid("scatter", input._data, axis, index, given._data)
        part = given[_window(index)] if given._data.ndim and index._data.ndim else given.reshape(-1)
        result = _write(x, grid, part.reshape(grid[axis].shape)) if index._data.size else x.clone()
    return result.reshape(input._data.shape)


@accepts_out
def scatter_add(
    input: Tensor, dim: int, index: Tensor, src: Tensor, *, out: Tensor | None = None
) -> Tensor:
    """A copy of ``input`` with elements of ``src`` added along ``dim`` at ``index``; see ``scatter``."""
    if src._data.dtype != input._data.dtype:
        raise RuntimeError(
            f"scatter_add: expected src of input's dtype {input.dtype}, got {src.dtype}"
        )
    x = _lifted(input)
    axis = normalize_dim(dim, x._data.ndim)
    grid = _grid("scatter_add", input._data, axis, index, src._data)
    if not index._data.size:
        return input.clone()
    part = src[_window(index)] if src._data.ndim and index._data.ndim else src.reshape(-1)
    return _add_at(x, grid, part.reshape(grid[axis].shape)).reshape(input._data.shape)


def _reduced(
    name: str, x: Tensor, grid: tuple[Any, ...], part: Tensor, reduce: str, include_self: bool
) -> Tensor:
    """``part`` combined into ``x`` at ``grid`` by ``reduce``; composed, so that gradients follow."""
    data = x._data
    touched = np.zeros_like(data, np.int64)
    _device.scatter(np.add, touched, grid, 1)
    start = x
    if not include_self:
        neutral = {"sum": 0.0, "mean": 0.0, "prod": 1.0}.get(reduce)
        if neutral is None:
            lowest = -np.inf if data.dtype.kind == "f" else np.iinfo(data.dtype).min
            highest = np.inf if data.dtype.kind == "f" else np.iinfo(data.dtype).max
            neutral = lowest if reduce == "amax" else highest
        start = x.masked_fill(make(touched > 0), neutral)
    if reduce in ("sum", "mean"):
        total = _add_at(start, grid, part)
        if reduce == "sum":
            return total
        count = np.maximum(touched + (1 if include_self else 0), 1).astype(data.dtype)
        if data.dtype.kind in "iu":
            return make(total._data // count)
        return total / make(count)
    if reduce == "prod":
        return _product_at(start, grid, part)
    best = start._data.copy()
    ufunc = np.maximum if reduce == "amax" else np.minimum
    _device.scatter(ufunc, best, grid, part._data)
    if not (mode.enabled and (x._requires_grad or part._requires_grad)):
        return make(best)
    # Equal extrema share the gradient evenly
    mine = (start._data == best) if include_self else ((start._data == best) & (touched == 0))
    theirs = part._data == best[grid]
    count = mine.astype(data.dtype)
    _device.scatter(np.add, count, grid, theirs.astype(data.dtype))
    share = 1 / np.maximum(count, 1)
    kept = select.where(make(mine), start, 0.0) * make((mine * share).astype(data.dtype))
    given = select.where(make(theirs), part, 0.0) * make((theirs * share[grid]).astype(data.dtype))
    return _with_value(_add_at(kept, grid, given), best)


class WithValue(ComposedNode):
    """A tensor whose value is known exactly, with the gradient of another expression of it."""

    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        return (g,)


def _with_value(x: Tensor, value: Any) -> Tensor:
    return make(value, WithValue((edge_of(x),))) if x._requires_grad else make(value)


def _product_at(x: Tensor, grid: tuple[Any, ...], part: Tensor) -> Tensor:
    """The product of x and all of ``part`` that goes to each place: factor by factor, in rounds of distinct places."""
    sizes = x._data.shape
    there = [_device.place_beside(as_array(g), x._data) for g in grid]
    flat = np.ravel_multi_index(tuple(np.broadcast_arrays(*there)), sizes).reshape(-1)
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    first = np.searchsorted(ordered, ordered)
    turn = np.arange(flat.size, like=flat) - first
    out, source = shape.reshape(x, -1), shape.reshape(part, -1)
    for k in range(int(turn.max()) + 1 if turn.size else 0):
        which = order[turn == k]
        factors = indexing._take(source, (which,), True)
        ones = make(np.ones_like(out._data))
        out = out * _write(ones, (flat[which],), factors)
    return shape.reshape(out, sizes)


def _check_reduce(name: str, reduce: str, known: tuple[str, ...]) -> None:
    if reduce not in known:
        raise RuntimeError(
            f"{name}: reduce argument must be one of {', '.join(known)}, got {reduce!r}"
        )


@accepts_out
def scatter_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
    out: Tensor | None = None,
) -> Tensor:
    """A copy of ``input`` with elements of ``src`` combined along ``dim`` at ``index`` by ``reduce``.

    Args:
        reduce: "sum", "prod", "mean", "amax" or "amin".
        include_self: whether input's own elements take part where others go.

    Raises:
        RuntimeError, IndexError: as ``scatter``.
    """
    _check_reduce("scatter_reduce", reduce, _REDUCTIONS)
    if src._data.dtype != input._data.dtype:
        raise RuntimeError(
            f"scatter_reduce: expected src of input's dtype {input.dtype}, got {src.dtype}"
        )
    x = _lifted(input)
    axis = normalize_dim(dim, x._data.ndim)
    grid = _grid("scatter_reduce", input._data, axis, index, src._data)
    if not index._data.size:
        return input.clone()
    part = src[_window(index)] if src._data.ndim and index._data.ndim else src.reshape(-1)
    done = _reduced("scatter_reduce", x, grid, part.reshape(grid[axis].shape), reduce, include_self)
    return done.reshape(input._data.shape)


def _along(
    name: str, input: Tensor, dim: int, index: Tensor, source: Any
) -> tuple[Tensor, Any, Any]:
    """Input with at least one dim, the index of whole slices, and the source in the slices' shape."""
    x = _lifted(input)
    axis = normalize_dim(dim, x._data.ndim)
    places = index._data.reshape(-1)
    if index._data.ndim > 1 or places.dtype.kind not in "iu":
        raise RuntimeError(
            f"{name}: index must be a vector of integers, got {index.dtype} {tuple(index.shape)}"
        )
    n = x._data.shape[axis]
    if places.size and (places.min() < -n or places.max() >= n):
        raise IndexError(f"{name}: index out of range for dim {dim} of size {n}: {places.tolist()}")
    slices = (*(slice(None),) * axis, places)
    if source is None:
        return x, slices, None
    if source._data.dtype != x._data.dtype:
        raise RuntimeError(
            f"{name}: expected source of input's dtype {input.dtype}, got {source.dtype}"
        )
    wanted = (*x._data.shape[:axis], places.size, *x._data.shape[axis + 1 :])
    part = source.reshape(wanted) if source._data.ndim == 0 else source
    if part._data.shape != wanted:
        raise RuntimeError(
            f"{name}: expected source of shape {wanted} for index of {places.size} elements, got {tuple(source.shape)}"
        )
    return x, slices, part


@accepts_out
def index_add(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    *,
    alpha: Scalar = 1,
    out: Tensor | None = None,
) -> Tensor:
    """A copy of ``input`` with ``alpha`` times the slices of ``source`` added along ``dim`` at ``index``.

    Raises:
        RuntimeError: shapes or dtypes that do not fit.
        IndexError: an index out of range.
    """
    x, slices, part = _along("index_add", input, dim, index, source)
    added = part if alpha == 1 else part * alpha
    return _add_at(x, slices, added).reshape(input._data.shape)


@accepts_out
def index_copy(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, out: Tensor | None = None
) -> Tensor:
    """A copy of ``input`` with the slices of ``source`` written along ``dim`` at ``index``."""
    x, slices, part = _along("index_copy", input, dim, index, source)
    if not index._data.size:
        return input.clone()
    copy = x.clone()
    indexing.setitem(copy, slices, part)
    return copy.reshape(input._data.shape)


@accepts_out
def index_fill(
    input: Tensor, dim: int, index: Tensor, value: Any, *, out: Tensor | None = None
) -> Tensor:
    """A copy of ``input`` with ``value`` (a number or a 0-d tensor) in the slices along ``dim`` at ``index``."""
    x, slices, _ = _along("index_fill", input, dim, index, None)
    if isinstance(value, Tensor) and value._data.ndim:
        raise RuntimeError(
            f"index_fill: only supports a 0-dimensional value, got shape {tuple(value.shape)}"
        )
    copy = x.clone()
    indexing.setitem(copy, (*slices[:-1], np.unique(slices[-1])), value)
    return copy.reshape(input._data.shape)


@accepts_out
def index_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
    out: Tensor | None = None,
) -> Tensor:
    """A copy of ``input`` with the slices of ``source`` combined along ``dim`` at ``index``; see ``scatter_reduce``."""
    _check_reduce("index_reduce", reduce, ("prod", "mean", "amax", "amin"))
    x, slices, part = _along("index_reduce", input, dim, index, source)
    if not index._data.size:
        return input.clone()
    grid = list(np.indices(part._data.shape, sparse=True))
    axis = len(slices) - 1
    grid[axis] = (
        slices[-1].reshape([-1 if i == axis else 1 for i in range(part._data.ndim)])
        % x._data.shape[axis]
    )
    there = [_device.place_beside(as_array(g), x._data) for g in grid]
    full = tuple(np.broadcast_arrays(*there))
    return _reduced("index_reduce", x, full, part, reduce, include_self).reshape(input._data.shape)


def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy of ``input`` with ``values`` written (or added) at ``input[indices]``."""
    index = tuple(slice(None) if i is None else i for i in indices)
    if not accumulate:
        copy = input.clone()
        indexing.setitem(copy, index, values)
        return copy
    raw, _ = indexing._raw_index(index)
    wanted = input._data[raw].shape
    spread = shape.expand(cast(values, input._data.dtype), wanted)
    return _add_at(input, raw, spread)


def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements of ``input``, seen as one row, at ``index``."""
    n = input._data.size
    places = index._data
    if places.size and (places.min() < -n or places.max() >= n):
        raise IndexError(f"take: index out of range for {n} elements")
    return indexing._take(shape.reshape(input, -1), (places,), False)


def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy of ``input`` with ``source`` written (or added) at ``index`` of its elements seen as one row.

    Raises:
        RuntimeError: index and source of different numbers of elements.
        IndexError: an index out of range.
    """
    if index._data.size != source._data.size:
        raise RuntimeError(
            f"put: expected source and index to have the same number of elements, got {source._data.size} and "
            f"{index._data.size}"
        )
    n = input._data.size
    places = index._data.reshape(-1)
    if places.size and (places.min() < -n or places.max() >= n):
        raise IndexError(f"put: index out of range for {n} elements")
    flat, values = shape.reshape(input, -1), shape.reshape(source, -1)
    done = _add_at(flat, (places,), values) if accumulate else _write(flat, (places,), values)
    return done.reshape(input._data.shape)


@accepts_out
def take_along_dim(
    input: Tensor, indices: Tensor, dim: int | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The elements of ``input`` along ``dim`` at ``indices``, which broadcasts against it; None: of input as one row."""
    if dim is None:
        return indexing.gather(shape.reshape(input, -1), 0, shape.reshape(indices, -1))
    if indices._data.ndim != input._data.ndim:
        raise RuntimeError(
            f"take_along_dim: input and indices should have the same number of dims, got {input._data.ndim} and "
            f"{indices._data.ndim}"
        )
    axis = normalize_dim(dim, input._data.ndim)
    wrapped = indices._data + (indices._data < 0) * (
        input._data.shape[axis] if input._data.ndim else 1
    )
    indices = make(wrapped.astype(np.int64))
    pairs = zip(input._data.shape, indices._data.shape, strict=True)
    sizes = [
        np.broadcast_shapes((a,), (b,))[0] if i != axis else -1 for i, (a, b) in enumerate(pairs)
    ]
    return indexing.gather(shape.expand(input, sizes), axis, shape.expand(indices, sizes))


@accepts_out
def masked_select(input: Tensor, mask: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elements of ``input`` where ``mask`` (bool) holds, in one row; both broadcast.

    Raises:
        RuntimeError: the mask is not bool.
    """
    if mask._data.dtype != np.bool_:
        raise RuntimeError(f"masked_select: expected BoolTensor for mask, got {mask.dtype}")
    sizes = np.broadcast_shapes(input._data.shape, mask._data.shape)
    x = shape.expand(input, sizes)
    where = np.nonzero(np.broadcast_to(mask._data, sizes or (1,)))
    if not sizes:
        return x.reshape(1)[: int(mask._data)]
    return indexing._take(x, where, True)


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy of ``input`` with the elements of ``source``, in order, where ``mask`` (bool, broadcast) holds.

    Raises:
        RuntimeError: the mask is not bool, dtypes differ, or ``source`` has too few elements.
    """
    if mask._data.dtype != np.bool_:
        raise RuntimeError(f"masked_scatter: expected a bool mask, got {mask.dtype}")
    if source._data.dtype != input._data.dtype:
        raise RuntimeError(
            f"masked_scatter: expected source of input's dtype {input.dtype}, got {source.dtype}"
        )
    sizes = np.broadcast_shapes(input._data.shape, mask._data.shape)
    held = np.broadcast_to(mask._data, sizes)
    count = int(held.sum())
    if count > source._data.size:
        raise RuntimeError(
            f"masked_scatter: the mask holds at {count} places, source has {source._data.size} elements"
        )
    copy = shape.clone(shape.expand(input, sizes), "C")
    indexing.setitem(copy, make(held.copy()), shape.reshape(source, -1)[:count])
    return copy


def argwhere(input: Tensor) -> Tensor:
    """The indices of the nonzero elements, a row each."""
    return make(np.argwhere(input._data).astype(np.int64))
