"""Fetching: from a batch of indices, or the next samples of a stream, to the collated batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from .batching import whole_batch_method
from .collate import default_collate

__all__ = ["END", "Fetcher"]


class _End:
    """What a stream's fetcher returns when nothing is left."""


END = _End()


class Fetcher:
    """Makes the batches of one epoch, in the process that iterates or in a worker.

    Args:
        dataset: The dataset.
        stream: Whether it is an `IterableDataset`.
        batched: False where ``batch_size=None``: each sample is converted alone.
        collate_fn: Makes a batch of a list of samples.
        drop_last: Leave out a stream's last batch that is smaller.
        batch_size: Samples a batch of a stream.
    """

    def __init__(
        self,
        dataset: Any,
        stream: bool,
        batched: bool,
        collate_fn: Callable[[Any], Any],
        drop_last: bool,
        batch_size: int | None,
    ) -> None:
        self.dataset = dataset
        self.stream = stream
        self.batched = batched
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.batch_size = batch_size
        self._samples: Iterator[Any] | None = None
        self._fetch_batch = None
        if batched and not stream and collate_fn is default_collate:
            self._fetch_batch = whole_batch_method(dataset, "__getbatch__", "__getitem__")

    @property
    def takes_arrays(self) -> bool:
        """Whether indices may come as an array: the dataset has a whole-batch method."""
        return self._fetch_batch is not None

    def __call__(self, indices: Any) -> Any:
        """The batch of these indices; of a stream, the next one or `END`."""
        if self.stream:
            return self._next_of_stream()
        if not self.batched:
            return self.collate_fn(self.dataset[indices])
        if self._fetch_batch is not None:
            array = np.asarray(indices)
            if array.ndim == 1 and array.dtype.kind in "iu":
                batch = self._fetch_batch(array.astype(np.int64, copy=False))
                if batch is not NotImplemented:
                    return batch
            if not isinstance(indices, list):
                indices = array.tolist()
        fetch_list = getattr(self.dataset, "__getitems__", None)
        if fetch_list is not None:
            return self.collate_fn(fetch_list(indices))
        return self.collate_fn([self.dataset[index] for index in indices])

    def _next_of_stream(self) -> Any:
        if self._samples is None:
            self._samples = iter(self.dataset)
        if not self.batched:
            for sample in self._samples:
                return self.collate_fn(sample)
            return END
        batch = list(islice(self._samples, self.batch_size))
        assert self.batch_size is not None
        if not batch or (self.drop_last and len(batch) < self.batch_size):
            return END
        return self.collate_fn(batch)
