"""Reads the checkpoints of PyTorch (``torch.save`` since 1.6) without PyTorch, and without running anything.

Such a file is a zip archive: ``<name>/data.pkl`` is a pickle whose tensors refer to storages, ``<name>/data/<key>``
are the storages' bytes, ``<name>/byteorder`` says how their numbers are written. The pickle is walked by
``_pickle.Machine``, which knows the names below and refuses all others. Every size is checked against the file before
memory is taken for it; entries are found by their exact names and nothing is written anywhere.
"""

from __future__ import annotations

import math
import os
import struct
import sys
import zipfile
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

import fastnn

from . import _dtype
from ._pickle import Machine, Symbol

__all__ = ["is_legacy", "is_zip", "places", "read_checkpoint"]

_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
}
_DTYPES = {d.name: d for d in _dtype.ALL}
_OTHER_DTYPES = {
    "uint16", "uint32", "uint64", "complex32", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2",
    "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu", "quint8", "qint8", "qint32", "quint4x2", "quint2x4",
} - _DTYPES.keys()  # fmt: skip
_SETS = {"builtins.set", "__builtin__.set"}
_KNOWN = _SETS | {
    "collections.OrderedDict",
    "collections.Counter",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch.Size",
    "torch.device",
    "_codecs.encode",
    "builtins.bytearray",
    "__builtin__.bytearray",
}


def is_zip(head: bytes) -> bool:
    """True for the first bytes of a zip archive."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def is_legacy(head: bytes) -> bool:
    """True for the first bytes of a pickle, as ``torch.save`` wrote them before 1.6 (or another program)."""
    protocol = head[1:2]
    size_of_a_header = head[4:8] == b"\0\0\0\0"  # as safetensors files begin
    return head[:1] == b"\x80" and len(protocol) == 1 and protocol[0] <= 5 and not size_of_a_header


@dataclass
class _Storage:
    """The bytes that tensors share, in the dtype that the file says (uint8 where the tensors say)."""

    bytes: Any
    dtype: Any
    numel: int


class _Archive:
    """The entries of the zip archive, all of them stored as they are."""

    def __init__(self, file: BinaryIO, path: str | None) -> None:
        self.file = file
        file.seek(0, os.SEEK_END)
        self.size = file.tell()
        try:
            self.entries = zipfile.ZipFile(file).infolist()
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            struct.error,
            OverflowError,
            OSError,
        ) as error:
            raise ValueError(f"it is no whole zip archive: {error}") from error
        self.map = None if path is None else np.memmap(path, np.uint8, "c")
        self.by_name = {entry.filename: entry for entry in self.entries}
        if len(self.by_name) < len(self.entries):
            raise ValueError("the archive has several entries of one name")
        if sum(entry.file_size for entry in self.entries) > self.size:
            raise ValueError("the archive's entries are larger than the file")

    def named(self, name: str) -> zipfile.ZipInfo:
        """The entry of this name; it must be stored uncompressed, as PyTorch writes it."""
        entry = self.by_name.get(name)
        if entry is None:
            raise ValueError(f"the archive has no entry {name!r}")
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise ValueError(f"entry {name!r} is compressed, which PyTorch never does")
        if entry.flag_bits & 1:
            raise ValueError(f"entry {name!r} is encrypted")
        return entry

    def begin(self, entry: zipfile.ZipInfo) -> int:
        """Where the bytes of an entry begin, checked to lie in the file to their end."""
        if not 0 <= entry.header_offset < self.size:
            raise ValueError(f"entry {entry.filename!r} is said to lie outside of the file")
        self.file.seek(entry.header_offset)
        header = self.file.read(30)
        if len(header) < 30 or header[:4] != b"PK\x03\x04":
            raise ValueError(f"entry {entry.filename!r} has no header")
        name, extra = struct.unpack("<HH", header[26:30])
        start = entry.header_offset + 30 + int(name) + int(extra)
        if start + entry.file_size > self.size:
            raise ValueError(f"entry {entry.filename!r} reaches beyond the end of the file")
        return start

    def array(self, name: str, expected: int | None = None) -> Any:
        """The bytes of an entry as a writable array of uint8; its size must be ``expected``."""
        entry = self.named(name)
        if expected is not None and entry.file_size != expected:
            raise ValueError(
                f"entry {name!r} has {entry.file_size} bytes, its tensors need {expected}"
            )
        start = self.begin(entry)
        if self.map is not None and expected is not None:
            return self.map[start : start + entry.file_size]
        out = np.empty(entry.file_size, np.uint8)
        self.file.seek(start)
        content = self.file.read(entry.file_size)
        if len(content) != entry.file_size:
            raise ValueError(f"entry {name!r} is cut short")
        if zlib.crc32(content) != entry.CRC:
            raise ValueError(
                f"the checksum of entry {name!r} is wrong: the file is damaged, or was saved without checksums "
                "(mmap=True does not look at those of the storages)"
            )
        out[:] = np.frombuffer(content, np.uint8)
        return out

    def bytes(self, name: str) -> bytes:
        """The bytes of an entry."""
        content: bytes = self.array(name).tobytes()
        return content


class _Machine(Machine):
    """The pickle machine of checkpoints."""

    purpose = "a checkpoint of tensors and plain data"
    key_types = (str, bytes, int, float, type(None))
    tuple_keys = True

    def __init__(self, archive: _Archive, prefix: str, placed: Callable[[Any, str], None]) -> None:
        super().__init__()
        self.archive = archive
        self.prefix = prefix
        self.placed = placed
        self.storages: dict[str, _Storage] = {}
        order = archive.by_name.get(f"{prefix}/byteorder")
        said = b"little" if order is None else archive.bytes(f"{prefix}/byteorder")
        if said not in (b"little", b"big"):
            raise ValueError(f"its byte order is {said[:20]!r}, neither little nor big")
        self.swap = said.decode() != sys.byteorder

    def named(self, name: str) -> Any:
        """A dtype, a kind of storage, or one of the functions that describe data."""
        if name in _KNOWN:
            return Symbol(name)
        module, _, last = name.rpartition(".")
        if module == "torch":
            if last in _DTYPES:
                return _DTYPES[last]
            if last in _OTHER_DTYPES:
                raise ValueError(f"it has the dtype {name}, which fastnn does not have")
        if module in ("torch", "torch.storage", "torch.cuda") and (
            last in _STORAGES or last == "UntypedStorage"
        ):
            return Symbol(name)
        hint = ""
        if name.startswith(("torch.nn.", "__main__.")) or last[:1].isupper():
            hint = "; save a model's state_dict() instead of the model"
        elif module.startswith("numpy"):
            hint = "; save NumPy's numbers as Python's, by .item(), and its arrays as tensors"
        raise ValueError(f"the file asks for {name}, which is refused{hint}")

    def persistent(self, identity: Any) -> Any:
        """A storage, read once for all tensors that share it."""
        match identity:
            case ("storage", Symbol(kind), str(key), str(location), int(numel)) if numel >= 0:
                pass
            case _:
                raise ValueError("a reference that is not to a storage")
        last = kind.rpartition(".")[2]
        if last not in _STORAGES and last != "UntypedStorage":
            raise ValueError(f"a storage of the kind {kind}")
        wanted = _STORAGES.get(last, "uint8")
        if wanted not in _DTYPES:
            raise ValueError(f"it has the dtype torch.{wanted}, which fastnn does not have")
        dtype = _DTYPES[wanted].numpy
        known = self.storages.get(key)
        if known is None:
            content = self.archive.array(f"{self.prefix}/data/{key}", numel * dtype.itemsize)
            known = self.storages[key] = _Storage(content, dtype, numel)
            self.placed(known, location)
        elif known.dtype != dtype or known.numel != numel:
            raise ValueError(f"storage {key!r} is described in two ways")
        return known

    def call(self, function: Any, arguments: Any) -> Any:
        """What a known function makes of its arguments."""
        name = function.name if isinstance(function, Symbol) else ""
        if name not in _KNOWN or not isinstance(arguments, tuple):
            self.refuse_call(function)
        short = name.rpartition(".")[2]
        match short, arguments:
            case "_rebuild_tensor", (_Storage() as s, offset, size, stride):
                return self.tensor(s, s.dtype, offset, size, stride, False)
            case "_rebuild_tensor_v2", (
                _Storage() as s,
                offset,
                size,
                stride,
                bool(grad),
                hooks,
                *rest,
            ):
                self.check_plain(hooks, rest)
                return self.tensor(s, s.dtype, offset, size, stride, grad)
            case "_rebuild_tensor_v3", (
                _Storage() as s, offset, size, stride, bool(grad), hooks, _dtype.dtype() as dtype, *rest
            ):  # fmt: skip
                self.check_plain(hooks, rest)
                return self.tensor(s, dtype.numpy, offset, size, stride, grad)
            case "_rebuild_parameter", (fastnn.Tensor() as data, bool(grad), hooks):
                self.check_plain(hooks, [])
                return fastnn.nn.Parameter(data, grad)
            case "_rebuild_parameter_with_state", (
                fastnn.Tensor() as data,
                bool(grad),
                hooks,
                dict(state),
            ):
                self.check_plain(hooks, [])
                return _with_attributes(fastnn.nn.Parameter(data, grad), state)
            case "OrderedDict", ():
                return OrderedDict()
            case "OrderedDict", (list(items),) if all(
                isinstance(item, (list, tuple)) and len(item) == 2 for item in items
            ):  # fmt: skip
                return OrderedDict(self.pairs([x for item in items for x in item]))
            case "Counter", (dict(counts),) if all(type(n) is int for n in counts.values()):
                return Counter(counts)
            case "set", (list(items),):
                return set(self.pairs([x for item in items for x in (item, None)]))
            case "Size", (tuple(sizes),) if all(type(n) is int for n in sizes):
                return fastnn.Size(sizes)
            case "device", (str(kind), *index) if all(type(n) is int for n in index):
                return fastnn.device(kind)
            case "encode", (str(text), "latin1" | "latin-1"):  # bytes, in protocol 2
                return text.encode("latin-1")
            case "bytearray", (bytes(content),):
                return bytearray(content)
            case "bytearray", (str(text), "latin-1" | "latin1"):
                return bytearray(text.encode("latin-1"))
        raise ValueError(f"the file asks to call {name} with arguments that it does not take")

    def set_state(self, target: Any, state: Any) -> None:
        """The versions that a module's ``state_dict`` carries; nothing else has a state."""
        if type(target) is OrderedDict and isinstance(state, dict) and set(state) <= {"_metadata"}:
            target.__dict__.update(state)
        else:
            super().set_state(target, state)

    def check_plain(self, hooks: Any, metadata: list[Any]) -> None:
        """Raise for a tensor with hooks, or that stands for its conjugate or negative."""
        if hooks is not None and hooks != {}:
            raise ValueError("a tensor with backward hooks")
        if len(metadata) > 1 or any(m not in (None, {}) for m in metadata):
            raise ValueError(
                "a tensor that stands for its conjugate or negative: save x.resolve_conj()"
            )

    def tensor(
        self, storage: _Storage, dtype: Any, offset: Any, size: Any, stride: Any, grad: bool
    ) -> Any:
        """The tensor that shows part of a storage."""
        for name, value in (("size", size), ("stride", stride)):
            if not isinstance(value, tuple) or not all(type(n) is int and n >= 0 for n in value):
                raise ValueError(f"a tensor whose {name} is {str(value)[:60]}")
        if type(offset) is not int or offset < 0 or len(size) != len(stride):
            raise ValueError(f"a tensor of size {size}, stride {stride} and offset {offset}")
        held = storage.bytes.size // dtype.itemsize
        if math.prod(size):
            end = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
            if end >= held:
                raise ValueError(
                    f"a tensor of size {size}, stride {stride} and offset {offset} in a storage of {held} elements"
                )
        else:
            offset, stride = 0, tuple(0 for _ in size)
        if len(size) > 64:
            raise ValueError(f"a tensor of {len(size)} dims")
        flat = self.elements(storage, dtype)
        data = np.ndarray(
            size, dtype, flat, offset * dtype.itemsize, tuple(s * dtype.itemsize for s in stride)
        )
        if any(s == 0 and n > 1 for n, s in zip(size, stride, strict=True)):
            data.flags.writeable = False  # as an expanded tensor
        t = fastnn.from_numpy(data)
        if grad:
            if not t.is_floating_point():
                raise ValueError(f"a tensor of {t.dtype} that requires grad")
            t.requires_grad_()
        return t

    def elements(self, storage: _Storage, dtype: Any) -> Any:
        """The storage in this machine's byte order, aligned, as ``dtype``; made once for all tensors that share it."""
        if isinstance(storage.bytes, _Elements):
            if storage.bytes.array.dtype != dtype:
                raise ValueError("a storage that is shared by tensors of two dtypes")
            return storage.bytes.array
        array = storage.bytes[: storage.bytes.size // dtype.itemsize * dtype.itemsize]
        if array.__array_interface__["data"][0] % dtype.itemsize:
            array = array.copy()
        if dtype == np.bool_:
            array = (array != 0).view(np.ndarray)
        elif self.swap and dtype.itemsize > 1:
            words = array.view(f"u{dtype.itemsize}")
            array = words.byteswap()
        storage.bytes = _Elements(np.asarray(array).view(dtype))
        return storage.bytes.array


@dataclass
class _Elements:
    """A storage that has been put in order."""

    array: Any

    @property
    def size(self) -> int:
        """The number of bytes."""
        return int(self.array.nbytes)


def _with_attributes(parameter: Any, state: dict[Any, Any]) -> Any:
    for name, value in state.items():
        if not isinstance(name, str) or not name.isidentifier() or hasattr(type(parameter), name):
            raise ValueError(f"a parameter with the attribute {str(name)[:60]!r}")
        parameter.__dict__[name] = value
    return parameter


def _check_result(result: Any) -> None:
    """Raise where a name is left that stands for nothing; what is shared is looked at once."""
    seen: set[int] = set()
    stack = [result]
    while stack:
        value = stack.pop()
        if isinstance(value, (Symbol, _Storage)):
            what = value.name if isinstance(value, Symbol) else "a storage"
            raise ValueError(f"{what} stands where data are expected")
        if isinstance(value, (dict, list, tuple, set)) and id(value) not in seen:
            seen.add(id(value))
            stack += [*value.keys(), *value.values()] if isinstance(value, dict) else list(value)


def places(map_location: Any) -> Callable[[Any, str], None]:
    """What checks where a storage is wanted: all of them are put in the CPU's memory."""

    def check(storage: Any, location: str) -> None:
        place = map_location
        if isinstance(place, dict):
            place = place.get(location)
        elif callable(place):
            place = place(storage, location)
            if place is None or place is storage:
                return
        if place is None:
            return
        try:
            if fastnn.device(place).type != "cpu":
                raise ValueError("load it on the CPU, then use .to(device)")
        except (RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"map_location must be None or 'cpu', got {map_location!r}: {error}"
            ) from None

    return check


def read_checkpoint(file: BinaryIO, path: str | None, map_location: Any) -> Any:
    """The object in a PyTorch checkpoint.

    Args:
        file: the checkpoint, open for reading at any position.
        path: its name, where the storages are to be mapped into memory instead of read.
        map_location: None, a device, a dict of devices or a function of (storage, location); all must say the CPU.

    Raises:
        ValueError: the file is damaged, or holds anything but tensors and plain data.
    """
    archive = _Archive(file, path)
    pickles = [n for n in archive.by_name if n.endswith("/data.pkl") and n.count("/") == 1]
    if any("/code/" in n or n.endswith("/constants.pkl") for n in archive.by_name):
        raise ValueError(
            "it is a TorchScript archive, a program: save the model's state_dict() instead"
        )
    if len(pickles) != 1:
        raise ValueError("it is a zip archive, but no PyTorch checkpoint: it has no data.pkl")
    prefix = pickles[0].rpartition("/")[0]
    machine = _Machine(archive, prefix, places(map_location))
    try:
        result = machine.run(archive.bytes(pickles[0]))
        _check_result(result)
    except (OverflowError, RecursionError, IndexError) as error:
        raise ValueError(f"its pickle is damaged: {error}") from error
    return result
