"""MNIST and FashionMNIST in torchvision's layout, and the sample of MNIST inside this package."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

import fastnn
from fastnn.utils._files import atomic_path

from .download import download
from .idx import read_idx
from .vision import VisionDataset

__all__ = ["KMNIST", "MNIST", "FashionMNIST", "MNISTSample"]

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class MNIST(VisionDataset):
    """70,000 handwritten digits, 28×28 (LeCun, Cortes and Burges): 60,000 for training, 10,000 for testing.

    The files lie in ``root/MNIST/raw``: ``train-images-idx3-ubyte`` and so on, as they are or with ``.gz``.
    A sample is ``(image, label)``: a uint8 array (28, 28) and an int. ``data`` (N, 28, 28, uint8) and
    ``targets`` (N, int64) are tensors.

    Args:
        root: Folder of the data sets.
        train: The training images, else the test images.
        transform: Function of the image.
        target_transform: Function of the label.
        download: Fetch what is missing, from the first of ``mirrors`` that works.

    Raises:
        RuntimeError: A file is missing, or no mirror delivered it.
        ValueError: A file is damaged.

    >>> digits = MNIST("data", transform=fastnn.vision.transforms.ToTensor())  # doctest: +SKIP
    >>> MNIST.classes[7]
    '7 - seven'
    """

    mirrors: Sequence[str] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    )
    #: Names and MD5 checksums.
    resources: Sequence[tuple[str, str]] = (
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    )
    classes: ClassVar[list[str]] = [f"{i} - {name}" for i, name in enumerate(_DIGITS)]

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
        images, labels = (self._find(name) for name in self._names())
        missing = [
            name for name, path in zip(self._names(), (images, labels), strict=True) if path is None
        ]
        if images is None or labels is None:
            raise RuntimeError(
                f"Dataset not found: {self.raw_folder} lacks {' and '.join(missing)} (plain or .gz). "
                "You can use download=True to download it"
            )
        self.data, self.targets = self._read(images, labels)

    @property
    def raw_folder(self) -> str:
        """Where the files lie: ``root/<name of the class>/raw``."""
        assert self.root is not None
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class by its name."""
        return {name: i for i, name in enumerate(self.classes)}

    def download(self) -> None:
        """Fetches the files that are missing, and unpacks them beside the archives as torchvision does."""
        folder = Path(self.raw_folder)
        for archive, md5 in self.resources:
            plain = folder / archive.removesuffix(".gz")
            if not plain.is_file():
                _unpack(download(self.mirrors, archive, folder, md5), plain)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"

    def _read(self, images: Path, labels: Path) -> tuple[fastnn.Tensor, fastnn.Tensor]:
        return _read_pair(images, labels, len(self.classes))

    def _names(self) -> tuple[str, str]:
        split = "train" if self.train else "t10k"
        return f"{split}-images-idx3-ubyte", f"{split}-labels-idx1-ubyte"

    def _find(self, name: str) -> Path | None:
        for path in (Path(self.raw_folder, name), Path(self.raw_folder, name + ".gz")):
            if path.is_file():
                return path
        return None


class FashionMNIST(MNIST):
    """70,000 pictures of clothing in MNIST's format (Xiao, Rasul and Vollgraf 2017); see `MNIST`.

    The files lie in ``root/FashionMNIST/raw``.

    >>> FashionMNIST.classes[0]
    'T-shirt/top'
    """

    mirrors = (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    )
    resources = (
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    )
    classes: ClassVar[list[str]] = [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ]  # fmt: skip


class KMNIST(MNIST):
    """70,000 characters of cursive Japanese in MNIST's format (Clanuwat et al. 2018); see `MNIST`.

    The files lie in ``root/KMNIST/raw``.

    >>> KMNIST.classes[1]
    'ki'
    """

    mirrors = ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",)
    resources = (
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    )
    classes: ClassVar[list[str]] = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]


class MNISTSample(VisionDataset):
    """7,000 digits of MNIST that come with fastnn: 600 a class for training, 100 a class for testing.

    The first ones of each class of the original training and test images, in the original order. Licence and
    source stand beside the files, in ``fastnn/vision/_data``.

    Args:
        train: The 6,000 training images, else the 1,000 test images.
        transform: Function of the image.
        target_transform: Function of the label.

    >>> sample = MNISTSample(train=False)
    >>> image, label = sample[0]
    >>> len(sample), image.shape, image.dtype, label
    (1000, (28, 28), dtype('uint8'), 7)
    """

    classes: ClassVar[list[str]] = MNIST.classes

    def __init__(
        self,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.train = train
        folder = Path(__file__).resolve().parent.parent / "_data"
        split = "train" if train else "t10k"
        self.data, self.targets = _read_pair(
            folder / f"{split}-images-idx3-ubyte.gz",
            folder / f"{split}-labels-idx1-ubyte.gz",
            len(self.classes),
        )

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class by its name."""
        return {name: i for i, name in enumerate(self.classes)}

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


def _read_pair(images: Path, labels: Path, classes: int) -> tuple[fastnn.Tensor, fastnn.Tensor]:
    """The two files as tensors: uint8 (N, H, W) and int64 (N,)."""
    data = _read_bytes(images, ndim=3)
    targets = _read_bytes(labels, ndim=1)
    if len(data) != len(targets):
        raise ValueError(
            f"{labels}: expected a label for each of the {len(data)} images of {images.name}, "
            f"found {len(targets)}"
        )
    if targets.size and targets.max() >= classes:
        raise ValueError(f"{labels}: expected labels 0 to {classes - 1}, found {targets.max()}")
    return fastnn.from_numpy(data), fastnn.from_numpy(targets.astype(np.int64))


def _read_bytes(path: Path, ndim: int) -> npt.NDArray[np.uint8]:
    array = read_idx(path)
    if array.dtype != np.uint8 or array.ndim != ndim:
        raise ValueError(
            f"{path}: expected {ndim} dimension(s) of uint8, found {array.ndim} of {array.dtype}"
        )
    return array


def _unpack(archive: Path, plain: Path) -> None:
    with atomic_path(plain) as temporary, gzip.open(archive) as source, temporary.open("wb") as to:
        shutil.copyfileobj(source, to)
