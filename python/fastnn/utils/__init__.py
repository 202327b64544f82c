"""Tools around training: batches of data, checkpoints that save memory, summaries of models."""

from typing import TYPE_CHECKING

from .._help import getattr_of
from . import data

__all__ = ["checkpoint", "data", "summary"]

if TYPE_CHECKING:
    from . import checkpoint, summary
else:  # loaded on first use
    __getattr__ = getattr_of(__name__, lazy=("checkpoint", "summary"))
