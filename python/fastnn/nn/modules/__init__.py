"""Layers under the paths of PyTorch's files: ``fastnn.nn.modules.batchnorm`` is ``fastnn.nn.batchnorm``."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

from .. import *  # noqa: F403
from .. import __all__ as _names

# PyTorch's file: the ones here that have its classes
_FILES: dict[str, tuple[str, ...]] = {
    "activation": ("activation", "multihead"),
    "batchnorm": ("batchnorm",),
    "container": ("container", "parameter_container"),
    "conv": ("conv",),
    "distance": ("vision",),
    "dropout": ("dropout",),
    "flatten": ("linear",),
    "fold": ("vision",),
    "instancenorm": ("normalization",),
    "linear": ("linear", "multihead"),
    "loss": ("loss", "loss_margin", "loss_regression"),
    "module": ("module",),
    "normalization": ("normalization",),
    "padding": ("padding",),
    "pixelshuffle": ("vision",),
    "pooling": ("pooling",),
    "rnn": ("rnn",),
    "sparse": ("embedding",),
    "transformer": ("transformer",),
    "upsampling": ("vision",),
}


def _merged(name: str, files: tuple[str, ...]) -> ModuleType:
    """The module of the only file, or a new one with what all of them define."""
    found = [import_module(f"fastnn.nn.{f}") for f in files]
    if len(found) == 1:
        return found[0]
    module = ModuleType(f"{__name__}.{name}", found[0].__doc__)
    for part in reversed(found):
        vars(module).update({k: v for k, v in vars(part).items() if not k.startswith("__")})
    return module


for _name, _files in _FILES.items():
    globals()[_name] = sys.modules[f"{__name__}.{_name}"] = _merged(_name, _files)

__all__ = [n for n in _names if n not in ("functional", "init", "utils")]
