"""Datasets: maps from an index to a sample, streams of samples, and ways to divide and join them."""

from __future__ import annotations

import itertools
import math
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

import fastnn

from .batching import whole_batch_method

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]

T_co = TypeVar("T_co", covariant=True)
Indices = npt.NDArray[np.int64]


class Dataset(Generic[T_co]):
    """A map from an index to a sample. Subclasses define ``__getitem__``, and ``__len__`` for the DataLoader.

    A subclass may also define ``__getbatch__``, which fetches a whole batch in one call; see
    `fastnn.utils.data.batching`.

    >>> class Squares(Dataset):
    ...     def __len__(self): return 5
    ...     def __getitem__(self, i): return i * i
    >>> Squares()[3]
    9
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """A stream of samples: subclasses define ``__iter__``; ``__len__`` is optional.

    >>> class Count(IterableDataset):
    ...     def __iter__(self): return iter(range(3))
    >>> [batch.numpy().tolist() for batch in fastnn.utils.data.DataLoader(Count(), batch_size=2)]
    [[0, 1], [2]]
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__")

    def __add__(self, other: Dataset[Any]) -> ChainDataset:  # type: ignore[override]  # as PyTorch's
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Any, ...]]):
    """Sample i is the tuple of every tensor's row i.

    Args:
        *tensors: Tensors whose first dimension has the same size.

    Raises:
        AssertionError: The sizes of the first dimensions differ (as PyTorch raises it).

    >>> ds = TensorDataset(fastnn.tensor([[1.0, 2.0], [3.0, 4.0]]), fastnn.tensor([0, 1]))
    >>> len(ds), ds[1][0].numpy().tolist()
    (2, [3.0, 4.0])
    """

    def __init__(self, *tensors: fastnn.Tensor) -> None:
        if not tensors:
            raise ValueError("TensorDataset needs at least one tensor")
        sizes = [t.shape[0] if len(t.shape) else None for t in tensors]
        if None in sizes or len(set(sizes)) > 1:
            shapes = ", ".join(str(tuple(t.shape)) for t in tensors)
            raise AssertionError(
                f"Size mismatch between tensors: the first dimensions differ in shapes {shapes}"
            )
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __getbatch__(self, indices: Indices) -> Any:
        if any(tensor.requires_grad for tensor in self.tensors):
            return NotImplemented  # single samples are differentiable views
        return [fastnn.from_numpy(tensor.numpy().take(indices, axis=0)) for tensor in self.tensors]

    def __len__(self) -> int:
        return len(self.tensors[0])


class StackDataset(Dataset[Any]):
    """Datasets side by side: sample i holds every dataset's sample i.

    Args:
        *args: Datasets of one length; samples are tuples.
        **kwargs: The same by name, instead: samples are dicts.

    Raises:
        ValueError: The lengths differ, none is given, or both ways at once.

    >>> StackDataset("abc", [1, 2, 3])[1], StackDataset(letter="abc", number=[1, 2, 3])[2]
    (('b', 2), {'letter': 'c', 'number': 3})
    """

    datasets: tuple[Any, ...] | dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            raise ValueError(
                "Supported either tuple-like datasets (positional arguments) or dict-like ones "
                "(keyword arguments), not both"
            )
        self.datasets = args or kwargs
        lengths = [len(dataset) for dataset in self._each()]
        if not lengths:
            raise ValueError("At least one dataset should be passed")
        if len(set(lengths)) > 1:
            raise ValueError(f"Size mismatch between datasets: lengths {lengths}")
        self._length = lengths[0]

    def __getitem__(self, index: Any) -> Any:
        return self._together([dataset[index] for dataset in self._each()])

    def __getitems__(self, indices: list[Any]) -> list[Any]:
        columns = []
        for dataset in self._each():
            fetch_list = getattr(dataset, "__getitems__", None)
            column = [dataset[i] for i in indices] if fetch_list is None else fetch_list(indices)
            if len(column) != len(indices):
                raise ValueError(
                    f"Nested dataset's output size mismatch. Expected {len(indices)}, got {len(column)}"
                )
            columns.append(column)
        return [self._together(list(sample)) for sample in zip(*columns, strict=True)]

    def __len__(self) -> int:
        return self._length

    def _each(self) -> Iterable[Any]:
        return self.datasets.values() if isinstance(self.datasets, dict) else self.datasets

    def _together(self, values: list[Any]) -> Any:
        if isinstance(self.datasets, dict):
            return dict(zip(self.datasets, values, strict=True))
        return tuple(values)


class ChainDataset(IterableDataset[Any]):
    """Streams, one after the other; ``a + b`` of streams makes one.

    >>> class Count(IterableDataset):
    ...     def __iter__(self): return iter(range(2))
    >>> list(ChainDataset([Count(), Count()]))
    [0, 1, 0, 1]
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        super().__init__()
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise AssertionError("ChainDataset only supports IterableDataset")
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)


class ConcatDataset(Dataset[Any]):
    """Several datasets, one after the other; ``a + b`` makes one.

    >>> ds = ConcatDataset([[10, 11], [20]])
    >>> len(ds), ds[2], ds[-3]
    (3, 20, 10)
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        for dataset in self.datasets:
            if isinstance(dataset, IterableDataset):
                raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = list(itertools.accumulate(len(d) for d in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        size = len(self)
        if not -size <= index < size:
            raise IndexError(f"index {index} is out of range for a ConcatDataset of {size} samples")
        index %= size
        which = bisect_right(self.cumulative_sizes, index)
        start = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - start]


class Subset(Dataset[T_co]):
    """The samples of ``dataset`` at ``indices``, in that order.

    >>> Subset("abcdef", [4, 0])[0]
    'e'
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> T_co:
        sample: T_co = self.dataset[self.indices[index]]
        return sample

    def __getbatch__(self, indices: Indices) -> Any:
        fetch = whole_batch_method(self.dataset, "__getbatch__", "__getitem__")
        if fetch is None:
            return NotImplemented
        # Looked up one by one: `indices` may be a long list, and converting all of it for a batch would cost more.
        return fetch(np.array([self.indices[i] for i in indices.tolist()], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.indices)


def random_split(
    dataset: Any,
    lengths: Sequence[int | float],
    generator: fastnn.Generator | None = None,
) -> list[Subset[Any]]:
    """Divides a dataset at random into parts that do not overlap.

    Args:
        dataset: The dataset to divide.
        lengths: The size of each part, or fractions that sum to 1. Fractions are rounded down, and what
            remains goes to the parts in turn, one sample each.
        generator: Source of the permutation; the default generator if None.

    Raises:
        ValueError: The sizes do not sum to ``len(dataset)``, or a fraction lies outside 0 to 1.

    >>> parts = random_split(range(10), [0.75, 0.25], generator=fastnn.Generator().manual_seed(1))
    >>> [len(p) for p in parts], sorted(parts[0].indices + parts[1].indices) == list(range(10))
    ([8, 2], True)
    """
    total = len(dataset)
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        sizes = _sizes_of_fractions(total, lengths)
    else:
        sizes = [int(n) for n in lengths]
        if any(int(n) != n or n < 0 for n in lengths) or sum(sizes) != total:
            raise ValueError(
                "Sum of input lengths does not equal the length of the input dataset! "
                f"random_split got lengths {list(lengths)} for {total} samples"
            )
    order = fastnn.randperm(total, generator=generator, device="cpu").numpy().tolist()
    ends = itertools.accumulate(sizes)
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def _sizes_of_fractions(total: int, fractions: Sequence[float]) -> list[int]:
    for i, fraction in enumerate(fractions):
        if not 0 <= fraction <= 1:
            raise ValueError(f"Fraction at index {i} is not between 0 and 1: got {fraction}")
    sizes = [math.floor(total * fraction) for fraction in fractions]
    for i in range(total - sum(sizes)):
        sizes[i % len(sizes)] += 1
    for i, size in enumerate(sizes):
        if size == 0:
            warnings.warn(
                f"Length of split at index {i} is 0. This might result in an empty dataset.",
                stacklevel=3,
            )
    return sizes
