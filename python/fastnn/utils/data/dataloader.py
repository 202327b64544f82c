"""DataLoader: batches of a dataset, shuffled or sampled."""

from __future__ import annotations

import itertools
import multiprocessing
import warnings
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.context import BaseContext
from types import GenericAlias
from typing import Any

import fastnn

from .batching import whole_batch_method
from .collate import default_collate, default_convert, pin_memory
from .dataset import IterableDataset
from .fetch import END, Fetcher
from .multiprocess import WorkerIterator
from .sampler import BatchSampler, RandomSampler, SequentialSampler

__all__ = ["DataLoader"]

_FIXED = (
    "batch_size",
    "batch_sampler",
    "dataset",
    "drop_last",
    "persistent_workers",
    "sampler",
)


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
        num_workers: Processes that make the batches; 0: the process that asks for them does. Data in memory are
            fastest with 0. Workers' random numbers (fastnn's, NumPy's and ``random``'s) follow from a base
            seed, drawn from ``generator`` every epoch, and the worker's number.
        collate_fn: Makes a batch of a list of samples; `default_collate` if None.
        pin_memory: Page-locked memory, from which a GPU reads faster; without one it warns, and changes nothing.
        drop_last: Leave out a last batch that is smaller (of a stream: of every worker's part).
        timeout: Seconds to wait for a batch of the workers; 0: without end, as long as they live.
        worker_init_fn: Called in each worker process with its number.
        multiprocessing_context: "fork", "spawn", "forkserver", or a context of ``multiprocessing``; the
            platform's default if None.
        generator: Source of the random order and of the base seed; the default generator if None.
        prefetch_factor: Batches a worker makes in advance; 2 if None.
        persistent_workers: Keep the workers, and their copies of the dataset, from epoch to epoch.
        pin_memory_device: Must be "".
        in_order: False: batches come as the workers finish them.

    Raises:
        ValueError: Arguments that contradict each other.
        NotImplementedError: ``pin_memory_device`` is given.
        RuntimeError: While iterating: a worker process died, or ``timeout`` has passed. An exception of the
            dataset in a worker comes back as its own type, with the worker's traceback in the message.

    >>> ds = fastnn.utils.data.TensorDataset(fastnn.tensor([[0.0], [1.0], [2.0]]), fastnn.tensor([5, 6, 7]))
    >>> for x, y in DataLoader(ds, batch_size=2):
    ...     print(x.tolist(), y.tolist())
    [[0.0], [1.0]] [5, 6]
    [[2.0]] [7]
    """

    # Annotations such as DataLoader[Tensor] are PyTorch's; the type of a batch is not tracked here.
    __class_getitem__: Any = classmethod(GenericAlias)

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
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        self._context = _context(multiprocessing_context, num_workers)
        if pin_memory_device:
            raise NotImplementedError(
                f"DataLoader: pin_memory_device={pin_memory_device!r}: there is no page-locked memory; leave it out"
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
        self.generator = generator
        if num_workers > 0 and prefetch_factor is None:
            prefetch_factor = 2
        self.prefetch_factor = prefetch_factor
        self.in_order = in_order
        self._workers: WorkerIterator | None = None
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
        if self.pin_memory:
            from fastnn import accelerator

            if accelerator.is_available():
                return map(pin_memory, self._batches())
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, then device pinned memory "
                "won't be used.",
                stacklevel=2,
            )
        return self._batches()

    def _batches(self) -> Iterator[Any]:
        fetcher = Fetcher(
            self.dataset,
            self._iterable,
            self.batch_sampler is not None,
            self.collate_fn,
            self.drop_last,
            self.batch_size,
        )
        tasks = self._tasks(fetcher)
        if self.num_workers == 0:
            return _iterate(fetcher, tasks)
        if self.persistent_workers and self._workers is not None and not self._workers.stopped:
            self._workers.restart(tasks)
            return self._workers
        assert self.prefetch_factor is not None
        workers = WorkerIterator(
            fetcher,
            tasks,
            num_workers=self.num_workers,
            prefetch_factor=self.prefetch_factor,
            timeout=self.timeout,
            worker_init_fn=self.worker_init_fn,
            in_order=self.in_order,
            persistent=self.persistent_workers,
            context=self._context,
            generator=self.generator,
            length=self.__len__,
        )
        if self.persistent_workers:
            self._workers = workers
        return workers

    @property
    def multiprocessing_context(self) -> BaseContext | None:
        """The context whose processes the workers are; None: the platform's default."""
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: Any) -> None:
        self._context = _context(context, self.num_workers)

    def __getstate__(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "_workers": None,
        }  # processes stay with the process that started them

    def _tasks(self, fetcher: Fetcher) -> Iterable[Any]:
        """The epoch's batches of indices, as arrays where the sampler can give them at once."""
        if self._iterable:
            return itertools.repeat(None)
        if self.batch_sampler is None:
            assert self.sampler is not None
            return self.sampler
        if not fetcher.takes_arrays:
            return self.batch_sampler
        index_batches = whole_batch_method(self.batch_sampler, "index_batches", "__iter__")
        batches: Iterable[Any] | None = None if index_batches is None else index_batches()
        return self.batch_sampler if batches is None else batches


def _iterate(fetcher: Fetcher, tasks: Iterable[Any]) -> Iterator[Any]:
    for indices in tasks:
        batch = fetcher(indices)
        if batch is END:
            return
        yield batch


def _context(context: Any, num_workers: int) -> BaseContext | None:
    if context is None:
        return None if num_workers == 0 else multiprocessing.get_context()
    if num_workers == 0:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading (num_workers > 0), "
            f"but got num_workers={num_workers}"
        )
    if isinstance(context, str):
        known = multiprocessing.get_all_start_methods()
        if context not in known:
            raise ValueError(
                f"multiprocessing_context option should specify a valid start method in {known!r}, "
                f"but got multiprocessing_context={context!r}"
            )
        return multiprocessing.get_context(context)
    if not isinstance(context, BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string specifying the "
            f"start method, but got multiprocessing_context={context}"
        )
    return context


def _check_workers(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool
) -> None:
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable multiprocessing."
        )
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if prefetch_factor is not None and prefetch_factor < 1:
        raise ValueError(f"prefetch_factor option should be at least 1, got {prefetch_factor}")
    if num_workers > 0:
        return
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
