"""The base of all optimizers: groups of parameters, their state, saving and loading."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from ..autograd.grad_mode import enable_grad
from ..autograd.version import bump_all
from ..tensor import Tensor


class Optimizer:
    """Updates parameters from their gradients.

    Args:
        params: tensors, or dicts with "params" and options of their own.
        defaults: the options of groups that do not give them.

    Raises:
        ValueError: no parameters, or a parameter in several groups.
        TypeError: something that is not a Tensor.
    """

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts"
            )
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group: a dict with "params" and options."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group).__name__}")
        params = param_group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}"
                )
            if p._node is not None:
                raise ValueError("can't optimize a non-leaf Tensor")
            if id(p) in known:
                raise ValueError("some parameters appear in more than one parameter group")
            known.add(id(p))
        group = {"params": params}
        group.update({k: param_group.get(k, v) for k, v in self.defaults.items()})
        group.update({k: v for k, v in param_group.items() if k not in group})
        self.check_options(group)
        self.param_groups.append(group)

    def check_options(self, group: dict[str, Any]) -> None:
        """Raise ValueError for options out of range; optimizers define their own."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to zero."""
        for group in self.param_groups:
            for p in group["params"]:
                if p._grad is not None:
                    if set_to_none:
                        p._grad = None
                    else:
                        p._grad.detach_().zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters; ``closure``, where given, computes the loss again first and is returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p._grad is not None]
            if params:
                self.update(group, params)
                bump_all([p._data for p in params])
        return loss

    def update(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Update ``params``, those of ``group`` that have gradients; optimizers define their own."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """The state by parameter number, and the groups with numbers for their parameters."""
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
            saved = {k: v for k, v in group.items() if k != "params"}
            saved["params"] = [numbers[id(p)] for p in group["params"]]
            groups.append(saved)
        state = {numbers[id(p)]: dict(s) for p, s in self.state.items() if id(p) in numbers}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a saved state (copied).

        Raises:
            ValueError: other groups than this optimizer's.
        """
        groups = state_dict["param_groups"]
        if len(groups) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        for own, saved in zip(self.param_groups, groups, strict=True):
            if len(own["params"]) != len(saved["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
                )
        by_number: dict[Any, Tensor] = {}
        for own, saved in zip(self.param_groups, groups, strict=True):
            by_number.update(zip(saved["params"], own["params"], strict=True))
            own.update({k: v for k, v in saved.items() if k != "params"})
        self.state.clear()
        for number, saved_state in state_dict["state"].items():
            p = by_number.get(number)
            if p is None:
                p = by_number[int(number)]
            self.state[p] = {
                k: _copied(v, p) if isinstance(v, Tensor) else v for k, v in saved_state.items()
            }

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {v}" for k, v in sorted(group.items()) if k != "params"]
        return "\n".join([*lines, ")"])


def _copied(value: Tensor, p: Tensor) -> Tensor:
    """State for ``p``: a copy, in p's dtype where it has p's shape."""
    out = value.detach().clone()
    return out.to(p.dtype) if out.shape == p.shape and out.ndim > 0 else out


def check_always_off(**options: Any) -> None:
    """Raise for options that would ask for something that does not exist here."""
    for name, value in options.items():
        if value:
            raise ValueError(f"{name}={value!r} is not supported: leave it False")


def non_negative(name: str, value: Any) -> None:
    """Raise ValueError unless ``value`` >= 0."""
    if not value >= 0.0:
        raise ValueError(f"Invalid {name}: {value}")
