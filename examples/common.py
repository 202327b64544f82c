"""What the examples share: their arguments, the loop over batches with a bar, accuracy, pictures of the curves."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

import fastnn as torch


def arguments(
    description: str,
    epochs: int,
    more: Callable[[argparse.ArgumentParser], object] | None = None,
) -> argparse.Namespace:
    """The command line of an example: --data, --epochs, --quick, --seed, --out, and what ``more`` adds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--data",
        default=os.environ.get("FASTNN_DATA", "./data"),
        help="folder of the data sets (default: $FASTNN_DATA or ./data; downloaded if it is missing)",
    )
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument(
        "--quick", action="store_true", help="less than a minute, on a part of the data"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=Path("examples-out"), help="folder for pictures"
    )
    if more is not None:
        more(parser)
    chosen = parser.parse_args()
    torch.manual_seed(chosen.seed)
    return chosen


def part(dataset: Any, quick: bool, count: int) -> Any:
    """The first ``count`` samples where ``quick``, else all."""
    if not quick or len(dataset) <= count:
        return dataset
    return torch.utils.data.Subset(dataset, range(count))


def train(
    loader: Any, epochs: int, step: Callable[[Any, Any], float], after: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """Call ``step`` on each batch and ``after`` behind each epoch; returns the losses and what ``after`` gave (percent)."""
    losses: list[float] = []
    accuracies: list[float] = []
    refresh = 0.1 if sys.stderr.isatty() else 5.0
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        with tqdm(loader, f"epoch {epoch}/{epochs}", leave=False, mininterval=refresh) as bar:
            for inputs, targets in bar:
                losses.append(step(inputs, targets))
        seconds = time.perf_counter() - start
        accuracies.append(after())
        print(
            f"epoch {epoch}: loss {losses[-1]:.4f}, test accuracy {accuracies[-1]:.2f} % ({seconds:.1f} s)"
        )
    return losses, accuracies


def accuracy(model: Any, loader: Any) -> float:
    """The percentage of samples whose largest output is the target."""
    model.eval()
    correct = total = 0
    with torch.no_grad():
        for inputs, targets in loader:
            _, predicted = torch.max(model(inputs), 1)
            correct += int((predicted == targets).sum().item())
            total += len(targets)
    model.train()
    return 100 * correct / total


def draw(path: Path, losses: list[float], accuracies: list[float]) -> None:
    """The curves as a picture, where matplotlib is installed."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError:
        print("matplotlib is not installed: no picture")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    left.plot(losses, linewidth=0.7)
    left.set(xlabel="step", ylabel="training loss", yscale="log")
    right.plot(range(1, len(accuracies) + 1), accuracies, marker="o")
    right.set(xlabel="epoch", ylabel="test accuracy (%)")
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(f"curves: {path}")
