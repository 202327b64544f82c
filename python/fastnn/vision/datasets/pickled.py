"""Reads the pickled batches of CIFAR-10 without unpickling: no code runs, whatever the file holds.

A pickle is a program for a small stack machine; ``pickle.load`` lets it call any function by name. Here the
program is walked (``pickletools.genops`` only parses) and just these results are built: dicts, lists, tuples,
bytes, str, int, bool, None and NumPy arrays of uint8. A name stands for itself as a `Symbol` and is never
looked up; the four that describe a uint8 array are understood, any other is an error.
"""

from __future__ import annotations

import math
import os
import pickletools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["read_batch"]


@dataclass(frozen=True)
class Symbol:
    """A module-level name in the pickle, such as ``numpy.ndarray``."""

    name: str


@dataclass
class _Array:
    """An array under construction: ``BUILD`` supplies its state."""

    value: npt.NDArray[np.uint8] | None = None


@dataclass
class _DType:
    """``numpy.dtype("u1")``, the only one there is."""


class _Mark:
    """Where a run of stack items begins."""


_MARK = _Mark()
_RECONSTRUCT = {
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
}
# Opcodes that push their argument, and those that push a constant.
_PUSH_ARGUMENT = {
    "BININT", "BININT1", "BININT2", "INT", "LONG1",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
_PUSH_TEXT = {"STRING", "BINSTRING", "SHORT_BINSTRING"}  # Python 2's str: bytes
_PUSH_CONSTANT = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_IGNORED = {"PROTO", "FRAME"}


@dataclass(repr=False)
class _Machine:
    """The pickle machine, restricted to data."""

    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def step(self, opcode: str, argument: Any) -> None:
        stack = self.stack
        if opcode in _IGNORED:
            return
        if opcode in _PUSH_ARGUMENT:
            stack.append(argument)
        elif opcode in _PUSH_TEXT:
            stack.append(argument.encode("latin-1"))
        elif opcode in _PUSH_CONSTANT:
            stack.append(_PUSH_CONSTANT[opcode])
        elif opcode == "MARK":
            stack.append(_MARK)
        elif opcode in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE"):
            stack.append({"EMPTY_DICT": {}, "EMPTY_LIST": [], "EMPTY_TUPLE": ()}[opcode])
        elif opcode in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(tuple(self.pop(int(opcode[-1]))))
        elif opcode == "TUPLE":
            stack.append(tuple(self.pop_to_mark()))
        elif opcode in ("LIST", "DICT"):  # protocol 0
            items = self.pop_to_mark()
            stack.append(items if opcode == "LIST" else _pairs(items))
        elif opcode in ("APPEND", "APPENDS"):
            items = self.pop(1) if opcode == "APPEND" else self.pop_to_mark()
            self.top(list).extend(items)
        elif opcode in ("SETITEM", "SETITEMS"):
            items = self.pop(2) if opcode == "SETITEM" else self.pop_to_mark()
            self.top(dict).update(_pairs(items))
        elif opcode in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[argument] = self.top(object)
        elif opcode == "MEMOIZE":
            self.memo[len(self.memo)] = self.top(object)
        elif opcode in ("BINGET", "LONG_BINGET", "GET"):
            if argument not in self.memo:
                raise ValueError(f"reference to entry {argument}, which does not exist")
            stack.append(self.memo[argument])
        elif opcode == "GLOBAL":
            stack.append(Symbol(argument.replace(" ", ".")))
        elif opcode == "STACK_GLOBAL":
            module, name = self.pop(2)
            if not isinstance(module, str) or not isinstance(name, str):
                raise ValueError("a name that is not a str")
            stack.append(Symbol(f"{module}.{name}"))
        elif opcode == "REDUCE":
            stack.append(_call(*self.pop(2)))
        elif opcode == "BUILD":
            self.set_state(self.pop(1)[0])
        else:
            raise ValueError(f"opcode {opcode} has no place in a batch of images")

    def pop(self, count: int) -> list[Any]:
        if len(self.stack) < count or any(item is _MARK for item in self.stack[-count:]):
            raise ValueError("the stack holds too few items")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def pop_to_mark(self) -> list[Any]:
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i] is _MARK:
                items = self.stack[i + 1 :]
                del self.stack[i:]
                return items
        raise ValueError("a run of items without a beginning")

    def top(self, kind: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind) or self.stack[-1] is _MARK:
            raise ValueError(f"expected a {kind.__name__} on the stack")
        return self.stack[-1]

    def set_state(self, state: Any) -> None:
        target = self.top(object)
        if isinstance(target, _Array):
            target.value = _array(state)
        elif not isinstance(
            target, _DType
        ):  # a dtype's state is its byte order, which bytes have not
            raise ValueError(f"cannot set the state of a {type(target).__name__}")


def read_batch(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A CIFAR-10 batch: a dict with ``data`` (an array uint8), ``labels`` (a list of int) and the rest.

    Keys are str, whichever Python wrote the file. Arrays may not be writable.

    Raises:
        ValueError: The file is truncated or damaged, or holds anything but plain data and uint8 arrays.
    """
    path = Path(path)
    content = path.read_bytes()
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name == "STOP":
                break
            machine.step(opcode.name, argument)
        result = machine.pop(1)[0]
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


def _pairs(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise ValueError("a key without a value")
    keys = items[::2]
    if not all(isinstance(key, (str, bytes, int)) for key in keys):
        raise ValueError("a key that is not a str, bytes or int")
    return dict(zip(keys, items[1::2], strict=True))


def _call(function: Any, arguments: Any) -> Any:
    """The few calls that describe data; everything else is refused."""
    name = function.name if isinstance(function, Symbol) else f"a {type(function).__name__}"
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
    raise ValueError(f"the file asks to call {name}, which is refused")


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
