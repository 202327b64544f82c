"""Rows of a table by their numbers, and the gradient of the table."""

from __future__ import annotations

import numpy as np

from fastnn.backends.protocol import Array


def embedding(weight: Array, indices: Array) -> Array:
    """weight[indices]: (..., D) for indices (...), int64. Raises IndexError for an index outside 0..rows-1."""
    if indices.size and (indices.min() < 0 or indices.max() >= len(weight)):
        bad = indices[(indices < 0) | (indices >= len(weight))][0]
        raise IndexError(f"embedding: index {bad} is out of range for {len(weight)} rows")
    return weight[indices]


def embedding_backward(
    g: Array, indices: Array, rows: int, padding_idx: int, scale_grad_by_freq: bool
) -> Array:
    """The gradient (rows, D) of the table: row r sums g (n, D) over indices (n,) == r.

    Row ``padding_idx`` (-1: none) stays 0; ``scale_grad_by_freq`` divides by how often a row occurs. Positions are
    sorted by row, so that each row's terms lie together and are added in their order.
    """
    out = np.zeros((rows, g.shape[1]), g.dtype, like=g)
    kept = np.flatnonzero(indices != padding_idx)
    if not kept.size:
        return out
    order = kept[np.argsort(indices[kept], kind="stable")]
    found, starts, counts = np.unique(indices[order], return_index=True, return_counts=True)
    sums = np.add.reduceat(g[order], starts, axis=0)
    out[found] = sums / counts[:, None].astype(g.dtype) if scale_grad_by_freq else sums
    return out
