"""Accuracy beside PyTorch's: LeNet on CIFAR-10, the same batches for both, over several seeds.

    python -m bench.accuracy --data DIR [--seeds 3] [--epochs 10]

Both start from weights of their own (their random numbers differ); the batches, with their random crops and flips, are
fastnn's. A pair of runs is one seed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

import fastnn
from fastnn.utils.data import DataLoader
from fastnn.vision import datasets, transforms

from . import models

_MEAN, _STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def _loaders(root: str) -> tuple[Any, Any]:
    plain = [transforms.ToTensor(), transforms.Normalize(_MEAN, _STD)]
    random = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), *plain]
    training = datasets.CIFAR10(root, train=True, transform=transforms.Compose(random))
    test = datasets.CIFAR10(root, train=False, transform=transforms.Compose(plain))
    return DataLoader(training, batch_size=128, shuffle=True), DataLoader(test, batch_size=500)


def _accuracy(lib: Any, model: Any, loader: Any) -> float:
    model.eval()
    correct = total = 0
    with lib.no_grad():
        for images, labels in loader:
            x, y = (lib.from_numpy(t.numpy()) for t in (images, labels))
            correct += int((model(x).argmax(1) == y).sum())
            total += len(y)
    model.train()
    return 100 * correct / total


def main() -> None:
    """Train pairs of models, print their accuracies and the difference of the means."""
    import torch

    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=__doc__)
    parser.add_argument("--data", default=os.environ.get("FASTNN_DATA", "./data"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    libraries: tuple[Any, ...] = (fastnn, torch)
    found: dict[str, list[float]] = {lib.__name__: [] for lib in libraries}
    torch.set_num_threads(fastnn.get_num_threads())
    for seed in range(arguments.seeds):
        runs = []
        for lib in libraries:
            lib.manual_seed(seed)
            model = models.cifar_lenet(lib.nn)
            optimizer = lib.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
            runs.append((lib, model, optimizer, lib.nn.CrossEntropyLoss()))
        training, test = _loaders(arguments.data)
        spent = {lib.__name__: 0.0 for lib in libraries}
        for _ in range(arguments.epochs):
            for images, labels in training:
                for lib, model, optimizer, criterion in runs:
                    x, y = (lib.from_numpy(t.numpy()) for t in (images, labels))
                    start = time.perf_counter()
                    optimizer.zero_grad()
                    criterion(model(x), y).backward()
                    optimizer.step()
                    spent[lib.__name__] += time.perf_counter() - start
        for lib, model, _, _ in runs:
            found[lib.__name__].append(_accuracy(lib, model, test))
        parts = [f"{n} {v[-1]:.2f} % ({spent[n]:.1f} s of steps)" for n, v in found.items()]
        print(f"seed {seed}: {', '.join(parts)}", flush=True)
    means = {n: statistics.mean(v) for n, v in found.items()}
    print(f"means: {', '.join(f'{n} {m:.2f} %' for n, m in means.items())}")
    print(f"difference: {means['fastnn'] - means['torch']:+.2f} points")


if __name__ == "__main__":
    main()
