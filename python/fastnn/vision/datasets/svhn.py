"""Street View House Numbers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .download import download
from .matlab import read_mat
from .vision import VisionDataset

__all__ = ["SVHN"]


class SVHN(VisionDataset):
    """Digits of house numbers, 32×32 in colour (Y. Netzer et al., 2011).

    Read from ``root/train_32x32.mat`` and so on. ``data`` is an array (N, 3, 32, 32) of uint8, ``labels`` (N,) of int64,
    0 to 9; a sample's image is an array (32, 32, 3).

    Args:
        root: folder of the files.
        split: "train" (73,257), "test" (26,032) or "extra" (531,131).
        transform: function of the image.
        target_transform: function of the label.
        download: fetch the file if it is missing.

    Raises:
        ValueError: another split, or a damaged file.
        RuntimeError: the file is missing, or could not be fetched.
    """

    mirrors = ("http://ufldl.stanford.edu/housenumbers/",)
    split_list: ClassVar[dict[str, tuple[str, str]]] = {
        "train": ("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
        "test": ("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
        "extra": ("extra_32x32.mat", "a93ce644f1a588dc4d68dda5feec44a7"),
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str = "train",
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        if split not in self.split_list:
            raise ValueError(f"SVHN: split should be one of {list(self.split_list)}, got {split!r}")
        self.split = split
        if download:
            self.download()
        path = Path(self.root or "", self.split_list[split][0])
        if not path.is_file():
            raise RuntimeError(
                f"Dataset not found or corrupted: {path} is missing. You can use download=True to download it"
            )
        arrays = read_mat(path)
        images, labels = arrays.get("X"), arrays.get("y")
        if images is None or labels is None or images.shape[:3] != (32, 32, 3) or images.ndim != 4:
            raise ValueError(f"{path}: expected arrays X (32, 32, 3, N) and y (N, 1)")
        if labels.size != images.shape[3]:
            raise ValueError(f"{path}: {images.shape[3]} images, but {labels.size} labels")
        self.labels = labels.reshape(-1).astype(np.int64) % 10  # the digit 0 is labelled 10
        self.data = np.ascontiguousarray(images.transpose(3, 2, 0, 1))
        self.targets = self.labels

    def _pixels(self) -> Any:
        return self.data.transpose(0, 2, 3, 1)

    def download(self) -> None:
        """Fetches the file of the split."""
        name, md5 = self.split_list[self.split]
        download(self.mirrors, name, self.root or "", md5)

    def extra_repr(self) -> str:
        return f"Split: {self.split}"
