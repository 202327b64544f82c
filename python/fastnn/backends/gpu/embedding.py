"""Embedding on the CUDA kernels: a gather of rows; its gradient from the positions sorted by index."""

from __future__ import annotations

import numpy as np

from fastnn.backends import numpy as spec
from fastnn.backends.gpu._arrays import (
    accumulator,
    contiguous,
    empty,
    is_float,
    kernels,
    stream,
)
from fastnn.backends.protocol import Array

_MOST = 2**31  # positions that the kernel numbers


def embedding(weight: Array, indices: Array) -> Array:
    """weight[indices]: (..., D) for indices (...), int64. Raises IndexError for an index outside 0..rows-1."""
    if (
        not is_float(weight)
        or weight.ndim != 2
        or indices.dtype != np.int64
        or not 0 < indices.size < _MOST
    ):
        return spec.embedding(weight, indices)
    at = contiguous(indices)
    y: Array = empty((*indices.shape, weight.shape[1]), weight.dtype, like=weight)
    first_wrong = np.full_like(weight, at.size, np.int32, shape=1)
    kernels.embedding(contiguous(weight), at, y, first_wrong, stream())
    wrong = int(first_wrong[0])
    if wrong < at.size:
        bad = int(at.reshape(-1)[wrong])
        raise IndexError(f"embedding: index {bad} is out of range for {len(weight)} rows")
    return y


def embedding_backward(
    g: Array, indices: Array, rows: int, padding_idx: int, scale_grad_by_freq: bool
) -> Array:
    """The gradient (rows, D) of the table: row r sums g (n, D) over indices (n,) == r."""
    if not is_float(g) or indices.dtype != np.int64:
        return spec.embedding_backward(g, indices, rows, padding_idx, scale_grad_by_freq)
    order = np.argsort(indices, kind="stable")
    out: Array = empty((rows, g.shape[1]), g.dtype, like=g)
    tiles = kernels.embedding_tiles(len(indices))
    partial = empty((2, tiles, g.shape[1]), accumulator(g.dtype), like=g)
    kernels.embedding_backward(
        contiguous(g),
        indices[order],
        order,
        partial,
        out,
        padding_idx,
        scale_grad_by_freq,
        stream(),
    )
    return out
