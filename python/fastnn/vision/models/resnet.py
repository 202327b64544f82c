"""ResNet, ResNeXt and Wide ResNet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastnn import Tensor, nn

from ._initial import plain_norm
from ._weights import refuse_weights

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "ResNet",
    "resnet101",
    "resnet152",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "resnext50_32x4d",
    "wide_resnet101_2",
    "wide_resnet50_2",
]

Norm = Callable[[int], nn.Module]


def conv3x3(channels: int, width: int, stride: int = 1, groups: int = 1, dilation: int = 1) -> nn.Conv2d:  # fmt: skip
    """A convolution of 3×3 that keeps the size, but for its stride; without bias."""
    return nn.Conv2d(channels, width, 3, stride, dilation, dilation, groups, bias=False)


def conv1x1(channels: int, width: int, stride: int = 1) -> nn.Conv2d:
    """A convolution of 1×1 without bias."""
    return nn.Conv2d(channels, width, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """Two convolutions of 3×3, and the way around them.

    Args:
        inplanes: Channels of the input.
        planes: Channels of the convolutions.
        stride: Of the first one.
        downsample: What the way around goes through, where the shapes differ.
        groups, base_width, dilation: Must be 1, 64 and 1: only `Bottleneck` has them.
        norm_layer: Makes a normalization; `nn.BatchNorm2d` if None.
    """

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        if groups != 1 or base_width != 64:
            raise ValueError("BasicBlock only supports groups=1 and base_width=64")
        if dilation > 1:
            raise NotImplementedError("Dilation > 1 not supported in BasicBlock; use Bottleneck")
        norm = norm_layer or nn.BatchNorm2d
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = norm(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = norm(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, inplanes, H, W) to (N, planes, H / stride, W / stride)."""
        around = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        result: Tensor = self.relu(out + around)
        return result


class Bottleneck(nn.Module):
    """Convolutions of 1×1, 3×3 (with the stride) and 1×1, and the way around them.

    Args:
        inplanes: Channels of the input.
        planes: A quarter of the output's channels.
        stride: Of the convolution of 3×3.
        downsample: What the way around goes through, where the shapes differ.
        groups, base_width: Groups of the middle convolution, and their width at 64 planes.
        dilation: Of the middle convolution.
        norm_layer: Makes a normalization; `nn.BatchNorm2d` if None.
    """

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1 = conv1x1(inplanes, width)
        self.bn1 = norm(width)
        self.conv2 = conv3x3(width, width, stride, groups, dilation)
        self.bn2 = norm(width)
        self.conv3 = conv1x1(width, planes * self.expansion)
        self.bn3 = norm(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, inplanes, H, W) to (N, 4 planes, H / stride, W / stride)."""
        around = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        result: Tensor = self.relu(out + around)
        return result


class ResNet(nn.Module):
    """Residual networks (He et al. 2015; Xie et al. 2016; Zagoruyko and Komodakis 2016).

    Args:
        block: `BasicBlock` or `Bottleneck`.
        layers: Blocks in each of the four stages.
        num_classes: Number of classes.
        zero_init_residual: Let every block begin as the identity.
        groups, width_per_group: Of the bottlenecks.
        replace_stride_with_dilation: For each of the last three stages.
        norm_layer: Makes a normalization; `nn.BatchNorm2d` if None.

    >>> import fastnn
    >>> net = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=5)
    >>> net(fastnn.zeros(1, 3, 64, 64)).shape
    fastnn.Size([1, 5])
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        self._norm_layer: Norm = norm_layer or nn.BatchNorm2d
        dilated = [False] * 3 if replace_stride_with_dilation is None else list(replace_stride_with_dilation)  # fmt: skip
        if len(dilated) != 3:
            raise ValueError(
                "replace_stride_with_dilation should be None or a 3-element tuple, got "
                f"{replace_stride_with_dilation}"
            )
        self.inplanes = 64
        self.dilation = 1
        self.groups = groups
        self.base_width = width_per_group
        self.conv1 = nn.Conv2d(3, self.inplanes, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = self._norm_layer(self.inplanes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0], 1, False)
        self.layer2 = self._make_layer(block, 128, layers[1], 2, dilated[0])
        self.layer3 = self._make_layer(block, 256, layers[2], 2, dilated[1])
        self.layer4 = self._make_layer(block, 512, layers[3], 2, dilated[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)

        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
                plain_norm(module)
        if zero_init_residual:
            for module in self.modules():
                if isinstance(module, (BasicBlock, Bottleneck)):
                    last: Any = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                    nn.init.zeros_(last.weight)

    def _make_layer(
        self, block: Any, planes: int, blocks: int, stride: int, dilate: bool
    ) -> nn.Sequential:
        first_dilation = self.dilation
        if dilate:
            self.dilation *= stride
            stride = 1
        downsample = None
        if stride != 1 or self.inplanes != planes * block.expansion:
            downsample = nn.Sequential(
                conv1x1(self.inplanes, planes * block.expansion, stride),
                self._norm_layer(planes * block.expansion),
            )
        common = (self.groups, self.base_width)
        made = [
            block(
                self.inplanes, planes, stride, downsample, *common, first_dilation, self._norm_layer
            )
        ]
        self.inplanes = planes * block.expansion
        made += [
            block(self.inplanes, planes, 1, None, *common, self.dilation, self._norm_layer)
            for _ in range(1, blocks)
        ]
        return nn.Sequential(*made)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        result: Tensor = self.fc(self.avgpool(x).flatten(1))
        return result


def _resnet(
    name: str, block: Any, layers: list[int], weights: Any, options: dict[str, Any], **fixed: int
) -> ResNet:
    refuse_weights(name, weights, options)
    for option, value in fixed.items():
        if options.setdefault(option, value) != value:
            raise ValueError(f"{name}: {option} is {value}, got {options[option]}; use ResNet")
    return ResNet(block, layers, **options)


def resnet18(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet of 18 layers; arguments as of `ResNet`, ``weights`` must be None."""
    return _resnet("resnet18", BasicBlock, [2, 2, 2, 2], weights, kwargs)


def resnet34(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet of 34 layers; arguments as of `ResNet`, ``weights`` must be None."""
    return _resnet("resnet34", BasicBlock, [3, 4, 6, 3], weights, kwargs)


def resnet50(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet of 50 layers; arguments as of `ResNet`, ``weights`` must be None."""
    return _resnet("resnet50", Bottleneck, [3, 4, 6, 3], weights, kwargs)


def resnet101(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet of 101 layers; arguments as of `ResNet`, ``weights`` must be None."""
    return _resnet("resnet101", Bottleneck, [3, 4, 23, 3], weights, kwargs)


def resnet152(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet of 152 layers; arguments as of `ResNet`, ``weights`` must be None."""
    return _resnet("resnet152", Bottleneck, [3, 8, 36, 3], weights, kwargs)


def resnext50_32x4d(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNeXt of 50 layers, 32 groups of 4 channels; arguments as of `ResNet`, ``weights`` must be None."""
    return _resnet(
        "resnext50_32x4d", Bottleneck, [3, 4, 6, 3], weights, kwargs, groups=32, width_per_group=4
    )


def resnext101_32x8d(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNeXt of 101 layers, 32 groups of 8 channels; arguments as of `ResNet`, ``weights`` must be None."""
    return _resnet(
        "resnext101_32x8d", Bottleneck, [3, 4, 23, 3], weights, kwargs, groups=32, width_per_group=8
    )


def resnext101_64x4d(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNeXt of 101 layers, 64 groups of 4 channels; arguments as of `ResNet`, ``weights`` must be None."""
    return _resnet(
        "resnext101_64x4d", Bottleneck, [3, 4, 23, 3], weights, kwargs, groups=64, width_per_group=4
    )


def wide_resnet50_2(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet of 50 layers with bottlenecks twice as wide; arguments as of `ResNet`, ``weights`` must be None."""
    return _resnet(
        "wide_resnet50_2", Bottleneck, [3, 4, 6, 3], weights, kwargs, width_per_group=128
    )


def wide_resnet101_2(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet of 101 layers with bottlenecks twice as wide; arguments as of `ResNet`, ``weights`` must be None."""
    return _resnet(
        "wide_resnet101_2", Bottleneck, [3, 4, 23, 3], weights, kwargs, width_per_group=128
    )
