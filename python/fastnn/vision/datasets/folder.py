"""Images in folders, a folder for each class."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from .vision import VisionDataset

__all__ = ["IMG_EXTENSIONS", "DatasetFolder", "ImageFolder", "default_loader", "pil_loader"]

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def pil_loader(path: str | os.PathLike[str]) -> Any:
    """The image of a file as a PIL image in RGB.

    Raises:
        ImportError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "reading image files needs Pillow (pip install pillow), or a loader of your own"
        ) from error
    with open(path, "rb") as file:
        return Image.open(file).convert("RGB")


default_loader = pil_loader


class DatasetFolder(VisionDataset):
    """Samples in ``root/class/…/file``; the classes are the sorted names of the folders.

    ``samples`` is a list of (path, number of the class), ``targets`` of the numbers; ``classes`` and ``class_to_idx`` are
    names and numbers.

    Args:
        root: the folder of the classes' folders.
        loader: function of a path, which returns the sample.
        extensions: ends of the names that count (any case); or
        is_valid_file: function of a path, which says whether it counts.
        transform: function of the sample.
        target_transform: function of the class's number.
        allow_empty: classes may have no files.

    Raises:
        FileNotFoundError: no folders in ``root``, or a class without files.
        ValueError: both of ``extensions`` and ``is_valid_file``, or neither.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        loader: Callable[[str], Any],
        extensions: Sequence[str] | str | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        classes, class_to_idx = self.find_classes(os.fspath(self.root or ""))
        samples = self.make_dataset(
            os.fspath(self.root or ""), class_to_idx, extensions, is_valid_file, allow_empty
        )
        self.loader = loader
        self.extensions = extensions
        self.classes = classes
        self.class_to_idx = class_to_idx
        self.samples = samples
        self.targets = [target for _, target in samples]

    @staticmethod
    def make_dataset(
        directory: str | os.PathLike[str],
        class_to_idx: dict[str, int],
        extensions: Sequence[str] | str | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        """All (path, number of the class), in order of the classes and of the paths."""
        if (extensions is None) == (is_valid_file is None):
            raise ValueError("extensions or is_valid_file should be given, and not both")
        ends = (extensions,) if isinstance(extensions, str) else tuple(extensions or ())
        ends = tuple(end.lower() for end in ends)
        samples, empty = [], []
        for name in sorted(class_to_idx):
            before = len(samples)
            folder = os.path.join(directory, name)
            for place, _, files in sorted(os.walk(folder, followlinks=True)):
                for file in sorted(files):
                    path = os.path.join(place, file)
                    valid = (
                        file.lower().endswith(ends)
                        if is_valid_file is None
                        else is_valid_file(path)
                    )
                    if valid:
                        samples.append((path, class_to_idx[name]))
            if len(samples) == before:
                empty.append(name)
        if empty and not allow_empty:
            wanted = f" Supported extensions are: {', '.join(ends)}" if ends else ""
            raise FileNotFoundError(
                f"Found no valid file for the classes {', '.join(empty)} in {os.fspath(directory)}.{wanted}"
            )
        return samples

    def find_classes(self, directory: str | os.PathLike[str]) -> tuple[list[str], dict[str, int]]:
        """The folders' names, sorted, and their numbers; to be overridden for another layout."""
        with os.scandir(directory) as entries:
            classes = sorted(entry.name for entry in entries if entry.is_dir())
        if not classes:
            raise FileNotFoundError(f"Couldn't find any class folder in {os.fspath(directory)}.")
        return classes, {name: i for i, name in enumerate(classes)}

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        path, target = self.samples[index]
        return self._transformed(self.loader(path), target)

    def __len__(self) -> int:
        return len(self.samples)


class ImageFolder(DatasetFolder):
    """Image files in ``root/class/…/file``, read as PIL images in RGB (Pillow must be installed).

    Args:
        root, transform, target_transform, is_valid_file, allow_empty: as for `DatasetFolder`.
        loader: function of a path, which returns the image.

    >>> photos = ImageFolder("photos/train")  # doctest: +SKIP
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(
            root,
            loader,
            IMG_EXTENSIONS if is_valid_file is None else None,
            transform,
            target_transform,
            is_valid_file,
            allow_empty,
        )
        self.imgs = self.samples
