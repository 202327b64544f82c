"""Reads the pickled batches of CIFAR-10 without unpickling: no code runs, whatever the file holds.

Just these results are built: dicts, lists, tuples, bytes, str, int, bool, None and NumPy arrays of uint8. Of names,
the four that describe a uint8 array are understood; a call of any other is an error.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn._pickle import Machine, Symbol

__all__ = ["read_batch"]


@dataclass
class _Array:
    """An array under construction: ``BUILD`` supplies its state."""

    value: npt.NDArray[np.uint8] | None = None


@dataclass
class _DType:
    """``numpy.dtype("u1")``, the only one there is."""


_RECONSTRUCT = {
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
}


class _Machine(Machine):
    """The pickle machine of batches: it knows the names that describe an array of uint8."""

    purpose = "a batch of images"
    refused = frozenset(
        {"FLOAT", "BINFLOAT", "LONG", "LONG4", "UNICODE", "BINPERSID", "EMPTY_SET", "BYTEARRAY8"}
    )

    def call(self, function: Any, arguments: Any) -> Any:
        """The few calls that describe data; everything else is refused."""
        name = function.name if isinstance(function, Symbol) else ""
        match name, arguments:
            case _, (Symbol("numpy.ndarray"), _, _) if name in _RECONSTRUCT:
                return _Array()
            case "numpy.dtype", (b"u1" | "u1", *_):
                return _DType()
            case "_codecs.encode", (
                str(text),
                "latin1" | b"latin1",
            ):  # bytes, as Python 3 writes them for Python 2
                return text.encode("latin-1")
        self.refuse_call(function)

    def set_state(self, target: Any, state: Any) -> None:
        """An array's shape and bytes; a dtype's state is its byte order, which bytes have not."""
        if isinstance(target, _Array):
            target.value = _array(state)
        elif not isinstance(target, _DType):
            super().set_state(target, state)


def read_batch(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A CIFAR-10 batch: a dict with ``data`` (an array uint8), ``labels`` (a list of int) and the rest.

    Keys are str, whichever Python wrote the file. Arrays may not be writable.

    Raises:
        ValueError: The file is truncated or damaged, or holds anything but plain data and uint8 arrays.
    """
    path = Path(path)
    content = path.read_bytes()
    try:
        result = _Machine().run(content)
        if not isinstance(result, dict):
            raise ValueError(f"expected a dict, found a {type(result).__name__}")
        # Only the dict's own values are looked at: hostile files share nested lists to grow without bound.
        return {_text(key): _plain(value) for key, value in result.items()}
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{path}: not a readable CIFAR-10 batch ({len(content)} bytes): {error}"
        ) from error


def _text(key: Any) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)


def _plain(value: Any) -> Any:
    if isinstance(value, _Array):
        if value.value is None:
            raise ValueError("an array without data")
        return value.value
    if not isinstance(value, (dict, list, tuple, str, bytes, int, type(None))):
        raise ValueError(f"a {type(value).__name__} where data are expected")
    return value


def _array(state: Any) -> npt.NDArray[np.uint8]:
    """The array of ``ndarray.__setstate__``: (version, shape, dtype, Fortran order, bytes)."""
    match state:
        case (int(), tuple(shape), _DType(), bool() | int() as fortran, bytes(data)):
            if not all(isinstance(size, int) and size >= 0 for size in shape):
                raise ValueError("an array whose shape is not made of sizes")
            if math.prod(shape) != len(data):
                raise ValueError(
                    f"an array of shape {shape} needs {math.prod(shape)} bytes, found {len(data)}"
                )
            flat = np.frombuffer(data, dtype=np.uint8)
            return flat.reshape(shape, order="F" if fortran else "C")
    raise ValueError("an array that is not one of uint8")
