"""CIFAR-100, SVHN, EMNIST, QMNIST, folders and noise: small files in the data sets' formats."""

import pickle
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn.utils.data import DataLoader
from fastnn.vision import datasets, transforms
from fastnn.vision.datasets.idx import write_idx
from fastnn.vision.datasets.matlab import read_mat

RNG = np.random.default_rng(3)


def write_cifar100(root, binary):
    for name, n in (("train", 7), ("test", 3)):
        images = RNG.integers(0, 256, (n, 3072), dtype=np.uint8)
        fine = np.arange(n) + 50
        if binary:
            folder = root / "cifar-100-binary"
            folder.mkdir(exist_ok=True)
            records = np.concatenate([np.full((n, 1), 9), fine[:, None], images], axis=1)
            records.astype(np.uint8).tofile(folder / f"{name}.bin")
        else:
            folder = root / "cifar-100-python"
            folder.mkdir(exist_ok=True)
            batch = {b"data": images, b"fine_labels": fine.tolist(), b"coarse_labels": [9] * n}
            (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    return images


@pytest.mark.parametrize("binary", [False, True])
def test_cifar100(tmp_path, binary):
    images = write_cifar100(tmp_path, binary)
    test = datasets.CIFAR100(tmp_path, train=False, transform=transforms.ToTensor())
    assert len(datasets.CIFAR100(tmp_path)) == 7
    assert test.targets == [50, 51, 52]
    assert test.class_to_idx["worm"] == 99
    np.testing.assert_array_equal(test.data.transpose(0, 3, 1, 2).reshape(3, -1), images)
    with pytest.raises(RuntimeError, match="cifar-10-batches-py lacks"):
        datasets.CIFAR10(tmp_path)


@pytest.mark.parametrize("compressed", [False, True])
def test_svhn(tmp_path, compressed):
    io = pytest.importorskip("scipy.io", reason="SciPy is not installed: it writes the test's file")
    images = RNG.integers(0, 256, (32, 32, 3, 5), dtype=np.uint8)
    labels = np.array([[1], [10], [9], [2], [10]], np.uint8)
    path = tmp_path / "train_32x32.mat"
    io.savemat(path, {"X": images, "y": labels}, do_compression=compressed)
    data = datasets.SVHN(tmp_path, transform=transforms.ToTensor())
    assert data.labels.tolist() == [1, 0, 9, 2, 0]
    assert data.data.shape == (5, 3, 32, 32)
    image, label = data[2]
    assert label == 9
    np.testing.assert_allclose(image.numpy() * 255, images[..., 2].transpose(2, 0, 1), atol=1e-4)
    (batch, numbers) = next(iter(DataLoader(data, batch_size=5)))
    np.testing.assert_array_equal(batch[2].numpy(), image.numpy())
    assert numbers.tolist() == data.labels.tolist()
    with pytest.raises(ValueError, match="split"):
        datasets.SVHN(tmp_path, "valid")
    with pytest.raises(RuntimeError, match="download=True"):
        datasets.SVHN(tmp_path, "test")


def test_matlab_files(tmp_path):
    io = pytest.importorskip("scipy.io", reason="SciPy is not installed: it writes the test's file")
    path = tmp_path / "some.mat"
    wanted = {"a": RNG.random((3, 4)), "b": np.arange(6, dtype=np.int16).reshape(1, 6), "long_name_of_c": np.ones((2, 2, 2), np.float32)}  # fmt: skip
    io.savemat(path, wanted, do_compression=True)
    found = read_mat(path)
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    for bad in ({"a": "text"}, {"a": {"b": 1}}, {"a": np.ones(2) * 1j}):
        io.savemat(path, bad)
        with pytest.raises(ValueError, match="not a real array"):
            read_mat(path)
    io.savemat(path, wanted)
    content = path.read_bytes()

    def read(changed):
        """What is read of a changed file: variables, or None where it is refused by name."""
        path.write_bytes(changed)
        try:
            return read_mat(path)
        except ValueError as error:
            return None if f"{path}: not a readable MATLAB 5 file" in str(error) else error

    for cut in (*range(0, len(content) - 1, 37), 130):
        found = read(content[:cut])
        assert found is None or set(found) < set(wanted)  # cut between two variables
    for place in range(128, len(content), 7):
        found = read(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        assert found is None or isinstance(found, dict)


def test_emnist_and_kmnist(tmp_path):
    images = RNG.integers(0, 256, (4, 28, 28), dtype=np.uint8)
    raw = tmp_path / "EMNIST" / "raw"
    raw.mkdir(parents=True)
    write_idx(raw / "emnist-letters-train-images-idx3-ubyte.gz", images)
    write_idx(raw / "emnist-letters-train-labels-idx1-ubyte", np.array([1, 26, 3, 4], np.uint8))
    data = datasets.EMNIST(tmp_path, "letters")
    assert [data.classes[label] for _, label in data] == ["a", "z", "c", "d"]
    assert len(datasets.EMNIST.classes_split_dict["balanced"]) == 47
    assert len(datasets.EMNIST.classes_split_dict["byclass"]) == 62
    with pytest.raises(ValueError, match="split"):
        datasets.EMNIST(tmp_path, "capitals")
    with pytest.raises(RuntimeError, match="emnist-digits-test"):
        datasets.EMNIST(tmp_path, "digits", train=False)
    with pytest.raises(RuntimeError, match="KMNIST"):
        datasets.KMNIST(tmp_path)


def test_qmnist(tmp_path):
    raw = tmp_path / "QMNIST" / "raw"
    raw.mkdir(parents=True)
    n = 10_003
    images = np.zeros((n, 2, 2), np.uint8)
    images[:, 0, 0] = np.arange(n) % 251
    labels = np.arange(n * 8, dtype=np.int32).reshape(n, 8)
    labels[:, 0] = np.arange(n) % 10
    write_idx(raw / "qmnist-test-images-idx3-ubyte", images)
    write_idx(raw / "qmnist-test-labels-idx2-int", labels)
    assert len(datasets.QMNIST(tmp_path, train=False)) == n
    assert len(datasets.QMNIST(tmp_path, "test10k")) == 10_000
    rest = datasets.QMNIST(tmp_path, "test50k")
    assert [label for _, label in rest] == [0, 1, 2]
    full = datasets.QMNIST(tmp_path, "test50k", compat=False, transform=transforms.ToTensor())
    assert full[1][1].tolist() == labels[10_001].tolist()
    assert next(iter(DataLoader(full, 3)))[1].shape == (3, 8)
    with pytest.raises(ValueError, match="'nist' is compressed"):
        datasets.QMNIST(tmp_path, "nist")


def test_folders(tmp_path):
    image_module = pytest.importorskip("PIL.Image", reason="Pillow is not installed: an optional extra")  # fmt: skip
    for name, colour in (("dog/b.png", 10), ("dog/more/a.PNG", 20), ("cat/x.bmp", 30)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image_module.new("L", (4, 3), colour).save(path)
    (tmp_path / "dog" / "notes.txt").write_text("no image")
    data = datasets.ImageFolder(tmp_path, transform=transforms.ToTensor(), target_transform=float)
    assert data.classes == ["cat", "dog"]
    assert data.class_to_idx == {"cat": 0, "dog": 1}
    assert data.targets == [0, 1, 1]
    assert data.imgs is data.samples
    assert [round(x[0, 0, 0].item() * 255) for x, _ in data] == [30, 10, 20]
    images, labels = next(iter(DataLoader(data, 3)))
    assert images.shape == (3, 3, 3, 4)
    assert labels.dtype == fastnn.float64
    assert "ImageFolder" in repr(data)
    notes = datasets.DatasetFolder(tmp_path, Path.read_text, ".txt", allow_empty=True)
    assert len(notes) == 1
    assert notes.samples[0][1] == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty"):
        datasets.ImageFolder(tmp_path)
    with pytest.raises(FileNotFoundError, match="class folder"):
        datasets.ImageFolder(tmp_path / "empty")
    with pytest.raises(ValueError, match="is_valid_file"):
        datasets.DatasetFolder(tmp_path, open)


def test_fake_data():
    data = datasets.FakeData(5, (3, 6, 4), 3, transforms.ToTensor())
    assert [x.shape for x, _ in data] == [(3, 6, 4)] * 5
    assert all(0 <= label < 3 for _, label in data)
    np.testing.assert_array_equal(data[1][0].numpy(), data[1][0].numpy())
    assert (data[1][0] != data[2][0]).any()
    shifted = datasets.FakeData(5, (3, 6, 4), 3, transforms.ToTensor(), random_offset=1)
    np.testing.assert_array_equal(shifted[0][0].numpy(), data[1][0].numpy())
