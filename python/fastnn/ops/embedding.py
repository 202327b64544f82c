"""Embeddings: rows of a table by their numbers, one by one or reduced over bags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _device
from .._core import make
from ..autograd import version
from ..autograd.grad_mode import mode as grad_mode
from ..autograd.node import Node, edge_of
from ..backends import by_type
from .elementwise import mul
from .promotion import same_device

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor


class SegmentSumBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        index, factors = self.saved
        rows = by_type[type(g)].embedding(g, index)
        return (rows if factors is None else rows * factors,)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        index, factors = self.saved
        rows = _rows(g, index, -1, False)
        return (rows if factors is None else mul(rows, make(factors)),)


def _segment_sum(x: Tensor, index: Any, n: int, padding_idx: int, by_frequency: bool) -> Tensor:
    """(n, D): the rows of x (L, D) summed by their segment ``index`` (L,), as ``embedding_backward`` does."""
    data = x._data
    out = by_type[type(data)].embedding_backward(data, index, n, padding_idx, by_frequency)
    if not (x._requires_grad and grad_mode.enabled):
        return make(out)
    factors = None
    if by_frequency or padding_idx >= 0:
        counts = np.bincount(index, minlength=n) if by_frequency else np.ones(n)
        kept = (index != padding_idx) / counts[index]
        factors = kept[:, None].astype(data.dtype)
    return make(out, SegmentSumBackward0((edge_of(x),), (index, factors)))


class EmbeddingBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        index, rows, padding_idx, by_frequency = self.saved
        flat = g.reshape(-1, g.shape[-1])
        return (by_type[type(g)].embedding_backward(flat, index, rows, padding_idx, by_frequency),)

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        index, rows, padding_idx, by_frequency = self.saved
        flat = g.reshape(-1, g._data.shape[-1])
        return (_segment_sum(flat, index, rows, padding_idx, by_frequency),)


def _rows(weight: Tensor, index: Any, padding_idx: int, by_frequency: bool) -> Tensor:
    """weight[index], for an int64 array."""
    data = weight._data
    out = by_type[type(data)].embedding(data, index)
    if weight._requires_grad and grad_mode.enabled:
        saved = (index.reshape(-1), len(data), padding_idx, by_frequency)
        return make(out, EmbeddingBackward0((edge_of(weight),), saved))
    return make(out)


def _index_array(input: Tensor, operation: str) -> Any:
    if not isinstance(input, Tensor) or input._data.dtype not in (np.int64, np.int32):
        got = input.dtype if isinstance(input, Tensor) else type(input).__name__
        raise RuntimeError(
            f"{operation}: expected indices of type int64 or int32, got {got}; call .long()"
        )
    return input._data.astype(np.int64)  # a copy: writes to the indices leave the gradient alone


def _table(weight: Tensor, operation: str) -> None:
    if weight._data.ndim != 2:
        raise RuntimeError(
            f"{operation}: 'weight' must be 2-D (rows, features), got {tuple(weight.shape)}"
        )


def _no_sparse(sparse: bool, operation: str) -> None:
    if sparse:
        raise ValueError(
            f"{operation}: sparse=True is not supported: there are no sparse tensors; with sparse=False the gradient "
            "is a whole table"
        )


def _padding(padding_idx: int | None, rows: int, operation: str) -> int:
    """``padding_idx`` as a row's number; -1 for none."""
    if padding_idx is None:
        return -1
    if not -rows <= padding_idx < rows:
        raise AssertionError(
            f"{operation}: padding_idx must be within num_embeddings ({rows}), got {padding_idx}"
        )
    return padding_idx % rows


def embedding_renorm_(
    weight: Tensor, input: Tensor, max_norm: float, norm_type: float = 2.0
) -> Tensor:
    """Scale, in place, the rows of ``weight`` that ``input`` names and whose norm is above ``max_norm`` down to it."""
    used = np.unique(_index_array(input, "embedding_renorm_"))
    data = weight._data
    norms = np.linalg.norm(data[used].astype(np.float64), norm_type, axis=1)
    long = norms > max_norm
    factors = max_norm / (norms[long] + 1e-7)
    data[used[long]] *= factors[:, None].astype(data.dtype)
    version.bump(data)
    return weight


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """weight[input]: the rows of a table (rows, D) for indices of any shape (...): (..., D).

    Args:
        input: int64 or int32 indices.
        weight: the table.
        padding_idx: the row that gets no gradient.
        max_norm: first scale the rows used down to this norm (``norm_type``), in place.
        scale_grad_by_freq: divide each row's gradient by how often the row occurs.
        sparse: only False.

    Raises:
        IndexError: an index out of range.
        RuntimeError: indices of another dtype.
        ValueError: ``sparse``.

    >>> import fastnn
    >>> table = fastnn.tensor([[1., 2.], [3., 4.]])
    >>> fastnn.nn.functional.embedding(fastnn.tensor([1, 0, 1]), table)
    tensor([[3., 4.],
            [1., 2.],
            [3., 4.]])
    """
    _no_sparse(sparse, "embedding")
    index = _index_array(input, "embedding")
    _table(weight, "embedding")
    same_device(input, weight)
    padding = _padding(padding_idx, len(weight._data), "embedding")
    if max_norm is not None:
        by_type[type(weight._data)].embedding(
            weight._data, index
        )  # raises before anything is written
        embedding_renorm_(weight, input, max_norm, norm_type)
    return _rows(weight, index, padding, scale_grad_by_freq)


def _bags(input: Tensor, offsets: Tensor | None, include_last: bool) -> tuple[Any, Any, int]:
    """(flat indices, the bag of each, number of bags)."""
    index = _index_array(input, "embedding_bag")
    if index.ndim == 2:
        if offsets is not None:
            raise ValueError(
                "embedding_bag: if input is 2D, then offsets has to be None, as each row is a bag; found offsets of "
                f"type {type(offsets).__name__}"
            )
        bags, length = index.shape
        return index.reshape(-1), np.repeat(np.arange(bags, like=index), length), bags
    if index.ndim != 1:
        raise ValueError(f"embedding_bag: input has to be 1D or 2D Tensor, but got {index.ndim}D")
    if offsets is None:
        raise ValueError("embedding_bag: offsets has to be a 1D Tensor but got None")
    starts = _index_array(offsets, "embedding_bag (offsets)")
    if starts.ndim != 1:
        raise ValueError("embedding_bag: offsets has to be a 1D Tensor")
    if include_last:
        if not len(starts):
            raise ValueError("embedding_bag: include_last_offset needs at least one offset")
        starts = starts[:-1]
    if len(starts) and (starts[0] != 0 or (np.diff(starts) < 0).any() or starts[-1] > len(index)):
        raise ValueError(
            "embedding_bag: offsets must start at 0, not shrink, and stay within the input's length "
            f"{len(index)}, got {starts.tolist()}"
        )
    return index, _bag_of(starts, len(index)), len(starts)


def _bag_of(starts: Any, n: int) -> Any:
    """The number of the bag of each of ``n`` indices."""
    return np.searchsorted(starts, np.arange(n, like=starts), "right") - 1


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of a table's rows over bags of indices: (bags, D).

    Args:
        input: int64 or int32 indices: (bags, n), or all of them (L,) with ``offsets``, where each bag starts.
        weight: the table (rows, D).
        max_norm, norm_type, scale_grad_by_freq, sparse: as ``embedding``.
        mode: "sum", "mean" or "max".
        per_sample_weights: of input's shape, a factor for each row; only with "sum".
        include_last_offset: the last offset is where the last bag ends.
        padding_idx: indices that count nothing.

    An empty bag gives zeros.

    Raises:
        ValueError, RuntimeError: shapes, dtypes or arguments that do not fit.
        IndexError: an index out of range.
        NotImplementedError: ``per_sample_weights`` with another mode than "sum".
    """
    name = "embedding_bag"
    _no_sparse(sparse, name)
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"{name}: mode has to be one of sum, mean or max, got {mode!r}")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError(f"{name}: max mode does not support scaling the gradient by the frequency")
    if per_sample_weights is not None:
        if mode != "sum":
            raise NotImplementedError(
                f"{name}: per_sample_weights was not None; it is only supported for mode='sum' (got mode={mode!r})"
            )
        if per_sample_weights._data.shape != input._data.shape:
            raise ValueError(
                f"{name}: per_sample_weights {tuple(per_sample_weights.shape)} must have the shape of the input "
                f"{tuple(input.shape)}"
            )
        if per_sample_weights._data.dtype != weight._data.dtype:
            raise RuntimeError(
                f"{name}: per_sample_weights is {per_sample_weights.dtype}, weight is {weight.dtype}; they must be the "
                "same"
            )
    _table(weight, name)
    same_device(input, weight)
    index, bag, bags = _bags(input, offsets, include_last_offset)
    padding = _padding(padding_idx, len(weight._data), name)
    if max_norm is not None:
        by_type[type(weight._data)].embedding(weight._data, index)
        embedding_renorm_(weight, input, max_norm, norm_type)
    factors = None if per_sample_weights is None else per_sample_weights.reshape(-1)
    if padding >= 0:
        kept = np.flatnonzero(index != padding)
        index, bag = index[kept], bag[kept]
        factors = None if factors is None else factors[make(kept)]
    rows = _rows(weight, index, -1, scale_grad_by_freq)
    if mode == "max":
        return _bag_max(rows, bag, bags)
    if factors is not None:
        rows = mul(rows, factors.unsqueeze(1))
    total = _segment_sum(rows, bag, bags, -1, False)
    if mode == "mean":
        counts = np.maximum(np.bincount(bag, minlength=bags), 1)[:, None]
        total = mul(total, make((1 / counts).astype(total._data.dtype)))
    return total


def _bag_max(rows: Tensor, bag: Any, bags: int) -> Tensor:
    """The first maximum of each bag's rows, feature by feature; zeros for an empty bag."""
    data = rows._data
    width = data.shape[1]
    if not len(bag):
        return make(np.zeros((bags, width), data.dtype, like=data))
    # On the host: CuPy's maximum has no reduceat
    data, bag = _device.place(data, _device.CPU), _device.place(bag, _device.CPU)
    found, starts = np.unique(bag, return_index=True)
    top = np.maximum.reduceat(data, starts, axis=0)
    place = np.searchsorted(found, bag)
    position = np.where(data == top[place], np.arange(len(bag))[:, None], len(bag))
    first = np.minimum(np.minimum.reduceat(position, starts, axis=0), len(bag) - 1)
    first, found = (_device.place_beside(a, rows._data) for a in (first, found))
    best = rows[make(first), make(np.arange(width, like=first)[None, :])]
    return _segment_sum(best, found, bags, -1, False)
