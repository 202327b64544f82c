"""Saving and loading: one safetensors file, with the structure around the tensors as JSON in its header.

A file of ``save`` is a plain safetensors file: other programs read its tensors under names such as
``model.conv1.weight``. Its metadata hold two entries:

* ``format``: ``"fastnn"``;
* ``fastnn``: JSON ``{"version": 1, "crc32": …, "tree": …}``, where ``tree`` is itself JSON in a string (so that its
  checksum is that of its bytes). A tree is a JSON null, bool, number or string as it is, an array for a list, or
  an object with one key for everything else::

      {"tensor": name}  {"parameter": name}  {"array": name}     (+ "requires_grad": true)
      {"tuple": [...]}  {"dict": [[key, value], ...]}  {"ordered_dict": [[key, value], ...]}
      {"float": "nan" | "inf" | "-inf"}

Loading reads bytes and parses JSON; nothing is unpickled or executed.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import ml_dtypes
import numpy as np
import numpy.typing as npt

import fastnn
from fastnn.utils._files import atomic_path

__all__ = ["load", "save"]

Array = npt.NDArray[Any]
_VERSION = 1
_DTYPES = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16,
    "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8,
    "U64": np.uint64, "U32": np.uint32, "U16": np.uint16, "U8": np.uint8,
    "BOOL": np.bool_, "C64": np.complex64,
}  # fmt: skip
_SAVED = {np.dtype(dtype) for dtype in _DTYPES.values()}


def save(obj: Any, f: str | os.PathLike[str] | BinaryIO) -> None:
    """Writes tensors, and the structure that holds them, to a file.

    A file by name is written whole or not at all: a process killed in between leaves the old file. Tensors
    that are the very same memory (tied weights) are stored once, and share memory again when loaded.

    Args:
        obj: Tensors, NumPy arrays, numbers, str, bool and None in any nesting of dict, list and tuple; for
            example a ``state_dict``, or ``{"model": ..., "optimizer": ..., "epoch": 3}``.
        f: Name of the file, or a binary file open for writing.

    Raises:
        TypeError: ``obj`` holds something else; the message says where.
        ValueError: ``obj`` contains itself, or is nested too deeply.

    >>> import io
    >>> file = io.BytesIO()
    >>> save({"weight": fastnn.tensor([1.0, 2.0]), "epoch": 3, "betas": (0.9, 0.999)}, file)
    >>> _ = file.seek(0)
    >>> load(file)
    {'weight': tensor([1., 2.]), 'epoch': 3, 'betas': (0.9, 0.999)}
    """
    from safetensors import numpy as safetensors

    encoder = _Encoder()
    try:
        tree = json.dumps(encoder.encode(obj, ()), allow_nan=False, separators=(",", ":"))
    except RecursionError:
        raise ValueError("save: the object contains itself, or is nested too deeply") from None
    checksum = zlib.crc32(tree.encode())
    header = {"version": _VERSION, "crc32": checksum, "tree": tree}
    metadata = {"format": "fastnn", "fastnn": json.dumps(header)}
    if isinstance(f, (str, os.PathLike)):
        with atomic_path(f) as temporary:
            safetensors.save_file(encoder.arrays, temporary, metadata)
    elif hasattr(f, "write"):
        f.write(safetensors.save(encoder.arrays, metadata))
    else:
        raise TypeError(f"save: f must be a file name or a binary file, got {type(f).__name__}")


def load(
    f: str | os.PathLike[str] | BinaryIO,
    map_location: Any = None,
    *,
    weights_only: bool = True,
) -> Any:
    """Reads a file of `save`, or any safetensors file.

    Args:
        f: Name of the file, or a binary file open for reading.
        map_location: None or "cpu": where the tensors are put.
        weights_only: Must be True: there is no other way of loading.

    Returns:
        What was saved; for a safetensors file from elsewhere a dict from names to tensors.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not safetensors, is cut short or damaged, or was made by a newer version.
    """
    if not weights_only:
        raise ValueError("load: weights_only=False would unpickle; fastnn never does")
    if map_location is not None and str(map_location) != "cpu":
        raise ValueError(f"load: map_location must be None or 'cpu', got {map_location!r}")
    if isinstance(f, (str, os.PathLike)):
        name = os.fspath(f)
        arrays, metadata = _read(Path(f).read_bytes(), name)
    elif hasattr(f, "read"):
        name = str(getattr(f, "name", "the file"))
        arrays, metadata = _read(f.read(), name)
    else:
        raise TypeError(f"load: f must be a file name or a binary file, got {type(f).__name__}")
    if "fastnn" not in metadata and metadata.get("format") != "fastnn":
        return {key: _as_tensor(key, array, name) for key, array in arrays.items()}
    return _decode_file(metadata, arrays, name)


def _as_tensor(key: str, array: Array, name: str) -> fastnn.Tensor:
    try:
        return fastnn.from_numpy(array)
    except TypeError as error:
        raise ValueError(f"load: {name}: tensor {key!r}: {error}") from error


class _Encoder:
    """Turns an object into a JSON tree, and collects its arrays by name."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self._names: dict[tuple[Any, ...], str] = {}
        self._owners: list[Array] = []  # keeps memory alive, so that an address means one array

    def encode(self, value: Any, path: tuple[str, ...]) -> Any:
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if isinstance(value, fastnn.Tensor):
            kind = "parameter" if isinstance(value, fastnn.nn.Parameter) else "tensor"
            node: dict[str, Any] = {kind: self.add(value.detach().numpy(), path)}
            if value.requires_grad:
                node["requires_grad"] = True
            return node
        if type(value) is np.ndarray:
            return {"array": self.add(value, path)}
        if type(value) is list:
            return [self.encode(item, (*path, str(i))) for i, item in enumerate(value)]
        if type(value) is tuple:
            return {"tuple": [self.encode(item, (*path, str(i))) for i, item in enumerate(value)]}
        if type(value) is dict:
            return {"dict": self.encode_items(value.items(), path)}
        if type(value) is OrderedDict:
            return {"ordered_dict": self.encode_items(value.items(), path)}
        _refuse(value, path)

    def encode_items(self, items: Iterable[tuple[Any, Any]], path: tuple[str, ...]) -> list[Any]:
        return [
            [self.encode(key, (*path, "(key)")), self.encode(value, (*path, str(key)))]
            for key, value in items
        ]

    def add(self, array: Array, path: tuple[str, ...]) -> str:
        """Stores the array, unless that memory is stored already; returns its name."""
        if array.dtype.newbyteorder("=") not in _SAVED:
            raise TypeError(
                f"save: {_where(path)} has dtype {array.dtype}, which safetensors cannot hold"
            )
        identity = (array.ctypes.data, array.shape, array.strides, array.dtype.str, array.dtype)
        if array.size and identity in self._names:
            return self._names[identity]
        name = base = ".".join(path) or "tensor"
        count = 1
        while name in self.arrays or name == "__metadata__":
            count += 1
            name = f"{base}#{count}"
        self._names[identity] = name
        self._owners.append(array)
        # (ascontiguousarray would make a 0-d array 1-d)
        self.arrays[name] = np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
        return name


def _where(path: tuple[str, ...]) -> str:
    return "the object" + "".join(f"[{part}]" for part in path)


def _refuse(value: Any, path: tuple[str, ...]) -> NoReturn:
    if hasattr(value, "state_dict"):
        hint = "save its state_dict()"
    elif isinstance(value, np.generic):
        hint = "use .item()"
    else:
        hint = "tensors, NumPy arrays, numbers, str, bool, None, dict, list and tuple can be saved"
    raise TypeError(f"save: {_where(path)} is a {type(value).__name__}; {hint}")


def _read(content: bytes, name: str) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and metadata of a safetensors file, all sizes checked against what is there."""
    from safetensors import SafetensorError, deserialize

    try:
        entries = deserialize(content)  # type: ignore[no-untyped-call]
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
    except (SafetensorError, ValueError, RecursionError) as error:
        if content.startswith((b"PK\x03\x04", b"\x80\x02")):
            raise ValueError(
                f"load: {name} is a pickle (a PyTorch checkpoint?), which is never unpickled here; "
                "in PyTorch, write it with safetensors.torch.save_file"
            ) from None
        raise ValueError(
            f"load: {name} ({len(content)} bytes) is not a safetensors file, or is cut short or damaged: {error}"
        ) from error
    arrays = {}
    for key, entry in entries:
        if entry["dtype"] not in _DTYPES:
            raise ValueError(f"load: {name}: tensor {key!r} has the unknown dtype {entry['dtype']}")
        flat = np.frombuffer(entry["data"], dtype=_DTYPES[entry["dtype"]])
        arrays[key] = flat.reshape(entry["shape"])
    return arrays, header.get("__metadata__") or {}


def _decode_file(metadata: dict[str, str], arrays: dict[str, Array], name: str) -> Any:
    try:
        if metadata.get("format") != "fastnn":
            raise ValueError(f"its format entry is {metadata.get('format')!r}, not 'fastnn'")
        header = json.loads(metadata.get("fastnn", ""))
        if not isinstance(header, dict) or not isinstance(header.get("tree"), str):
            raise ValueError("its structure is missing")
        if header.get("version") != _VERSION:
            raise ValueError(
                f"it has format version {header.get('version')}, and this fastnn reads {_VERSION}"
            )
        if header.get("crc32") != zlib.crc32(header["tree"].encode()):
            raise ValueError("the checksum of its structure is wrong")
        return _Decoder(arrays).decode(json.loads(header["tree"]))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"load: {name} is damaged or from another version: {error}") from error


class _Decoder:
    """Turns a JSON tree back into the object."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        self.arrays = arrays
        self._tensors: dict[
            tuple[str, str, bool], fastnn.Tensor
        ] = {}  # tied weights are one object

    def decode(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.decode(item) for item in node]
        if not isinstance(node, dict):
            return node
        requires_grad = node.pop("requires_grad", False)
        if len(node) != 1:
            raise ValueError(f"a node of its structure has the keys {sorted(node)[:4]}")
        (kind, content), *_ = node.items()
        match kind, content:
            case "tensor" | "parameter" | "array", str():
                return self.array(kind, content, bool(requires_grad))
            case "tuple", list():
                return tuple(self.decode(item) for item in content)
            case "dict", list():
                return dict(self.decode_items(content))
            case "ordered_dict", list():
                return OrderedDict(self.decode_items(content))
            case "float", "nan" | "inf" | "-inf":
                return float(content)
        raise ValueError(f"unknown node {kind!r} in its structure")

    def decode_items(self, items: list[Any]) -> list[tuple[Any, Any]]:
        if not all(isinstance(item, list) and len(item) == 2 for item in items):
            raise ValueError("a dict of its structure is not made of pairs")
        pairs = [(self.decode(key), self.decode(value)) for key, value in items]
        try:
            for key, _ in pairs:
                hash(key)
        except TypeError:
            raise ValueError("a dict of its structure has a key that is no key") from None
        return pairs

    def array(self, kind: str, name: str, requires_grad: bool) -> Any:
        if name not in self.arrays:
            raise ValueError(f"tensor {name!r} is missing")
        if kind == "array":
            return self.arrays[name]
        identity = (kind, name, requires_grad)
        if identity not in self._tensors:
            tensor = fastnn.from_numpy(self.arrays[name])
            if kind == "parameter":
                tensor = fastnn.nn.Parameter(tensor, requires_grad=requires_grad)
            elif requires_grad:
                tensor = tensor.requires_grad_()
            self._tensors[identity] = tensor
        return self._tensors[identity]
