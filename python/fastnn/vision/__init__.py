"""Images: data sets, transforms, networks and grids, with torchvision's names."""

from typing import TYPE_CHECKING

from .._help import getattr_of
from . import datasets, models, transforms, utils

__all__ = ["datasets", "models", "transforms", "utils"]

if not TYPE_CHECKING:  # a checker must see that a name is missing
    __getattr__ = getattr_of(__name__)
