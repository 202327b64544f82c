"""Reads pickles without unpickling: no code runs, whatever the file holds.

A pickle is a program for a small stack machine; ``pickle.load`` lets it call any function by name. Here the
program is walked (``pickletools.genops`` only parses) and plain data are built: dicts, lists, tuples, numbers, text.
A name stands for itself and is never looked up: each kind of file says which names it knows, and what they mean.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn

__all__ = ["Machine", "Symbol"]


@dataclass(frozen=True)
class Symbol:
    """A module-level name in the pickle, such as ``numpy.ndarray``."""

    name: str


class _Mark:
    """Where a run of stack items begins."""


_MARK = _Mark()
# Opcodes that push their argument, and those that push a constant.
_PUSH_ARGUMENT = {
    "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
_PUSH_TEXT = {"STRING", "BINSTRING", "SHORT_BINSTRING"}  # Python 2's str: bytes
_PUSH_CONSTANT = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_IGNORED = {"PROTO", "FRAME"}
_NEW: dict[str, Any] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": set,
}


@dataclass(repr=False)
class Machine:
    """The pickle machine, restricted to data. Each kind of file derives from it and says what names mean."""

    purpose: ClassVar[str] = "this file"
    refused: ClassVar[frozenset[str]] = frozenset()  # opcodes that this kind of file never has
    key_types: ClassVar[tuple[type, ...]] = (str, bytes, int)
    tuple_keys: ClassVar[bool] = False  # whether tuples of str and int are keys too
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    # -- what names mean -------------------------------------------------------------------------------

    def named(self, name: str) -> Any:
        """What a name stands for."""
        return Symbol(name)

    def call(self, function: Any, arguments: Any) -> Any:
        """The result of the call that the file asks for, where it only describes data."""
        self.refuse_call(function)

    def set_state(self, target: Any, state: Any) -> None:
        """Give an object its state."""
        raise ValueError(f"cannot set the state of a {type(target).__name__}")

    def persistent(self, identity: Any) -> Any:
        """The object that the file refers to by ``identity``."""
        raise ValueError(f"opcode BINPERSID has no place in {self.purpose}")

    def refuse_call(self, function: Any) -> NoReturn:
        """Raise for a call that is none of data."""
        name = function.name if isinstance(function, Symbol) else f"a {type(function).__name__}"
        raise ValueError(f"the file asks to call {name}, which is refused")

    # -- the machine -----------------------------------------------------------------------------------

    def run(self, program: bytes) -> Any:
        """The object that the program builds.

        Raises:
            ValueError: it is damaged, or does more than build data.
        """
        for opcode, argument, _ in pickletools.genops(program):
            if opcode.name == "STOP":
                return self.pop(1)[0]
            self.step(opcode.name, argument)
        raise ValueError("the pickle has no end")

    def step(self, opcode: str, argument: Any) -> None:
        """Run one instruction."""
        stack = self.stack
        if opcode in _IGNORED:
            return
        if opcode in self.refused:
            raise ValueError(f"opcode {opcode} has no place in {self.purpose}")
        if opcode in _PUSH_ARGUMENT:
            stack.append(argument)
        elif opcode in _PUSH_TEXT:
            stack.append(argument.encode("latin-1"))
        elif opcode in _PUSH_CONSTANT:
            stack.append(_PUSH_CONSTANT[opcode])
        elif opcode == "MARK":
            stack.append(_MARK)
        elif opcode in _NEW:
            stack.append(_NEW[opcode]())
        elif opcode in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(tuple(self.pop(int(opcode[-1]))))
        elif opcode == "TUPLE":
            stack.append(tuple(self.pop_to_mark()))
        elif opcode in ("LIST", "DICT"):  # protocol 0
            items = self.pop_to_mark()
            stack.append(items if opcode == "LIST" else self.pairs(items))
        elif opcode in ("APPEND", "APPENDS"):
            items = self.pop(1) if opcode == "APPEND" else self.pop_to_mark()
            self.top(list).extend(items)
        elif opcode == "ADDITEMS":
            items = self.pop_to_mark()
            self.top(set).update(self.pairs([x for item in items for x in (item, None)]))
        elif opcode == "BYTEARRAY8":
            stack.append(bytearray(argument))
        elif opcode in ("SETITEM", "SETITEMS"):
            items = self.pop(2) if opcode == "SETITEM" else self.pop_to_mark()
            self.top(dict).update(self.pairs(items))
        elif opcode in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[argument] = self.top(object)
        elif opcode == "MEMOIZE":
            self.memo[len(self.memo)] = self.top(object)
        elif opcode in ("BINGET", "LONG_BINGET", "GET"):
            if argument not in self.memo:
                raise ValueError(f"reference to entry {argument}, which does not exist")
            stack.append(self.memo[argument])
        elif opcode == "GLOBAL":
            stack.append(self.named(argument.replace(" ", ".")))
        elif opcode == "STACK_GLOBAL":
            module, name = self.pop(2)
            if not isinstance(module, str) or not isinstance(name, str):
                raise ValueError("a name that is not a str")
            stack.append(self.named(f"{module}.{name}"))
        elif opcode == "REDUCE":
            stack.append(self.call(*self.pop(2)))
        elif opcode == "BUILD":
            state = self.pop(1)[0]
            self.set_state(self.top(object), state)
        elif opcode == "BINPERSID":
            stack.append(self.persistent(self.pop(1)[0]))
        else:
            raise ValueError(f"opcode {opcode} has no place in {self.purpose}")

    def pop(self, count: int) -> list[Any]:
        """The last items of the stack."""
        if len(self.stack) < count or any(item is _MARK for item in self.stack[-count:]):
            raise ValueError("the stack holds too few items")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def pop_to_mark(self) -> list[Any]:
        """The items since the last mark."""
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i] is _MARK:
                items = self.stack[i + 1 :]
                del self.stack[i:]
                return items
        raise ValueError("a run of items without a beginning")

    def top(self, kind: type) -> Any:
        """The last item of the stack, of this type."""
        if not self.stack or not isinstance(self.stack[-1], kind) or self.stack[-1] is _MARK:
            raise ValueError(f"expected a {kind.__name__} on the stack")
        return self.stack[-1]

    def pairs(self, items: list[Any]) -> dict[Any, Any]:
        """A dict of keys and values in turn; keys are plain, for to hash what is nested can exhaust the C stack."""
        if len(items) % 2:
            raise ValueError("a key without a value")
        kinds = self.key_types
        for key in items[::2]:
            flat = type(key) is tuple and all(isinstance(k, (str, int)) for k in key)
            if not isinstance(key, kinds) and not (self.tuple_keys and flat):
                names = ", ".join(kind.__name__ for kind in kinds)
                raise ValueError(f"a key that is not one of {names}: a {type(key).__name__}")
        return dict(zip(items[::2], items[1::2], strict=True))
