"""How to run a sample of PyTorch's module database (``module_db``) on fastnn."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

import fastnn

from .convert import EPS, array_of, to_fastnn

# Modules that fastnn does not aim at: PyTorch infers the shapes of lazy ones, and the others are rarely used
OUT_OF_SCOPE = {"FractionalMaxPool2d", "FractionalMaxPool3d"}
# Modules whose output is random in training mode
RANDOM = ("Dropout", "RReLU")


def out_of_scope(name: str) -> bool:
    """Whether the module ``nn.<name>`` is no aim."""
    return name in OUT_OF_SCOPE or name.startswith("Lazy")


def to_double(value: Any, leaves: list[tuple[torch.Tensor, torch.Tensor]]) -> Any:
    """PyTorch's ``value`` with float64 in place of float32; ``leaves`` collects the pairs that require grad."""
    if isinstance(value, torch.Tensor):
        for single, double in leaves:
            if single is value:  # the same tensor twice
                return double
        t = value.detach().double() if value.dtype is torch.float32 else value.detach().clone()
        if value.requires_grad:
            leaves.append((value, t.requires_grad_()))
        return t
    if isinstance(value, torch.dtype):
        return torch.float64 if value is torch.float32 else value
    if isinstance(value, dict):
        return {k: to_double(v, leaves) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        items = [to_double(v, leaves) for v in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def tensors(value: Any) -> list[Any]:
    """The tensors of a nest of results, in order, of either library."""
    if isinstance(value, (torch.Tensor, fastnn.Tensor)):
        return [value]
    if isinstance(value, dict):
        return [t for v in value.values() for t in tensors(v)]
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in tensors(v)]
    return []


class Run:
    """One pass, forward and backward, through a module of either library.

    Attributes:
        outputs: the tensors that the module returned, as arrays.
        dtypes: their dtypes' names.
        gradients: of the inputs and of the parameters, by name; None where there is none.
        buffers: after the pass.
    """

    def __init__(self, lib: Any, module: Any, args: Any, kwargs: Any, leaves: list[Any]) -> None:
        out = tensors(module(*args, **kwargs))
        self.outputs = [as_array(t) for t in out]
        self.dtypes = [str(t.dtype).split(".")[-1] for t in out]
        wanted = {f"input {i}": t for i, t in enumerate(leaves)}
        wanted |= dict(module.named_parameters())
        roots = [t for t in out if t.requires_grad]
        self.gradients: dict[str, Any] = {}
        if roots and wanted:
            rng = np.random.default_rng(0)
            seeds = [
                lib.tensor(rng.uniform(-1, 1, tuple(t.shape)).tolist(), dtype=t.dtype).reshape(
                    tuple(t.shape)
                )
                for t in roots
            ]
            found = lib.autograd.grad(roots, list(wanted.values()), seeds, allow_unused=True)
            self.gradients = {
                name: None if g is None else as_array(g)
                for name, g in zip(wanted, found, strict=True)
            }
        self.buffers = {name: as_array(b) for name, b in module.named_buffers()}


def as_array(t: Any) -> Any:
    """The array of a tensor of either library."""
    return array_of(t) if isinstance(t, torch.Tensor) else t.detach().numpy()


class Sample:
    """A ModuleInput: PyTorch's module, the same in float64, and fastnn's with the same state."""

    def __init__(self, cls: Any, given: Any, training: bool) -> None:
        made, call = given.constructor_input, given.forward_input
        self.training = training
        self.theirs = cls(*made.args, **made.kwargs).train(training)
        name = cls.__name__
        self._exact_module = copy.deepcopy(self.theirs).double()
        args, kwargs = to_fastnn(made.args), to_fastnn(made.kwargs)
        self.ours = getattr(fastnn.nn, name)(*args, **kwargs).train(training)
        self.state = self.theirs.state_dict()
        self.call = call

    def load(self) -> None:
        """Give fastnn's module PyTorch's state, once both are known to have one form."""
        self.ours.load_state_dict({k: to_fastnn(v) for k, v in self.state.items()})

    def run_ours(self) -> Run:
        """fastnn's pass."""
        pairs: list[Any] = []
        args, kwargs = to_fastnn(self.call.args, pairs), to_fastnn(self.call.kwargs, pairs)
        return Run(fastnn, self.ours, args, kwargs, [p[1] for p in pairs])

    def run_theirs(self) -> Run:
        """PyTorch's pass."""
        pairs: list[Any] = []
        to_fastnn(self.call.args, pairs)
        to_fastnn(self.call.kwargs, pairs)
        return Run(torch, self.theirs, self.call.args, self.call.kwargs, [p[0] for p in pairs])

    def run_exact(self) -> Run:
        """PyTorch's pass in float64."""
        pairs: list[tuple[torch.Tensor, torch.Tensor]] = []
        args, kwargs = to_double(self.call.args, pairs), to_double(self.call.kwargs, pairs)
        return Run(torch, self._exact_module, args, kwargs, [p[1] for p in pairs])


def samples(info: Any, training: bool, dtype: torch.dtype = torch.float32) -> Iterator[Sample]:
    """Every input that the database has for a module, in one mode."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = info.module_inputs_func(
            info, device="cpu", dtype=dtype, requires_grad=True, training=training
        )
    for one in given:
        if one.forward_input is not None:
            yield Sample(info.module_cls, one, training)


def differs(got: Any, expected: Any, exact: Any, terms: float = 64) -> str | None:
    """None where ``got`` is PyTorch's value, else how far off it is.

    Allowed are ``terms`` roundings of the largest value (sums of tens of terms, a few functions deep), or twice the
    distance of PyTorch's own float32 value from its float64 one.
    """
    if got.shape != expected.shape:
        return f"shape {got.shape}, expected {expected.shape}"
    if got.dtype.kind in "biu":
        return None if np.array_equal(got, expected) else f"got {got}, expected {expected}"
    got, expected = got.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(expected)
    if not np.array_equal(finite, np.isfinite(got)) or not np.array_equal(
        got[~finite], expected[~finite], equal_nan=True
    ):
        return f"got {got}, expected {expected}"
    scale = max(1.0, float(np.abs(expected[finite]).max(initial=0.0)))
    off = float(np.abs(got[finite] - expected[finite]).max(initial=0.0))
    if off <= terms * EPS * scale:
        return None
    own = float(np.abs(exact - expected)[finite].max(initial=0.0))
    ours = float(np.abs(exact - got)[finite].max(initial=0.0))
    return None if ours <= 2 * own else f"differs by {off:.3g} (PyTorch's own error {own:.3g})"
