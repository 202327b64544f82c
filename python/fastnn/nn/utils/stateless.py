"""Modules called as functions of their parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ...tensor import Tensor
from ..module import Module


def _aliases(module: Module) -> dict[int, list[str]]:
    """The dotted names of each parameter and buffer; several where it is shared."""
    found: dict[int, list[str]] = {}
    for kind in (module.named_parameters, module.named_buffers):
        for name, value in kind(remove_duplicate=False):
            found.setdefault(id(value), []).append(name)
    return found


@contextmanager
def _replaced(module: Module, values: Mapping[str, Tensor], tie: bool) -> Iterator[None]:
    """``module`` with ``values`` in the places of its parameters and buffers, inside the block."""
    full = dict(values)
    if tie:
        for names in _aliases(module).values():
            given = {n: full[n] for n in names if n in full}
            if len({id(v) for v in given.values()}) > 1:
                raise ValueError(
                    f"functional_call got multiple values for keys {sorted(given)}, which are tied. Consider using "
                    "tie_weights=False"
                )
            for n in names:
                if given:
                    full[n] = next(iter(given.values()))
    undo: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for name, value in full.items():
            path, _, last = name.rpartition(".")
            owner = module.get_submodule(path)
            held: dict[str, Any] = (
                owner._parameters if last in owner._parameters else owner._buffers
            )
            undo.append((held, last, held[last]))
            held[last] = value
        yield
    finally:
        for held, last, old in reversed(undo):
            held[last] = old


def functional_call(
    module: Module,
    parameters_and_buffers: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """``module(*args, **kwargs)`` with other tensors in the places of its parameters and buffers.

    Args:
        module: the module; afterwards it is what it was.
        parameters_and_buffers: tensors by dotted name, or several such dictionaries.
        args: the arguments; what is no tuple is the only one.
        kwargs: the keyword arguments.
        tie_weights: a tensor given for one name of a shared parameter is used under all of its names.
        strict: every parameter and buffer must be given.

    Raises:
        ValueError: a name in several dictionaries, or several values for a shared parameter.
        RuntimeError: names that the module does not have, or (``strict``) ones that are missing.

    >>> import fastnn
    >>> layer = fastnn.nn.Linear(1, 1)
    >>> new = {"weight": fastnn.tensor([[2.]]), "bias": fastnn.tensor([1.])}
    >>> fastnn.nn.utils.stateless.functional_call(layer, new, fastnn.tensor([3.]))
    tensor([7.])
    """
    if isinstance(parameters_and_buffers, Mapping):
        values = dict(parameters_and_buffers)
    elif isinstance(parameters_and_buffers, Sequence):
        values = {}
        for part in parameters_and_buffers:
            repeated = sorted(values.keys() & part.keys())
            if repeated:
                raise ValueError(f"{repeated} appear in multiple dictionaries")
            values.update(part)
    else:
        raise ValueError(
            "functional_call expects a dictionary or a list or tuple of them, got "
            f"{type(parameters_and_buffers).__name__}"
        )
    known = {n for names in _aliases(module).values() for n in names}
    unexpected = sorted(values.keys() - known)
    missing = sorted(known - values.keys()) if strict else []
    if unexpected or missing:
        raise RuntimeError(
            f"functional_call: unexpected key(s) {unexpected}, missing key(s) {missing} for {type(module).__name__}"
        )
    given = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, values, tie_weights):
        return module(*given, **(kwargs or {}))
