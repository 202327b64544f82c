"""Data loading: an epoch over a data set in memory, with and without augmentation."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .measure import Maker, Row

_COUNT = 2048


def _arrays() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.random((_COUNT, 1, 28, 28), np.float32), rng.integers(0, 10, _COUNT)


def _tensors(library: str, batch: int) -> Maker:
    def make() -> Callable[[], object]:
        lib = importlib.import_module(library)
        data = importlib.import_module(f"{library}.utils.data")
        dataset = data.TensorDataset(*(lib.from_numpy(a) for a in _arrays()))
        loader = data.DataLoader(dataset, batch_size=batch, shuffle=True)
        return lambda: sum(len(y) for _, y in loader)

    return make


def _augmented(library: str) -> Maker:
    """Random crops and flips of images, one by one; PyTorch's come from torchvision, fastnn's from fastnn.vision."""

    def make() -> Callable[[], object]:
        data = importlib.import_module(f"{library}.utils.data")
        vision = "fastnn.vision" if library == "fastnn" else "torchvision"
        transforms = importlib.import_module(f"{vision}.transforms")
        image: Any = importlib.import_module("PIL.Image")
        rng = np.random.default_rng(0)
        pictures = [
            image.fromarray(a) for a in rng.integers(0, 256, (256, 32, 32, 3)).astype(np.uint8)
        ]
        chain = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
            ]
        )

        class Pictures(data.Dataset):  # type: ignore[misc, name-defined]
            def __len__(self) -> int:
                return len(pictures)

            def __getitem__(self, i: int) -> Any:
                return chain(pictures[i])

        loader = data.DataLoader(Pictures(), batch_size=64, shuffle=True)
        return lambda: sum(len(x) for x in loader)

    return make


ROWS = [
    Row(
        "data",
        f"{_COUNT} digits in batches of {batch}, shuffled",
        {"fastnn": _tensors("fastnn", batch), "torch": _tensors("torch", batch)},
        bytes=8.0 * _COUNT * 784,
    )
    for batch in (32, 256)
] + [
    Row(
        "data",
        "256 pictures of 32 x 32, cropped, flipped, normalised",
        {"fastnn": _augmented("fastnn"), "torch": _augmented("torch")},
    )
]
