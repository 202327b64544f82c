"""MobileNetV2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastnn import Tensor, nn

from ._initial import plain_norm, small_linear
from ._weights import refuse_weights

__all__ = ["InvertedResidual", "MobileNetV2", "mobilenet_v2"]

Norm = Callable[[int], nn.Module]

# Of each stage: factor of expansion, channels, blocks, stride of the first one.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _multiple(channels: float, divisor: int) -> int:
    """The nearest multiple of the divisor, not more than a tenth below."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def _conv(
    channels: int, width: int, size: int, norm: Norm, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, size, stride, (size - 1) // 2, groups=groups, bias=False),
        norm(width),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """Widened by 1×1, 3×3 channel by channel, narrowed by 1×1; and the way around where the shapes agree.

    Args:
        inp, oup: Channels of input and output.
        stride: 1 or 2.
        expand_ratio: How much wider the middle is.
        norm_layer: Makes a normalization; `nn.BatchNorm2d` if None.
    """

    def __init__(
        self, inp: int, oup: int, stride: int, expand_ratio: float, norm_layer: Norm | None = None
    ) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        norm = norm_layer or nn.BatchNorm2d
        width = round(inp * expand_ratio)
        layers: list[nn.Module] = [] if expand_ratio == 1 else [_conv(inp, width, 1, norm)]
        layers += [
            _conv(width, width, 3, norm, stride, groups=width),
            nn.Conv2d(width, oup, 1, bias=False),
            norm(oup),
        ]
        self.conv = nn.Sequential(*layers)
        self.stride = stride
        self.use_res_connect = stride == 1 and inp == oup
        self.out_channels = oup

    def forward(self, x: Tensor) -> Tensor:
        """(N, inp, H, W) to (N, oup, H / stride, W / stride)."""
        result: Tensor = self.conv(x)
        return x + result if self.use_res_connect else result


class MobileNetV2(nn.Module):
    """MobileNetV2 (Sandler et al. 2018).

    Args:
        num_classes: Number of classes.
        width_mult: Factor of all widths.
        inverted_residual_setting: (expansion, channels, blocks, stride) of each stage; the paper's if None.
        round_nearest: Widths are multiples of this.
        block: The block; `InvertedResidual` if None.
        norm_layer: Makes a normalization; `nn.BatchNorm2d` if None.
        dropout: Probability of a zero before the linear layer.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] | None = None,
        round_nearest: int = 8,
        block: Callable[..., nn.Module] | None = None,
        norm_layer: Norm | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        make = block or InvertedResidual
        norm = norm_layer or nn.BatchNorm2d
        stages = _STAGES if inverted_residual_setting is None else inverted_residual_setting
        if not stages or any(len(stage) != 4 for stage in stages):
            raise ValueError(
                f"inverted_residual_setting should be non-empty or a 4-element list, got {stages}"
            )
        channels = _multiple(32 * width_mult, round_nearest)
        self.last_channel = _multiple(1280 * max(1.0, width_mult), round_nearest)
        layers: list[nn.Module] = [_conv(3, channels, 3, norm, stride=2)]
        for expansion, wanted, count, stride in stages:
            width = _multiple(wanted * width_mult, round_nearest)
            for i in range(count):
                step = stride if i == 0 else 1
                layers.append(make(channels, width, step, expand_ratio=expansion, norm_layer=norm))
                channels = width
        layers.append(_conv(channels, self.last_channel, 1, norm))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
                plain_norm(module)
            elif isinstance(module, nn.Linear):
                small_linear(module)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        pooled = self.features(x).mean((2, 3))
        result: Tensor = self.classifier(pooled)
        return result


def mobilenet_v2(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> MobileNetV2:
    """`MobileNetV2`; ``weights`` must be None, and ``progress`` means nothing without a download."""
    refuse_weights("mobilenet_v2", weights, kwargs)
    return MobileNetV2(**kwargs)
