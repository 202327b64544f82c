"""Helpers for training and for the parameters of modules."""

from . import rnn

__all__ = ["rnn"]
