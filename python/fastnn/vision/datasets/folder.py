"""Data sets in folders: one sub-folder a class."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from fastnn.vision.transforms._images import pillow

from .vision import VisionDataset

__all__ = ["DatasetFolder", "ImageFolder", "default_loader"]

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

Path = str | os.PathLike[str]


def default_loader(path: Path) -> Any:
    """The file as a PIL image of mode RGB."""
    with open(path, "rb") as file:
        return pillow().open(file).convert("RGB")


class DatasetFolder(VisionDataset):
    """Samples in ``root/<class>/…/<name>``, of any kind that ``loader`` reads.

    A sample is ``(loader(path), class)``. ``samples`` lists (path, class), ``classes`` the names in order, and
    ``class_to_idx`` their numbers.

    Args:
        root: The folder.
        loader: Function of a path.
        extensions: Endings of the names that count; excludes ``is_valid_file``.
        transform: Function of the sample.
        target_transform: Function of the class number.
        is_valid_file: Function of a path: does it count?
        allow_empty: Classes without files are well.

    Raises:
        FileNotFoundError: No class folder, or a class without files.
        ValueError: Both or neither of ``extensions`` and ``is_valid_file``.
    """

    def __init__(
        self,
        root: Path,
        loader: Callable[[str], Any],
        extensions: str | tuple[str, ...] | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        assert self.root is not None
        self.classes, self.class_to_idx = self.find_classes(self.root)
        self.samples = self.make_dataset(
            self.root, self.class_to_idx, extensions, is_valid_file, allow_empty
        )
        self.loader = loader
        self.extensions = extensions
        self.targets = [target for _, target in self.samples]

    def find_classes(self, directory: Path) -> tuple[list[str], dict[str, int]]:
        """The names of the sub-folders, sorted, and their numbers."""
        classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
        if not classes:
            raise FileNotFoundError(f"Couldn't find any class folder in {directory}.")
        return classes, {name: i for i, name in enumerate(classes)}

    @staticmethod
    def make_dataset(
        directory: Path,
        class_to_idx: dict[str, int],
        extensions: str | tuple[str, ...] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        """(path, class) of every file that counts, sorted by class and path."""
        if (extensions is None) == (is_valid_file is None):
            raise ValueError(
                "Both extensions and is_valid_file cannot be None or not None at the same time"
            )
        if is_valid_file is None:
            endings = (extensions,) if isinstance(extensions, str) else extensions
            assert endings is not None
            endings = tuple(ending.lower() for ending in endings)

            def is_valid_file(path: str) -> bool:
                return path.lower().endswith(endings)

        samples, empty = [], []
        for name in sorted(class_to_idx):
            found = [path for path in _files(os.path.join(directory, name)) if is_valid_file(path)]
            samples += [(path, class_to_idx[name]) for path in found]
            if not found:
                empty.append(name)
        if empty and not allow_empty:
            hint = f" Supported extensions are: {extensions}" if extensions is not None else ""
            raise FileNotFoundError(
                f"Found no valid file for the classes {', '.join(empty)} in {directory}.{hint}"
            )
        return samples

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        path, target = self.samples[index]
        sample: Any = self.loader(path)
        if self.transform is not None:
            sample = self.transform(sample)
        if self.target_transform is not None:
            return sample, self.target_transform(target)
        return sample, target

    def __len__(self) -> int:
        return len(self.samples)


class ImageFolder(DatasetFolder):
    """Images in ``root/<class>/…/<name>``: ``root/dog/1.png``, ``root/cat/2.jpg``.

    A sample is ``(image, class)``, the image a PIL image of mode RGB (which needs Pillow) with the default loader.

    Args:
        root: The folder.
        transform: Function of the image.
        target_transform: Function of the class number.
        loader: Function of a path.
        is_valid_file: Function of a path: does it count? By default its ending tells.
        allow_empty: Classes without files are well.

    Raises:
        FileNotFoundError: No class folder, or a class without images.
    """

    def __init__(
        self,
        root: Path,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        extensions = IMG_EXTENSIONS if is_valid_file is None else None
        super().__init__(
            root, loader, extensions, transform, target_transform, is_valid_file, allow_empty
        )
        self.imgs = self.samples


def _files(directory: str) -> Iterator[str]:
    for folder, _, names in sorted(os.walk(directory, followlinks=True)):
        yield from (os.path.join(folder, name) for name in sorted(names))
