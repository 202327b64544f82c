"""EMNIST and QMNIST: larger relatives of MNIST, whose files are named and labelled in their own ways."""

from __future__ import annotations

import os
import string
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

import fastnn
from fastnn.utils._files import atomic_path

from .download import download as fetch
from .idx import read_idx
from .mnist import MNIST

__all__ = ["EMNIST", "QMNIST"]

# Letters whose small form is not told from the capital one.
_MERGED = set("cijklmopsuvwxyz")
_ALL = set(string.digits + string.ascii_letters)


class EMNIST(MNIST):
    """Handwritten letters and digits in MNIST's format (Cohen et al. 2017); see `MNIST`.

    The files lie in ``root/EMNIST/raw``: ``emnist-letters-train-images-idx3-ubyte`` and so on. Images are stored
    with rows and columns exchanged, and given as they are stored.

    Args:
        root: Folder of the data sets.
        split: "byclass", "bymerge", "balanced", "letters" (labels 1 … 26), "digits" or "mnist".
        **kwargs: As of `MNIST`: ``train``, ``transform``, ``target_transform``, ``download``.

    Raises:
        ValueError: Another split, or a damaged file.
        RuntimeError: A file is missing.
    """

    mirrors = ("https://biometrics.nist.gov/cs_links/EMNIST/",)
    archive = ("gzip.zip", "58c8d27c78d21e728a6bc7b3cc06412e")
    splits: ClassVar[tuple[str, ...]] = (
        "byclass", "bymerge", "balanced", "letters", "digits", "mnist",
    )  # fmt: skip
    classes_split_dict: ClassVar[dict[str, list[str]]] = {
        "byclass": sorted(_ALL),
        "bymerge": sorted(_ALL - _MERGED),
        "balanced": sorted(_ALL - _MERGED),
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(self, root: str | os.PathLike[str], split: str, **kwargs: Any) -> None:
        if split not in self.splits:
            raise ValueError(
                f"Unknown value {split!r} for argument split. Valid values are {self.splits}."
            )
        self.split = split
        self.classes = self.classes_split_dict[split]  # type: ignore[misc]  # each split has its own
        super().__init__(root, **kwargs)

    def download(self) -> None:
        """Fetches the archive of all splits, if a file of this one is missing, and takes out this split's."""
        names = [
            f"emnist-{self.split}-{part}-{kind}"
            for part in ("train", "test")
            for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
        ]
        if all(self._find(name) for name in names):
            return
        path = fetch(self.mirrors, self.archive[0], self.raw_folder, self.archive[1])
        with zipfile.ZipFile(path) as archive:
            for name in names:
                target = Path(self.raw_folder, f"{name}.gz")
                with atomic_path(target) as temporary:
                    temporary.write_bytes(archive.read(f"gzip/{name}.gz"))

    def _names(self) -> tuple[str, str]:
        start = f"emnist-{self.split}-{'train' if self.train else 'test'}"
        return f"{start}-images-idx3-ubyte", f"{start}-labels-idx1-ubyte"


class QMNIST(MNIST):
    """MNIST rebuilt, with 60,000 test digits and where each comes from (Yadav and Bottou 2019); see `MNIST`.

    The files lie in ``root/QMNIST/raw``: ``qmnist-train-images-idx3-ubyte``, ``qmnist-train-labels-idx2-int`` and
    so on.

    Args:
        root: Folder of the data sets.
        what: "train", "test", "test10k" (MNIST's own test digits) or "test50k" (those that it lost).
        compat: Labels are the digits; else tensors of the 8 numbers there are of each.
        train: If ``what`` is None: "train" or "test".
        **kwargs: As of `MNIST`: ``transform``, ``target_transform``, ``download``.

    Raises:
        ValueError: Another ``what``, or a damaged file.
        RuntimeError: A file is missing.
    """

    mirrors = ("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",)
    resources = (
        ("qmnist-train-images-idx3-ubyte.gz", "ed72d4157d28c017586c42bc6afe6370"),
        ("qmnist-train-labels-idx2-int.gz", "0058f8dd561b90ffdd0f734c6a30e5e4"),
        ("qmnist-test-images-idx3-ubyte.gz", "1394631089c404de565df7b7aeaf9412"),
        ("qmnist-test-labels-idx2-int.gz", "5b5b05890a5e13444e108efe57b788aa"),
    )
    subsets: ClassVar[dict[str, str]] = {
        "train": "train",
        "test": "test",
        "test10k": "test",
        "test50k": "test",
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        what: str | None = None,
        compat: bool = True,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        what = ("train" if train else "test") if what is None else what
        if what not in self.subsets:
            raise ValueError(
                f"Unknown value {what!r} for argument what. Valid values are {tuple(self.subsets)}"
                + ("; 'nist' is compressed in a way that is not read" if what == "nist" else "")
            )
        self.what = what
        self.compat = compat
        super().__init__(root, what == "train", transform, target_transform, download)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        if self.compat:
            return super().__getitem__(index)
        image, target = self._images()[index], self.targets[index]
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __getbatch__(self, indices: npt.NDArray[np.int64]) -> Any:
        return super().__getbatch__(indices) if self.compat else NotImplemented

    def _names(self) -> tuple[str, str]:
        start = f"qmnist-{self.subsets[self.what]}"
        return f"{start}-images-idx3-ubyte", f"{start}-labels-idx2-int"

    def _read(self, images: Path, labels: Path) -> tuple[fastnn.Tensor, fastnn.Tensor]:
        data, targets = read_idx(images), read_idx(labels)
        if data.dtype != np.uint8 or data.ndim != 3:
            raise ValueError(
                f"{images}: expected 3 dimensions of uint8, found {data.ndim} of {data.dtype}"
            )
        if targets.dtype != np.int32 or targets.shape != (len(data), 8):
            raise ValueError(
                f"{labels}: expected int32 of shape {(len(data), 8)}, found {targets.dtype} of {targets.shape}"
            )
        part = {"test10k": slice(None, 10_000), "test50k": slice(10_000, None)}.get(
            self.what, slice(None)
        )
        data, targets = data[part], targets[part].astype(np.int64)
        if targets.size and not 0 <= targets[:, 0].min() <= targets[:, 0].max() < len(self.classes):
            raise ValueError(f"{labels}: expected labels 0 to {len(self.classes) - 1}")
        chosen = np.ascontiguousarray(targets[:, 0]) if self.compat else targets
        return fastnn.from_numpy(data), fastnn.from_numpy(chosen)

    def extra_repr(self) -> str:
        return f"Split: {self.what}"
