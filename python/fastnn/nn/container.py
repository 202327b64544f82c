"""Containers of modules."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from ..autograd.grad_mode import mode
from .activation import ReLU
from .batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from .conv import Conv2d
from .linear import Linear
from .module import Module
from .pooling import MaxPool2d


def _position(container: Module, index: int) -> str:
    """The name of the module at ``index``.

    Raises:
        IndexError: there is none.
    """
    n = len(container._modules)
    i = operator.index(index)
    if not -n <= i < n:
        raise IndexError(f"index {i} is out of range")
    return list(container._modules)[i]


class _Row(Module):
    """Modules in order, named by their positions."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __contains__(self, module: object) -> bool:
        return any(m is module for m in self._modules.values())

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(_position(self, index), module)

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._modules)
        gone = names[index] if isinstance(index, slice) else [_position(self, index)]
        for name in gone:
            del self._modules[name]
        self._renumber(list(self._modules.values()))

    def _renumber(self, modules: Iterable[Module | None]) -> None:
        kept = list(modules)
        self._modules.clear()
        for i, module in enumerate(kept):
            self.add_module(str(i), module)

    def append(self, module: Module) -> Any:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add modules at the end.

        Raises:
            TypeError: not an iterable.
        """
        if not isinstance(modules, Iterable):
            raise TypeError(
                f"{type(self).__name__}.extend should be called with an iterable, but got {type(modules).__name__}"
            )
        for module in list(modules):
            self.append(module)
        return self

    def pop(self, key: int | slice = -1) -> Any:
        """Take a module out (the last by default), and return it."""
        module = self[key]  # type: ignore[index]
        del self[key]
        return module


_NORMS = (BatchNorm1d, BatchNorm2d, BatchNorm3d)
_ACTIVATED = (Linear, Conv2d, *_NORMS)


def _steps(modules: list[Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The modules to call, and what each of them does on the way of those behind it, if nobody could tell.

    A Linear, Conv2d or BatchNorm applies the ReLU that follows, and a Conv2d the MaxPool2d behind that. Where no gradients
    are recorded, a Conv2d does the work of the BatchNorm2d that follows and is evaluated.
    """
    last = len(modules) - 1
    i = 0
    while i <= last:
        module = modules[i]
        fused: dict[str, Any] = {}
        kind = type(module)
        if kind in _ACTIVATED and i < last and not module._is_hooked():
            if kind is Conv2d and _scales(modules[i + 1]):
                fused["norm"] = modules[i + 1]
                i += 1
            if i < last and type(modules[i + 1]) is ReLU and not modules[i + 1]._is_hooked():
                fused["activation"] = "relu"
                i += 1
            if i < last and kind is Conv2d and _pools(modules[i + 1]):
                fused["pool"] = modules[i + 1]
                i += 1
        yield module, fused
        i += 1


def _pools(module: Module) -> bool:
    return type(module) is MaxPool2d and not module.return_indices and not module._is_hooked()


def _scales(module: Module) -> bool:
    return (
        type(module) is BatchNorm2d
        and not mode.enabled
        and not module.training
        and module._buffers.get("running_mean") is not None
        and module._buffers.get("running_var") is not None
        and not module._is_hooked()
    )


class Sequential(_Row):
    """Modules called one after another.

    Args:
        args: the modules, or one ``OrderedDict`` of them by name.

    >>> from fastnn import nn
    >>> nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], OrderedDict):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            for i, module in enumerate(args):
                self.add_module(str(i), module)

    def forward(self, input: Any) -> Any:
        """The last module's output.

        A Linear, Conv2d or BatchNorm with the ReLU that follows it, and a Conv2d with the MaxPool2d behind, are one kernel
        call where none of them has hooks that would see between them. So are, without gradients and in evaluation, a
        Conv2d and the BatchNorm2d that follows it.
        """
        for module, fused in _steps(list(self._modules.values())):
            input = module(input, **fused)
        return input

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return self._modules[_position(self, index)]

    def insert(self, index: int, module: Module) -> Sequential:
        """Add a module before position ``index``.

        Raises:
            IndexError: no such position.
        """
        n = len(self)
        if not -n <= index <= n:
            raise IndexError(f"Index out of range: {index}")
        modules = list(self._modules.values())
        modules.insert(index + n if index < 0 else index, module)
        self._renumber(modules)
        return self

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            return NotImplemented
        return Sequential(*self, *other)

    def __iadd__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            return NotImplemented
        result: Sequential = self.extend(other)
        return result

    def __mul__(self, times: int) -> Sequential:
        if not isinstance(times, int):
            return NotImplemented
        if times <= 0:
            raise ValueError(f"Non-positive multiplication factor {times} for Sequential")
        return Sequential(*(m for _ in range(times) for m in self))

    def __rmul__(self, times: int) -> Sequential:
        return self.__mul__(times)

    def __imul__(self, times: int) -> Sequential:
        if not isinstance(times, int):
            return NotImplemented
        if times <= 0:
            raise ValueError(f"Non-positive multiplication factor {times} for Sequential")
        modules = list(self)
        for _ in range(times - 1):
            self.extend(modules)
        return self


class ModuleList(_Row):
    """A list of modules that the parent knows of."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(() if modules is None else modules)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self._modules.values())[index])  # type: ignore[arg-type]
        return self._modules[_position(self, index)]

    def insert(self, index: int, module: Module) -> None:
        """Add a module before position ``index``."""
        modules = list(self._modules.values())
        modules.insert(index, module)
        self._renumber(modules)

    def __repr__(self) -> str:
        """The modules, with those in a row that print the same as one line."""
        groups: list[tuple[int, int, str]] = []
        for i, module in enumerate(self):
            text = repr(module)
            if groups and groups[-1][2] == text:
                groups[-1] = (groups[-1][0], i, text)
            else:
                groups.append((i, i, text))
        lines = [
            (f"({a}): {text}" if a == b else f"({a}-{b}): {b - a + 1} x {text}").replace(
                "\n", "\n  "
            )
            for a, b, text in groups
        ]
        name = self._get_name()
        return f"{name}(\n  " + "\n  ".join(lines) + "\n)" if lines else f"{name}()"

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, modules: Iterable[Module]) -> ModuleList:
        result: ModuleList = self.extend(modules)
        return result


class ModuleDict(Module):
    """Modules by name that the parent knows of."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        self.update({} if modules is None else modules)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> ValuesView[Any]:
        """The modules."""
        return self._modules.values()

    def items(self) -> ItemsView[str, Any]:
        """Names and modules."""
        return self._modules.items()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules, from a mapping or from pairs of a name and a module.

        Raises:
            TypeError: neither.
        """
        if not isinstance(modules, Iterable):
            raise TypeError(
                "ModuleDict.update should be called with an iterable of key/value pairs, but got "
                + type(modules).__name__
            )
        pairs = modules.items() if isinstance(modules, (Mapping, ModuleDict)) else modules
        for name, module in pairs:
            self.add_module(name, module)

    def pop(self, key: str) -> Any:
        """Take a module out, and return it."""
        return self._modules.pop(key)

    def clear(self) -> None:
        """Take all modules out."""
        self._modules.clear()
