"""Collating: a list of samples becomes one batch of tensors."""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

import fastnn

__all__ = ["default_collate", "default_convert"]


def default_collate(batch: Sequence[Any]) -> Any:
    """Joins samples along a new first dimension, through any nesting.

    ======================================  ==========================================================
    samples                                 batch
    ======================================  ==========================================================
    tensors, NumPy arrays                   one tensor, stacked
    float, int, bool                        tensor of float64, int64, bool
    str, bytes                              the list as it is
    mappings                                the same type, each value collated
    namedtuples                             the same type, each field collated
    tuples                                  a list, each position collated
    other sequences                         the same type, each position collated
    ======================================  ==========================================================

    Raises:
        TypeError: A sample is of none of these types.
        RuntimeError: Sequences of different lengths, or tensors of different shapes.

    >>> x, y = default_collate([([1.0, 2.0], 0), ([3.0, 4.0], 1)])
    >>> y.numpy().tolist(), [column.numpy().tolist() for column in x]
    ([0, 1], [[1.0, 3.0], [2.0, 4.0]])
    """
    first = batch[0]
    if isinstance(first, fastnn.Tensor):
        return fastnn.stack(list(batch), 0)
    if isinstance(first, np.ndarray):
        return fastnn.from_numpy(_stack_arrays(batch))
    if isinstance(first, np.generic) and first.dtype.kind in "biufc":
        return fastnn.from_numpy(np.array(batch))
    if isinstance(first, (bool, int)):
        return fastnn.tensor(list(batch))
    if isinstance(first, float):
        return fastnn.tensor(list(batch), dtype=fastnn.float64)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return _collate_mappings(first, batch)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(column) for column in _columns(batch)))
    if isinstance(first, tuple):
        return [default_collate(column) for column in _columns(batch)]
    if isinstance(first, Sequence):
        return _like_sequence(first, [default_collate(column) for column in _columns(batch)])
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {type(first)}"
    )


def default_convert(data: Any) -> Any:
    """Turns NumPy arrays into tensors, through any nesting; everything else stays.

    It is the DataLoader's ``collate_fn`` where ``batch_size=None``.

    >>> default_convert({"x": np.zeros(2), "name": "a"})["x"]
    tensor([0., 0.], dtype=fastnn.float64)
    """
    if isinstance(data, np.ndarray) and data.dtype.kind in "biufcV":
        return fastnn.from_numpy(data)
    if isinstance(data, np.generic) and data.dtype.kind in "biufc":
        return fastnn.from_numpy(np.array(data))
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(value) for value in data))
    if isinstance(data, tuple):
        return [default_convert(value) for value in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [default_convert(value) for value in data])
    return data


def pin_memory(data: Any) -> Any:
    """Copies tensors into page-locked memory, through any nesting; what has a method ``pin_memory`` does it itself."""
    if isinstance(data, fastnn.Tensor) or hasattr(data, "pin_memory"):
        return data.pin_memory()
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: pin_memory(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(pin_memory(value) for value in data))
    if isinstance(data, tuple):
        return [pin_memory(value) for value in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [pin_memory(value) for value in data])
    return data


def _stack_arrays(batch: Sequence[Any]) -> Any:
    if batch[0].dtype.kind in "SUO":
        raise TypeError(
            f"default_collate: cannot make a tensor of NumPy arrays of dtype {batch[0].dtype}"
        )
    try:
        return np.stack(batch)
    except ValueError as error:
        shapes = ", ".join(sorted({str(np.shape(a)) for a in batch}))
        raise RuntimeError(
            f"default_collate: arrays of one batch must have equal shapes, got {shapes}"
        ) from error


def _columns(batch: Sequence[Any]) -> list[tuple[Any, ...]]:
    size = len(batch[0])
    if any(len(sample) != size for sample in batch):
        sizes = sorted({len(sample) for sample in batch})
        raise RuntimeError(
            f"each element in list of batch should be of equal size, got sizes {sizes}"
        )
    return list(zip(*batch, strict=True))


def _collate_mappings(first: Mapping[Any, Any], batch: Sequence[Mapping[Any, Any]]) -> Any:
    return _like_mapping(first, {key: default_collate([d[key] for d in batch]) for key in first})


def _like_mapping(model: Mapping[Any, Any], values: dict[Any, Any]) -> Any:
    """A mapping of the model's type with these values; a plain dict where that type takes no dict."""
    try:
        if isinstance(model, MutableMapping):  # a copy keeps attributes such as a default factory
            clone = copy.copy(model)
            clone.update(values)
            return clone
        return type(model)(values)  # type: ignore[call-arg]
    except TypeError:
        return values


def _like_sequence(model: Sequence[Any], values: list[Any]) -> Any:
    """A sequence of the model's type with these values; a plain list where that type takes no list."""
    try:
        if isinstance(model, MutableSequence):
            clone = copy.copy(model)
            for i, value in enumerate(values):
                clone[i] = value
            return clone
        return values if isinstance(model, range) else type(model)(values)  # type: ignore[call-arg]
    except TypeError:
        return values
