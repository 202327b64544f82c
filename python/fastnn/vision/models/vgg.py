"""VGG."""

from __future__ import annotations

from typing import Any

from fastnn import Tensor, nn

from ._initial import plain_norm, small_linear
from ._weights import refuse_weights

__all__ = [
    "VGG",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]

# Convolutions in each of the five stages, of these widths; a largest-value pooling ends each.
_WIDTHS = (64, 128, 256, 512, 512)
_DEPTHS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}


class VGG(nn.Module):
    """VGG (Simonyan and Zisserman 2014).

    Args:
        features: The convolutions, which give 512 channels.
        num_classes: Number of classes.
        init_weights: Initialize as torchvision does; else as the layers do.
        dropout: Probability of a zero after the first two linear layers.
    """

    def __init__(
        self,
        features: nn.Module,
        num_classes: int = 1000,
        init_weights: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            for module in self.modules():
                _initialize(module)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes) of images (N, 3, H, W), of 32×32 at least."""
        x = self.avgpool(self.features(x)).flatten(1)
        result: Tensor = self.classifier(x)
        return result


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        plain_norm(module)
    elif isinstance(module, nn.Linear):
        small_linear(module)


def _features(depths: tuple[int, ...], batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for width, depth in zip(_WIDTHS, depths, strict=True):
        for _ in range(depth):
            layers.append(nn.Conv2d(channels, width, kernel_size=3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU(inplace=True))
            channels = width
        layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return nn.Sequential(*layers)


def _vgg(name: str, weights: Any, options: dict[str, Any]) -> VGG:
    refuse_weights(name, weights, options)
    base = name.removesuffix("_bn")
    return VGG(_features(_DEPTHS[base], batch_norm=name != base), **options)


def vgg11(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG of 11 layers; arguments as of `VGG`, ``weights`` must be None."""
    return _vgg("vgg11", weights, kwargs)


def vgg11_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG of 11 layers with batch normalization; arguments as of `VGG`, ``weights`` must be None."""
    return _vgg("vgg11_bn", weights, kwargs)


def vgg13(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG of 13 layers; arguments as of `VGG`, ``weights`` must be None."""
    return _vgg("vgg13", weights, kwargs)


def vgg13_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG of 13 layers with batch normalization; arguments as of `VGG`, ``weights`` must be None."""
    return _vgg("vgg13_bn", weights, kwargs)


def vgg16(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG of 16 layers; arguments as of `VGG`, ``weights`` must be None."""
    return _vgg("vgg16", weights, kwargs)


def vgg16_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG of 16 layers with batch normalization; arguments as of `VGG`, ``weights`` must be None."""
    return _vgg("vgg16_bn", weights, kwargs)


def vgg19(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG of 19 layers; arguments as of `VGG`, ``weights`` must be None."""
    return _vgg("vgg19", weights, kwargs)


def vgg19_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG of 19 layers with batch normalization; arguments as of `VGG`, ``weights`` must be None."""
    return _vgg("vgg19_bn", weights, kwargs)
