"""DataLoader: batches of a dataset, shuffled or sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

import fastnn

from .batching import whole_batch_method
from .collate import default_collate, default_convert
from .dataset import IterableDataset
from .sampler import BatchSampler, RandomSampler, SequentialSampler

__all__ = ["DataLoader"]

_FIXED = ("batch_size", "batch_sampler", "dataset", "drop_last", "sampler")


class DataLoader:
    """Iterates over a dataset in batches.

    Data in memory (`TensorDataset`, the vision datasets with `ToTensor`, `Normalize`, `Compose`) are fetched
    and transformed a whole batch at a time, without Python work per sample; `fastnn.utils.data.batching`
    describes how a dataset of your own can do the same. The values are those of the sample-by-sample way.

    Args:
        dataset: Anything with ``__getitem__`` and ``__len__``, or an `IterableDataset`.
        batch_size: Samples a batch. None: no batching, each sample is converted and returned alone.
        shuffle: Visit the samples in a new random order every epoch.
        sampler: Iterable over indices, instead of ``shuffle``.
        batch_sampler: Iterable over lists of indices, instead of ``batch_size``, ``shuffle``, ``sampler`` and
            ``drop_last``.
        num_workers: Must be 0: the batches are made in the process that asks for them.
        collate_fn: Makes a batch of a list of samples; `default_collate` if None.
        pin_memory: Must be False: there is no page-locked memory.
        drop_last: Leave out a last batch that is smaller.
        timeout: Must be 0: without workers nothing is waited for.
        worker_init_fn: Called in each worker process, of which there are none.
        multiprocessing_context, prefetch_factor, persistent_workers: Must be left out: they need workers.
        generator: Source of the random order; the default generator if None.

    Raises:
        ValueError: Arguments that contradict each other.
        NotImplementedError: ``num_workers > 0`` or ``pin_memory=True``.

    >>> ds = fastnn.utils.data.TensorDataset(fastnn.tensor([[0.0], [1.0], [2.0]]), fastnn.tensor([5, 6, 7]))
    >>> for x, y in DataLoader(ds, batch_size=2):
    ...     print(x.tolist(), y.tolist())
    [[0.0], [1.0]] [5, 6]
    [[2.0]] [7]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: fastnn.Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
    ) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        if multiprocessing_context is not None:
            raise ValueError(
                "multiprocessing_context can only be used with multi-process loading (num_workers > 0), "
                f"but got num_workers={num_workers}"
            )
        if pin_memory:
            raise NotImplementedError(
                "pin_memory=True: there is no page-locked memory; use pin_memory=False"
            )
        self._iterable = isinstance(dataset, IterableDataset)
        if self._iterable:
            _check_iterable(shuffle, sampler, batch_sampler)
        shuffle = bool(shuffle)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
            )

        if sampler is None and not self._iterable:
            sampler = (
                RandomSampler(dataset, generator=generator)
                if shuffle
                else SequentialSampler(dataset)
            )
        if batch_sampler is None and batch_size is not None:
            # For a stream this checks the arguments, and groups the samples themselves.
            batch_sampler = BatchSampler(
                dataset if self._iterable else sampler,  # type: ignore[arg-type]
                batch_size,
                drop_last,
            )

        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.drop_last = drop_last
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.prefetch_factor = prefetch_factor
        self.persistent_workers = persistent_workers
        if collate_fn is None:
            collate_fn = default_convert if batch_sampler is None else default_collate
        self.collate_fn = collate_fn
        self._initialized = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and getattr(self, "_initialized", False):
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(name, value)

    def __len__(self) -> int:
        """Batches an epoch; TypeError where the dataset or sampler has no length."""
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        return len(self.dataset if self._iterable else self.sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        if self._iterable:
            return self._iterate_stream()
        if self.batch_sampler is None:
            assert self.sampler is not None
            return (self.collate_fn(self.dataset[index]) for index in self.sampler)
        return self._iterate_batches()

    def _iterate_stream(self) -> Iterator[Any]:
        if self.batch_size is None:
            yield from (self.collate_fn(sample) for sample in self.dataset)
            return
        stream = iter(self.dataset)
        while batch := list(islice(stream, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield self.collate_fn(batch)

    def _iterate_batches(self) -> Iterator[Any]:
        assert self.batch_sampler is not None
        fetch_batch = None
        if self.collate_fn is default_collate:
            fetch_batch = whole_batch_method(self.dataset, "__getbatch__", "__getitem__")
        if fetch_batch is None:
            yield from (self._fetch_samples(indices) for indices in self.batch_sampler)
            return
        for indices in self._index_batches():
            array = np.asarray(indices)
            integral = array.ndim == 1 and array.dtype.kind in "iu"
            batch = fetch_batch(array.astype(np.int64, copy=False)) if integral else NotImplemented
            if batch is NotImplemented:
                batch = self._fetch_samples(
                    indices if isinstance(indices, list) else array.tolist()
                )
            yield batch

    def _index_batches(self) -> Iterable[Any]:
        """The epoch's batches of indices, as arrays where the sampler can give them at once."""
        assert self.batch_sampler is not None
        index_batches = whole_batch_method(self.batch_sampler, "index_batches", "__iter__")
        batches: Iterable[Any] | None = None if index_batches is None else index_batches()
        return self.batch_sampler if batches is None else batches

    def _fetch_samples(self, indices: Any) -> Any:
        fetch_list = getattr(self.dataset, "__getitems__", None)
        if fetch_list is not None:
            return self.collate_fn(fetch_list(indices))
        return self.collate_fn([self.dataset[index] for index in indices])


def _check_workers(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool
) -> None:
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable multiprocessing."
        )
    if num_workers > 0:
        raise NotImplementedError(
            f"num_workers={num_workers}: there are no worker processes yet; use num_workers=0, which fetches "
            "data in memory a whole batch at a time (see fastnn.utils.data.batching)"
        )
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if timeout > 0:
        raise ValueError(f"timeout={timeout} needs num_workers > 0; without workers use timeout=0")
    if prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing: leave it out with num_workers=0"
        )
    if persistent_workers:
        raise ValueError("persistent_workers option needs num_workers > 0")


def _check_iterable(shuffle: Any, sampler: Any, batch_sampler: Any) -> None:
    if shuffle not in (None, False):
        raise ValueError(
            f"DataLoader with IterableDataset: expected unspecified shuffle option, but got shuffle={shuffle}"
        )
    for name, value in (("sampler", sampler), ("batch_sampler", batch_sampler)):
        if value is not None:
            raise ValueError(
                f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}"
            )
