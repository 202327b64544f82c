"""Spectral normalization: a weight divided by its largest singular value (T. Miyato et al., 2018)."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from ..._core import make
from ...autograd import version
from ...autograd.grad_mode import no_grad
from ...random import normal_array
from ...tensor import Tensor
from ..module import Module
from ..parameter import Parameter

M = TypeVar("M", bound=Module)


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """``weight`` with ``dim`` first and the others flattened."""
    if dim:
        weight = weight.permute(dim, *(i for i in range(weight.dim()) if i != dim))
    return weight.reshape(weight._data.shape[0], -1)


def unit(x: Any, eps: float) -> Any:
    """x / max(|x|, eps)."""
    return x / max(float(np.linalg.norm(x)), eps)


def power_iterations(matrix: Any, u: Any, v: Any, n: int, eps: float) -> tuple[Any, Any]:
    """The largest singular vectors after ``n`` more iterations from (u, v)."""
    for _ in range(n):
        v = unit(matrix.T @ u, eps)
        u = unit(matrix @ v, eps)
    return u, v


def overwrite(buffer: Tensor, values: Any) -> None:
    """Write an array into a buffer."""
    np.copyto(buffer._data, values)
    version.bump(buffer._data)


def default_dim(module: Module) -> int:
    """The dim of the outputs in the module's weight: 1 for transposed convolutions, else 0."""
    return 1 if type(module).__name__.startswith("ConvTranspose") else 0


class SpectralNorm:
    """The hook that computes a weight before each ``forward``."""

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.name = name
        self.dim = dim
        self.n_power_iterations = n_power_iterations
        self.eps = eps

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """The weight over its largest singular value; ``do_power_iteration`` first improves the singular vectors."""
        weight: Tensor = getattr(module, f"{self.name}_orig")
        u: Tensor = getattr(module, f"{self.name}_u")
        v: Tensor = getattr(module, f"{self.name}_v")
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            n = self.n_power_iterations
            new = power_iterations(matrix._data, u._data, v._data, n, self.eps)
            overwrite(u, new[0])
            overwrite(v, new[1])
        # Copies: the next forward writes to the buffers, and backward may still be to come
        sigma = (make(u._data.copy()) * (matrix @ make(v._data.copy()))).sum()
        return weight / sigma

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))

    def remove(self, module: Module) -> None:
        """Make the weight a parameter again."""
        with no_grad():
            weight = self.compute_weight(module, False)
        for suffix in ("", "_u", "_v", "_orig"):
            delattr(module, self.name + suffix)
        module.register_parameter(self.name, Parameter(weight.detach()))


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> M:
    """Divide parameter ``name`` by its largest singular value before each ``forward``.

    Args:
        module: the module; ``name_orig`` is then the parameter, ``name_u`` and ``name_v`` are buffers.
        name: the parameter.
        n_power_iterations: iterations a call, in training.
        eps: the least norm that is divided by.
        dim: the dim of the outputs; by default 1 for transposed convolutions, else 0.

    Raises:
        RuntimeError: the parameter has a spectral_norm.
        ValueError: ``n_power_iterations`` is not positive.
    """
    for other in module._forward_pre_hooks.values():
        if isinstance(other, SpectralNorm) and other.name == name:
            raise RuntimeError(
                f"Cannot register two spectral_norm hooks on the same parameter {name}"
            )
    hook = SpectralNorm(name, n_power_iterations, default_dim(module) if dim is None else dim, eps)
    weight = module._parameters[name]
    if weight is None:
        raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
    matrix = as_matrix(weight.detach(), hook.dim)._data
    u, v = (unit(normal_array((n,), matrix.dtype), eps) for n in matrix.shape)
    del module._parameters[name]
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.detach())
    module.register_buffer(f"{name}_u", make(u))
    module.register_buffer(f"{name}_v", make(v))
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Undo ``spectral_norm``.

    Raises:
        ValueError: there is none on ``name``.
    """
    for key, hook in list(module._forward_pre_hooks.items()):
        if isinstance(hook, SpectralNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"spectral_norm of '{name}' not found in {module}")
