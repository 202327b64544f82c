"""DataLoader: batches, arguments, and the whole-batch path against the sample-by-sample one."""

import numpy as np
import pytest

import fastnn
from fastnn.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    default_collate,
    default_convert,
)
from fastnn.vision import transforms
from fastnn.vision.datasets import VisionDataset


class Images(VisionDataset):
    """Small random images with labels."""

    def __init__(self, shape=(7, 5, 4), transform=None, target_transform=None, **kwargs):
        super().__init__(None, transform=transform, target_transform=target_transform, **kwargs)
        rng = np.random.default_rng(0)
        self.data = rng.integers(0, 256, shape, dtype=np.uint8)
        self.targets = rng.integers(0, 10, shape[0]).tolist()


class Stream(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))


class SizedStream(Stream):
    def __len__(self):
        return self.n


def slow_collate(samples):
    """Not `default_collate` itself, so the loader goes sample by sample."""
    return default_collate(samples)


def assert_same_batches(dataset, **options):
    """The whole-batch path gives the values, dtypes and types of the sample-by-sample path."""

    def generator():
        return fastnn.Generator().manual_seed(1)

    fast = list(DataLoader(dataset, generator=generator(), **options))
    slow = list(DataLoader(dataset, generator=generator(), collate_fn=slow_collate, **options))
    assert len(fast) == len(slow) > 0
    for a, b in zip(fast, slow, strict=True):
        assert type(a) is type(b) is list
        for x, y in zip(a, b, strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x.numpy(), y.numpy())
            assert x.numpy().flags.c_contiguous


def forbid_samples(dataset_class):
    """A subclass that has the whole-batch method only."""

    class NoSamples(dataset_class):
        def __getitem__(self, index):
            raise AssertionError("a sample was fetched alone")

        def __getbatch__(self, indices):
            return super().__getbatch__(indices)

    return NoSamples


TO_TENSOR = transforms.ToTensor()
CHAIN = transforms.Compose([TO_TENSOR, transforms.Normalize((0.3,), (0.7,))])
COLOUR = transforms.Compose(
    [TO_TENSOR, transforms.Normalize((0.1, 0.2, 0.3), (0.5, 0.6, 0.7), inplace=True)]
)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 7, 20])
def test_tensor_dataset_by_batches(batch_size, drop_last, shuffle):
    rng = np.random.default_rng(0)
    x = fastnn.from_numpy(rng.standard_normal((21, 2, 3)).astype(np.float32))
    dataset = TensorDataset(x, fastnn.from_numpy(np.arange(21)))
    assert_same_batches(dataset, batch_size=batch_size, drop_last=drop_last, shuffle=shuffle)


@pytest.mark.parametrize(
    ("shape", "transform"),
    [
        ((7, 5, 4), None),
        ((7, 5, 4), TO_TENSOR),
        ((7, 5, 4), CHAIN),
        ((7, 5, 4, 3), TO_TENSOR),
        ((7, 5, 4, 3), COLOUR),
    ],
)
def test_images_by_batches(shape, transform):
    assert_same_batches(Images(shape, transform), batch_size=3, shuffle=True)
    fetched_whole = forbid_samples(Images)(shape, transform)
    assert len(list(DataLoader(fetched_whole, batch_size=3))) == 3


def test_subset_by_batches():
    assert_same_batches(Subset(Images(transform=CHAIN), [6, 0, 3, 3]), batch_size=3)
    whole = Subset(forbid_samples(Images)(transform=CHAIN), [6, 0, 3])
    assert len(list(DataLoader(whole, batch_size=2))) == 2


def test_strided_and_read_only_tensors():
    base = np.arange(60.0).reshape(6, 10)
    base.setflags(write=False)
    dataset = TensorDataset(fastnn.from_numpy(np.array(base)[::-1, ::2].T))
    assert_same_batches(dataset, batch_size=2)


@pytest.mark.parametrize(
    "options",
    [
        {"transform": transforms.Compose([TO_TENSOR, transforms.Lambda(lambda x: x * 2)])},
        {"transform": lambda image: fastnn.from_numpy(image.copy())},
        {"transform": TO_TENSOR, "target_transform": lambda label: label + 100},
    ],
)
def test_transforms_without_a_batched_form(options):
    assert_same_batches(Images(**options), batch_size=3)


def test_joint_transforms():
    dataset = Images()
    dataset.transforms = lambda image, target: (image[:2], -target)
    assert_same_batches(dataset, batch_size=3)


def test_overridden_getitem_is_obeyed():
    class Negative(Images):
        def __getitem__(self, index):
            image, target = super().__getitem__(index)
            return 255 - image, target

    images, _ = next(iter(DataLoader(Negative(), batch_size=2)))
    np.testing.assert_array_equal(images.numpy(), 255 - Images().data[:2])


def test_overridden_transforms_are_obeyed():
    class Doubling(transforms.ToTensor):
        def __call__(self, pic):
            return super().__call__(pic) * 2

    class Shifting(transforms.Normalize):
        def forward(self, tensor):
            return super().forward(tensor) + 1

    assert_same_batches(Images(transform=Doubling()), batch_size=3)
    chain = transforms.Compose([TO_TENSOR, Shifting((0.5,), (0.5,))])
    assert_same_batches(Images(transform=chain), batch_size=3)


def test_changed_data_are_seen():
    dataset = Images()
    loader = DataLoader(dataset, batch_size=7)
    dataset.data = dataset.data // 2
    dataset.targets = [9] * 7
    images, labels = next(iter(loader))
    np.testing.assert_array_equal(images.numpy(), dataset.data)
    assert labels.numpy().tolist() == [9] * 7


def test_batches_do_not_share_memory_with_the_dataset():
    x = fastnn.zeros(4, 2)
    (batch,) = next(iter(DataLoader(TensorDataset(x), batch_size=4)))
    batch += 1
    assert x.numpy().sum() == 0


def test_gradients_reach_tensors_of_the_dataset():
    x = fastnn.ones(4, 2).requires_grad_()
    (batch,) = next(iter(DataLoader(TensorDataset(x), batch_size=3)))
    batch.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy().sum(axis=1), [2, 2, 2, 0])


def test_getitems_of_the_user():
    class Lists(Dataset):
        def __len__(self):
            return 5

        def __getitems__(self, indices):
            return [10 * i for i in indices]

    batches = [b.numpy().tolist() for b in DataLoader(Lists(), batch_size=3)]
    assert batches == [[0, 10, 20], [30, 40]]


def test_annotations_with_the_type_of_a_batch():
    assert DataLoader[fastnn.Tensor].__origin__ is DataLoader


def test_own_collate_function():
    assert list(DataLoader(range(5), batch_size=2, collate_fn=tuple)) == [(0, 1), (2, 3), (4,)]


def test_keys_that_are_not_numbers():
    words = {"one": 1, "two": 2}
    loader = DataLoader(words, batch_size=2, sampler=["two", "one"])
    assert next(iter(loader)).numpy().tolist() == [2, 1]


def test_samplers():
    dataset = TensorDataset(fastnn.from_numpy(np.arange(10)))
    loader = DataLoader(dataset, batch_size=2, sampler=SubsetRandomSampler([1, 5, 7]))
    assert sorted(i for (b,) in loader for i in b.numpy().tolist()) == [1, 5, 7]
    loader = DataLoader(dataset, batch_sampler=[[3, 4, 5], [0]])
    assert [b.numpy().tolist() for (b,) in loader] == [[3, 4, 5], [0]]
    assert len(loader) == 2
    assert loader.batch_size is None
    batches = BatchSampler(SequentialSampler(dataset), 4, drop_last=True)
    assert len(list(DataLoader(dataset, batch_sampler=batches))) == len(batches) == 2


def test_an_index_out_of_range_raises():
    dataset = TensorDataset(fastnn.zeros(3))
    with pytest.raises(IndexError):
        list(DataLoader(dataset, batch_sampler=[[0, 3]]))


def test_without_batching():
    dataset = TensorDataset(fastnn.tensor([1.0, 2.0]))
    loader = DataLoader(dataset, batch_size=None)
    assert loader.collate_fn is default_convert
    assert [x.item() for (x,) in loader] == [1.0, 2.0]
    assert len(loader) == 2
    assert [x.shape for x in DataLoader(np.zeros((3, 2)), batch_size=None)] == [(2,)] * 3


def test_shuffling_changes_every_epoch_and_follows_the_seed():
    dataset = TensorDataset(fastnn.from_numpy(np.arange(100)))

    def epochs():
        fastnn.manual_seed(4)
        loader = DataLoader(dataset, batch_size=100, shuffle=True)
        return [next(iter(loader))[0].numpy().tolist() for _ in range(2)]

    first, second = epochs()
    assert first != second
    assert sorted(first) == sorted(second) == list(range(100))
    assert epochs() == [first, second]


@pytest.mark.parametrize(("drop_last", "count"), [(False, 3), (True, 2)])
def test_length(drop_last, count):
    loader = DataLoader(range(5), batch_size=2, drop_last=drop_last)
    assert len(loader) == len(list(loader)) == count


@pytest.mark.parametrize(("drop_last", "expected"), [(False, [[0, 1], [2]]), (True, [[0, 1]])])
def test_streams(drop_last, expected):
    loader = DataLoader(SizedStream(3), batch_size=2, drop_last=drop_last)
    assert [b.numpy().tolist() for b in loader] == expected
    assert len(loader) == len(expected)
    assert list(DataLoader(Stream(3), batch_size=None)) == [0, 1, 2]
    with pytest.raises(TypeError):
        len(DataLoader(Stream(3), batch_size=2))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_workers": -1}, ValueError, "non-negative"),
        ({"timeout": -1}, ValueError, "non-negative"),
        ({"timeout": 3}, ValueError, "timeout=0"),
        ({"prefetch_factor": 2}, ValueError, "prefetch_factor"),
        ({"persistent_workers": True}, ValueError, "persistent_workers"),
        ({"multiprocessing_context": "fork"}, ValueError, "multiprocessing_context"),
        ({"sampler": [0], "shuffle": True}, ValueError, "mutually exclusive with shuffle"),
        ({"batch_sampler": [[0]], "batch_size": 2}, ValueError, "batch_sampler"),
        ({"batch_sampler": [[0]], "shuffle": True}, ValueError, "batch_sampler"),
        ({"batch_sampler": [[0]], "sampler": [0]}, ValueError, "batch_sampler"),
        ({"batch_sampler": [[0]], "drop_last": True}, ValueError, "batch_sampler"),
        ({"batch_size": None, "drop_last": True}, ValueError, "drop_last"),
        ({"batch_size": 0}, ValueError, "batch_size=0"),
        ({"batch_size": 2.0}, ValueError, "batch_size=2.0"),
    ],
)
def test_contradicting_arguments(options, error, message):
    with pytest.raises(error, match=message):
        DataLoader(range(4), **options)


@pytest.mark.parametrize(
    "options", [{"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}, {"batch_size": 0}]
)
def test_streams_take_no_order(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        DataLoader(Stream(3), **options)


@pytest.mark.parametrize(
    "name", ["batch_size", "batch_sampler", "dataset", "drop_last", "sampler", "persistent_workers"]
)
def test_attributes_are_fixed(name):
    loader = DataLoader(range(4))
    with pytest.raises(ValueError, match=f"{name} attribute should not be set"):
        setattr(loader, name, None)
