"""The image data sets: layouts on disk, samples, damage, and what is missing."""

import gzip
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn.vision import transforms
from fastnn.vision.datasets import CIFAR10, MNIST, FashionMNIST, MNISTSample, VisionDataset
from fastnn.vision.datasets.idx import read_idx, write_idx

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 28, 28), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9], dtype=np.uint8)
NAMES = ("images-idx3-ubyte", "labels-idx1-ubyte")


def lay_out_mnist(root, name="MNIST", suffix=".gz"):
    raw = Path(root, name, "raw")
    raw.mkdir(parents=True)
    for split, start in (("train", 0), ("t10k", 4)):
        write_idx(raw / f"{split}-{NAMES[0]}{suffix}", IMAGES[start:])
        write_idx(raw / f"{split}-{NAMES[1]}{suffix}", LABELS[start:])
    return raw


def lay_out_cifar_bin(root, per_batch=2):
    folder = Path(root, "cifar-10-batches-bin")
    folder.mkdir()
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    records = RNG.integers(0, 256, (len(names), per_batch, 3073), dtype=np.uint8)
    records[:, :, 0] %= 10
    for name, batch in zip(names, records, strict=True):
        batch.tofile(folder / f"{name}.bin")
    return records


# -- IDX ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
def test_idx_round_trip(tmp_path, dtype, suffix):
    array = RNG.integers(0, 100, (3, 2, 4)).astype(dtype)
    path = tmp_path / f"x{suffix}"
    write_idx(path, array)
    result = read_idx(path)
    assert result.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(result, array)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_every_cut_of_an_idx_file_is_an_error(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    write_idx(path, np.arange(12, dtype=np.uint8).reshape(3, 4))
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=f"{path.name}: "):
            read_idx(path)


def test_idx_errors_say_what_was_expected(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"\0\0\x08\x01\0\0\0\x05abc")
    with pytest.raises(ValueError, match=r"x: truncated.*\(5,\) of uint8 needs 5 bytes, found 3"):
        read_idx(path)
    path.write_bytes(b"\0\0\x08\x01\0\0\0\x02abc")
    with pytest.raises(ValueError, match="needs 2 bytes, found more"):
        read_idx(path)
    path.write_bytes(b"GIF89a")
    with pytest.raises(ValueError, match="not an IDX file: it starts with bytes 47 49 46 38"):
        read_idx(path)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_huge_size_in_the_header_takes_no_memory(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    content = b"\0\0\x08\x03" + b"\xff" * 12 + b"abc"
    path.write_bytes(gzip.compress(content) if suffix else content)
    with pytest.raises(ValueError, match=r"truncated IDX file.*found 3 bytes"):
        read_idx(path)


def test_damaged_gzip(tmp_path):
    path = tmp_path / "x.gz"
    write_idx(path, RNG.integers(0, 256, 1000).astype(np.uint8))
    content = bytearray(path.read_bytes())
    content[500] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.gz: damaged or truncated gzip"):
        read_idx(path)


# -- MNIST -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist_layout(tmp_path, kind, suffix):
    lay_out_mnist(tmp_path, kind.__name__, suffix)
    training, test = kind(tmp_path), kind(str(tmp_path), train=False)
    assert (len(training), len(test)) == (6, 2)
    np.testing.assert_array_equal(training.data.numpy(), IMAGES)
    assert training.data.dtype == fastnn.uint8
    assert training.targets.dtype == fastnn.int64
    assert training.targets.numpy().tolist() == LABELS.tolist()
    image, label = test[1]
    assert type(image) is np.ndarray
    assert type(label) is int
    np.testing.assert_array_equal(image, IMAGES[5])
    assert label == 9
    assert training.class_to_idx[training.classes[3]] == 3
    assert len(training.classes) == 10


def test_transforms_are_applied(tmp_path):
    lay_out_mnist(tmp_path)
    dataset = MNIST(tmp_path, transform=transforms.ToTensor(), target_transform=lambda t: -t)
    image, label = dataset[0]
    assert image.shape == (1, 28, 28)
    assert label == -3


def test_missing_files_are_named(tmp_path):
    with pytest.raises(RuntimeError, match=r"MNIST/raw lacks train-images.*download=True"):
        MNIST(tmp_path)
    raw = lay_out_mnist(tmp_path)
    (raw / "t10k-labels-idx1-ubyte.gz").unlink()
    assert len(MNIST(tmp_path)) == 6
    with pytest.raises(RuntimeError, match=r"raw lacks t10k-labels-idx1-ubyte \(plain or \.gz\)"):
        MNIST(tmp_path, train=False)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (NAMES[1], LABELS[:2], "expected a label for each of the 6 images.*found 2"),
        (NAMES[1], LABELS + np.uint8(1), "expected labels 0 to 9, found 10"),
        (NAMES[0], LABELS, r"expected 3 dimension\(s\) of uint8, found 1"),
        (NAMES[1], LABELS.astype(np.int32), "found 1 of int32"),
    ],
)
def test_files_that_do_not_fit(tmp_path, name, array, message):
    write_idx(lay_out_mnist(tmp_path) / f"train-{name}.gz", array)
    with pytest.raises(ValueError, match=message):
        MNIST(tmp_path)


def test_representation(tmp_path):
    lay_out_mnist(tmp_path)
    chain = transforms.Compose([transforms.ToTensor()])
    assert repr(MNIST(tmp_path, transform=chain)) == (
        "Dataset MNIST\n"
        "    Number of datapoints: 6\n"
        f"    Root location: {tmp_path}\n"
        "    Split: Train\n"
        "    StandardTransform\n"
        "    Transform: Compose(\n"
        "                   ToTensor()\n"
        "               )"
    )


def test_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    lay_out_mnist(tmp_path / "sets")
    assert len(MNIST(os.path.join("~", "sets"))) == 6


def test_transforms_exclude_each_other():
    with pytest.raises(ValueError, match="Only transforms or transform/target_transform"):
        VisionDataset(transforms=lambda x, y: (x, y), transform=abs)


# -- the sample inside the package -------------------------------------------------------------------------


@pytest.mark.parametrize(("train", "count"), [(True, 600), (False, 100)])
def test_the_sample_is_balanced(train, count):
    sample = MNISTSample(train=train)
    assert sample.data.shape == (10 * count, 28, 28)
    assert np.bincount(sample.targets.numpy()).tolist() == [count] * 10
    assert sample.classes == MNIST.classes
    assert f"Split: {'Train' if train else 'Test'}" in repr(sample)


@pytest.mark.parametrize(("train", "count"), [(True, 600), (False, 100)])
def test_the_sample_is_the_beginning_of_each_class(train, count, mnist_root):
    sample, whole = MNISTSample(train=train), MNIST(mnist_root, train=train)
    targets = whole.targets.numpy()
    chosen = np.sort(np.concatenate([np.flatnonzero(targets == d)[:count] for d in range(10)]))
    np.testing.assert_array_equal(sample.data.numpy(), whole.data.numpy()[chosen])
    np.testing.assert_array_equal(sample.targets.numpy(), targets[chosen])


@pytest.fixture
def mnist_root():
    root = os.environ.get("FASTNN_DATA")
    if root is None or not Path(root, "MNIST").is_dir():
        pytest.skip("needs the full MNIST: set FASTNN_DATA to the folder that holds MNIST/raw")
    return root


def test_the_full_mnist(mnist_root):
    training, test = MNIST(mnist_root), MNIST(mnist_root, train=False)
    assert training.data.shape == (60_000, 28, 28)
    assert test.data.shape == (10_000, 28, 28)
    assert training.targets.numpy()[:5].tolist() == [5, 0, 4, 1, 9]
    # The mean that everybody normalizes MNIST with.
    assert abs(training.data.numpy().mean() / 255 - 0.1307) < 5e-5


# -- CIFAR-10 ----------------------------------------------------------------------------------------------


def test_cifar_binary_layout(tmp_path):
    records = lay_out_cifar_bin(tmp_path)
    training, test = CIFAR10(tmp_path), CIFAR10(tmp_path, train=False)
    assert (len(training), len(test)) == (10, 2)
    assert training.data.shape == (10, 32, 32, 3)
    assert training.targets == records[:5, :, 0].ravel().tolist()
    image, label = training[3]
    np.testing.assert_array_equal(image, records[1, 1, 1:].reshape(3, 32, 32).transpose(1, 2, 0))
    assert label == records[1, 1, 0]
    assert type(label) is int
    assert training.class_to_idx["truck"] == 9


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_cifar_pickled_layout_is_the_same(tmp_path, protocol):
    records = lay_out_cifar_bin(tmp_path)
    reference = CIFAR10(tmp_path)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for i, batch in enumerate(records[:5], 1):
        content = {b"labels": batch[:, 0].tolist(), b"data": batch[:, 1:].copy()}
        (folder / f"data_batch_{i}").write_bytes(pickle.dumps(content, protocol))
    shutil.rmtree(tmp_path / "cifar-10-batches-bin")
    dataset = CIFAR10(tmp_path)
    np.testing.assert_array_equal(dataset.data, reference.data)
    assert dataset.targets == reference.targets
    with pytest.raises(
        RuntimeError, match=r"cifar-10-batches-py lacks test_batch; .*test_batch.bin"
    ):
        CIFAR10(tmp_path, train=False)


def test_cifar_files_that_are_damaged(tmp_path):
    lay_out_cifar_bin(tmp_path)
    path = tmp_path / "cifar-10-batches-bin" / "data_batch_2.bin"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(
        ValueError, match=r"data_batch_2\.bin: .*multiple of 3073 bytes, found 6145"
    ):
        CIFAR10(tmp_path)
    path.write_bytes(b"\x0a" + content[1:])
    with pytest.raises(ValueError, match="expected labels 0 to 9, found 10"):
        CIFAR10(tmp_path)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"labels": [1]}, "expected 'data' of shape .*found NoneType"),
        ({"data": np.zeros((1, 5), np.uint8), "labels": [1]}, r"found \(1, 5\)"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [10]}, "0 to 9"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [1, 2]}, "expected 1 labels, found 2"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": ["1"]}, "list of int"),
    ],
)
def test_cifar_batches_that_do_not_fit(tmp_path, batch, message):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "test_batch").write_bytes(pickle.dumps(batch, 2))
    with pytest.raises(ValueError, match=f"test_batch: .*{message}"):
        CIFAR10(tmp_path, train=False)


def test_cifar_from_the_data_folder():
    root = os.environ.get("FASTNN_DATA")
    if root is None or not any(Path(root).glob("cifar-10-batches-*")):
        pytest.skip("needs CIFAR-10: set FASTNN_DATA to the folder that holds it")
    training, test = CIFAR10(root), CIFAR10(root, train=False)
    assert np.ptp(np.bincount(training.targets)) == np.ptp(np.bincount(test.targets)) == 0
    assert training.data.shape[1:] == (32, 32, 3)
    assert len(test.data) == len(test.targets) > 0
