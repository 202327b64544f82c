"""The demonstration: a CNN learns to read handwritten digits, and shows which ones it reads wrongly."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import fastnn
import fastnn.nn.functional as F
from fastnn import nn
from fastnn.utils.data import DataLoader
from fastnn.vision import datasets, transforms

__all__ = ["History", "build_model", "draw_curves", "draw_mistakes", "predict", "run", "train"]

# Mean and standard deviation of MNIST's training pixels.
_NORMALIZE = transforms.Normalize((0.1307,), (0.3081,))
_LEARNING_RATE = 1e-3


@dataclass
class History:
    """What was measured during training."""

    step_losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)  # on the test images, after each epoch
    seconds: list[float] = field(default_factory=list)  # of training, each epoch


def build_model() -> nn.Sequential:
    """Two convolutions and two dense layers: 225,034 parameters for 28×28 images of ten classes."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1600, 128), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(128, 10),
    )  # fmt: skip


def train(model: nn.Module, training: Any, test: Any, epochs: int, batch_size: int = 64) -> History:
    """Trains with Adam, its learning rate falling linearly to 0, and cross-entropy.

    Args:
        model: Takes images (N, 1, 28, 28), gives logits (N, 10).
        training, test: Datasets of (image tensor, label).
        epochs: Passes over the training images.
        batch_size: Images a step.
    """
    from tqdm import tqdm

    loader = DataLoader(training, batch_size=batch_size, shuffle=True)
    optimizer = fastnn.optim.Adam(model.parameters(), lr=_LEARNING_RATE)
    history = History()
    refresh = 0.1 if sys.stderr.isatty() else 2.0  # seconds; each one is a line in a log
    steps = epochs * len(loader)
    for epoch in range(1, epochs + 1):
        model.train()
        start = time.perf_counter()
        with tqdm(
            loader, f"epoch {epoch}/{epochs}", unit="batch", leave=False, mininterval=refresh
        ) as bar:
            for images, labels in bar:
                for group in optimizer.param_groups:
                    group["lr"] = _LEARNING_RATE * (1 - len(history.step_losses) / steps)
                optimizer.zero_grad()
                loss = F.cross_entropy(model(images), labels)
                loss.backward()
                optimizer.step()
                history.step_losses.append(loss.item())
                bar.set_postfix(loss=f"{history.step_losses[-1]:.3f}", refresh=False)
        history.seconds.append(time.perf_counter() - start)
        probabilities, truth = predict(model, test)
        history.accuracies.append(float((probabilities.argmax(axis=1) == truth).mean()))
        mean_loss = np.mean(history.step_losses[-len(loader) :])
        print(
            f"epoch {epoch}/{epochs}  loss {mean_loss:.4f}  "
            f"test accuracy {history.accuracies[-1]:.2%}  {history.seconds[-1]:.2f} s"
        )
    return history


def predict(
    model: nn.Module, dataset: Any
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The model's probabilities (N, 10) for all images, and their true labels (N,)."""
    model.eval()
    probabilities, labels = [], []
    with fastnn.no_grad():
        for images, targets in DataLoader(dataset, batch_size=500):
            probabilities.append(F.softmax(model(images), dim=1).numpy())
            labels.append(targets.numpy())
    return np.concatenate(probabilities), np.concatenate(labels)


def draw_curves(history: History, path: Path) -> None:
    """Draws loss and accuracy over the epochs, as a PNG."""
    epochs = len(history.accuracies)
    per_epoch = len(history.step_losses) // epochs
    figure = _figure(figsize=(10, 4))
    left, right = figure.subplots(1, 2)

    x = np.arange(1, len(history.step_losses) + 1) / per_epoch
    window = max(1, per_epoch // 5)
    smooth = np.convolve(history.step_losses, np.ones(window) / window, mode="valid")
    left.plot(
        x, history.step_losses, color="tab:blue", alpha=0.25, linewidth=0.8, label="each step"
    )
    left.plot(x[window - 1 :], smooth, color="tab:blue", label=f"mean of {window} steps")
    left.set(
        title="Training loss",
        xlabel="epoch",
        ylabel="cross-entropy",
        yscale="log",
        xlim=(0, epochs),
    )
    left.legend(frameon=False)

    percent = 100 * np.array(history.accuracies)
    right.plot(np.arange(1, epochs + 1), percent, color="tab:green", marker="o")
    right.set(
        title=f"Accuracy on the test digits: {percent[-1]:.2f} % at the end",
        xlabel="epoch",
        ylabel="%",
        xlim=(0, epochs + 0.2),
    )
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.savefig(path, dpi=130)


def draw_mistakes(
    images: npt.NDArray[np.uint8],
    probabilities: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    path: Path,
    limit: int = 32,
) -> None:
    """Draws the wrongly read digits, the surest mistakes first, as a PNG.

    Args:
        images: All test images (N, 28, 28).
        probabilities: The model's (N, 10).
        labels: The true ones (N,).
        path: The PNG.
        limit: At most so many digits.
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    shown = wrong[np.argsort(-confidence[wrong], kind="stable")][:limit]
    columns = 8
    rows = max(1, -(-len(shown) // columns))
    figure = _figure(figsize=(1.35 * columns, 1.7 * rows + 0.5))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, i in zip(grid.flat, shown, strict=False):
        axes.imshow(images[i], cmap="gray_r", vmin=0, vmax=255)
        axes.set_title(
            f"read {predicted[i]}  ({confidence[i]:.0%})\nis {labels[i]}",
            fontsize=10,
            color="firebrick",
        )
    more = f", the {len(shown)} surest" if len(shown) < len(wrong) else ""
    figure.suptitle(f"{len(wrong)} of {len(labels):,} test digits read wrongly{more}", fontsize=13)
    figure.savefig(path, dpi=130)


def run(
    data: str | os.PathLike[str] | None = None,
    epochs: int | None = None,
    batch_size: int = 64,
    seed: int = 0,
    out: str | os.PathLike[str] = "fastnn-demo",
) -> float:
    """The whole demonstration; returns the accuracy on the test digits.

    Args:
        data: Folder with the full MNIST (``data/MNIST/raw``); None: the sample inside fastnn.
        epochs: Passes over the training digits; 8 on the sample and 5 on the full MNIST if None.
        batch_size: Images a step.
        seed: Seed of initial weights, order and dropout.
        out: Folder for the model and the pictures; made if missing.
    """
    drawing = _can_draw()
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    fastnn.show_config()
    if not drawing:
        print("matplotlib is missing: no pictures (pip install matplotlib)", file=sys.stderr)

    transform = transforms.Compose([transforms.ToTensor(), _NORMALIZE])
    training: datasets.VisionDataset
    test: datasets.VisionDataset
    if data is None:
        training = datasets.MNISTSample(train=True, transform=transform)
        test = datasets.MNISTSample(train=False, transform=transform)
        epochs = epochs or 8
    else:
        training = datasets.MNIST(data, train=True, transform=transform)
        test = datasets.MNIST(data, train=False, transform=transform)
        epochs = epochs or 5

    fastnn.manual_seed(seed)
    model = build_model()
    count = sum(p.numel() for p in model.parameters())
    print(f"{len(training):,} training and {len(test):,} test digits; {count:,} parameters")
    history = train(model, training, test, epochs, batch_size)

    probabilities, labels = predict(model, test)
    accuracy = history.accuracies[-1]
    fastnn.save(model.state_dict(), out / "mnist_cnn.safetensors")
    written = ["mnist_cnn.safetensors"]
    if drawing:
        draw_curves(history, out / "curves.png")
        draw_mistakes(test.data.numpy(), probabilities, labels, out / "mistakes.png")
        written += ["curves.png", "mistakes.png"]
    print(f"time an epoch: {np.mean(history.seconds):.2f} s")
    print(f"test accuracy: {accuracy:.2%}")
    print(f"wrote {', '.join(written)} to {out}{os.sep}")
    return accuracy


def _can_draw() -> bool:
    try:
        import matplotlib.figure  # noqa: F401 - only whether it is there
    except ImportError:
        return False
    return True


def _figure(**options: Any) -> Any:
    """A matplotlib figure outside pyplot: no window, no display, no global state; files are drawn by Agg."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("drawing needs matplotlib: pip install matplotlib") from error
    return Figure(layout="constrained", **options)
