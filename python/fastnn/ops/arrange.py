"""Elements arranged anew: repeated, rolled, turned, masked to triangles, joined in NumPy's ways, combined."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make, normalize_dim
from .._device import place_beside
from ..autograd.grad_mode import mode
from ..autograd.node import ComposedNode, edge_of
from ..autograd.output import accepts_out
from . import indexing, shape, views
from .promotion import cast, result_type
from .shape import _numbers

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "block_diag",
    "cartesian_prod",
    "column_stack",
    "combinations",
    "dstack",
    "fliplr",
    "flipud",
    "hstack",
    "meshgrid",
    "repeat_interleave",
    "roll",
    "rot90",
    "row_stack",
    "tile",
    "tril",
    "tril_indices",
    "triu",
    "triu_indices",
    "vstack",
]


class RepeatBackward0(ComposedNode):
    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        sizes, repeats = self.saved
        split = tuple(n for pair in zip(repeats, sizes, strict=True) for n in pair)
        return (shape.reshape(g, split).sum(tuple(range(0, len(split), 2))),)


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """``input`` repeated along each dim; more repeats than dims add dims in front.

    Raises:
        RuntimeError: fewer repeats than dims, or a negative one.
    """
    times = _numbers(repeats)
    data = input._data
    if len(times) < data.ndim or min(times, default=0) < 0:
        raise RuntimeError(
            f"repeat: expects at least one non-negative number a dim ({data.ndim}), got {times}"
        )
    lead = len(times) - data.ndim
    if lead:
        input = shape.reshape(input, (1,) * lead + data.shape)
    out = np.tile(input._data, times)
    if input._requires_grad and mode.enabled:
        return make(out, RepeatBackward0((edge_of(input),), (input._data.shape, times)))
    return make(out)


def tile(input: Tensor, *dims: Any) -> Tensor:
    """``input`` repeated along its last dims (NumPy's ``tile``)."""
    times = _numbers(dims)
    return repeat(input, (1,) * (input._data.ndim - len(times)) + times)


def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element (or slice along ``dim``) repeated in place; with one tensor: index i repeated input[i] times.

    Raises:
        RuntimeError: repeats of another length than the dim, negative, or that do not give ``output_size``.
    """
    if repeats is None:
        counts = input._data
        return make(np.repeat(np.arange(counts.size, like=counts), counts))
    x = shape.reshape(input, -1) if dim is None else input
    axis = normalize_dim(dim or 0, x._data.ndim)
    times = np.asarray(repeats.tolist() if isinstance(repeats, Tensor) else repeats, np.int64)
    times = times.reshape(-1)
    n = x._data.shape[axis] if x._data.ndim else 1
    if times.size not in (1, n) or (times.size and times.min() < 0):
        raise RuntimeError(
            f"repeat_interleave: repeats must be non-negative and have one element or as many as dim {dim} ({n}), got "
            f"{times.tolist()}"
        )
    index = np.repeat(np.arange(n), times if times.size == n else int(times[0]))
    if output_size is not None and output_size != index.size:
        raise RuntimeError(
            f"repeat_interleave: output_size {output_size}, but the repeats give {index.size}"
        )
    if x._data.ndim == 0:
        x = x.reshape(1)
    return indexing.index_select(x, axis, make(place_beside(index, x._data)))


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """``input`` rolled along ``dims``: what leaves at the end comes back at the start.

    Raises:
        RuntimeError: as many shifts as dims are needed.
    """
    steps = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    if dims is None or dims == ():
        if len(steps) != 1:
            raise RuntimeError(f"roll: shifts {steps} need as many dims")
        flat = shape.reshape(input, -1)
        return shape.reshape(roll(flat, steps, 0), input._data.shape)
    axes = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(axes) != len(steps):
        raise RuntimeError(f"roll: shifts {steps} and dims {axes} must have the same length")
    if input._data.ndim == 0:
        return input.clone()
    moved = False
    for step, dim in zip(steps, axes, strict=True):
        axis = normalize_dim(dim, input._data.ndim)
        n = input._data.shape[axis]
        cut = -step % n if n else 0
        if cut:
            parts = [views.narrow(input, axis, cut, n - cut), views.narrow(input, axis, 0, cut)]
            input, moved = shape.cat(parts, axis), True
    return input if moved else input.clone()


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """``input`` turned ``k`` times by 90 degrees, from the first of ``dims`` towards the second.

    Raises:
        RuntimeError: not two different dims.
    """
    ndim = input._data.ndim
    if len(dims) != 2:
        raise RuntimeError(f"rot90: expected total rotation dims == 2, got {tuple(dims)}")
    a, b = (normalize_dim(d, ndim) for d in dims)
    if ndim < 2 or a == b:
        raise RuntimeError(f"rot90: expects two different dims of at least two, got {tuple(dims)}")
    turns = k % 4
    if turns == 0:
        return input.clone()
    if turns == 2:
        return indexing.flip(input, (a, b))
    if turns == 1:
        return shape.transpose(indexing.flip(input, (b,)), a, b)
    return indexing.flip(shape.transpose(input, a, b), (b,))


def fliplr(input: Tensor) -> Tensor:
    """The columns in reverse order.

    Raises:
        RuntimeError: less than two dims.
    """
    if input._data.ndim < 2:
        raise RuntimeError(f"fliplr: input must be >= 2-d, got shape {tuple(input.shape)}")
    return indexing.flip(input, (1,))


def flipud(input: Tensor) -> Tensor:
    """The rows in reverse order.

    Raises:
        RuntimeError: no dims.
    """
    if input._data.ndim < 1:
        raise RuntimeError("flipud: input must be >= 1-d")
    return indexing.flip(input, (0,))


def _triangle(name: str, input: Tensor, diagonal: int) -> Tensor:
    if input._data.ndim < 2:
        raise RuntimeError(
            f"{name}: input tensor must have at least 2 dimensions, got {tuple(input.shape)}"
        )
    rows, columns = input._data.shape[-2:]
    k = diagonal if name == "tril" else diagonal - 1
    keep = np.tri(rows, columns, k, dtype=bool, like=input._data)
    mask = keep if name == "triu" else ~keep
    return input.masked_fill(make(mask), 0)


@accepts_out
def tril(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The lower triangle of matrices, up to ``diagonal``; 0 elsewhere."""
    return _triangle("tril", input, diagonal)


@accepts_out
def triu(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The upper triangle of matrices, from ``diagonal`` on; 0 elsewhere."""
    return _triangle("triu", input, diagonal)


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """The row and column numbers of a lower triangle, in two rows."""
    return _indices(np.tri(row, col, offset, dtype=bool), dtype, device, "tril_indices")


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """The row and column numbers of an upper triangle, in two rows."""
    return _indices(~np.tri(row, col, offset - 1, dtype=bool), dtype, device, "triu_indices")


def _indices(mask: Any, dtype: Any, device: Any, operation: str) -> Tensor:
    from .._device import place_beside, prototype
    from .._dtype import as_numpy_dtype

    like = prototype(device, operation)
    kind = np.dtype(np.int64) if dtype is None else as_numpy_dtype(dtype)
    return make(place_beside(np.stack(np.nonzero(mask)).astype(kind), like))


@accepts_out
def hstack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """The tensors joined along the columns (vectors: end to end)."""
    parts = views.atleast_1d(tuple(tensors))
    return shape.cat(parts, 0 if parts and parts[0]._data.ndim == 1 else 1)


@accepts_out
def vstack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """The tensors joined along the rows."""
    return shape.cat(views.atleast_2d(tuple(tensors)), 0)


@accepts_out
def dstack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """The tensors joined along the third dim."""
    return shape.cat(views.atleast_3d(tuple(tensors)), 2)


@accepts_out
def column_stack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """The tensors as columns, joined side by side."""
    parts = [x if x._data.ndim >= 2 else x.reshape(-1, 1) for x in tensors]
    return shape.cat(parts, 1)


row_stack = vstack


def block_diag(*tensors: Tensor) -> Tensor:
    """The matrix with the tensors as blocks along its diagonal.

    Raises:
        RuntimeError: a tensor of more than two dims.
    """
    blocks = [views.atleast_2d(x) for x in tensors] or [make(np.zeros((1, 0), np.float32))]
    for x in blocks:
        if x._data.ndim > 2:
            raise RuntimeError(
                f"block_diag: tensors must have 2 or fewer dimensions, got {tuple(x.shape)}"
            )
    d = result_type(*blocks).numpy
    width = sum(x._data.shape[1] for x in blocks)
    rows, left = [], 0
    for block in blocks:
        x = cast(block, d)
        h, w = x._data.shape
        sides = [make(np.zeros((h, n), d, like=x._data)) for n in (left, width - left - w)]
        rows.append(shape.cat([sides[0], x, sides[1]], 1))
        left += w
    return shape.cat(rows, 0)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """The coordinate grids of vectors.

    Args:
        indexing: "ij": dims in the order of the vectors; "xy": the first two exchanged.

    Raises:
        RuntimeError: a tensor of more than one dim, or another ``indexing``.
    """
    vectors = (
        list(tensors[0])
        if len(tensors) == 1 and not isinstance(tensors[0], Tensor)
        else list(tensors)
    )
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f'meshgrid: indexing must be one of "xy" or "ij", got {indexing!r}')
    for v in vectors:
        if v._data.ndim > 1:
            raise RuntimeError(
                f"meshgrid: expects scalars or 1-d tensors, got shape {tuple(v.shape)}"
            )
    swap = indexing == "xy" and len(vectors) >= 2
    if swap:
        vectors[0], vectors[1] = vectors[1], vectors[0]
    sizes = tuple(v._data.size for v in vectors)
    grids = []
    for i, v in enumerate(vectors):
        place = [1] * len(sizes)
        place[i] = sizes[i]
        grids.append(shape.expand(shape.reshape(v, place), sizes))
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All tuples of one element of each vector, a row each.

    Raises:
        RuntimeError: a tensor that is no vector.
    """
    for v in tensors:
        if v._data.ndim != 1:
            raise RuntimeError(f"cartesian_prod: expects 1-d tensors, got shape {tuple(v.shape)}")
    if len(tensors) == 1:
        return tensors[0]
    return shape.stack([shape.reshape(g, -1) for g in meshgrid(*tensors)], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All combinations of ``r`` elements of a vector, a row each.

    Raises:
        RuntimeError: not a vector, or a negative ``r``.
    """
    if input._data.ndim != 1 or r < 0:
        raise RuntimeError(
            f"combinations: expects a 1-d tensor and r >= 0, got shape {tuple(input.shape)}, r={r}"
        )
    if r == 0:
        return make(np.empty(0, input._data.dtype))
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(choose(range(input._data.size), r))
    index = np.array(rows, np.int64).reshape(-1, r)
    return indexing._take(input, (index,), False)
