"""Saving and loading: one safetensors file, with the structure around the tensors as JSON in its header.

A file of ``save`` is a plain safetensors file: other programs read its tensors under names such as
``model.conv1.weight``. Its metadata hold two entries:

* ``format``: ``"fastnn"``;
* ``fastnn``: JSON ``{"version": 1, "crc32": …, "tree": …}``, where ``tree`` is itself JSON in a string (so that its
  checksum is that of its bytes). A tree is a JSON null, bool, number or string as it is, an array for a list, or
  an object with one key for everything else::

      {"tensor": name}  {"parameter": name}  {"array": name}     (+ "requires_grad": true)
      {"tuple": [...]}  {"dict": [[key, value], ...]}  {"ordered_dict": [[key, value], ...]}
      {"float": "nan" | "inf" | "-inf"}  {"counter": [[key, number], ...]}  {"size": [...]}
      {"dtype": name}  {"device": name}

Loading reads bytes and parses JSON; nothing is unpickled or executed.
"""

from __future__ import annotations

import io
import json
import math
import os
import zlib
from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Any, BinaryIO, NoReturn

import ml_dtypes
import numpy as np
import numpy.typing as npt

import fastnn
from fastnn import _device, _torch_file
from fastnn._dtype import ALL
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
_NAMES = {d.name: d for d in ALL}
_SAVED = {np.dtype(dtype) for dtype in _DTYPES.values()}


def save(obj: Any, f: str | os.PathLike[str] | BinaryIO) -> None:
    """Writes tensors, and the structure that holds them, to a file.

    A file by name is written whole or not at all: a process killed in between leaves the old file. Tensors
    that are the very same memory (tied weights) are stored once, and share memory again when loaded.

    Args:
        obj: Tensors, NumPy arrays, numbers, str, bool, None, dtypes, sizes, devices in any nesting of dict, list
            and tuple (and OrderedDict, Counter); for example a ``state_dict``, or ``{"model": ..., "optimizer": ..., "epoch": 3}``.
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
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
) -> Any:
    """Reads a file of `save`, any safetensors file, or a checkpoint that PyTorch's ``torch.save`` wrote.

    What the file is, is seen from its first bytes. A checkpoint's pickle is not unpickled: a reader that knows
    tensors, parameters, dicts, lists, tuples, numbers, text, dtypes, sizes and devices builds these, and refuses
    all else by name.

    Args:
        f: Name of the file, or a binary file open for reading.
        map_location: None or "cpu": where the tensors are put; or a dict from saved places to such, or a function
            of (storage, place) that returns one. Tensors that were saved on another device come to the CPU.
        pickle_module: Must be None: nothing is unpickled.
        weights_only: Must be True (or None): there is no other way of loading.
        mmap: Map the file into memory instead of reading it: bytes are read when they are used, and not
            checked; writing to the tensors does not change the file.

    Returns:
        What was saved; for a safetensors file from elsewhere a dict from names to tensors.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is of no known kind, is cut short or damaged, was made by a newer version, or holds what is
            refused; or an argument that is not supported.
    """
    if weights_only is not None and not weights_only:
        raise ValueError(
            "load: weights_only=False would unpickle, which runs whatever program the file holds; fastnn never does"
        )
    if pickle_module is not None:
        raise ValueError("load: pickle_module is not supported: nothing is unpickled")
    if isinstance(f, (str, os.PathLike)):
        name = os.fspath(f)
        with open(name, "rb") as file:
            return _load(file, str(name), str(name) if mmap else None, map_location)
    if not hasattr(f, "read"):
        raise TypeError(f"load: f must be a file name or a binary file, got {type(f).__name__}")
    if mmap:
        raise ValueError("load: mmap=True needs the name of a file, got an open file")
    content = f.read()
    if not isinstance(content, bytes):
        raise TypeError(f"load: f must be open for reading bytes, got {type(content).__name__}")
    return _load(io.BytesIO(content), str(getattr(f, "name", "the file")), None, map_location)


def _load(file: BinaryIO, name: str, mapped: str | None, map_location: Any) -> Any:
    head = file.read(16)
    file.seek(0)
    if _torch_file.is_zip(head):
        try:
            return _torch_file.read_checkpoint(file, mapped, map_location)
        except ValueError as error:
            raise ValueError(f"load: {name}: {error}") from error
    try:
        _torch_file.places(map_location)(file, "cpu")
    except ValueError as error:
        raise ValueError(f"load: {error}") from None
    if _torch_file.is_legacy(head):
        raise ValueError(
            f"load: {name} is a pickle, which is never unpickled here. If it is a PyTorch checkpoint, it is of the format "
            "before PyTorch 1.6: load it in PyTorch and save it again with torch.save or safetensors.torch.save_file"
        )
    arrays, metadata = _read(file.read(), name) if mapped is None else _map(mapped, name)
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
        self._copies: dict[tuple[Any, ...], Array] = {}  # of arrays on a device

    def encode(self, value: Any, path: tuple[str, ...]) -> Any:
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if isinstance(value, fastnn.Tensor):
            kind = "parameter" if isinstance(value, fastnn.nn.Parameter) else "tensor"
            node: dict[str, Any] = {kind: self.add(self._host(value._data), path)}
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
        if type(value) is fastnn.Size:
            return {"size": list(value)}
        if isinstance(value, fastnn.dtype):
            return {"dtype": value.name}
        if isinstance(value, fastnn.device):
            return {"device": str(value)}
        if type(value) is Counter and all(type(n) is int for n in value.values()):
            return {"counter": self.encode_items(value.items(), path)}
        if type(value) is OrderedDict:
            return {"ordered_dict": self.encode_items(value.items(), path)}
        _refuse(value, path)

    def encode_items(self, items: Iterable[tuple[Any, Any]], path: tuple[str, ...]) -> list[Any]:
        return [
            [self.encode(key, (*path, "(key)")), self.encode(value, (*path, str(key)))]
            for key, value in items
        ]

    def _host(self, array: Any) -> Array:
        """The array on the CPU: one copy of one array on a device."""
        if isinstance(array, np.ndarray):
            return array
        identity = (_device.address(array), array.shape, array.strides, array.dtype)
        if identity not in self._copies:
            self._owners.append(array)
            self._copies[identity] = _device.place(array, _device.CPU)
        return self._copies[identity]

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
        raise ValueError(
            f"load: {name} ({len(content)} bytes) is not a safetensors file, or is cut short or damaged: {error}"
        ) from error
    arrays = {}
    for key, entry in entries:
        if entry["dtype"] not in _DTYPES:
            raise ValueError(f"load: {name}: tensor {key!r} has the unknown dtype {entry['dtype']}")
        flat = np.frombuffer(entry["data"], dtype=_DTYPES[entry["dtype"]])
        arrays[key] = _clean(flat).reshape(entry["shape"])
    return arrays, header.get("__metadata__") or {}


def _clean(array: Array) -> Array:
    """Bools as 0 and 1, whatever byte stands in the file; others as they are."""
    return array.view(np.uint8) != 0 if array.dtype == np.bool_ else array


def _map(path: str, name: str) -> tuple[dict[str, Array], dict[str, str]]:
    """As `_read`, but the arrays are parts of the file mapped into memory, copied where they are written to."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as checked:
            metadata = checked.metadata() or {}
    except SafetensorError as error:
        raise ValueError(
            f"load: {name} is not a safetensors file, or is damaged: {error}"
        ) from error
    content = np.memmap(path, np.uint8, "c")
    size = int.from_bytes(content[:8].tobytes(), "little")
    header = json.loads(content[8 : 8 + size].tobytes())
    header.pop("__metadata__", None)
    arrays = {}
    for key, entry in header.items():
        if entry["dtype"] not in _DTYPES:
            raise ValueError(f"load: {name}: tensor {key!r} has the unknown dtype {entry['dtype']}")
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        part = content[begin:end]
        if part.__array_interface__["data"][0] % dtype.itemsize:
            part = part.copy()
        arrays[key] = _clean(np.asarray(part).view(dtype)).reshape(entry["shape"])
    return arrays, metadata


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
    except (ValueError, RuntimeError, RecursionError) as error:
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
            case "counter", list():
                return Counter(dict(self.decode_items(content)))
            case "size", list() if all(type(n) is int for n in content):
                return fastnn.Size(content)
            case "dtype", str() if content in _NAMES:
                return _NAMES[content]
            case "device", str():
                return fastnn.device(content)
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
