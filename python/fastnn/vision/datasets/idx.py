"""The IDX format of MNIST: a header with type and sizes, then the numbers, most significant byte first."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

__all__ = ["read_idx", "write_idx"]

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CHUNK = 1 << 20


def read_idx(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """Reads an IDX file, compressed by gzip (name ending in ``.gz``) or not.

    Returns:
        An array of the file's shape, in the machine's byte order.

    Raises:
        ValueError: The file is not IDX, is cut short, damaged, or longer than its header says.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "labels-idx1-ubyte.gz"
    >>> write_idx(path, np.array([3, 1, 4], dtype=np.uint8))
    >>> read_idx(path)
    array([3, 1, 4], dtype=uint8)
    """
    path = Path(path)
    opener: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            return _read(file, path)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: damaged or truncated gzip file: {error}") from error


def write_idx(path: str | os.PathLike[str], array: npt.NDArray[Any]) -> None:
    """Writes an array as an IDX file, compressed where the name ends in ``.gz``. Equal arrays give equal files."""
    big_endian = array.astype(array.dtype.newbyteorder(">"), copy=False)
    codes = {np.dtype(name): code for code, name in _DTYPES.items()}
    if big_endian.dtype not in codes:
        raise ValueError(f"IDX holds none of dtype {array.dtype}")
    header = bytes([0, 0, codes[big_endian.dtype], array.ndim])
    content = header + np.array(array.shape, dtype=">u4").tobytes() + big_endian.tobytes()
    path = Path(path)
    path.write_bytes(gzip.compress(content, 9, mtime=0) if path.suffix == ".gz" else content)


def _read(file: BinaryIO, path: Path) -> npt.NDArray[Any]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES or magic[3] == 0:
        raise ValueError(
            f"{path}: not an IDX file: it starts with bytes {magic.hex(' ') or '(none)'}, "
            "expected 00 00, a type code 08…0e and the number of dimensions"
        )
    dtype, ndim = np.dtype(_DTYPES[magic[2]]), magic[3]
    sizes = file.read(4 * ndim)
    if len(sizes) < 4 * ndim:
        raise ValueError(
            f"{path}: truncated IDX file: expected {ndim} sizes ({4 * ndim} bytes), found {len(sizes)} bytes"
        )
    shape = tuple(np.frombuffer(sizes, dtype=">u4").tolist())
    expected = math.prod(shape) * dtype.itemsize
    data = _read_at_most(file, expected + 1)
    if len(data) != expected:
        found = f"{len(data)} bytes" if len(data) < expected else "more"
        kind = "truncated IDX file" if len(data) < expected else "not the IDX file it says"
        raise ValueError(
            f"{path}: {kind}: the header's shape {shape} of {dtype.name} needs {expected} bytes, found {found}"
        )
    array = np.frombuffer(data, dtype=dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _read_at_most(file: BinaryIO, limit: int) -> bytearray:
    """Up to ``limit`` bytes, taking memory for what the file holds, not for what its header claims."""
    data = bytearray()
    while len(data) < limit:
        chunk = file.read(min(_CHUNK, limit - len(data)))
        if not chunk:
            break
        data += chunk
    return data
