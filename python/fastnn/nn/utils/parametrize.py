"""Parametrizations: a parameter that is computed from others whenever it is read."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ...autograd.grad_mode import no_grad
from ...tensor import Tensor
from ..container import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter


class _Cache:
    """Values of parametrized tensors inside ``cached`` blocks."""

    def __init__(self) -> None:
        self.depth = 0
        self.values: dict[tuple[int, str], Tensor] = {}


_cache = _Cache()


@contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrized tensor once inside this block, however often it is read."""
    _cache.depth += 1
    try:
        yield
    finally:
        _cache.depth -= 1
        if not _cache.depth:
            _cache.values.clear()


def _check_same(old: Tensor, new: Any, what: str) -> None:
    if not isinstance(new, Tensor):
        raise ValueError(f"{what} must return a tensor. Got {type(new).__name__}")
    if new.dtype != old.dtype:
        raise ValueError(
            f"{what} may not change the dtype of the tensor, unless unsafe=True: {old.dtype} became {new.dtype}"
        )
    if new.shape != old.shape:
        raise ValueError(
            f"{what} may not change the shape of the tensor, unless unsafe=True: {tuple(old.shape)} became "
            f"{tuple(new.shape)}"
        )


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, and the parameters that they start from.

    ``original`` is that parameter; ``original0``, ``original1``, ... where the first parametrization takes several
    (its ``right_inverse`` returns a tuple).
    """

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        value: Any = original
        with no_grad():
            for module in reversed(list(modules)):
                if hasattr(module, "right_inverse"):
                    with suppress(NotImplementedError):
                        value = module.right_inverse(value)
        if isinstance(value, Tensor):
            self.is_tensor = True
            self.ntensors = 1
            if not unsafe and value.dtype != original.dtype:
                raise ValueError(
                    f"right_inverse must return a tensor of the same dtype, unless unsafe=True: {original.dtype} "
                    f"became {value.dtype}"
                )
            self._keep("original", value, original)
            return
        if not isinstance(value, Sequence):
            raise ValueError(
                f"'right_inverse' must return a Tensor or a Sequence of tensors. Got {type(value).__name__}"
            )
        self.is_tensor = False
        self.ntensors = len(value)
        for i, part in enumerate(value):
            if not isinstance(part, Tensor):
                raise ValueError(
                    f"'right_inverse' must return a Tensor or a Sequence of tensors. Element {i} is of type "
                    f"{type(part).__name__}"
                )
            self._keep(f"original{i}", part, original)

    def _keep(self, name: str, value: Tensor, original: Tensor) -> None:
        """``value`` as a parameter (the same object, where the tensor is one) or a buffer."""
        if not isinstance(original, Parameter):
            self.register_buffer(name, value.detach())
        elif value is original:
            self.register_parameter(name, original)
        elif name == "original":  # the same parameter with other data, for those that hold it
            original._data = value.detach().clone()._data
            self.register_parameter(name, original)
        else:
            self.register_parameter(name, Parameter(value.detach(), original.requires_grad))

    def _originals(self) -> tuple[Tensor, ...]:
        if self.is_tensor:
            return (self.original,)
        return tuple(getattr(self, f"original{i}") for i in range(self.ntensors))

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the parametrized tensor becomes ``value``.

        Raises:
            RuntimeError: a parametrization has no ``right_inverse``.
        """
        with no_grad():
            found: Any = value
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse: the tensor cannot "
                        "be assigned to"
                    )
                found = module.right_inverse(found)
            parts = (found,) if self.is_tensor else tuple(found)
            if len(parts) != self.ntensors:
                raise ValueError(
                    f"'right_inverse' must return {self.ntensors} tensors, got {len(parts)}"
                )
            for original, new in zip(self._originals(), parts, strict=True):
                if not self.unsafe:
                    _check_same(original, new, "right_inverse")
                original.data = new.detach().clone()

    def forward(self) -> Tensor:
        """The parametrized tensor."""
        modules = list(self)
        x: Tensor = modules[0](*self._originals())
        for module in modules[1:]:
            x = module(x)
        return x


def _deepcopy(self: Any, memo: dict[int, Any]) -> Any:
    """A copy with a class of its own, so that removing a parametrization of one leaves the other alone."""
    cls = type(self)
    kept = {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__")}
    new: Any = object.__new__(type(cls.__name__, cls.__bases__, kept))
    memo[id(self)] = new
    for key, value in self.__dict__.items():
        object.__setattr__(new, key, copy.deepcopy(value, memo))
    return new


def _refuse(self: Any) -> Any:
    raise RuntimeError(
        "Serialization of parametrized modules is only supported through state_dict()"
    )


def _parametrized_class(module: Module) -> None:
    """Give ``module`` a class of its own, to hold the properties of its parametrized tensors."""
    cls = type(module)
    members: dict[str, Any] = {"__getstate__": _refuse, "_parametrized_from": cls}
    if not hasattr(cls, "__deepcopy__"):
        members["__deepcopy__"] = _deepcopy
    module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), members)


def _add_property(module: Module, name: str) -> None:
    def read(self: Any) -> Any:
        parametrization = self.parametrizations[name]
        if not _cache.depth:
            return parametrization()
        key = (id(self), name)
        if key not in _cache.values:
            _cache.values[key] = parametrization()
        return _cache.values[key]

    def write(self: Any, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(read, write))


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether ``module`` has parametrizations; with ``tensor_name``, whether that tensor has."""
    found = module.__dict__.get("_modules", {}).get("parametrizations")
    if not isinstance(found, ModuleDict) or not len(found):
        return False
    return tensor_name is None or tensor_name in found


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Compute a parameter (or buffer) by ``parametrization`` from then on, whenever it is read.

    Args:
        module: whose tensor it is.
        tensor_name: its name. The tensor that is trained is then ``parametrizations.<name>.original``.
        parametrization: a module from the original to the tensor. Its ``right_inverse``, where it has one, gives the
            original of a value: the first one, and after each assignment.
        unsafe: allow another dtype or shape.

    Raises:
        ValueError: no such tensor, or another dtype or shape without ``unsafe``.

    >>> import fastnn
    >>> from fastnn import nn
    >>> class Symmetric(nn.Module):
    ...     def forward(self, x):
    ...         return (x + x.T) / 2
    >>> layer = nn.Linear(3, 3)
    >>> _ = nn.utils.parametrize.register_parametrization(layer, "weight", Symmetric())
    >>> fastnn.equal(layer.weight, layer.weight.T)
    True
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        existing: Any = module.parametrizations[tensor_name]
        if not unsafe:
            with no_grad():
                now = getattr(module, tensor_name)
                _check_same(now, parametrization(now), "a parametrization")
        if hasattr(parametrization, "right_inverse"):
            with no_grad():
                value = parametrization.right_inverse(getattr(module, tensor_name))
            existing.right_inverse(value)
        existing.append(parametrization)
        existing.unsafe |= unsafe
        return module
    if tensor_name not in module._parameters and tensor_name not in module._buffers:
        raise ValueError(
            f"Module '{type(module).__name__}' does not have a parameter, a buffer, or a parametrized element with "
            f"name '{tensor_name}'"
        )
    original: Tensor = getattr(module, tensor_name)
    before = original.detach()
    found = ParametrizationList([parametrization], original, unsafe)
    if not unsafe:
        with no_grad():
            _check_same(before, found(), "a parametrization")
    delattr(module, tensor_name)
    if not is_parametrized(module):
        _parametrized_class(module)
        module.parametrizations = ModuleDict()
    module.parametrizations[tensor_name] = found
    _add_property(module, tensor_name)
    return module


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Make a parametrized tensor a plain one again.

    Args:
        module: whose tensor it is.
        tensor_name: its name.
        leave_parametrized: keep its value; else it becomes the original.

    Raises:
        ValueError: it is not parametrized, or has several originals although not ``leave_parametrized``.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(
            f"Module {type(module).__name__} does not have a parametrization on {tensor_name}"
        )
    parametrizations: Any = module.parametrizations[tensor_name]
    if parametrizations.is_tensor:
        original = parametrizations.original
        if leave_parametrized:
            with no_grad():
                value = getattr(module, tensor_name).detach()
            original._data = value._data
    else:
        if not leave_parametrized:
            raise ValueError(
                "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a "
                "sequence of tensors."
            )
        with no_grad():
            value = getattr(module, tensor_name).detach()
        trained = any(o.requires_grad for o in parametrizations._originals())
        is_parameter = isinstance(parametrizations._originals()[0], Parameter)
        original = Parameter(value, trained) if is_parameter else value
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if isinstance(original, Parameter):
        module.register_parameter(tensor_name, original)
    else:
        module.register_buffer(tensor_name, original)
    if not len(module.parametrizations):
        del module.parametrizations
        module.__class__ = type_before_parametrizations(module)
    return module


def type_before_parametrizations(module: Module) -> type:
    """The module's class without its parametrizations."""
    cls: type = getattr(type(module), "_parametrized_from", type(module))
    return cls


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Give ``to_module`` copies of the parametrizations (and their parameters) of ``from_module``.

    Raises:
        ValueError: ``from_module`` has none.
    """
    if not is_parametrized(from_module):
        raise ValueError(f"{type(from_module).__name__} has no parametrizations to be transferred")
    known: Any = from_module.parametrizations
    for name in [tensor_name] if tensor_name is not None else list(known):
        if name not in known:
            raise ValueError(f"{type(from_module).__name__} has no parametrization of {name!r}")
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach().clone()))
        for module in known[name]:
            register_parametrization(to_module, name, copy.deepcopy(module), unsafe=True)
        target: Any = to_module.parametrizations
        pairs = zip(known[name]._originals(), target[name]._originals(), strict=True)
        for source, own in pairs:
            own.data = source.detach().clone()
    return to_module
