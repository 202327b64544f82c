"""Reads arrays of bytes from MATLAB's files of version 5 ("MAT-File Format", The MathWorks)."""

from __future__ import annotations

import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["read_mat"]

_UINT8, _INT32, _UINT32, _INT8, _MATRIX, _COMPRESSED = 2, 5, 6, 1, 14, 15
_UINT8_CLASS, _DOUBLE_CLASS = 9, 6


def read_mat(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[np.uint8]]:
    """The arrays of a file, by name; all must be stored as uint8.

    Raises:
        ValueError: the file is of another version, damaged, or holds something else.
    """
    path = Path(path)
    content = path.read_bytes()
    try:
        return _read(content)
    except (struct.error, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: damaged or truncated MAT file: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read(content: bytes) -> dict[str, npt.NDArray[np.uint8]]:
    if len(content) < 128 or content[126:128] not in (b"IM", b"MI"):
        raise ValueError("not a MAT file of version 5 (files of version 7.3 are HDF5)")
    order = "<" if content[126:128] == b"IM" else ">"
    arrays = {}
    at = 128
    while at < len(content):
        kind, data, at = _element(content, at, order)
        if kind == _COMPRESSED:
            machine = zlib.decompressobj()
            head = machine.decompress(data, 8)
            kind, size = struct.unpack(order + "II", head)
            data = machine.decompress(machine.unconsumed_tail, size) if size else b""
            if len(data) != size:
                raise ValueError(f"a compressed part of {size} bytes has just {len(data)}")
        if kind != _MATRIX:
            raise ValueError(f"expected an array, found data of type {kind}")
        name, array = _matrix(data, order)
        arrays[name] = array
    return arrays


def _element(data: bytes, at: int, order: str) -> tuple[int, bytes, int]:
    """(type, data, where the next one is) of the element at ``at``."""
    kind, size = struct.unpack_from(order + "II", data, at)
    if kind >> 16:  # a small one: size and type in one word, up to four bytes in the next
        kind, size = kind & 0xFFFF, kind >> 16
        if size > 4:
            raise ValueError(f"a small element of {size} bytes")
        return kind, data[at + 4 : at + 4 + size], at + 8
    start = at + 8
    if start + size > len(data):
        raise ValueError(f"truncated: an element needs {size} bytes, {len(data) - start} are left")
    # Compressed elements are not filled up to 8 bytes
    padded = size if kind == _COMPRESSED else (size + 7) // 8 * 8
    return kind, data[start : start + size], start + padded


def _matrix(data: bytes, order: str) -> tuple[str, npt.NDArray[np.uint8]]:
    kind, flags, at = _element(data, 0, order)
    if kind != _UINT32 or len(flags) != 8:
        raise ValueError("an array without its class")
    word = struct.unpack_from(order + "I", flags)[0]
    if word & 0x0800 or word & 0xFF not in (_UINT8_CLASS, _DOUBLE_CLASS):
        raise ValueError(f"an array of class {word & 0xFF}; just uint8 is read")
    kind, sizes, at = _element(data, at, order)
    if kind != _INT32 or len(sizes) % 4 or not sizes:
        raise ValueError("an array without its sizes")
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    kind, name, at = _element(data, at, order)
    if kind != _INT8:
        raise ValueError("an array without its name")
    kind, values, _ = _element(data, at, order)
    if kind != _UINT8:
        raise ValueError(f"array {name!r} is stored as type {kind}; just uint8 is read")
    if min(shape) < 0 or math.prod(shape) != len(values):
        raise ValueError(
            f"array {name!r} of shape {shape} needs {math.prod(shape)} bytes, found {len(values)}"
        )
    array = np.frombuffer(values, np.uint8).reshape(shape, order="F")
    return name.decode("ascii"), array
