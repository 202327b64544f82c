"""Networks for images, with torchvision's constructors and names of parameters.

A ``state_dict`` of torchvision's model fits. Nothing is downloaded: ``weights`` must be None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import nn
from fastnn._help import getattr_of

from .alexnet import AlexNet, alexnet
from .lenet import LeNet, lenet
from .mobilenetv2 import MobileNetV2, mobilenet_v2
from .resnet import (
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
    resnext101_32x8d,
    resnext101_64x4d,
    wide_resnet50_2,
    wide_resnet101_2,
)
from .vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn

__all__ = [
    "VGG",
    "AlexNet",
    "LeNet",
    "MobileNetV2",
    "ResNet",
    "alexnet",
    "get_model",
    "lenet",
    "list_models",
    "mobilenet_v2",
    "resnet101",
    "resnet152",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "resnext50_32x4d",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "wide_resnet101_2",
    "wide_resnet50_2",
]


def list_models() -> list[str]:
    """The names of the functions that make models.

    >>> "resnet18" in list_models()
    True
    """
    return sorted(
        name for name in __all__ if name.islower() and name not in ("get_model", "list_models")
    )


def get_model(name: str, **config: Any) -> nn.Module:
    """The model of this name.

    Args:
        name: One of `list_models`, in any case.
        **config: Arguments of its function.

    Raises:
        ValueError: There is no such model.
    """
    name = name.lower()
    if name not in list_models():
        raise ValueError(f"Unknown model {name}: the models are {', '.join(list_models())}")
    model: nn.Module = globals()[name](**config)
    return model


if not TYPE_CHECKING:  # a checker must see that a name is missing
    __getattr__ = getattr_of(__name__)
