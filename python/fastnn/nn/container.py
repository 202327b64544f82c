"""Containers of modules."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from .activation import ReLU
from .conv import Conv2d
from .linear import Linear
from .module import Module


def _position(container: Module, index: int) -> str:
    n = len(container._modules)
    if not -n <= index < n:
        raise IndexError(f"index {index} is out of range")
    return list(container._modules)[index]


def _fuses(layer: Module, relu: ReLU) -> bool:
    """Whether ``layer`` can apply the ReLU that follows it, and nobody could tell."""
    return (
        type(layer) in (Linear, Conv2d)
        and layer._forward_hooks is None
        and relu._forward_hooks is None
        and relu._forward_pre_hooks is None
    )


class Sequential(Module):
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

        A Linear or Conv2d followed by a ReLU is one kernel call, where neither has hooks that would see between them.
        """
        modules: list[Any] = list(self._modules.values())
        last = len(modules) - 1
        i = 0
        while i <= last:
            module = modules[i]
            if i < last and type(modules[i + 1]) is ReLU and _fuses(module, modules[i + 1]):
                input = module(input, activation="relu")
                i += 2
            else:
                input = module(input)
                i += 1
        return input

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return self._modules[_position(self, index)]

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(_position(self, index), module)

    def append(self, module: Module) -> Sequential:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Sequential:
        """Add modules at the end."""
        for module in modules:
            self.append(module)
        return self


class ModuleList(Module):
    """A list of modules that the parent knows of."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self._modules.values())[index])  # type: ignore[arg-type]
        return self._modules[_position(self, index)]

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(_position(self, index), module)

    def append(self, module: Module) -> ModuleList:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Add modules at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Add a module before position ``index``."""
        modules = list(self._modules.values())
        modules.insert(index, module)
        self._modules.clear()
        for i, m in enumerate(modules):
            self.add_module(str(i), m)


class ModuleDict(Module):
    """Modules by name that the parent knows of."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

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

    def update(self, modules: Mapping[str, Module]) -> None:
        """Add or replace modules."""
        for name, module in modules.items():
            self.add_module(name, module)

    def pop(self, key: str) -> Any:
        """Take a module out."""
        return self._modules.pop(key)

    def clear(self) -> None:
        """Take all modules out."""
        self._modules.clear()
