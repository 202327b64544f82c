"""Indexing: basic (views), advanced and boolean, reading and writing; gather and selection along a dim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _device
from .._core import as_array, make, normalize_dim
from .._device import place_beside
from ..autograd import version
from ..autograd.grad_mode import mode
from ..autograd.inplace import check_writable, rebase
from ..autograd.node import Node, edge_of
from .promotion import cast, unbroadcast
from .shape import _view
from .transfer import transfer

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "flip",
    "gather",
    "index_select",
    "nonzero",
]

_BASIC = (int, slice, type(None), type(Ellipsis), np.integer)


def _raw_index(index: Any) -> tuple[Any, bool]:
    """The index for NumPy, and whether it is basic (gives a view)."""
    if type(index) is int:  # by far the most usual
        return (index,), True
    items = index if isinstance(index, tuple) else (index,)
    raw: list[Any] = []
    basic = True
    for item in items:
        if isinstance(item, slice):
            parts = [
                p.item() if isinstance(p, Tensor) else p for p in (item.start, item.stop, item.step)
            ]
            if parts[2] is not None and parts[2] <= 0:
                raise ValueError(
                    f"step must be greater than zero, got {parts[2]}; use flip() to reverse"
                )
            raw.append(slice(*parts))
        elif isinstance(item, (bool, np.bool_)):
            raw.append(item)
            basic = False
        elif isinstance(item, _BASIC):
            raw.append(item)
        else:
            array = item._data if isinstance(item, Tensor) else as_array(item)
            if array.size == 0 and not isinstance(item, (Tensor, np.ndarray)):
                array = array.astype(np.int64)
            if array.dtype.kind not in "iub":
                raise IndexError(
                    f"tensors used as indices must be integer or bool tensors, got {array.dtype}"
                )
            if array.ndim == 0 and array.dtype.kind != "b":
                raw.append(int(array))
            else:
                raw.append(array)
                basic = False
    return tuple(raw), basic


def _check_bounds(raw: tuple[Any, ...], shape: tuple[int, ...]) -> None:
    """Raise where an index of a device array is out of range: CuPy would wrap it around."""
    masks = [
        getattr(item, "dtype", None) == np.bool_ or item is True or item is False for item in raw
    ]
    widths = [
        0 if item is None or item is Ellipsis else getattr(item, "ndim", 0) if mask else 1
        for item, mask in zip(raw, masks, strict=True)
    ]
    axis = 0
    for i, (item, mask, width) in enumerate(zip(raw, masks, widths, strict=True)):
        if item is Ellipsis:
            axis = len(shape) - sum(widths[i + 1 :])
        elif width and not mask and hasattr(item, "dtype") and item.size and axis < len(shape):
            n = shape[axis]
            low, high = int(item.min()), int(item.max())
            if low < -n or high >= n:
                raise IndexError(
                    f"index {low if low < -n else high} is out of bounds for dimension {axis} with size {n}"
                )
        axis += width


class ScatterBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        index, _ = self.saved
        return (g[index],)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        index, unique = self.saved
        return (_take(g, index, unique),)


def _scatter_array(g: Any, index: Any, shape: tuple[int, ...], unique: bool) -> Any:
    out = np.zeros(shape, g.dtype, like=as_array(g))
    if unique:
        out[index] = g
    else:
        _device.scatter(np.add, out, index, g)
    return out


def scatter(g: Tensor, index: Any, shape: tuple[int, ...], unique: bool) -> Tensor:
    """Zeros of ``shape`` with ``g`` added at ``index``: the transpose of reading at ``index``."""
    out = _scatter_array(g._data, index, shape, unique)
    if g._requires_grad and mode.enabled:
        return make(out, ScatterBackward0((edge_of(g),), (index, unique)))
    return make(out)


class IndexBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        index, shape, unique = self.saved
        return (_scatter_array(g, index, shape, unique),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        return (scatter(g, *self.saved),)


class SliceBackward0(IndexBackward0):
    """Basic indexing."""

    __slots__ = ()


def _take(x: Tensor, index: Any, unique: bool) -> Tensor:
    out = x._data[index]
    if x._requires_grad and mode.enabled:
        return make(out, IndexBackward0((edge_of(x),), (index, x._data.shape, unique)))
    return make(out)


def getitem(input: Tensor, index: Any) -> Tensor:
    """``x[index]``: a view for ints, slices, None and ...; a copy for integer and bool tensors.

    Raises:
        IndexError: out of range, too many indices, or an index of another type.
        ValueError: a step that is not positive.
    """
    raw, basic = _raw_index(index)
    data = input._data
    if basic:
        if len(raw) < data.ndim or raw == () or Ellipsis in raw:
            array = data[raw]
        else:
            whole = (*raw, Ellipsis)  # an array even where every dim is indexed
            array = data[whole]
        return _view(input, array, SliceBackward0, raw, data.shape, True)
    if type(data) is not np.ndarray:
        _check_bounds(raw, data.shape)
    unique = len(raw) == 1 and raw[0] is not True and getattr(raw[0], "dtype", None) == np.bool_
    return _take(input, raw, unique)


class IndexPutBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        index, shape = self.saved
        to_x, to_value = self.edges
        rest = None
        if to_x is not None:
            rest = g.copy()
            rest[index] = 0
        return rest, None if to_value is None else unbroadcast(as_array(g[index]), shape)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        index, shape = self.saved
        mask = np.ones_like(g._data)
        mask[index] = 0
        return g * make(mask), unbroadcast(_take(g, index, False), shape)


def setitem(input: Tensor, index: Any, value: Any) -> None:
    """``x[index] = value``: an in-place write; the value is broadcast and cast to input's dtype.

    Raises:
        IndexError: as for reading.
        RuntimeError: the value does not broadcast, or ``input`` must not be written in place.
    """
    raw, basic = _raw_index(index)
    check_writable(input, "setitem")
    data = input._data
    if not basic and type(data) is not np.ndarray:
        _check_bounds(raw, data.shape)
    if not isinstance(value, Tensor):
        value = make(place_beside(np.asarray(value, data.dtype), data))
    value = cast(value, data.dtype)
    new = value._data
    if type(new) is not type(data):
        value = transfer(value, input.device)
        new = value._data
    elif new is data or np.may_share_memory(new, data):
        new = new.copy()
    try:
        data[raw] = new
    except ValueError:
        wanted = tuple(data[raw].shape)
        raise RuntimeError(
            f"setitem: shape mismatch: value tensor of shape {tuple(new.shape)} cannot be broadcast to indexing "
            f"result of shape {wanted}"
        ) from None
    version.bump(data)
    if mode.enabled and (input._requires_grad or value._requires_grad):
        node = IndexPutBackward0((edge_of(input), edge_of(value)), (raw, new.shape))
        rebase(input, node)


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of ``input`` along ``dim`` that the 1-d integer tensor ``index`` names."""
    if index._data.ndim > 1:
        raise IndexError(f"index_select: index must be a vector, got shape {tuple(index.shape)}")
    axis = normalize_dim(dim, input._data.ndim)
    if input._data.ndim == 0:
        return getitem(input.reshape(1), index.reshape(-1)).reshape(())
    return getitem(input, (*(slice(None),) * axis, index.reshape(-1)))


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """Values of ``input`` along ``dim`` at ``index``: out[i][j] = x[index[i][j]][j] for dim 0.

    Raises:
        RuntimeError: the indeinput's shape does not fit.
        IndexError: an index out of range.
    """
    data, positions = input._data, index._data
    axis = normalize_dim(dim, data.ndim)
    if positions.size == 0:
        return _take(input.reshape(-1), (np.zeros_like(positions, np.int64),), False)
    if data.ndim == 0:
        return gather(input.reshape(1), 0, index.reshape(-1)).reshape(positions.shape)
    if positions.ndim == 0:
        return gather(input, dim, index.reshape(1)).reshape(())
    fits = positions.ndim == data.ndim and all(
        a <= b
        for i, (a, b) in enumerate(zip(positions.shape, data.shape, strict=True))
        if i != axis
    )
    if not fits:
        raise RuntimeError(
            f"gather: index of shape {tuple(positions.shape)} does not fit input of shape {tuple(data.shape)}"
        )
    if positions.size and (positions.min() < 0 or positions.max() >= data.shape[axis]):
        bad = positions.min() if positions.min() < 0 else positions.max()
        raise IndexError(
            f"gather: index {bad} is out of bounds for dimension {dim} with size {data.shape[axis]}"
        )
    grid = list(np.indices(positions.shape, sparse=True))
    grid[axis] = positions
    return _take(input, tuple(grid), False)


def nonzero(input: Tensor, as_tuple: bool = False) -> Any:
    """Indices of the nonzero elements: one row each, or (``as_tuple``) one tensor a dim."""
    if input._data.ndim == 0:
        count = int(bool(input._data))
        if as_tuple:
            return (make(np.zeros(count, np.int64, like=input._data)),)
        return make(np.zeros((count, 0), np.int64, like=input._data))
    found = np.nonzero(input._data)
    if as_tuple:
        return tuple(make(i) for i in found)
    return make(np.stack(found, axis=1))


def flip(input: Tensor, dims: int | tuple[int, ...] | list[int]) -> Tensor:
    """A copy of ``input`` with the order along ``dims`` reversed."""
    axes = (dims,) if isinstance(dims, int) else tuple(dims)
    n = input._data.ndim
    turned = {normalize_dim(a, n) for a in axes}
    index = tuple(slice(None, None, -1 if i in turned else 1) for i in range(n))
    out = _take(input, index, True)
    out._data = out._data.copy()
    return out
