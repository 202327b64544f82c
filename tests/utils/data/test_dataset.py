"""Datasets and random_split."""

import numpy as np
import pytest

import fastnn
from fastnn.utils.data import (
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)


def test_tensor_dataset_gives_rows():
    x = fastnn.from_numpy(np.arange(6.0).reshape(3, 2))
    y = fastnn.tensor([5, 6, 7])
    dataset = TensorDataset(x, y)
    assert len(dataset) == 3
    first, second = dataset[1]
    np.testing.assert_array_equal(first.numpy(), [2, 3])
    assert second.item() == 6


def test_tensor_dataset_needs_equal_sizes():
    with pytest.raises(AssertionError, match=r"Size mismatch.*\(3, 2\), \(4,\)"):
        TensorDataset(fastnn.zeros(3, 2), fastnn.zeros(4))
    with pytest.raises(AssertionError, match="Size mismatch"):
        TensorDataset(fastnn.tensor(1.0))
    with pytest.raises(ValueError, match="at least one"):
        TensorDataset()


def test_base_classes_say_what_is_missing():
    class Empty(Dataset):
        pass

    class EmptyStream(IterableDataset):
        pass

    with pytest.raises(NotImplementedError, match="Empty must define __getitem__"):
        Empty()[0]
    with pytest.raises(NotImplementedError, match="EmptyStream must define __iter__"):
        iter(EmptyStream())


def test_subset_and_nested_subset():
    subset = Subset(Subset("abcdef", [5, 3, 1]), [2, 0])
    assert [subset[i] for i in range(len(subset))] == ["b", "f"]


def test_concat_dataset():
    joined = TensorDataset(fastnn.tensor([1, 2])) + TensorDataset(fastnn.tensor([3]))
    assert isinstance(joined, ConcatDataset)
    assert [joined[i][0].item() for i in range(-3, 3)] == [1, 2, 3, 1, 2, 3]
    with pytest.raises(IndexError, match="index 3 is out of range"):
        joined[3]
    with pytest.raises(AssertionError, match="empty"):
        ConcatDataset([])


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [([7, 3], [7, 3]), ([0.5, 0.5], [5, 5]), ([1 / 3, 1 / 3, 1 / 3], [4, 3, 3]), ([10], [10])],
)
def test_random_split_divides_without_overlap(lengths, sizes):
    parts = random_split(range(10), lengths, generator=fastnn.Generator().manual_seed(3))
    assert [len(part) for part in parts] == sizes
    assert sorted(part[i] for part in parts for i in range(len(part))) == list(range(10))


def test_random_split_follows_its_generator():
    def order(seed):
        generator = fastnn.Generator().manual_seed(seed)
        return [list(part.indices) for part in random_split(range(20), [12, 8], generator)]

    assert order(1) == order(1)
    assert order(1) != order(2)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([5, 4], "Sum of input lengths"),
        ([12, -2], "Sum of input lengths"),
        ([0.5, 0.4], "Sum of input lengths"),
        ([1.5, -0.5], "Fraction at index 0"),
    ],
)
def test_random_split_refuses_wrong_lengths(lengths, message):
    with pytest.raises(ValueError, match=message):
        random_split(range(10), lengths)


def test_random_split_warns_of_an_empty_part():
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        parts = random_split(range(4), [0.5, 0.0, 0.5])
    assert [len(part) for part in parts] == [2, 0, 2]


def test_stacked_datasets():
    images = TensorDataset(fastnn.arange(6.0).reshape(3, 2))
    pairs = StackDataset(images, [5, 6, 7])
    assert len(pairs) == 3
    (row,), number = pairs[1]
    assert (row.tolist(), number) == ([2.0, 3.0], 6)
    (batch,), numbers = next(iter(DataLoader(pairs, batch_size=2)))
    assert (batch.tolist(), numbers.tolist()) == ([[0.0, 1.0], [2.0, 3.0]], [5, 6])
    named = StackDataset(x=[1, 2], y="ab")
    assert named[-1] == {"x": 2, "y": "b"}
    assert named.__getitems__([1, 0]) == [{"x": 2, "y": "b"}, {"x": 1, "y": "a"}]


def test_stacked_datasets_use_their_getitems():
    class Lists(Dataset):
        def __len__(self):
            return 3

        def __getitems__(self, indices):
            return [10 * i for i in indices][: 3 if self.whole else 1]

    lists = Lists()
    lists.whole = True
    assert StackDataset(lists, "abc").__getitems__([2, 1]) == [(20, "c"), (10, "b")]
    lists.whole = False
    with pytest.raises(ValueError, match="Expected 2, got 1"):
        StackDataset(lists, "abc").__getitems__([2, 1])


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [(("ab", "abc"), {}, "Size mismatch"), ((), {}, "At least one"), (("a",), {"x": "b"}, "not both")],
)  # fmt: skip
def test_stacked_datasets_refuse(args, kwargs, message):
    with pytest.raises(ValueError, match=message):
        StackDataset(*args, **kwargs)


def test_chained_streams():
    class Count(IterableDataset):
        def __init__(self, n):
            self.n = n

        def __iter__(self):
            return iter(range(self.n))

        def __len__(self):
            return self.n

    chain = Count(2) + Count(3)
    assert isinstance(chain, ChainDataset)
    assert list(chain) == [0, 1, 0, 1, 2]
    assert len(chain) == 5
    assert [b.tolist() for b in DataLoader(chain, batch_size=3)] == [[0, 1, 0], [1, 2]]
    with pytest.raises(AssertionError, match="IterableDataset"):
        list(ChainDataset([[1, 2]]))
