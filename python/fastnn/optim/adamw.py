"""AdamW, under PyTorch's file name."""

from .adam import AdamW

__all__ = ["AdamW"]
