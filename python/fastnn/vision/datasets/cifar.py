"""CIFAR-10 in torchvision's layout (pickled batches, read without unpickling) or the binary layout."""

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

__all__ = ["CIFAR10"]

_PIXELS = 3 * 32 * 32
_RECORD = 1 + _PIXELS  # binary layout: a label, then the red, green and blue planes
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
            batches = [_read_python(path, len(self.classes)) for path in python]
        elif all(path.is_file() for path in binary):
            batches = [_read_binary(path, len(self.classes)) for path in binary]
        else:
            raise RuntimeError(self._describe_missing(python, binary))
        planes = np.concatenate([images for images, _ in batches]).reshape(-1, 3, 32, 32)
        # The planes stay as they are in memory: back to (C, H, W), as ToTensor turns them, costs nothing.
        self.data = planes.transpose(0, 2, 3, 1)
        self.targets = np.concatenate([labels for _, labels in batches]).tolist()

    @property
    def class_to_idx(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.classes)}

    def download(self) -> None:
        """Fetches the archive (one that lies in ``root`` already is used) and unpacks its batches."""
        names = self.train_list + self.test_list
        for paths in (self._python_files(names), self._binary_files(names)):
            if all(path.is_file() for path in paths):
                return
        assert self.root is not None
        archive = download(self.mirrors, self.filename, self.root, self.tgz_md5)
        _unpack(archive, self._python_files((*names, "batches.meta")))

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


def _read_python(path: Path, classes: int) -> tuple[Bytes, Bytes]:
    batch = read_batch(path)
    images, labels = batch.get("data"), batch.get("labels")
    if not isinstance(images, np.ndarray) or images.ndim != 2 or images.shape[1] != _PIXELS:
        found = images.shape if isinstance(images, np.ndarray) else type(images).__name__
        raise ValueError(f"{path}: expected 'data' of shape (N, {_PIXELS}), found {found}")
    if not isinstance(labels, list) or not all(
        type(label) is int and 0 <= label < classes for label in labels
    ):
        raise ValueError(f"{path}: expected 'labels' to be a list of int, 0 to {classes - 1}")
    if len(labels) != len(images):
        raise ValueError(f"{path}: expected {len(images)} labels, found {len(labels)}")
    return images, np.array(labels, dtype=np.uint8)


def _read_binary(path: Path, classes: int) -> tuple[Bytes, Bytes]:
    content = np.fromfile(path, dtype=np.uint8)
    if content.size % _RECORD:
        raise ValueError(
            f"{path}: truncated or damaged: expected a multiple of {_RECORD} bytes, found {content.size}"
        )
    records = content.reshape(-1, _RECORD)
    labels = records[:, 0]
    if labels.size and labels.max() >= classes:
        raise ValueError(f"{path}: expected labels 0 to {classes - 1}, found {labels.max()}")
    return records[:, 1:], labels


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
        raise ValueError(f"{archive}: not the archive of CIFAR-10: {error}") from error
