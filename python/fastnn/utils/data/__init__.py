"""Datasets, samplers and the DataLoader: PyTorch's ``torch.utils.data``.

Data that lie in memory are fetched a whole batch at a time; ``batching`` describes the protocol.
"""

from typing import TYPE_CHECKING

from ..._help import getattr_of
from .collate import default_collate, default_convert
from .dataloader import DataLoader
from .dataset import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset, random_split
from .sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

__all__ = [
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "default_convert",
    "random_split",
]

if not TYPE_CHECKING:  # a checker must see that a name is missing
    __getattr__ = getattr_of(__name__)
