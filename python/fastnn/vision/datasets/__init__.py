"""Image data sets in torchvision's layout on disk, and a sample of MNIST that comes with fastnn."""

from .cifar import CIFAR10
from .mnist import MNIST, FashionMNIST, MNISTSample
from .vision import VisionDataset

__all__ = ["CIFAR10", "MNIST", "FashionMNIST", "MNISTSample", "VisionDataset"]
