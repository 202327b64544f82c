"""Weight normalization: a weight as a direction and a length (T. Salimans, D. Kingma, 2016)."""

from __future__ import annotations

from typing import Any, TypeVar

from ...tensor import Tensor
from ..module import Module
from ..parameter import Parameter

M = TypeVar("M", bound=Module)


def norm_except_dim(v: Tensor, dim: int | None) -> Tensor:
    """The 2-norm of ``v`` over all dims but ``dim`` (over all, for None or -1), with the dims kept."""
    kept = None if dim is None or dim == -1 else dim % v.dim()
    axes = tuple(i for i in range(v.dim()) if i != kept)
    squares = (v * v).sum(axes, keepdim=True) if axes else v * v
    root = squares.sqrt()
    return root.reshape(()) if kept is None else root


def weight_of(g: Tensor, v: Tensor, dim: int | None) -> Tensor:
    """g * v / |v|."""
    return v * (g / norm_except_dim(v, dim))


class WeightNorm:
    """The hook that computes a weight before each ``forward``."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = -1 if dim is None else dim

    def compute_weight(self, module: Module) -> Tensor:
        """The weight from its length and direction."""
        return weight_of(
            getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v"), self.dim
        )

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))

    def remove(self, module: Module) -> None:
        """Make the weight a parameter again."""
        weight = self.compute_weight(module).detach()
        for name in (self.name, f"{self.name}_g", f"{self.name}_v"):
            delattr(module, name)
        setattr(module, self.name, Parameter(weight))


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Replace parameter ``name`` by its length ``name_g`` and direction ``name_v``.

    Args:
        module: the module.
        name: the parameter.
        dim: the dim that has a length of its own for each index; None: one length.

    Raises:
        RuntimeError: the parameter has a weight_norm.

    >>> from fastnn import nn
    >>> [n for n, _ in nn.utils.weight_norm(nn.Linear(2, 3)).named_parameters()]
    ['bias', 'weight_g', 'weight_v']
    """
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm) and hook.name == name:
            raise RuntimeError(
                f"Cannot register two weight_norm hooks on the same parameter {name}"
            )
    hook = WeightNorm(name, dim)
    weight: Tensor = getattr(module, name)
    del module._parameters[name]
    g = norm_except_dim(weight.detach(), hook.dim)
    module.register_parameter(f"{name}_g", Parameter(g))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    setattr(module, name, hook.compute_weight(module))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Undo ``weight_norm``.

    Raises:
        ValueError: there is none on ``name``.
    """
    for key, hook in list(module._forward_pre_hooks.items()):
        if isinstance(hook, WeightNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"weight_norm of '{name}' not found in {module}")
