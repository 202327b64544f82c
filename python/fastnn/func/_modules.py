"""Several models of one form as one function of stacked parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..nn.utils import stateless
from ..ops.shape import stack

if TYPE_CHECKING:
    from ..nn import Module

__all__ = ["functional_call", "stack_module_state"]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """``module(*args, **kwargs)`` with other tensors in the places of its parameters and buffers.

    Args, Raises: as ``nn.utils.stateless.functional_call``.

    >>> import fastnn
    >>> model = fastnn.nn.Linear(1, 1, bias=False)
    >>> fastnn.func.functional_call(model, {"weight": fastnn.tensor([[2.]])}, fastnn.tensor([3.]))
    tensor([6.])
    """
    return stateless.functional_call(
        module, parameter_and_buffer_dicts, args, kwargs, tie_weights=tie_weights, strict=strict
    )


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and the buffers of like models, stacked along a first dim, for ``vmap`` of ``functional_call``.

    Args:
        models: models of one class whose parameters have the same names and shapes.

    Returns:
        (parameters, buffers): dicts from names to new tensors; parameters that are trained require grad.

    Raises:
        RuntimeError: no models, of different classes, or in different modes.

    >>> import fastnn
    >>> models = [fastnn.nn.Linear(2, 1) for _ in range(3)]
    >>> parameters, buffers = fastnn.func.stack_module_state(models)
    >>> {name: tuple(p.shape) for name, p in parameters.items()}
    {'weight': (3, 1, 2), 'bias': (3, 1)}
    """
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({type(m) for m in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    if len({m.training for m in models}) > 1:
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval mode."
        )
    parameters = {}
    for name, first in models[0].named_parameters():
        stacked = stack([dict(m.named_parameters())[name].detach() for m in models])
        parameters[name] = stacked.requires_grad_(first.requires_grad)
    buffers = {
        name: stack([dict(m.named_buffers())[name].detach() for m in models])
        for name, _ in models[0].named_buffers()
    }
    return parameters, buffers
