"""The part of a dataset that one of several processes visits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized
from typing import Any

import numpy as np
import numpy.typing as npt

import fastnn

from .sampler import Sampler

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """Every ``num_replicas``-th index, from ``rank``: together the replicas visit the whole dataset.

    Args:
        dataset: The dataset, of one size in all processes.
        num_replicas: Number of processes. There are no process groups to ask, so it must be given.
        rank: Which of them this one is, from 0; must be given.
        shuffle: Permute the indices, alike in all processes; `set_epoch` makes every epoch's order its own.
        seed: Seed of the permutation, the same in all processes.
        drop_last: Leave out the tail that does not divide evenly; else the first indices come again to fill it.

    Raises:
        RuntimeError: ``num_replicas`` or ``rank`` is not given.
        ValueError: ``rank`` lies outside 0 … num_replicas - 1.

    >>> [list(DistributedSampler(range(5), num_replicas=2, rank=r, shuffle=False)) for r in (0, 1)]
    [[0, 2, 4], [1, 3, 0]]
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None or rank is None:
            lacking = "num_replicas" if num_replicas is None else "rank"
            raise RuntimeError(
                f"DistributedSampler: {lacking} is not given, and there is no process group to take it from; "
                "pass num_replicas and rank"
            )
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        self.shuffle = shuffle
        self.seed = seed
        n = len(dataset)
        self.num_samples = n // num_replicas if drop_last else math.ceil(n / num_replicas)
        self.total_size = self.num_samples * num_replicas

    def index_array(self) -> npt.NDArray[np.int64]:
        """This replica's indices of the epoch."""
        n = len(self.dataset)
        order: npt.NDArray[Any] = np.arange(n)
        if self.shuffle:
            generator = fastnn.Generator().manual_seed(self.seed + self.epoch)
            order = fastnn.randperm(n, generator=generator, device="cpu").numpy()
        if n and self.total_size > n:
            order = np.resize(order, self.total_size)  # repeats from the start
        return order[self.rank : self.total_size : self.num_replicas].astype(np.int64)

    def __iter__(self) -> Iterator[int]:
        return iter(self.index_array().tolist())

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch begins: call it before every one, or all have the same order."""
        self.epoch = epoch
