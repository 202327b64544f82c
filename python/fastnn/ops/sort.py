"""Order: sorting, selection of the k-th, medians, modes, quantiles, distinct values, searching sorted sequences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import as_array, make, normalize_dim
from .._device import place_beside
from ..autograd.output import accepts_out
from . import indexing, select, shape, unary
from .reduction import ValuesIndices, amax, amin
from .transfer import on_host

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "aminmax",
    "argsort",
    "bincount",
    "bucketize",
    "histc",
    "histogram",
    "histogramdd",
    "kthvalue",
    "median",
    "mode",
    "msort",
    "nanmedian",
    "nanquantile",
    "quantile",
    "searchsorted",
    "sort",
    "topk",
    "unique",
    "unique_consecutive",
]


def _order(data: Any, axis: int, descending: bool) -> Any:
    """Indices that sort ``data`` stably; NaN counts as the largest."""
    if data.dtype.kind == "V":
        data = data.astype(np.float32)
    if not descending:
        return np.argsort(data, axis, kind="stable")
    # Ascending over the reversed sequence, read backward: stable for descending order
    n = data.shape[axis]
    return np.flip(n - 1 - np.argsort(np.flip(data, axis), axis, kind="stable"), axis)


def _pick(input: Tensor, axis: int, indices: Any) -> ValuesIndices:
    chosen = make(np.ascontiguousarray(indices, np.int64, like=indices))
    return ValuesIndices(indexing.gather(input, axis, chosen), chosen)


def _scalar(input: Tensor) -> ValuesIndices:
    return ValuesIndices(input.clone(), make(np.zeros((), np.int64, like=input._data)))


@accepts_out
def sort(
    input: Tensor,
    dim: int = -1,
    descending: bool = False,
    stable: bool | None = None,
    *,
    out: Any = None,
) -> ValuesIndices:
    """The elements in order along ``dim``, and where they were. Always stable, whatever ``stable`` says.

    >>> import fastnn
    >>> fastnn.sort(fastnn.tensor([3., 1., 2.])).indices
    tensor([1, 2, 0])
    """
    axis = normalize_dim(dim, input._data.ndim)
    if input._data.ndim == 0:
        return _scalar(input)
    return _pick(input, axis, _order(input._data, axis, descending))


def msort(input: Tensor) -> Tensor:
    """The elements in order along the first dim."""
    return sort(input, 0).values


def argsort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False
) -> Tensor:
    """The indices that sort ``input`` along ``dim``."""
    return sort(input, dim, descending, stable).indices


@accepts_out
def topk(
    input: Tensor,
    k: int,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,
    *,
    out: Any = None,
) -> ValuesIndices:
    """The ``k`` largest (or smallest) elements along ``dim``, in order, and where they were.

    Raises:
        RuntimeError: ``k`` is out of range.
    """
    data = input._data
    axis = normalize_dim(dim, data.ndim)
    n = data.shape[axis] if data.ndim else 1
    if not 0 <= k <= n:
        raise RuntimeError(
            f"topk: selected index k out of range: k={k}, dimension {dim} has {n} elements"
        )
    if data.ndim == 0:
        return _scalar(input)
    order = _order(data, axis, largest)
    return _pick(input, axis, order[(slice(None),) * axis + (slice(k),)])


@accepts_out
def kthvalue(
    input: Tensor, k: int, dim: int = -1, keepdim: bool = False, *, out: Any = None
) -> ValuesIndices:
    """The ``k``-th smallest element (from 1) along ``dim``, and where it was.

    Raises:
        RuntimeError: ``k`` is out of range.
    """
    data = input._data
    axis = normalize_dim(dim, data.ndim)
    n = data.shape[axis] if data.ndim else 1
    if not 1 <= k <= n:
        raise RuntimeError(
            f"kthvalue: selected number k out of range: k={k}, dimension {dim} has {n} elements"
        )
    if data.ndim == 0:
        return _scalar(input)
    order = _order(data, axis, False)[(slice(None),) * axis + (slice(k - 1, k),)]
    found = _pick(input, axis, order)
    return (
        found if keepdim else ValuesIndices(found.values.squeeze(axis), found.indices.squeeze(axis))
    )


def _median(input: Tensor, dim: int | None, keepdim: bool, skip_nan: bool) -> Any:
    data = input._data
    whole = dim is None
    x = shape.reshape(input, -1) if whole else input
    axis = normalize_dim(dim or 0, x._data.ndim)
    if x._data.size == 0 and whole:
        return make(np.full((), np.nan if data.dtype.kind == "f" else 0, data.dtype))
    if x._data.ndim == 0:
        return _scalar(input)
    if x._data.shape[axis] == 0:
        raise IndexError(
            f"median: cannot reduce over zero elements, got shape {tuple(data.shape)}, dim {dim}"
        )
    order = _order(x._data, axis, False)
    n = x._data.shape[axis]
    nans = (
        np.isnan(x._data).sum(axis, keepdims=True) if data.dtype.kind == "f" else np.zeros(1, int)
    )
    if skip_nan:
        place = np.maximum(n - nans - 1, 0) // 2
    else:
        place = np.where(nans > 0, n - nans, (n - 1) // 2)
    lanes = list(order.shape)
    lanes[axis] = 1
    chosen = np.take_along_axis(order, np.broadcast_to(place, lanes), axis)
    found = _pick(x, axis, chosen)
    if whole:
        return found.values.reshape(())
    return (
        found if keepdim else ValuesIndices(found.values.squeeze(axis), found.indices.squeeze(axis))
    )


@accepts_out
def median(input: Tensor, dim: int | None = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The median (the lower of two) of all elements, or values and indices along ``dim``; NaN if there is one."""
    return _median(input, dim, keepdim, False)


@accepts_out
def nanmedian(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, out: Any = None
) -> Any:
    """``median`` of the elements that are not NaN."""
    return _median(input, dim, keepdim, True)


@accepts_out
@on_host
def mode(input: Tensor, dim: int = -1, keepdim: bool = False, *, out: Any = None) -> ValuesIndices:
    """The most frequent element along ``dim`` (the smallest of equals), and the index of its last occurrence."""
    data = input._data
    axis = normalize_dim(dim, data.ndim)
    if data.ndim == 0:
        return _scalar(input)
    if data.shape[axis] == 0:
        raise IndexError(
            f"mode: cannot reduce over zero elements, got shape {tuple(data.shape)}, dim {dim}"
        )
    lanes = np.moveaxis(data, axis, -1)
    order = np.argsort(lanes, -1, kind="stable")
    ordered = np.take_along_axis(lanes, order, -1)
    # The length of the run that ends at each place; the first longest run wins
    starts = np.ones(ordered.shape, bool)
    starts[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    places = np.arange(ordered.shape[-1])
    length = places - np.maximum.accumulate(np.where(starts, places, 0), -1)
    best = length.argmax(-1)[..., None]
    chosen = np.moveaxis(np.take_along_axis(order, best, -1), -1, axis)
    found = _pick(input, axis, chosen)
    return (
        found if keepdim else ValuesIndices(found.values.squeeze(axis), found.indices.squeeze(axis))
    )


def _quantile(
    input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip_nan: bool
) -> Tensor:
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            f"quantile: interpolation must be one of linear, lower, higher, midpoint or nearest, got {interpolation!r}"
        )
    dtype = input._data.dtype
    if dtype not in (np.float32, np.float64):
        raise RuntimeError(f"quantile: expects a float32 or float64 tensor, got {input.dtype}")
    if isinstance(q, Tensor) and q._data.dtype != dtype:
        raise RuntimeError(f"quantile: q must have input's dtype {input.dtype}, got {q.dtype}")
    wanted = q if isinstance(q, Tensor) else make(place_beside(np.asarray(q, dtype), input._data))
    if wanted._data.ndim > 1:
        raise RuntimeError(f"quantile: q must be a scalar or 1-d, got shape {tuple(wanted.shape)}")
    if wanted._data.size and not ((wanted._data >= 0) & (wanted._data <= 1)).all():
        raise RuntimeError("quantile: q values must be in the range [0, 1]")
    ndim = input._data.ndim
    x = shape.reshape(input, -1) if dim is None else input
    axis = normalize_dim(dim or 0, x._data.ndim)
    if x._data.size == 0:
        raise RuntimeError(
            f"quantile: input tensor must be non-empty, got shape {tuple(input.shape)}"
        )
    if x._data.ndim == 0:
        x = x.reshape(1)
    ordered = shape.movedim(sort(x, axis).values, axis, -1)
    n = ordered._data.shape[-1]
    nans = np.isnan(ordered._data).sum(-1, keepdims=True)
    levels = wanted.reshape(-1)
    last = np.maximum(n - nans - 1, 0) if skip_nan else np.full_like(nans, n - 1)
    rank: Tensor = levels * make(last.astype(dtype))
    if not skip_nan:
        rank = select.where(
            make(np.broadcast_to(nans > 0, rank._data.shape)), rank * 0 + (n - 1), rank
        )
    if interpolation == "lower":
        rank = unary.floor(rank)
    elif interpolation == "higher":
        rank = unary.ceil(rank)
    elif interpolation == "nearest":
        rank = unary.round(rank)
    low = np.floor(rank._data)
    below = make(low.astype(np.int64))
    above = make(np.ceil(rank._data).astype(np.int64))
    weight = rank - make(low) if interpolation != "midpoint" else 0.5
    first = indexing.gather(ordered, -1, below)
    second = indexing.gather(ordered, -1, above)
    out = first + (second - first) * weight
    out = shape.movedim(out, -1, 0)
    if keepdim:
        if dim is None:
            out = out.reshape(out._data.shape[:1] + (1,) * ndim)
        elif ndim:
            out = out.unsqueeze(axis + 1)
    return out.squeeze(0) if wanted._data.ndim == 0 else out


@accepts_out
def quantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
    out: Tensor | None = None,
) -> Tensor:
    """The ``q``-quantiles (in [0, 1]) along ``dim`` (None: of all elements); several q give a leading dim.

    Args:
        interpolation: between the two neighbours: "linear", "lower", "higher", "midpoint" or "nearest".

    Raises:
        RuntimeError: q out of range, another dtype than input's, or no elements.
    """
    return _quantile(input, q, dim, keepdim, interpolation, False)


@accepts_out
def nanquantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
    out: Tensor | None = None,
) -> Tensor:
    """``quantile`` of the elements that are not NaN."""
    return _quantile(input, q, dim, keepdim, interpolation, True)


@accepts_out
def aminmax(
    input: Tensor, *, dim: int | None = None, keepdim: bool = False, out: Any = None
) -> Any:
    """The smallest and the largest element over ``dim`` (None: all), as (min, max)."""
    return MinMax(amin(input, dim, keepdim), amax(input, dim, keepdim))


class MinMax(tuple[Any, Any]):
    """What ``aminmax`` returns."""

    __slots__ = ()

    def __new__(cls, min: Tensor, max: Tensor) -> MinMax:
        return super().__new__(cls, (min, max))

    @property
    def min(self) -> Tensor:
        """The smallest elements."""
        return self[0]  # type: ignore[no-any-return]

    @property
    def max(self) -> Tensor:
        """The largest elements."""
        return self[1]  # type: ignore[no-any-return]


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements (or slices along ``dim``), always in order; with where each went, and how often each is there."""
    if dim is not None:
        return _unique_slices(
            input, normalize_dim(dim, input._data.ndim), return_inverse, return_counts
        )
    values, inverse, counts = np.unique(input._data, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(input._data.shape)
    return _distinct(values, inverse, counts, return_inverse, return_counts)


@on_host
def _unique_slices(input: Tensor, axis: int, return_inverse: bool, return_counts: bool) -> Any:
    values, inverse, counts = np.unique(
        input._data, return_inverse=True, return_counts=True, axis=axis
    )
    return _distinct(values, inverse.reshape(-1), counts, return_inverse, return_counts)


def _distinct(
    values: Any, inverse: Any, counts: Any, return_inverse: bool, return_counts: bool
) -> Any:
    found = [make(values)]
    if return_inverse:
        found.append(make(inverse.astype(np.int64, copy=False)))
    if return_counts:
        found.append(make(counts.astype(np.int64, copy=False)))
    return found[0] if len(found) == 1 else tuple(found)


def unique_consecutive(
    input: Tensor,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The elements (or slices along ``dim``) without those equal to their predecessor."""
    data = input._data
    lanes = data.reshape(-1) if dim is None else np.moveaxis(data, normalize_dim(dim, data.ndim), 0)
    n = lanes.shape[0]
    new = np.ones_like(lanes, np.bool_, shape=n)
    if n > 1:
        new[1:] = (lanes[1:] != lanes[:-1]).reshape(n - 1, -1).any(1)
    values = lanes[new]
    if dim is not None:
        values = np.moveaxis(values, 0, normalize_dim(dim, data.ndim))
    inverse = np.cumsum(new) - 1
    if dim is None:
        inverse = inverse.reshape(data.shape)
    counts = np.diff(np.append(np.nonzero(new)[0], n))
    return _distinct(values, inverse, counts, return_inverse, return_counts)


@accepts_out
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Where each of ``input`` would go in ``sorted_sequence`` (ordered along its last dim): before equals, or after.

    Args:
        sorted_sequence: 1-d, or with the leading dims of ``input``.
        right, side: after equals ("right") or before ("left").
        sorter: the indices that sort ``sorted_sequence``, where it is not sorted.

    Raises:
        RuntimeError: shapes that do not fit, or ``right`` and ``side`` disagree.
    """
    if side is not None:
        if side not in ("left", "right"):
            raise RuntimeError(f'searchsorted: side must be "left" or "right", got {side!r}')
        if right and side == "left":
            raise RuntimeError('searchsorted: side="left" and right=True say opposite things')
        right = side == "right"
    where: Any = "right" if right else "left"
    kind = np.int32 if out_int32 else np.int64
    sequence = sorted_sequence._data
    if sorter is not None:
        sequence = np.take_along_axis(sequence, sorter._data, -1)
    values = input._data if isinstance(input, Tensor) else place_beside(np.asarray(input), sequence)
    if sequence.ndim == 1:
        return make(as_array(np.searchsorted(sequence, values, where)).astype(kind, copy=False))
    if sequence.shape[:-1] != values.shape[:-1]:
        raise RuntimeError(
            f"searchsorted: the leading dims of sorted_sequence {tuple(sequence.shape)} and input {tuple(values.shape)} "
            "must be equal"
        )
    return _search_rows(make(sequence), make(values), where, kind)


@on_host
def _search_rows(sequences: Tensor, values: Tensor, where: Any, kind: Any) -> Tensor:
    """``searchsorted`` of each row in the row of ``sequences`` at its place."""
    found = np.empty(values._data.shape, kind)
    for place in np.ndindex(found.shape[:-1]):
        found[place] = np.searchsorted(sequences._data[place], values._data[place], where)
    return make(found)


@accepts_out
def bucketize(
    input: Any,
    boundaries: Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """The index of the bucket of each element: ``boundaries`` (1-d, ordered) belong to the bucket below, or (``right``) above."""
    if boundaries._data.ndim != 1:
        raise RuntimeError(
            f"bucketize: boundaries must be 1-d, got shape {tuple(boundaries.shape)}"
        )
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each number from 0 occurs in a 1-d tensor of non-negative integers; or the sums of ``weights``.

    Raises:
        RuntimeError: another shape or dtype, or a negative number.
    """
    data = input._data
    if data.ndim != 1 or data.dtype.kind not in "iu" or (data.size and data.min() < 0):
        raise RuntimeError(
            f"bincount: expects a 1-d tensor of non-negative integers, got {input.dtype} {tuple(input.shape)}"
        )
    if minlength < 0:
        raise RuntimeError(f"bincount: minlength should be >= 0, got {minlength}")
    if weights is None:
        return make(np.bincount(data, minlength=minlength).astype(np.int64))
    if weights._data.shape != data.shape:
        raise RuntimeError("bincount: weights should be 1-d and have the same length as input")
    kept = weights._data.dtype if weights._data.dtype == np.float32 else np.dtype(np.float64)
    return make(np.bincount(data, weights._data, minlength).astype(kept))


@accepts_out
def histc(
    input: Tensor, bins: int = 100, min: float = 0, max: float = 0, *, out: Tensor | None = None
) -> Tensor:
    """Counts in ``bins`` equal bins between ``min`` and ``max`` (both 0: the data's range); what is outside is left out.

    Raises:
        RuntimeError: no bins, or max below min.
    """
    data = input._data
    if bins <= 0:
        raise RuntimeError(f"histc: bins must be > 0, got {bins}")
    low, high = float(min), float(max)
    if low == high and data.size:
        low, high = float(data.min()), float(data.max())
    if low == high:
        low, high = low - 1, high + 1
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"histc: range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError(f"histc: max must be larger than min, got {low} and {high}")
    flat = data.reshape(-1)
    flat = flat[(flat >= low) & (flat <= high)].astype(np.float64)
    places = np.minimum(((flat - low) * bins / (high - low)).astype(np.int64), bins - 1)
    return make(np.bincount(places, minlength=bins).astype(data.dtype))


class Histogram(tuple[Any, Any]):
    """What ``histogram`` and ``histogramdd`` return: (hist, bin_edges)."""

    __slots__ = ()

    def __new__(cls, hist: Any, bin_edges: Any) -> Histogram:
        return super().__new__(cls, (hist, bin_edges))

    @property
    def hist(self) -> Tensor:
        """The counts, weights or densities."""
        return self[0]  # type: ignore[no-any-return]

    @property
    def bin_edges(self) -> Any:
        """The edges of the bins."""
        return self[1]


@on_host
def histogramdd(
    input: Tensor,
    bins: Any,
    *,
    range: Any = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Histogram:
    """The histogram of points: ``input`` (..., D), in bins along each of the D dims.

    Args:
        bins: the number of bins (one, or one a dim), or the edges of each dim (tensors).
        range: min and max of each dim in turn, for numbers of bins; default: the data's.
        weight: what each point counts, of shape (...).
        density: normalise to an integral of 1.
    """
    data = input._data
    points = data.reshape(-1, data.shape[-1])
    dims = points.shape[1]
    if isinstance(bins, int):
        bins = [bins] * dims
    if len(bins) != dims:
        raise RuntimeError(f"histogramdd: got bins for {len(bins)} dims, the points have {dims}")
    edges = []
    for d, b in enumerate(bins):
        if isinstance(b, Tensor):
            edges.append(b._data)
            continue
        if range is not None:
            low, high = float(range[2 * d]), float(range[2 * d + 1])
        elif points.size:
            low, high = float(points[:, d].min()), float(points[:, d].max())
        else:
            low, high = 0.0, 1.0
        if low == high:
            low, high = low - 0.5, high + 0.5
        edges.append(np.linspace(low, high, int(b) + 1, dtype=data.dtype))
    weights = None if weight is None else weight._data.reshape(-1)
    hist, _ = np.histogramdd(
        points.astype(np.float64),
        [e.astype(np.float64) for e in edges],
        weights=weights,
        density=density,
    )
    return Histogram(make(hist.astype(data.dtype)), tuple(make(np.array(e)) for e in edges))


def histogram(
    input: Tensor,
    bins: Any,
    *,
    range: Any = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Histogram:
    """The histogram of all elements: (hist, bin_edges); arguments as for ``histogramdd``."""
    flat = input.reshape(-1, 1)
    found = histogramdd(
        flat,
        [bins],
        range=range,
        weight=None if weight is None else weight.reshape(-1),
        density=density,
    )
    return Histogram(found.hist, found.bin_edges[0])
