"""Pruning: parameters of which some elements are held at zero by a mask.

A pruned parameter ``weight`` becomes the parameter ``weight_orig`` and the buffer ``weight_mask``; their product is
computed before each ``forward``.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

from ..._core import make
from ...random import uniform_array
from ...tensor import Tensor
from ..module import Module

M = TypeVar("M", bound=Module)


def _number(amount: Any, size: int) -> int:
    """How many of ``size`` elements: a fraction in [0, 1], or a count.

    Raises:
        TypeError, ValueError: something else.
    """
    if not isinstance(amount, numbers.Real):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    if isinstance(amount, numbers.Integral):
        if amount < 0:
            raise ValueError(
                f"amount={amount} should be a float in the range [0.0, 1.0] or a non-negative int"
            )
        if int(amount) > size:
            raise ValueError(
                f"amount={amount} should be smaller than the number of parameters to prune={size}"
            )
        return int(amount)
    if not 0.0 <= float(amount) <= 1.0:
        raise ValueError(
            f"amount={amount} should be a float in the range [0.0, 1.0] or a non-negative int"
        )
    return round(float(amount) * size)


class BasePruningMethod(ABC):
    """How a mask is chosen; a hook that applies it before each ``forward``.

    Attributes:
        PRUNING_TYPE: "unstructured" (elements), "structured" (slices along ``dim``) or "global" (elements of several
            parameters).
    """

    PRUNING_TYPE = "unstructured"
    _tensor_name: str

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """A mask (1: kept) for ``t`` where ``default_mask`` is 1 at the most."""

    def apply_mask(self, module: Module) -> Tensor:
        """The parameter with its pruned elements at 0."""
        name = self._tensor_name
        mask: Tensor = getattr(module, f"{name}_mask")
        original: Tensor = getattr(module, f"{name}_orig")
        return original * mask.to(original.dtype)

    @classmethod
    def apply(
        cls,
        module: Module,
        name: str,
        *args: Any,
        importance_scores: Tensor | None = None,
        **kwargs: Any,
    ) -> BasePruningMethod:
        """Prune parameter ``name`` of ``module``, on top of what has been pruned of it.

        Args:
            module: whose parameter it is.
            name: its name.
            args, kwargs: the method's arguments.
            importance_scores: of the parameter's shape; what the method ranks instead of the parameter.
        """
        old: BasePruningMethod | None = None
        for key, hook in list(module._forward_pre_hooks.items()):
            if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
                old = hook
                del module._forward_pre_hooks[key]
        method: BasePruningMethod = cls(*args, **kwargs)
        method._tensor_name = name
        if old is not None:
            container = old if isinstance(old, PruningContainer) else PruningContainer(old)
            container.add_pruning_method(method)
            used: BasePruningMethod = container
        else:
            used = method
        original: Any = getattr(module, name)
        scores = original if importance_scores is None else importance_scores
        if tuple(scores.shape) != tuple(original.shape):
            raise AssertionError(
                f"importance_scores should have the same shape as parameter {name} of {module}"
            )
        if old is None:
            default = make(np.ones_like(original._data))
            del module._parameters[name]
            module.register_parameter(f"{name}_orig", original)
        else:
            default = getattr(module, f"{name}_mask").detach().clone()
        mask = used.compute_mask(scores.detach(), default)
        module.register_buffer(f"{name}_mask", mask)
        setattr(module, name, used.apply_mask(module))
        module.register_forward_pre_hook(used)
        return used

    def prune(
        self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None
    ) -> Tensor:
        """``t`` with the elements at 0 that this method would prune."""
        scores = t if importance_scores is None else importance_scores
        if tuple(scores.shape) != tuple(t.shape):
            raise AssertionError("importance_scores should have the same shape as tensor t")
        if default_mask is None:
            default_mask = make(np.ones_like(t._data))
        return t * self.compute_mask(scores.detach(), default_mask)

    def remove(self, module: Module) -> None:
        """Make the pruned parameter a plain one, with its zeros."""
        name = self._tensor_name
        pruned = self.apply_mask(module).detach()
        original: Any = module._parameters.pop(f"{name}_orig")
        del module._buffers[f"{name}_mask"]
        module.__dict__.pop(name, None)
        original._data = pruned._data
        module.register_parameter(name, original)


class PruningContainer(BasePruningMethod):
    """Several pruning methods of one parameter, one after another."""

    def __init__(self, *args: Any) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        if args:
            methods = args[0] if len(args) == 1 and isinstance(args[0], Iterable) else args
            self._tensor_name = next(iter(methods))._tensor_name
            for method in methods:
                self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod) -> None:
        """Add a method at the end.

        Raises:
            TypeError: it is none.
            ValueError: it is for a parameter of another name.
        """
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if self._tensor_name != method._tensor_name:
            raise ValueError(
                "Can only add pruning methods acting on the parameter named "
                f"'{self._tensor_name}' to PruningContainer. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Any:
        return iter(self._pruning_methods)

    def __getitem__(self, index: int) -> BasePruningMethod:
        return self._pruning_methods[index]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The last method's mask, of what the ones before it left."""
        method = self._pruning_methods[-1]
        left = default_mask._data != 0
        if method.PRUNING_TYPE == "unstructured":
            chosen: Any = left
        elif method.PRUNING_TYPE == "structured":
            axis = method.dim % t.dim()  # type: ignore[attr-defined]
            others = tuple(i for i in range(t.dim()) if i != axis)
            kept = np.flatnonzero(left.any(others))
            chosen = tuple(kept if i == axis else slice(None) for i in range(t.dim()))
        elif method.PRUNING_TYPE == "global":
            chosen = (slice(None),) * t.dim()
        else:
            raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
        mask = default_mask._data.copy()
        part = method.compute_mask(make(t._data[chosen]), make(mask[chosen]))
        mask[chosen] = part._data
        return make(mask)


class Identity(BasePruningMethod):
    """Prunes nothing; makes the mask."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask that is there."""
        return default_mask


class RandomUnstructured(BasePruningMethod):
    """Prunes elements at random: a fraction or a number ``amount`` of them."""

    def __init__(self, amount: float) -> None:
        _number(amount, int(amount) if isinstance(amount, int) else 1)
        self.amount = amount

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask without some more elements."""
        return _without_least(_draw(t.numel()).reshape(t._data.shape), self.amount, default_mask)


class L1Unstructured(BasePruningMethod):
    """Prunes the elements of least magnitude: a fraction or a number ``amount`` of them."""

    def __init__(self, amount: float) -> None:
        _number(amount, int(amount) if isinstance(amount, int) else 1)
        self.amount = amount

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask without the least elements."""
        return _without_least(np.abs(t._data), self.amount, default_mask)


def _draw(n: int) -> Any:
    return uniform_array((n,), np.dtype(np.float32), None)


def _without_least(scores: Any, amount: float, mask: Tensor) -> Tensor:
    """``mask`` without the ``amount`` elements of least score."""
    out = mask._data.copy()
    n = _number(amount, out.size)
    if n:
        least = np.argpartition(scores.reshape(-1), n - 1)[:n]
        out[np.unravel_index(least, out.shape)] = 0
    return make(out)


class _Structured(BasePruningMethod):
    """Prunes whole slices along ``dim``: a fraction or a number ``amount`` of them."""

    PRUNING_TYPE = "structured"
    amount: float
    dim: int

    def _scores(self, t: Tensor, axis: int) -> Any:
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask without the slices of least score."""
        if t.dim() <= 1:
            raise ValueError(
                f"Structured pruning can only be applied to multidimensional tensors. Got {t.dim()}-D tensor"
            )
        if not -t.dim() <= self.dim < t.dim():
            raise IndexError(f"Invalid index {self.dim} for tensor of size {tuple(t.shape)}")
        axis = self.dim % t.dim()
        size = t._data.shape[axis]
        n = _number(self.amount, size)
        out = default_mask._data.copy()
        if n:
            least = np.argpartition(self._scores(t, axis), n - 1)[:n]
            out[(slice(None),) * axis + (least,)] = 0
        return make(out)


class RandomStructured(_Structured):
    """Prunes slices along ``dim`` at random."""

    def __init__(self, amount: float, dim: int = -1) -> None:
        _number(amount, int(amount) if isinstance(amount, int) else 1)
        self.amount = amount
        self.dim = dim

    def _scores(self, t: Tensor, axis: int) -> Any:
        return _draw(t._data.shape[axis])


class LnStructured(_Structured):
    """Prunes the slices along ``dim`` of least norm; ``n`` is the norm's p."""

    def __init__(self, amount: float, n: Any, dim: int = -1) -> None:
        _number(amount, int(amount) if isinstance(amount, int) else 1)
        self.amount = amount
        self.n = n
        self.dim = dim

    def _scores(self, t: Tensor, axis: int) -> Any:
        rows = np.moveaxis(t._data, axis, 0).reshape(t._data.shape[axis], -1)
        order = {"inf": np.inf, "-inf": -np.inf, "fro": 2}.get(self.n, self.n)
        return np.linalg.norm(rows, order, axis=1)


class CustomFromMask(BasePruningMethod):
    """Prunes what a given mask says."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The product of both masks."""
        given = self.mask._data.astype(default_mask._data.dtype)
        return make(default_mask._data * given)


def identity(module: M, name: str) -> M:
    """Prune nothing of parameter ``name``, but make its mask."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: M, name: str, amount: float) -> M:
    """Prune elements of parameter ``name`` at random: a fraction (float) or a number (int) of them."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: M, name: str, amount: float, importance_scores: Tensor | None = None
) -> M:
    """Prune the elements of parameter ``name`` of least magnitude (or score).

    >>> import fastnn
    >>> from fastnn import nn
    >>> layer = nn.utils.prune.l1_unstructured(nn.Linear(4, 2), "weight", amount=3)
    >>> int((layer.weight == 0).sum())
    3
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: M, name: str, amount: float, dim: int) -> M:
    """Prune slices along ``dim`` of parameter ``name`` at random."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: M,
    name: str,
    amount: float,
    n: Any,
    dim: int,
    importance_scores: Tensor | None = None,
) -> M:
    """Prune the slices along ``dim`` of parameter ``name`` of least ``n``-norm."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: M, name: str, mask: Tensor) -> M:
    """Prune of parameter ``name`` what ``mask`` has at 0."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: dict[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prune elements of several parameters, chosen among all of them together.

    Args:
        parameters: (module, name) of each.
        pruning_method: a method whose ``PRUNING_TYPE`` is "unstructured".
        importance_scores: what is ranked in place of a parameter.
        kwargs: the method's arguments.

    Raises:
        TypeError: ``parameters`` or the method does not fit.
    """
    chosen = list(parameters)
    if not chosen:
        raise TypeError(
            "global_unstructured: parameters must be a non-empty list of (module, name)"
        )
    given = importance_scores or {}
    values = [given.get((m, n), getattr(m, n)) for m, n in chosen]
    masks = [
        getattr(m, f"{n}_mask", make(np.ones_like(v._data)))
        for (m, n), v in zip(chosen, values, strict=True)
    ]
    scores = make(np.concatenate([v._data.reshape(-1) for v in values]))
    before = make(np.concatenate([m._data.reshape(-1) for m in masks]))
    container = PruningContainer()
    container._tensor_name = "temp"
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    container.add_pruning_method(method)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method '
            f"{pruning_method} of type {method.PRUNING_TYPE}"
        )
    final = container.compute_mask(scores, before)._data
    start = 0
    for (module, name), value in zip(chosen, values, strict=True):
        stop = start + value._data.size
        custom_from_mask(module, name, make(final[start:stop].reshape(value._data.shape)))
        start = stop


def remove(module: M, name: str) -> M:
    """Make pruning permanent: ``name`` is a plain parameter again, with its zeros.

    Raises:
        ValueError: it is not pruned.
    """
    for key, hook in list(module._forward_pre_hooks.items()):
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(
        f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
    )


def is_pruned(module: Module) -> bool:
    """Whether a parameter of ``module``, or below it, is pruned."""
    return any(
        isinstance(hook, BasePruningMethod)
        for m in module.modules()
        for hook in m._forward_pre_hooks.values()
    )
