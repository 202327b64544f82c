"""The same module in both libraries: one set of weights, one set of inputs, outputs and gradients compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import fastnn

from .convert import close, flat, to_fastnn


def load(reference: torch.nn.Module, module: fastnn.nn.Module) -> None:
    """Give ``module`` the state of ``reference``; their keys must be the same, in the same order."""
    state = {k: to_fastnn(v) for k, v in reference.state_dict().items()}
    assert list(module.state_dict()) == list(state)
    module.load_state_dict(state)


def gradients(lib: Any, outputs: list[Any], leaves: list[Any]) -> list[Any]:
    """The gradients of a fixed mix of ``outputs``."""
    total = None
    rng = np.random.default_rng(5)
    for o in outputs:
        if not (hasattr(o, "requires_grad") and o.requires_grad):
            continue
        factor = rng.uniform(-1, 1, tuple(o.shape))
        factor = (
            torch.from_numpy(factor).to(o.dtype)
            if lib is torch
            else fastnn.from_numpy(factor).to(o.dtype)
        )
        term = (o * factor).sum()
        total = term if total is None else total + term
    assert total is not None
    return list(lib.autograd.grad(total, leaves, allow_unused=True))


def compare(
    reference: Any, module: Any, args: tuple[Any, ...], terms: float = 256, **kwargs: Any
) -> None:
    """Outputs and gradients (of inputs and parameters) of both agree to ``terms`` roundings of the largest value.

    256: recurrences and attention chain tens of sums of tens of terms.
    """
    pairs: list[tuple[torch.Tensor, fastnn.Tensor]] = []
    own_args = to_fastnn(args, pairs)
    own_kwargs = to_fastnn(kwargs, pairs)
    expected = flat(reference(*args, **kwargs))
    got = flat(module(*own_args, **own_kwargs))
    assert len(got) == len(expected)
    for g, e in zip(got, expected, strict=True):
        if e is None or not isinstance(e, torch.Tensor):
            assert g == e
            continue
        assert str(g.dtype).split(".")[-1] == str(e.dtype).split(".")[-1]
        problem = close(g.detach().numpy(), e.detach().numpy(), terms)
        assert problem is None, problem
    leaves = [p for p, _ in pairs]
    own_leaves = [q for _, q in pairs]
    if isinstance(reference, torch.nn.Module):
        named = dict(module.named_parameters())
        for name, p in reference.named_parameters():
            if p.requires_grad:
                leaves.append(p)
                own_leaves.append(named[name])
    if not leaves or not any(isinstance(e, torch.Tensor) and e.requires_grad for e in expected):
        return
    wanted = gradients(torch, expected, leaves)
    found = gradients(fastnn, got, own_leaves)
    for g, e in zip(found, wanted, strict=True):
        if e is None:
            assert g is None or not g.numpy().any()
            continue
        assert g is not None
        problem = close(g.numpy(), e.numpy(), terms)
        assert problem is None, problem
