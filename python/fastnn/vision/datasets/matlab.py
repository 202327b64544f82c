"""Arrays of numbers from MATLAB files of version 5 (``.mat``, compressed or not); everything else is refused."""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["read_mat"]

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}  # fmt: skip
# The classes of arrays of numbers, by their number in the array's flags.
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}  # fmt: skip


def read_mat(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[Any]]:
    """The variables of a MATLAB 5 file.

    Raises:
        ValueError: The file is not of this format, damaged, or holds other things than real arrays of numbers.
    """
    path = Path(path)
    content = memoryview(path.read_bytes())
    try:
        if len(content) < _HEADER or bytes(content[126:128]) not in (b"IM", b"MI"):
            raise ValueError("no header of MATLAB 5")
        order = "<" if bytes(content[126:128]) == b"IM" else ">"
        if int(np.frombuffer(content[124:126], order + "u2")[0]) != 0x0100:
            raise ValueError("another version of the format (7.3 is HDF5; save with '-v7')")
        variables = {}
        for kind, data in _elements(content[_HEADER:], order, padded=False):
            if kind == _COMPRESSED:
                inner = memoryview(zlib.decompress(data))
                found = list(_elements(inner, order, padded=False))
                if len(found) != 1:
                    raise ValueError("a compressed part that is not one array")
                kind, data = found[0]
            if kind != _MATRIX:
                raise ValueError(f"a part of type {kind} where an array is expected")
            name, array = _array(data, order)
            variables[name] = array
        return variables
    except (ValueError, zlib.error) as error:
        raise ValueError(f"{path}: not a readable MATLAB 5 file: {error}") from error


def _elements(
    content: memoryview, order: str, padded: bool = True
) -> Iterator[tuple[int, memoryview]]:
    """The data elements, (type, bytes), one after the other."""
    place = 0
    while place < len(content):
        tag = content[place : place + 8]
        if len(tag) < 8:
            raise ValueError("truncated")
        kind, size = np.frombuffer(tag, order + "u4").tolist()
        if kind >> 16:  # up to 4 bytes, inside the tag
            kind, size = kind & 0xFFFF, kind >> 16
            if size > 4:
                raise ValueError("a small element of more than 4 bytes")
            yield kind, tag[4 : 4 + size]
            place += 8
            continue
        if size > len(content) - place - 8:
            raise ValueError(f"truncated: {size} bytes expected, {len(content) - place - 8} found")
        yield kind, content[place + 8 : place + 8 + size]
        place += 8 + size
        if padded or kind != _COMPRESSED:
            place = -(-place // 8) * 8


def _array(content: memoryview, order: str) -> tuple[str, npt.NDArray[Any]]:
    parts = list(_elements(content, order))
    if len(parts) < 4:
        raise ValueError("an array without flags, sizes, name or numbers")
    (_, flags), (_, sizes), (_, name), (kind, data) = parts[:4]
    word = int(np.frombuffer(flags[:4], order + "u4")[0])
    if word & 0xFF not in _CLASSES or word & 0x0800 or kind not in _DTYPES:
        raise ValueError(
            f"variable {bytes(name).decode('latin-1')!r} is not a real array of numbers"
        )
    shape = tuple(np.frombuffer(sizes, order + "i4").tolist())
    numbers = np.frombuffer(data, order + _DTYPES[kind])
    if min(shape) < 0 or math.prod(shape) != numbers.size:
        raise ValueError(f"an array of shape {shape} with {numbers.size} numbers")
    array = numbers.astype(
        np.dtype(_CLASSES[word & 0xFF]), copy=False
    )  # small ones are stored narrower
    return bytes(name).decode("latin-1"), array.reshape(shape, order="F")
