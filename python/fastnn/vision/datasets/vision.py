"""What the image data sets share: transforms, batches, and how they print."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.utils.data import Dataset, default_convert
from fastnn.utils.data.batching import batched

__all__ = ["VisionDataset"]

Transform = Callable[[Any], Any]


class VisionDataset(Dataset[tuple[Any, Any]]):
    """Base of the image data sets.

    A subclass sets ``data`` (N images, first axis) and ``targets`` (N labels), and gets samples and whole
    batches of them. An image is a NumPy array uint8, (H, W) or (H, W, C): where torchvision gives a PIL
    image, fastnn gives its pixels, which `ToTensor` takes alike.

    Args:
        root: Folder of the data sets.
        transforms: Function of (image, target), which returns both; excludes the other two.
        transform: Function of the image.
        target_transform: Function of the target.
    """

    data: Any
    targets: Any

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        transforms: Callable[[Any, Any], tuple[Any, Any]] | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
    ) -> None:
        if transforms is not None and (transform is not None or target_transform is not None):
            raise ValueError(
                "Only transforms or transform/target_transform can be passed as argument"
            )
        self.root = os.path.expanduser(root) if isinstance(root, str) else root
        self.transforms = transforms
        self.transform = transform
        self.target_transform = target_transform

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        image, target = self._images()[index], int(self.targets[index])
        if self.transforms is not None:
            return self.transforms(image, target)
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            return image, self.target_transform(target)
        return image, target

    def __getbatch__(self, indices: npt.NDArray[np.int64]) -> Any:
        image_form, target_form = batched(self.transform), batched(self.target_transform)
        if self.transforms is not None or image_form is None or target_form is None:
            return NotImplemented
        images = _take(self._images(), indices)
        if isinstance(self.targets, list):
            targets = np.array([self.targets[i] for i in indices.tolist()], dtype=np.int64)
        else:
            targets = np.asarray(self.targets).take(indices).astype(np.int64, copy=False)
        return [default_convert(image_form(images)), default_convert(target_form(targets))]

    def _images(self) -> npt.NDArray[Any]:
        """``data`` as an array (N, H, W) or (N, H, W, C)."""
        return np.asarray(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        """Further lines of the description."""
        return ""

    def __repr__(self) -> str:
        body = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            body.append(f"Root location: {self.root}")
        body += self.extra_repr().splitlines()
        body += _describe(self)
        return "\n".join([f"Dataset {type(self).__name__}", *(f"    {line}" for line in body)])


def _take(images: npt.NDArray[Any], indices: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """The images of these indices. ``take`` would first copy all images where they lie as planes in memory."""
    if images.ndim == 4 and not images.flags.c_contiguous:
        planes = images.transpose(0, 3, 1, 2).take(indices, axis=0)
        taken: npt.NDArray[Any] = planes.transpose(0, 2, 3, 1)
        return taken
    return images.take(indices, axis=0)


def _describe(dataset: VisionDataset) -> list[str]:
    if dataset.transforms is not None:
        return repr(dataset.transforms).splitlines()
    lines = []
    for title, transform in (
        ("Transform: ", dataset.transform),
        ("Target transform: ", dataset.target_transform),
    ):
        if transform is not None:
            first, *rest = repr(transform).splitlines()
            lines += [title + first, *(" " * len(title) + line for line in rest)]
    return ["StandardTransform", *lines] if lines else []
