"""Augmentations of whole batches: images and labels of two samples mixed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import fastnn
from fastnn import nn

from . import _random

__all__ = ["CutMix", "MixUp"]


class _Mix(nn.Module):
    """Called with (images, labels) or one tuple of them; the second sample is the one before, in turn.

    Args:
        alpha: Both parameters of the beta distribution of the mixture's weight.
        num_classes: Number of classes; needed where labels are class numbers.
    """

    def __init__(self, *, alpha: float = 1.0, num_classes: int | None = None) -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f"alpha must be positive, got {alpha}")
        self.alpha = float(alpha)
        self.num_classes = num_classes

    def forward(self, *inputs: Any) -> Any:
        batch = inputs[0] if len(inputs) == 1 else inputs
        name = type(self).__name__
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise ValueError(f"{name}: expected a batch (images, labels)")
        images, labels = batch
        if not isinstance(images, fastnn.Tensor) or images.ndim != 4:
            raise ValueError(f"{name}: expected images to be a Tensor (N, C, H, W)")
        if not images.is_floating_point():
            raise ValueError(
                f"{name}: expected images of a floating dtype, got {images.dtype}; use ToDtype first"
            )
        weights = self._label_weights(labels, len(images))
        mixed, share = self._mix(images, _random.beta(self.alpha, self.alpha))
        result = [mixed, weights * share + weights.roll(1, 0) * (1.0 - share)]
        return tuple(result) if isinstance(batch, tuple) else result

    def _mix(self, images: fastnn.Tensor, share: float) -> tuple[fastnn.Tensor, float]:
        raise NotImplementedError(f"{type(self).__name__} must define _mix")

    def _label_weights(self, labels: Any, count: int) -> fastnn.Tensor:
        name = type(self).__name__
        if (
            not isinstance(labels, fastnn.Tensor)
            or labels.ndim not in (1, 2)
            or len(labels) != count
        ):
            raise ValueError(
                f"{name}: expected labels (N,) of class numbers or (N, classes) of weights, N = {count}"
            )
        if labels.ndim == 2:
            return labels.to(fastnn.get_default_dtype())
        if self.num_classes is None:
            raise ValueError("num_classes must be passed if the labels are index-based (1D)")
        one_hot: Any = nn.functional.one_hot(labels, self.num_classes)
        weights: fastnn.Tensor = one_hot.to(fastnn.get_default_dtype())
        return weights

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}, num_classes={self.num_classes}"


class MixUp(_Mix):
    """A weighted mean of each image and another, and of their labels (Zhang et al. 2017).

    Args:
        alpha: Both parameters of the beta distribution of the weight.
        num_classes: Number of classes; needed where labels are class numbers.

    >>> images, labels = MixUp(num_classes=3)(fastnn.ones(2, 1, 4, 4), fastnn.tensor([0, 2]))
    >>> labels.shape, labels.sum(1).tolist()
    (fastnn.Size([2, 3]), [1.0, 1.0])
    """

    def _mix(self, images: fastnn.Tensor, share: float) -> tuple[fastnn.Tensor, float]:
        return images * share + images.roll(1, 0) * (1.0 - share), share


class CutMix(_Mix):
    """A rectangle of each image replaced by another's, and the labels mixed by area (Yun et al. 2019).

    Args:
        alpha: Both parameters of the beta distribution of the share that stays.
        num_classes: Number of classes; needed where labels are class numbers.
    """

    def _mix(self, images: fastnn.Tensor, share: float) -> tuple[fastnn.Tensor, float]:
        height, width = images.shape[-2:]
        y, x = _random.integer(0, height), _random.integer(0, width)
        half = 0.5 * math.sqrt(1.0 - share)
        half_y, half_x = int(half * height), int(half * width)
        top, bottom = max(y - half_y, 0), min(y + half_y, height)
        left, right = max(x - half_x, 0), min(x + half_x, width)
        inside = np.zeros((height, width), dtype=bool)
        inside[top:bottom, left:right] = True
        mixed = fastnn.where(fastnn.from_numpy(inside), images.roll(1, 0), images)
        return mixed, 1.0 - (bottom - top) * (right - left) / (height * width)
