"""Samplers: what they yield, and that arrays and iteration agree."""

import numpy as np
import pytest

import fastnn
from fastnn.utils.data import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)


def generator(seed=0):
    return fastnn.Generator().manual_seed(seed)


SAMPLERS = {
    "sequential": lambda g: SequentialSampler(range(9)),
    "random": lambda g: RandomSampler(range(9), generator=g),
    "replacement": lambda g: RandomSampler(range(9), True, num_samples=40, generator=g),
    "several rounds": lambda g: RandomSampler(range(9), num_samples=21, generator=g),
    "subset": lambda g: SubsetRandomSampler([8, 3, 5], generator=g),
    "weighted": lambda g: WeightedRandomSampler([1.0, 0.0, 2.0], 30, generator=g),
    "weighted once": lambda g: WeightedRandomSampler([1.0, 0.0, 2.0], 2, False, generator=g),
}


@pytest.mark.parametrize("make", SAMPLERS.values(), ids=SAMPLERS.keys())
def test_iteration_is_the_array(make):
    array = make(generator()).index_array()
    sampler = make(generator())
    indices = list(sampler)
    assert array.dtype == np.int64
    assert array.tolist() == indices
    assert all(type(index) is int for index in indices)
    assert len(sampler) == len(indices)


def test_random_sampler_permutes():
    assert sorted(RandomSampler(range(50))) == list(range(50))
    several = list(RandomSampler(range(9), num_samples=21))
    assert sorted(several[:9]) == sorted(several[9:18]) == list(range(9))


def test_random_sampler_changes_every_epoch():
    sampler = RandomSampler(range(50), generator=generator())
    assert list(sampler) != list(sampler)


def test_random_sampler_follows_the_default_generator():
    fastnn.manual_seed(5)
    first = list(RandomSampler(range(50)))
    fastnn.manual_seed(5)
    assert list(RandomSampler(range(50))) == first


def test_replacement_draws_uniformly():
    drawn = np.array(list(RandomSampler(range(4), True, num_samples=40_000, generator=generator())))
    counts = np.bincount(drawn, minlength=4)
    # Standard deviation of each count: sqrt(40000 * 1/4 * 3/4) = 87; five of them.
    assert (abs(counts - 10_000) < 435).all()


def test_weighted_sampler_follows_its_weights():
    weights = [0.0, 1.0, 3.0, 0.0]
    drawn = list(WeightedRandomSampler(weights, 40_000, generator=generator()))
    counts = np.bincount(drawn, minlength=4)
    assert counts[0] == counts[3] == 0
    assert abs(counts[1] - 10_000) < 435


def test_weighted_sampler_without_replacement_prefers_heavy_indices():
    firsts = [
        WeightedRandomSampler([1.0, 3.0], 2, False, generator=generator(seed)).index_array()[0]
        for seed in range(2000)
    ]
    # The heavy one comes first with probability 3/4; sd of the mean sqrt(3/16/2000) = 0.0097.
    assert abs(np.mean(firsts) - 0.75) < 0.05


@pytest.mark.parametrize("drop_last", [False, True])
def test_batch_sampler_arrays_are_its_lists(drop_last):
    batches = BatchSampler(SequentialSampler(range(10)), 4, drop_last)
    lists = list(batches)
    assert lists == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]][: 2 if drop_last else 3]
    assert [b.tolist() for b in batches.index_batches()] == lists
    assert len(batches) == len(lists)


def test_batch_sampler_takes_any_iterable():
    batches = BatchSampler(iter("abc"), 2, drop_last=False)
    assert batches.index_batches() is None
    assert list(batches) == [["a", "b"], ["c"]]


def test_an_overridden_iter_is_obeyed():
    class Backwards(SequentialSampler):
        def __iter__(self):
            return iter(range(len(self) - 1, -1, -1))

    batches = BatchSampler(Backwards(range(3)), 2, drop_last=False)
    assert batches.index_batches() is None
    assert list(batches) == [[2, 1], [0]]


def test_sampler_base_class():
    class Nothing(Sampler):
        pass

    with pytest.raises(NotImplementedError, match="Nothing must define __iter__"):
        iter(Nothing())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RandomSampler(range(3), replacement=1), TypeError, "replacement"),
        (lambda: RandomSampler(range(3), num_samples=0), ValueError, "num_samples=0"),
        (lambda: RandomSampler([]), ValueError, "num_samples=0"),
        (lambda: BatchSampler([1], 0, False), ValueError, "batch_size=0"),
        (lambda: BatchSampler([1], True, False), ValueError, "batch_size=True"),
        (lambda: BatchSampler([1], 2, 1), ValueError, "drop_last=1"),
        (lambda: WeightedRandomSampler([[1.0]], 1), ValueError, "1d sequence"),
        (lambda: WeightedRandomSampler([1.0, -1.0], 1), ValueError, "at least 0"),
        (lambda: WeightedRandomSampler([0.0], 1), ValueError, "not all 0"),
        (lambda: WeightedRandomSampler([float("nan")], 1), ValueError, "finite"),
        (lambda: WeightedRandomSampler([1.0, 0.0], 2, False), ValueError, "1 positive weight"),
        (lambda: WeightedRandomSampler([1.0], 1.5), ValueError, "num_samples=1.5"),
    ],
)
def test_wrong_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()
