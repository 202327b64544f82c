"""Street View House Numbers, cropped digits."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .download import download as fetch
from .matlab import read_mat
from .vision import VisionDataset

__all__ = ["SVHN"]


class SVHN(VisionDataset):
    """Digits of house numbers, 32×32 in colour (Netzer et al. 2011).

    The files lie in ``root``: ``train_32x32.mat``, ``test_32x32.mat``, ``extra_32x32.mat``. A sample is
    ``(image, label)``: a uint8 array (32, 32, 3) and an int, 0 for the digit 0. ``data`` is an array
    (N, 3, 32, 32), ``labels`` an array (N,).

    Args:
        root: Folder of the files.
        split: "train" (73,257 digits), "test" (26,032) or "extra" (531,131).
        transform: Function of the image.
        target_transform: Function of the label.
        download: Fetch the file if it is missing.

    Raises:
        ValueError: Another split, or a damaged file.
        RuntimeError: The file is missing, or could not be fetched.
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
            raise ValueError(
                f"Unknown value {split!r} for argument split. Valid values are {tuple(self.split_list)}."
            )
        self.split = split
        if download:
            self.download()
        assert self.root is not None
        path = Path(self.root, self.split_list[split][0])
        if not path.is_file():
            raise RuntimeError(
                f"Dataset not found or corrupted: {path} is missing. You can use download=True to download it"
            )
        variables = read_mat(path)
        images, labels = variables.get("X"), variables.get("y")
        if images is None or images.dtype != np.uint8 or images.shape[:3] != (32, 32, 3) or images.ndim != 4:  # fmt: skip
            raise ValueError(f"{path}: expected X, uint8 of shape (32, 32, 3, N)")
        if labels is None or labels.size != images.shape[3]:
            raise ValueError(
                f"{path}: expected y, a label for each of the {images.shape[3]} images"
            )
        labels = labels.ravel().astype(np.int64)
        if labels.size and not 0 <= labels.min() <= labels.max() <= 10:
            raise ValueError(
                f"{path}: expected labels 1 to 10, found {labels.min()} to {labels.max()}"
            )
        labels[labels == 10] = 0  # the file's class of the digit 0
        self.data = np.ascontiguousarray(images.transpose(3, 2, 0, 1))
        self.labels = labels

    @property
    def targets(self) -> Any:  # torchvision's name is `labels`
        """The labels."""
        return self.labels

    def _images(self) -> npt.NDArray[Any]:
        images: npt.NDArray[Any] = np.asarray(self.data).transpose(0, 2, 3, 1)
        return images

    def download(self) -> None:
        """Fetches the split's file."""
        assert self.root is not None
        fetch(
            self.mirrors,
            *self.split_list[self.split][:1],
            self.root,
            self.split_list[self.split][1],
        )

    def extra_repr(self) -> str:
        return f"Split: {self.split}"
