"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ...ops.shape import cat
from ...tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters, flattened, one behind the other."""
    return cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Set each parameter's data to its part of ``vec``.

    Raises:
        TypeError: ``vec`` is no tensor.
        RuntimeError: its length is not the number of all elements.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected Tensor, but got: {type(vec).__name__}")
    kept = list(parameters)
    total = sum(p.numel() for p in kept)
    if vec.numel() != total:
        raise RuntimeError(f"the vector has {vec.numel()} elements, the parameters {total}")
    start = 0
    for p in kept:
        stop = start + p.numel()
        p.data = vec[start:stop].reshape(p.shape).detach()
        start = stop
