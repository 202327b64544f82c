"""DistributedSampler: its parts make up the whole, and are PyTorch's where nothing is drawn."""

import pytest

from fastnn.utils.data import DataLoader, DistributedSampler


def parts(n, replicas, **options):
    return [
        list(DistributedSampler(range(n), replicas, rank, **options)) for rank in range(replicas)
    ]


@pytest.mark.parametrize(("n", "replicas"), [(12, 3), (11, 3), (2, 5), (1, 1)])
def test_the_parts_cover_the_dataset(n, replicas):
    for shuffle in (False, True):
        found = parts(n, replicas, shuffle=shuffle)
        assert len({len(part) for part in found}) == 1
        assert {i for part in found for i in part} == set(range(n))
    dropped = [i for part in parts(n, replicas, drop_last=True) for i in part]
    assert len(dropped) == len(set(dropped)) == n // replicas * replicas


def test_epochs_and_seeds_have_their_own_orders():
    sampler = DistributedSampler(range(50), 2, 0, seed=3)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(DistributedSampler(range(50), 2, 0, seed=4)) == list(sampler)  # seed + epoch


def test_in_a_loader():
    sampler = DistributedSampler(range(7), 2, 1, shuffle=False)
    loader = DataLoader(list(range(7)), batch_size=3, sampler=sampler)
    assert [b.tolist() for b in loader] == [[1, 3, 5], [0]]
    assert len(loader) == 2


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("n", "replicas"), [(11, 2), (11, 3), (3, 20), (12, 4)])
def test_as_pytorch(n, replicas, drop_last):
    data = pytest.importorskip("torch.utils.data", reason="PyTorch is not installed: an optional reference")  # fmt: skip
    options = {"shuffle": False, "drop_last": drop_last}
    for rank in range(replicas):
        expected = data.DistributedSampler(range(n), replicas, rank, **options)
        found = DistributedSampler(range(n), replicas, rank, **options)
        assert (list(found), len(found)) == (list(expected), len(expected))


def test_wrong_arguments():
    for options in ({}, {"num_replicas": 2}, {"rank": 0}):
        with pytest.raises(RuntimeError, match="pass num_replicas and rank"):
            DistributedSampler(range(3), **options)
    for rank in (-1, 2):
        with pytest.raises(ValueError, match="Invalid rank"):
            DistributedSampler(range(3), 2, rank)
