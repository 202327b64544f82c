"""Samplers: the order in which a DataLoader visits a dataset.

The samplers here compute an epoch's indices as one array (``index_array``, see `batching`), and iterate over it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

import fastnn

from .batching import whole_batch_method

__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]

T_co = TypeVar("T_co", covariant=True)
Indices = npt.NDArray[np.int64]


class Sampler(Generic[T_co]):
    """Base class: subclasses define ``__iter__`` over indices, and ``__len__`` where the number is known."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__")


class _ArraySampler(Sampler[int]):
    """A sampler that knows an epoch's indices as an array."""

    def index_array(self) -> Indices:
        """The epoch's indices, as an array."""
        raise NotImplementedError(f"{type(self).__name__} must define index_array")

    def __iter__(self) -> Iterator[int]:
        yield from self.index_array().tolist()


class SequentialSampler(_ArraySampler):
    """0, 1, 2, … in order.

    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def index_array(self) -> Indices:
        """The epoch's indices, as an array."""
        return np.arange(len(self.data_source), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(_ArraySampler):
    """The indices in random order, or drawn with replacement.

    Args:
        data_source: The dataset.
        replacement: Draw each index anew from all of them.
        num_samples: How many to draw; ``len(data_source)`` by default. Without replacement, more than the
            dataset holds means several permutations, one after the other.
        generator: Source of randomness; the default generator if None.

    >>> sampler = RandomSampler(range(4), generator=fastnn.Generator().manual_seed(0))
    >>> sorted(sampler), sorted(sampler)
    ([0, 1, 2, 3], [0, 1, 2, 3])
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: fastnn.Generator | None = None,
    ) -> None:
        if not isinstance(replacement, bool):
            raise TypeError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        _check_num_samples(self.num_samples)

    @property
    def num_samples(self) -> int:
        """Indices an epoch; it follows the dataset's length where it was not given."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def index_array(self) -> Indices:
        """The epoch's indices, as an array."""
        n, wanted = len(self.data_source), self.num_samples
        if self.replacement:
            drawn: Indices = fastnn.randint(
                n, (wanted,), generator=self.generator, device="cpu"
            ).numpy()
            return drawn
        rounds = math.ceil(wanted / n)
        orders = [
            fastnn.randperm(n, generator=self.generator, device="cpu").numpy()
            for _ in range(rounds)
        ]
        return np.concatenate(orders)[:wanted]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(_ArraySampler):
    """The given indices in random order.

    >>> sorted(SubsetRandomSampler([7, 2, 5]))
    [2, 5, 7]
    """

    def __init__(self, indices: Sequence[int], generator: fastnn.Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def index_array(self) -> Indices:
        """The epoch's indices, as an array."""
        order = fastnn.randperm(len(self.indices), generator=self.generator, device="cpu").numpy()
        chosen: Indices = np.asarray(self.indices, dtype=np.int64)[order]
        return chosen

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(_ArraySampler):
    """Indices 0 … len(weights) - 1, drawn with probabilities in proportion to ``weights``.

    Args:
        weights: One number ≥ 0 an index; they need not sum to 1.
        num_samples: How many to draw.
        replacement: If False, no index comes twice, and ``num_samples`` is at most the number of positive weights.
        generator: Source of randomness; the default generator if None.

    >>> sorted(WeightedRandomSampler([0.0, 1.0, 3.0], num_samples=2, replacement=False))
    [1, 2]
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: fastnn.Generator | None = None,
    ) -> None:
        _check_num_samples(num_samples)
        if not isinstance(replacement, bool):
            raise ValueError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        array = np.asarray(weights, dtype=np.float64)
        if array.ndim != 1:
            raise ValueError(
                f"weights should be a 1d sequence but given weights have shape {array.shape}"
            )
        if not np.isfinite(array).all() or (array < 0).any() or not array.any():
            raise ValueError("weights should be finite, at least 0, and not all 0")
        positive = int(np.count_nonzero(array))
        if not replacement and num_samples > positive:
            raise ValueError(
                f"cannot draw num_samples={num_samples} without replacement from {positive} positive weights"
            )
        self.weights = fastnn.from_numpy(array)
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def index_array(self) -> Indices:
        """The epoch's indices, as an array."""
        weights = self.weights.numpy()
        if self.replacement:
            cumulative = np.cumsum(weights)
            points = _uniform(self.num_samples, self.generator) * cumulative[-1]
            # side="right" steps over indices of weight 0; rounding must not step past the last positive weight.
            drawn = np.searchsorted(cumulative, points, side="right")
            inside: Indices = np.minimum(drawn, np.flatnonzero(weights)[-1])
            return inside
        # Efraimidis and Spirakis 2006: the order of exponential waiting times with rates `weights` is a draw
        # without replacement.
        with np.errstate(divide="ignore"):
            waiting = -np.log1p(-_uniform(len(weights), self.generator)) / weights
        waiting[weights == 0] = np.inf
        return np.argsort(waiting, kind="stable")[: self.num_samples]

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Groups another sampler's indices into lists of ``batch_size``.

    Args:
        sampler: Anything that iterates over indices.
        batch_size: Indices a batch.
        drop_last: Leave out a last batch that is smaller.

    >>> list(BatchSampler(SequentialSampler(range(5)), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool) -> None:
        _check_batch_size(batch_size)
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def index_batches(self) -> Iterator[Indices] | None:
        """The epoch's batches as arrays, or None if the sampler has no ``index_array``."""
        index_array = whole_batch_method(self.sampler, "index_array", "__iter__")
        if index_array is None:
            return None
        indices: Indices = index_array()
        stop = len(indices) - len(indices) % self.batch_size if self.drop_last else len(indices)
        starts = range(0, stop, self.batch_size)
        return (indices[start : start + self.batch_size] for start in starts)

    def __len__(self) -> int:
        n = len(self.sampler)  # type: ignore[arg-type]  # a sampler of unknown length raises TypeError here
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


def _uniform(n: int, generator: fastnn.Generator | None) -> npt.NDArray[np.float64]:
    """n numbers in [0, 1) with 53 random bits."""
    drawn: npt.NDArray[np.float64] = fastnn.rand(
        n, generator=generator, dtype=fastnn.float64, device="cpu"
    ).numpy()
    return drawn


def _check_num_samples(num_samples: Any) -> None:
    if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
        raise ValueError(
            f"num_samples should be a positive integer value, but got num_samples={num_samples}"
        )


def _check_batch_size(batch_size: Any) -> None:
    if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
        raise ValueError(
            f"batch_size should be a positive integer value, but got batch_size={batch_size}"
        )
