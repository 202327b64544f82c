"""More views: parts of a tensor, diagonals, windows, other strides; and tensors with such a part replaced."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _device
from .._core import make, normalize_dim
from ..autograd.grad_mode import mode
from ..autograd.node import ComposedNode
from ..autograd.version import storage_root
from . import indexing, shape
from .shape import _numbers, _view

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "as_strided",
    "as_strided_scatter",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "broadcast_shapes",
    "broadcast_to",
    "diag",
    "diag_embed",
    "diagflat",
    "diagonal",
    "diagonal_scatter",
    "dsplit",
    "hsplit",
    "narrow",
    "ravel",
    "select",
    "select_scatter",
    "slice_scatter",
    "split_with_sizes",
    "tensor_split",
    "unflatten",
    "unravel_index",
    "vsplit",
]


def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """A view of ``length`` slices along ``dim``, from ``start`` on.

    Raises:
        IndexError: ``start`` is out of range.
        RuntimeError: ``length`` is, or ``input`` has no dims.
    """
    if input._data.ndim == 0:
        raise RuntimeError("narrow: cannot be applied to a 0-dim tensor")
    axis = normalize_dim(dim, input._data.ndim)
    n = input._data.shape[axis]
    first = int(start.item() if isinstance(start, Tensor) else start)
    if not -n <= first <= n:
        raise IndexError(f"narrow: start {first} is out of range for dim {dim} of size {n}")
    first = first + n if first < 0 else first
    if length < 0 or first + length > n:
        raise RuntimeError(
            f"narrow: start ({first}) + length ({length}) exceeds dimension size ({n})"
        )
    return indexing.getitem(input, (*(slice(None),) * axis, slice(first, first + length)))


def select(input: Tensor, dim: int, index: Any) -> Tensor:
    """A view of one slice along ``dim``, without that dim.

    Raises:
        IndexError: ``index`` is out of range, or ``input`` has no dims.
    """
    if input._data.ndim == 0:
        raise IndexError("select: cannot be applied to a 0-dim tensor")
    axis = normalize_dim(dim, input._data.ndim)
    n = input._data.shape[axis]
    place = int(index.item() if isinstance(index, Tensor) else index)
    if not -n <= place < n:
        raise IndexError(f"select: index {place} out of range for dim {dim} of size {n}")
    return indexing.getitem(input, (*(slice(None),) * axis, place))


class DiagonalBackward0(ComposedNode):
    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        sizes, offset, a, b = self.saved
        index = _diagonal_index(sizes, offset, a, b)
        moved = shape.movedim(g, -1, 0) if g._data.ndim else g
        order = [i for i in range(len(sizes)) if i not in (a, b)]
        rest = [sizes[i] for i in order]
        base = indexing.scatter(moved, index, (sizes[a], sizes[b], *rest), True)
        inverse = [0] * len(sizes)
        for place, axis in enumerate((a, b, *order)):
            inverse[axis] = place
        return (shape.permute(base, inverse),)


def _diagonal_index(sizes: tuple[int, ...], offset: int, a: int, b: int) -> tuple[Any, Any]:
    rows, columns = max(-offset, 0), max(offset, 0)
    count = max(min(sizes[a] - rows, sizes[b] - columns), 0)
    return np.arange(rows, rows + count), np.arange(columns, columns + count)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of the diagonals of the matrices in dims ``dim1`` and ``dim2``, as the last dim.

    Raises:
        RuntimeError: the dims are equal.
    """
    data = input._data
    a, b = normalize_dim(dim1, data.ndim), normalize_dim(dim2, data.ndim)
    if a == b:
        raise RuntimeError(f"diagonal: dimensions cannot be identical {dim1}, {dim2}")
    rows, _ = _diagonal_index(data.shape, offset, a, b)
    step = data.strides[a] + data.strides[b]
    start = data[
        (slice(max(-offset, 0), None),)
        if a == 0
        else (slice(None),) * a + (slice(max(-offset, 0), None),)
    ]
    start = start[(slice(None),) * b + (slice(max(offset, 0), None),)]
    rest = [i for i in range(data.ndim) if i not in (a, b)]
    array = _device.as_strided(
        start, (*(data.shape[i] for i in rest), rows.size), (*(data.strides[i] for i in rest), step)
    )
    return _view(input, array, DiagonalBackward0, data.shape, offset, a, b)


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with the vector ``input`` on its diagonal.

    Raises:
        RuntimeError: neither a vector nor a matrix.
    """
    if input._data.ndim == 1:
        return diag_embed(input, diagonal)
    if input._data.ndim == 2:
        return _diagonal(input, diagonal).clone()
    raise RuntimeError(f"diag: expects 1 or 2 dims, got shape {tuple(input.shape)}")


_diagonal = diagonal


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices in dims ``dim1`` and ``dim2`` of the result with the last dim of ``input`` on their diagonals."""
    ndim = input._data.ndim + 1
    a, b = normalize_dim(dim1, ndim), normalize_dim(dim2, ndim)
    if a == b:
        raise RuntimeError(f"diag_embed: dimensions cannot be identical {dim1}, {dim2}")
    n = input._data.shape[-1] + abs(offset)
    index = _diagonal_index((n, n), offset, 0, 1)
    moved = shape.movedim(input, -1, 0)
    base = indexing.scatter(moved, index, (n, n, *input._data.shape[:-1]), True)
    return shape.movedim(base, (0, 1), (a, b))


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix with all elements of ``input`` on its diagonal."""
    return diag_embed(shape.reshape(input, -1), offset)


def _replaced(name: str, input: Tensor, part: Tensor, src: Tensor) -> Tensor:
    """A copy of ``input`` whose ``part`` (a view of that copy) is ``src``."""
    if part._data.shape != src._data.shape:
        raise RuntimeError(
            f"{name}: expected src to have a size equal to the slice, {tuple(part.shape)}, got {tuple(src.shape)}"
        )
    part.copy_(src)
    return input


def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """A copy of ``input`` with ``src`` on the diagonals that ``diagonal`` shows."""
    copy = input.clone()
    return _replaced("diagonal_scatter", copy, diagonal(copy, offset, dim1, dim2), src)


def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of ``input`` with ``src`` in the slice that ``select`` shows."""
    copy = input.clone()
    return _replaced("select_scatter", copy, select(copy, dim, index), src)


def slice_scatter(
    input: Tensor,
    src: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    """A copy of ``input`` with ``src`` in the slices start:end:step along ``dim``."""
    copy = input.clone()
    axis = normalize_dim(dim, input._data.ndim)
    part = indexing.getitem(copy, (*(slice(None),) * axis, slice(start, end, step)))
    return _replaced("slice_scatter", copy, part, src)


def _flat_places(array: Any, root: Any) -> Any:
    """Where each element of ``array`` lies in its root, in elements."""
    offset = _device.address(array) - _device.address(root)
    places = np.full(array.shape, offset // array.itemsize, np.int64)
    for axis, (n, step) in enumerate(zip(array.shape, array.strides, strict=True)):
        where = [1] * array.ndim
        where[axis] = n
        places += (np.arange(n) * (step // array.itemsize)).reshape(where)
    return places


class AsStridedViewBackward0(ComposedNode):
    """Elements of the view go back to the places of the input that show the same memory."""

    __slots__ = ()

    def name(self) -> str:
        return "AsStridedBackward0"

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        order, inside, sizes = self.saved
        flat = shape.reshape(g, -1)
        if not inside.all():
            flat = indexing._take(flat, (np.nonzero(inside)[0],), True)
        base = indexing.scatter(flat, (order,), (math.prod(sizes),), False)
        return (shape.reshape(base, sizes),)


def as_strided(
    input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """A view of input's memory with any sizes and strides (in elements), from ``storage_offset`` on.

    Raises:
        RuntimeError: sizes and strides of different lengths, or a view that reaches beyond the memory.
    """
    data = input._data
    sizes, steps = tuple(int(s) for s in size), tuple(int(s) for s in stride)
    if len(sizes) != len(steps):
        raise RuntimeError(f"as_strided: mismatch in length of strides {steps} and shape {sizes}")
    if min(sizes, default=0) < 0 or min(steps, default=0) < 0:
        raise RuntimeError(f"as_strided: sizes {sizes} and strides {steps} must not be negative")
    root = storage_root(data)
    begin = _device.address(data) - _device.address(root)
    offset = begin // data.itemsize if storage_offset is None else int(storage_offset)
    last = offset + sum((n - 1) * s for n, s in zip(sizes, steps, strict=True))
    if offset < 0 or (0 not in sizes and last >= root.nbytes // data.itemsize):
        raise RuntimeError(
            f"as_strided: sizes {sizes}, strides {steps} and storage offset {offset} reach beyond the memory of "
            f"{root.nbytes // data.itemsize} elements"
        )
    # The root's memory as one row: a view of it, whatever the order of its axes
    row = _device.as_strided(root, (root.nbytes // data.itemsize,), (data.itemsize,))
    start = row.view(data.dtype) if row.dtype != data.dtype else row
    array = _device.as_strided(start[offset:], sizes, tuple(s * data.itemsize for s in steps))
    if not (input._requires_grad and mode.enabled):
        return _view(input, array, AsStridedViewBackward0)
    mine = _flat_places(data, root).reshape(-1)
    order = np.argsort(mine, kind="stable")
    wanted = _flat_places(array, root).reshape(-1)
    found = np.searchsorted(mine[order], wanted)
    found = np.minimum(found, max(mine.size - 1, 0))
    inside = mine[order][found] == wanted if mine.size else np.zeros(wanted.shape, bool)
    return _view(
        input,
        array,
        AsStridedViewBackward0,
        order[found][inside] if mine.size else found,
        inside,
        data.shape,
    )


def as_strided_scatter(
    input: Tensor,
    src: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int | None = None,
) -> Tensor:
    """A copy of ``input`` with ``src`` in the elements that ``as_strided`` shows."""
    copy = shape.clone(input, "C")
    return _replaced(
        "as_strided_scatter", copy, as_strided(copy, size, stride, storage_offset), src
    )


def broadcast_to(input: Tensor, size: Any) -> Tensor:
    """``input`` expanded to ``size``."""
    return shape.expand(input, size)


def broadcast_shapes(*shapes: Any) -> Any:
    """The common shape to which all of ``shapes`` (tuples or ints) broadcast.

    Raises:
        RuntimeError: they do not.
    """
    from .._core import Size

    try:
        return Size(np.broadcast_shapes(*shapes))
    except ValueError:
        raise RuntimeError(
            f"broadcast_shapes: the shapes {shapes} cannot be broadcast together"
        ) from None


def unflatten(input: Tensor, dim: int, sizes: Any) -> Tensor:
    """A view of ``input`` with ``dim`` split into ``sizes``; one may be -1.

    Raises:
        RuntimeError: the sizes do not multiply to the dim's size.
    """
    axis = normalize_dim(dim, input._data.ndim)
    parts = _numbers((sizes,)) if not isinstance(sizes, int) else (sizes,)
    n = input._data.shape[axis]
    known = math.prod(p for p in parts if p != -1)
    if parts.count(-1) > 1 or (known != n if -1 not in parts else not known or n % known):
        raise RuntimeError(
            f"unflatten: sizes {parts} don't multiply up to the size of dim {dim} ({n})"
        )
    full = tuple(n // known if p == -1 else p for p in parts)
    before, after = input._data.shape[:axis], input._data.shape[axis + 1 :]
    return shape.view(input, (*before, *full, *after))


def ravel(input: Tensor) -> Tensor:
    """All elements in one dim: a view where the memory allows it."""
    return shape.reshape(input, -1)


def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of ``input`` of the sizes listed, along ``dim``."""
    return shape.split(input, list(split_sizes), dim)


def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of ``input`` along ``dim``: so many of nearly equal size, or split before each of the indices.

    Raises:
        RuntimeError: no sections, or a tensor of no dims.
    """
    if input._data.ndim == 0:
        raise RuntimeError("tensor_split: expected at least a 1-dim tensor")
    axis = normalize_dim(dim, input._data.ndim)
    n = input._data.shape[axis]
    if isinstance(indices_or_sections, Tensor):
        raw = indices_or_sections._data
        indices_or_sections = int(raw) if raw.ndim == 0 else raw.tolist()
    if isinstance(indices_or_sections, int):
        count = indices_or_sections
        if count <= 0:
            raise RuntimeError(
                f"tensor_split: number of sections must be larger than 0, got {count}"
            )
        bounds = [i * (n // count) + min(i, n % count) for i in range(count + 1)]
        ranges = list(itertools.pairwise(bounds))
    else:
        cuts = [slice(0, c).indices(n)[1] for c in indices_or_sections]
        ranges = [(a, max(a, b)) for a, b in zip([0, *cuts], [*cuts, n], strict=True)]
    lead = (slice(None),) * axis
    return shape._parts(input, [(*lead, slice(a, b)) for a, b in ranges])


def _numpy_split(name: str, input: Tensor, dim: int, least: int, parts: Any) -> tuple[Tensor, ...]:
    if input._data.ndim < least:
        raise RuntimeError(
            f"{name}: requires a tensor with at least {least} dimensions, got {input._data.ndim}"
        )
    if isinstance(parts, int) and (parts <= 0 or input._data.shape[dim] % parts):
        raise RuntimeError(
            f"{name}: the size of dim {dim}, {input._data.shape[dim]}, is not divisible by {parts} sections"
        )
    return tensor_split(input, parts, dim)


def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Views along the columns (of a vector: along it)."""
    return _numpy_split("hsplit", input, 0 if input._data.ndim == 1 else 1, 1, indices_or_sections)


def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Views along the rows."""
    return _numpy_split("vsplit", input, 0, 2, indices_or_sections)


def dsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Views along the third dim."""
    return _numpy_split("dsplit", input, 2, 3, indices_or_sections)


def _at_least(tensors: tuple[Any, ...], lift: Any) -> Any:
    if len(tensors) == 1:
        if isinstance(tensors[0], Tensor):
            return lift(tensors[0])
        tensors = tuple(tensors[0])
    return tuple(lift(x) for x in tensors)


def atleast_1d(*tensors: Any) -> Any:
    """Each tensor with at least one dim."""
    return _at_least(tensors, lambda x: x if x._data.ndim else x.reshape(1))


def _lift_2d(x: Tensor) -> Tensor:
    return x if x._data.ndim >= 2 else x.reshape(1, -1)


def atleast_2d(*tensors: Any) -> Any:
    """Each tensor with at least two dims."""
    return _at_least(tensors, _lift_2d)


def atleast_3d(*tensors: Any) -> Any:
    """Each tensor with at least three dims."""
    return _at_least(tensors, lambda x: x if x._data.ndim >= 3 else _lift_2d(x).unsqueeze(-1))


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Flat ``indices`` into an array of ``shape`` as one index a dim.

    Raises:
        ValueError: an index out of range.
    """
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    return tuple(make(np.asarray(i, np.int64)) for i in np.unravel_index(indices._data, sizes))
