"""Further data sets in MNIST's format: KMNIST, EMNIST, QMNIST."""

from __future__ import annotations

import os
import shutil
import string
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import fastnn
from fastnn.utils._files import atomic_path

from .download import download
from .idx import read_idx
from .mnist import MNIST
from .vision import VisionDataset

__all__ = ["EMNIST", "KMNIST", "QMNIST"]


class KMNIST(MNIST):
    """70,000 hiragana in MNIST's format (T. Clanuwat et al., 2018); see `MNIST`. In ``root/KMNIST/raw``."""

    mirrors = ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",)
    resources = (
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    )
    classes: ClassVar[list[str]] = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]


_ALL = string.digits + string.ascii_letters
_MERGED = "cijklmopsuvwxyz"  # lower-case letters that look like their capitals
_UNMERGED = sorted(set(_ALL) - set(_MERGED))


class EMNIST(MNIST):
    """Handwritten letters and digits in MNIST's format (G. Cohen et al., 2017); see `MNIST`.

    The files ``emnist-<split>-<train or test>-images-idx3-ubyte`` and so on lie in ``root/EMNIST/raw``. Images are
    transposed, as they were published.

    Args:
        root, train, transform, target_transform, download: as for `MNIST`.
        split: "byclass", "bymerge", "balanced", "letters" (labels 1 to 26), "digits" or "mnist".
    """

    mirrors = ("https://biometrics.nist.gov/cs_links/EMNIST/",)
    archive = ("gzip.zip", "58c8d27c78d21e728a6bc7b3cc06412e")
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    classes_split_dict: ClassVar[dict[str, list[str]]] = {
        "byclass": sorted(_ALL),
        "bymerge": _UNMERGED,
        "balanced": _UNMERGED,
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        if split not in self.splits:
            raise ValueError(f"EMNIST: split should be one of {self.splits}, got {split!r}")
        self.split = split
        self.classes = self.classes_split_dict[split]  # type: ignore[misc]
        super().__init__(root, train, transform, target_transform, download)

    def _names(self) -> tuple[str, str]:
        stem = f"emnist-{self.split}-{'train' if self.train else 'test'}"
        return f"{stem}-images-idx3-ubyte", f"{stem}-labels-idx1-ubyte"

    def download(self) -> None:
        """Fetches the archive and takes the files of this split out of it."""
        if all(self._find(name) for name in self._names()):
            return
        folder = Path(self.raw_folder)
        archive = download(self.mirrors, self.archive[0], folder, self.archive[1])
        with zipfile.ZipFile(archive) as zipped:
            for name in self._names():
                with (
                    atomic_path(folder / f"{name}.gz") as temporary,
                    zipped.open(f"gzip/{name}.gz") as source,
                    temporary.open("wb") as to,
                ):
                    shutil.copyfileobj(source, to)


class QMNIST(MNIST):
    """MNIST made anew from its sources, with 60,000 test digits (C. Yadav, L. Bottou, 2019); see `MNIST`.

    The files ``qmnist-train-images-idx3-ubyte``, ``qmnist-train-labels-idx2-int`` and so on lie in ``root/QMNIST/raw``.

    Args:
        root, train, transform, target_transform, download: as for `MNIST`.
        what: "train", "test", "test10k" (its first 10,000, those of MNIST) or "test50k" (the rest); "train" or "test" by
            ``train`` if not given.
        compat: targets are the classes; else all eight numbers known of a digit (writer and so on).
    """

    mirrors = ("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",)
    resources = (
        ("qmnist-train-images-idx3-ubyte.gz", "ed72d4157d28c017586c42bc6afe6370"),
        ("qmnist-train-labels-idx2-int.gz", "0058f8dd561b90ffdd0f734c6a30e5e4"),
        ("qmnist-test-images-idx3-ubyte.gz", "1394631089c404de565df7b7aeaf9412"),
        ("qmnist-test-labels-idx2-int.gz", "5b5b05890a5e13444e108efe57b788aa"),
    )
    subsets: ClassVar[dict[str, tuple[str, slice]]] = {
        "train": ("train", slice(None)),
        "test": ("test", slice(None)),
        "test10k": ("test", slice(0, 10000)),
        "test50k": ("test", slice(10000, None)),
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
        what = what or ("train" if train else "test")
        if what not in self.subsets:
            raise ValueError(f"QMNIST: what should be one of {list(self.subsets)}, got {what!r}")
        VisionDataset.__init__(self, root, transform=transform, target_transform=target_transform)
        self.what = what
        self.compat = compat
        self.train = what == "train"
        if download:
            self.download()
        part, chosen = self.subsets[what]
        names = (f"qmnist-{part}-images-idx3-ubyte", f"qmnist-{part}-labels-idx2-int")
        images, labels = (self._find(name) for name in names)
        if images is None or labels is None:
            raise RuntimeError(
                f"Dataset not found: {self.raw_folder} lacks {' or '.join(names)} (plain or .gz). "
                "You can use download=True to download it"
            )
        pixels, known = read_idx(images), read_idx(labels)
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or known.shape != (len(pixels), 8):
            raise ValueError(f"{labels}: expected eight numbers for each of {len(pixels)} images")
        if known.size and not 0 <= known[:, 0].min() <= known[:, 0].max() < len(self.classes):
            raise ValueError(f"{labels}: expected classes 0 to {len(self.classes) - 1}")
        self.data = fastnn.from_numpy(pixels[chosen])
        every = known[chosen].astype(np.int64)
        self.targets = fastnn.from_numpy(np.ascontiguousarray(every[:, 0]) if compat else every)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        target = self.targets[index]
        return self._transformed(
            np.asarray(self.data[index]), int(target) if self.compat else target
        )

    def extra_repr(self) -> str:
        return f"Split: {self.what}"
