"""CIFAR-10 and CIFAR-100 in torchvision's layout (pickled batches, read without unpickling) or the binary layout."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastnn.utils._files import atomic_path

from .download import download
from .pickled import read_batch
from .vision import VisionDataset

__all__ = ["CIFAR10", "CIFAR100"]

_PIXELS = 3 * 32 * 32
Bytes = npt.NDArray[np.uint8]


class CIFAR10(VisionDataset):
    """60,000 pictures of ten classes, 32×32 in colour (Krizhevsky 2009): 50,000 to train, 10,000 to test.

    Read from ``root/cifar-10-batches-py`` (torchvision's layout: pickled batches, of which only the data are
    read; nothing in them is executed), else from ``root/cifar-10-batches-bin`` (the binary version). A sample
    is ``(image, label)``: a uint8 array (32, 32, 3) and an int. ``data`` is an array (N, 32, 32, 3), ``targets``
    a list of int.

    Args:
        root: Folder of the data sets.
        train: The training images, else the test images.
        transform: Function of the image.
        target_transform: Function of the label.
        download: Fetch and unpack the archive, if no layout is complete.

    Raises:
        RuntimeError: Files are missing, or no mirror delivered the archive.
        ValueError: A file is damaged.

    >>> CIFAR10.classes[3]
    'cat'
    """

    mirrors: Sequence[str] = ("https://www.cs.toronto.edu/~kriz/",)
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    base_folder = "cifar-10-batches-py"
    binary_folder = "cifar-10-batches-bin"
    classes: ClassVar[list[str]] = [
        "airplane", "automobile", "bird", "cat", "deer",
        "dog", "frog", "horse", "ship", "truck",
    ]  # fmt: skip
    train_list = tuple(f"data_batch_{i}" for i in range(1, 6))
    test_list = ("test_batch",)
    meta = "batches.meta"
    _label_key = "labels"
    _label_bytes = 1  # before the planes of each image in the binary layout; the last one counts

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        names = self.train_list if train else self.test_list
        python, binary = self._python_files(names), self._binary_files(names)
        if all(path.is_file() for path in python):
            batches = [_read_python(path, len(self.classes), self._label_key) for path in python]
        elif all(path.is_file() for path in binary):
            batches = [_read_binary(path, len(self.classes), self._label_bytes) for path in binary]
        else:
            raise RuntimeError(self._describe_missing(python, binary))
        planes = np.concatenate([images for images, _ in batches]).reshape(-1, 3, 32, 32)
        # The planes stay as they are in memory: back to (C, H, W), as ToTensor turns them, costs nothing.
        self.data = planes.transpose(0, 2, 3, 1)
        self.targets = np.concatenate([labels for _, labels in batches]).tolist()

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class by its name."""
        return {name: i for i, name in enumerate(self.classes)}

    def download(self) -> None:
        """Fetches the archive (one that lies in ``root`` already is used) and unpacks its batches."""
        names = self.train_list + self.test_list
        for paths in (self._python_files(names), self._binary_files(names)):
            if all(path.is_file() for path in paths):
                return
        assert self.root is not None
        archive = download(self.mirrors, self.filename, self.root, self.tgz_md5)
        _unpack(archive, self._python_files((*names, self.meta)))

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"

    def _python_files(self, names: tuple[str, ...]) -> list[Path]:
        assert self.root is not None
        return [Path(self.root, self.base_folder, name) for name in names]

    def _binary_files(self, names: tuple[str, ...]) -> list[Path]:
        assert self.root is not None
        return [Path(self.root, self.binary_folder, f"{name}.bin") for name in names]

    def _describe_missing(self, python: list[Path], binary: list[Path]) -> str:
        lacking = [
            f"{paths[0].parent} lacks {', '.join(p.name for p in paths if not p.is_file())}"
            for paths in (python, binary)
        ]
        return (
            f"Dataset not found or corrupted: {lacking[0]}; {lacking[1]}. "
            "You can use download=True to download it"
        )


class CIFAR100(CIFAR10):
    """60,000 pictures of 100 classes, 32×32 in colour; as `CIFAR10`, with 600 pictures a class.

    Read from ``root/cifar-100-python``, else from ``root/cifar-100-binary``.

    >>> CIFAR100.classes[3], len(CIFAR100.classes)
    ('bear', 100)
    """

    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    base_folder = "cifar-100-python"
    binary_folder = "cifar-100-binary"
    train_list = ("train",)
    test_list = ("test",)
    meta = "meta"
    _label_key = "fine_labels"
    _label_bytes = 2  # the superclass, then the class
    classes: ClassVar[list[str]] = [
        "apple",
        "aquarium_fish",
        "baby",
        "bear",
        "beaver",
        "bed",
        "bee",
        "beetle",
        "bicycle",
        "bottle",
        "bowl",
        "boy",
        "bridge",
        "bus",
        "butterfly",
        "camel",
        "can",
        "castle",
        "caterpillar",
        "cattle",
        "chair",
        "chimpanzee",
        "clock",
        "cloud",
        "cockroach",
        "couch",
        "crab",
        "crocodile",
        "cup",
        "dinosaur",
        "dolphin",
        "elephant",
        "flatfish",
        "forest",
        "fox",
        "girl",
        "hamster",
        "house",
        "kangaroo",
        "keyboard",
        "lamp",
        "lawn_mower",
        "leopard",
        "lion",
        "lizard",
        "lobster",
        "man",
        "maple_tree",
        "motorcycle",
        "mountain",
        "mouse",
        "mushroom",
        "oak_tree",
        "orange",
        "orchid",
        "otter",
        "palm_tree",
        "pear",
        "pickup_truck",
        "pine_tree",
        "plain",
        "plate",
        "poppy",
        "porcupine",
        "possum",
        "rabbit",
        "raccoon",
        "ray",
        "road",
        "rocket",
        "rose",
        "sea",
        "seal",
        "shark",
        "shrew",
        "skunk",
        "skyscraper",
        "snail",
        "snake",
        "spider",
        "squirrel",
        "streetcar",
        "sunflower",
        "sweet_pepper",
        "table",
        "tank",
        "telephone",
        "television",
        "tiger",
        "tractor",
        "train",
        "trout",
        "tulip",
        "turtle",
        "wardrobe",
        "whale",
        "willow_tree",
        "wolf",
        "woman",
        "worm",
    ]


def _read_python(path: Path, classes: int, key: str) -> tuple[Bytes, Bytes]:
    batch = read_batch(path)
    images, labels = batch.get("data"), batch.get(key)
    if not isinstance(images, np.ndarray) or images.ndim != 2 or images.shape[1] != _PIXELS:
        found = images.shape if isinstance(images, np.ndarray) else type(images).__name__
        raise ValueError(f"{path}: expected 'data' of shape (N, {_PIXELS}), found {found}")
    if not isinstance(labels, list) or not all(
        type(label) is int and 0 <= label < classes for label in labels
    ):
        raise ValueError(f"{path}: expected {key!r} to be a list of int, 0 to {classes - 1}")
    if len(labels) != len(images):
        raise ValueError(f"{path}: expected {len(images)} labels, found {len(labels)}")
    return images, np.array(labels, dtype=np.uint8)


def _read_binary(path: Path, classes: int, label_bytes: int) -> tuple[Bytes, Bytes]:
    size = label_bytes + _PIXELS  # the labels, then the red, green and blue planes
    content = np.fromfile(path, dtype=np.uint8)
    if content.size % size:
        raise ValueError(
            f"{path}: truncated or damaged: expected a multiple of {size} bytes, found {content.size}"
        )
    records = content.reshape(-1, size)
    labels = records[:, label_bytes - 1]
    if labels.size and labels.max() >= classes:
        raise ValueError(f"{path}: expected labels 0 to {classes - 1}, found {labels.max()}")
    return records[:, label_bytes:], labels


def _unpack(archive: Path, files: list[Path]) -> None:
    """Takes just these files out of the archive, by name: no other path in it matters."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for path in files:
                member = tar.extractfile(f"{path.parent.name}/{path.name}")
                if member is None:
                    raise ValueError(f"{archive}: {path.name} is not a regular file")
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_path(path) as temporary:
                    temporary.write_bytes(member.read())
    except (KeyError, EOFError, tarfile.TarError) as error:
        raise ValueError(f"{archive}: not the archive of the data set: {error}") from error
