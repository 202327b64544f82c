"""LeNet-5."""

from __future__ import annotations

from fastnn import Tensor, nn

__all__ = ["LeNet", "lenet"]


class LeNet(nn.Module):
    """LeNet-5 (LeCun et al. 1998) with ReLU and largest values instead of its sigmoids and means.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the images: 1 for MNIST, 3 for CIFAR.
        image_size: Height and width of the images: 28 or 32, for example.

    >>> import fastnn
    >>> LeNet(in_channels=3, image_size=32)(fastnn.zeros(2, 3, 32, 32)).shape
    fastnn.Size([2, 10])
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> None:
        super().__init__()
        padding = 2 if image_size < 32 else 0  # the paper's images are 32×32
        side = ((image_size + 2 * padding - 4) // 2 - 4) // 2
        if side < 1:
            raise ValueError(
                f"LeNet: image_size={image_size} is too small, it should be at least 12"
            )
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5, padding=padding),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Linear(16 * side * side, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes) of images (N, in_channels, H, W)."""
        result: Tensor = self.classifier(self.features(x).flatten(1))
        return result


def lenet(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> LeNet:
    """`LeNet`."""
    return LeNet(num_classes, in_channels, image_size)
