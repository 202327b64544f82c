"""The base of all optimizers: groups of parameters, their state, hooks, saving and loading."""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .._core import make
from ..autograd.grad_mode import enable_grad
from ..autograd.version import bump_all
from ..tensor import RemovableHandle, Tensor

__all__ = [
    "Optimizer",
    "StepCounted",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
    "required",
]


class _Required:
    """Stands for the value of an option that every group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()
_step_pre_hooks: OrderedDict[int, Any] = OrderedDict()  # of all optimizers
_step_post_hooks: OrderedDict[int, Any] = OrderedDict()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` before every step of every optimizer; see ``register_step_pre_hook``."""
    return RemovableHandle(_step_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` after every step of every optimizer."""
    return RemovableHandle(_step_post_hooks, hook)


def _with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """``step`` with the hooks around it; a step that calls the step of its base class runs them once."""

    @functools.wraps(step)
    def step_with_hooks(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        self._opt_called = True
        before, after = self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks
        if self._stepping or not (before or after or _step_pre_hooks or _step_post_hooks):
            return step(self, *args, **kwargs)
        self._stepping = True
        try:
            for hook in [*_step_pre_hooks.values(), *before.values()]:
                changed = hook(self, args, kwargs)
                if changed is not None:
                    if not (isinstance(changed, tuple) and len(changed) == 2):
                        raise RuntimeError(
                            f"step: a pre hook must return None or a tuple (args, kwargs), got {changed!r}"
                        )
                    args, kwargs = changed
            out = step(self, *args, **kwargs)
            for hook in [*after.values(), *_step_post_hooks.values()]:
                hook(self, args, kwargs)
            return out
        finally:
            self._stepping = False

    return step_with_hooks


def _add_hook(hooks: OrderedDict[int, Any], hook: Any, prepend: bool) -> RemovableHandle:
    handle = RemovableHandle(hooks, hook)
    if prepend:
        hooks.move_to_end(handle._key, last=False)
    return handle


class Optimizer:
    """Updates parameters from their gradients.

    An optimizer of your own defines ``step``, which reads ``param_groups`` and keeps what it needs in ``state``.

    Args:
        params: tensors, pairs of name and tensor, or dicts with "params" and options of their own.
        defaults: the options of groups that do not give them.

    Raises:
        ValueError: no parameters, or a parameter in several groups.
        TypeError: something that is not a Tensor, or a set, which has no order.

    >>> import fastnn
    >>> class Sign(fastnn.optim.Optimizer):
    ...     @fastnn.no_grad()
    ...     def step(self, closure=None):
    ...         for group in self.param_groups:
    ...             for p in group["params"]:
    ...                 p.sub_(group["lr"] * p.grad.sign())
    >>> w = fastnn.tensor([1., -2.], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> Sign([w], {"lr": 0.5}).step()
    >>> w
    tensor([ 0.5000, -1.5000], requires_grad=True)
    """

    _opt_called = False  # whether there was a step: schedulers warn where theirs comes first
    _stepping = False

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts"
            )
        self.defaults = defaults
        self._make_hooks()
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        _check_ordered(params)
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _with_hooks(cls.__dict__["step"])  # type: ignore[method-assign]

    def _make_hooks(self) -> None:
        self._optimizer_step_pre_hooks: OrderedDict[int, Any] = OrderedDict()
        self._optimizer_step_post_hooks: OrderedDict[int, Any] = OrderedDict()
        self._optimizer_state_dict_pre_hooks: OrderedDict[int, Any] = OrderedDict()
        self._optimizer_state_dict_post_hooks: OrderedDict[int, Any] = OrderedDict()
        self._optimizer_load_state_dict_pre_hooks: OrderedDict[int, Any] = OrderedDict()
        self._optimizer_load_state_dict_post_hooks: OrderedDict[int, Any] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if not k.endswith("_hooks")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._make_hooks()
        self.__dict__.update(state)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group: a dict with "params" and options.

        Raises: as the constructor, and ValueError for a missing or impossible option.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group).__name__}")
        params = param_group["params"]
        _check_ordered(params)
        params = [params] if isinstance(params, Tensor) else list(params)
        names = [p[0] for p in params if isinstance(p, tuple)]
        if names:
            if len(names) < len(params):
                raise ValueError(
                    "all optimizer params should be with/without names. Some param names are missing"
                )
            params = [p for _, p in params]
        if self.param_groups and ("param_names" in self.param_groups[0]) != bool(names):
            raise ValueError(
                "all optimizer param groups should be with/without names: the groups before have "
                f"{'no ' if names else ''}names"
            )
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}"
                )
            if p._node is not None and not p.retains_grad:
                raise ValueError("can't optimize a non-leaf Tensor")
            if id(p) in known:
                raise ValueError("some parameters appear in more than one parameter group")
        if len({id(p) for p in params}) < len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; each of them is updated several "
                "times a step",
                stacklevel=3,
            )
        group: dict[str, Any] = {"params": params}
        if names:
            group["param_names"] = names
        for name, default in self.defaults.items():
            group[name] = param_group.get(name, default)
            if group[name] is required:
                raise ValueError(
                    f"parameter group didn't specify a value of required optimization parameter {name}"
                )
        group.update({k: v for k, v in param_group.items() if k not in group})
        self._check_group(group)
        self.param_groups.append(group)

    def _check_group(self, group: dict[str, Any]) -> None:
        check_always_off(
            capturable=group.get("capturable"), differentiable=group.get("differentiable")
        )
        if group.get("fused") and group.get("foreach"):
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
        lr = group.get("lr")
        if isinstance(lr, Tensor) and lr._data.size != 1:
            raise ValueError(f"Tensor lr must be 1-element, got shape {tuple(lr.shape)}")
        self.check_options(group)

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
                        if p._grad._node is not None:
                            p._grad.detach_()
                        p._grad.requires_grad_(False).zero_()

    @_with_hooks
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
        raise NotImplementedError(f"{type(self).__name__} must define step or update")

    # -- hooks -----------------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step; a returned (args, kwargs) replaces step's."""
        return RemovableHandle(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return RemovableHandle(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` before ``state_dict``."""
        return _add_hook(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` on what ``state_dict`` made; what it returns replaces it."""
        return _add_hook(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` before ``load_state_dict``; what it returns is loaded instead."""
        return _add_hook(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` after ``load_state_dict``."""
        return _add_hook(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    # -- state -----------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The state by parameter number, and the groups with numbers for their parameters."""
        for hook in list(self._optimizer_state_dict_pre_hooks.values()):
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
            saved = {k: v for k, v in group.items() if k != "params"}
            saved["params"] = [numbers[id(p)] for p in group["params"]]
            groups.append(saved)
        state = {
            numbers[id(p)] if isinstance(p, Tensor) else p: dict(s)
            for p, s in self.state.items()
            if not isinstance(p, Tensor) or id(p) in numbers
        }
        out: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in list(self._optimizer_state_dict_post_hooks.values()):
            changed = hook(self, out)
            if changed is not None:
                out = changed
        return out

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a saved state (copied); floating state gets its parameter's dtype, step counters keep theirs.

        Raises:
            ValueError: other groups than this optimizer's, or options that are not supported.
        """
        for hook in list(self._optimizer_load_state_dict_pre_hooks.values()):
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed
        groups = state_dict["param_groups"]
        if len(groups) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        for own, saved in zip(self.param_groups, groups, strict=True):
            if len(own["params"]) != len(saved["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
                )
        merged = []
        by_number: dict[Any, Tensor] = {}
        for own, saved in zip(self.param_groups, groups, strict=True):
            by_number.update(zip(saved["params"], own["params"], strict=True))
            options = {k: v for k, v in saved.items() if k not in ("params", "param_names")}
            merged.append({**own, **options})
            self._check_group(merged[-1])
        for own, new in zip(self.param_groups, merged, strict=True):
            own.update(new)
        self.state.clear()
        for number, saved_state in state_dict["state"].items():
            p = by_number.get(number)
            if p is None and isinstance(number, str) and number.isdigit():
                p = by_number.get(int(number))
            if p is None:  # state of the optimizer itself
                self.state[number] = saved_state
            else:
                self.state[p] = {k: _copied(v, p, k) for k, v in saved_state.items()}
        self.loaded()
        for hook in list(self._optimizer_load_state_dict_post_hooks.values()):
            hook(self)

    def loaded(self) -> None:
        """Called when a state was loaded; optimizers may put it in order."""

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {v}" for k, v in sorted(group.items()) if k != "params"]
        return "\n".join([*lines, ")"])


class StepCounted(Optimizer):
    """An optimizer whose update depends on the number of steps that a parameter had.

    Parameters that were always updated together share one step counter, and are updated in one kernel call.
    """

    def new_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """The state of ``p`` before its first step, without the step counter."""
        raise NotImplementedError

    def update_together(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        """Step number ``step`` (from 1) of ``params``."""
        raise NotImplementedError

    def update(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """One step of ``params``, those with the same counter together."""
        state = self.state
        if len(params) < len(group["params"]):
            self._leave_behind(group, params)
        states = [state[p] for p in params]
        if not all(states):
            fresh = make(np.zeros((), np.float32))
            for p, s in zip(params, states, strict=True):
                if not s:
                    s["step"] = fresh
                    s.update(self.new_state(group, p))
        counters = {id(s["step"]): s["step"] for s in states}
        for counter in counters.values():
            members = params
            if len(counters) > 1:
                members = [p for p, s in zip(params, states, strict=True) if s["step"] is counter]
            step = int(counter._data) + 1
            counter._data.fill(step)
            self.update_together(group, members, step)

    def _leave_behind(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Give the parameters of ``group`` that miss this step a counter apart from those of ``params``."""
        state = self.state
        moving = {id(p) for p in params}
        counters = {id(state[p]["step"]) for p in params if state.get(p)}
        left: dict[int, Tensor] = {}
        for p in group["params"]:
            counter = state[p]["step"] if id(p) not in moving and state.get(p) else None
            if counter is not None and id(counter) in counters:
                if id(counter) not in left:
                    left[id(counter)] = make(counter._data.copy())
                state[p]["step"] = left[id(counter)]

    def arrays(self, params: list[Tensor], name: str) -> list[Any]:
        """The arrays of the state ``name`` of each parameter."""
        state = self.state
        return [state[p][name]._data for p in params]

    def loaded(self) -> None:
        """Join equal step counters of a group again."""
        for group in self.param_groups:
            counters: dict[float, Tensor] = {}
            for p in group["params"]:
                s = self.state.get(p)
                if s and "step" in s:
                    value = float(s["step"])
                    if value not in counters:
                        counters[value] = make(np.array(value, np.float32))
                    s["step"] = counters[value]


def zeros_like(p: Tensor) -> Tensor:
    """State of p's shape, dtype and layout, zero."""
    return make(np.zeros_like(p._data))


def data_and_grads(params: list[Tensor]) -> tuple[list[Any], list[Any]]:
    """The arrays of the parameters and of their gradients."""
    return [p._data for p in params], [p._grad._data for p in params]  # type: ignore[union-attr]


def _check_ordered(params: Any) -> None:
    if isinstance(params, (set, frozenset)):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
            "will change between runs. Please use a list instead."
        )


def _copied(value: Any, p: Tensor, name: str) -> Any:
    """State for ``p``: a copy, in p's floating dtype unless it is the step counter."""
    if isinstance(value, Tensor):
        out = value.detach().clone()
        return out.to(p.dtype) if name != "step" and p.is_floating_point() else out
    if isinstance(value, dict):
        return {k: _copied(v, p, name) for k, v in value.items()}
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(_copied(v, p, name) for v in value)
    return value


def check_always_off(**options: Any) -> None:
    """Raise for options that would ask for something that does not exist here."""
    for name, value in options.items():
        if value:
            raise ValueError(f"{name}={value!r} is not supported: leave it False")


def non_negative(name: str, value: Any) -> None:
    """Raise ValueError unless ``value`` >= 0."""
    if not value >= 0.0:
        raise ValueError(f"Invalid {name}: {value}")


def check_betas(betas: Any) -> None:
    """Raise ValueError unless every beta is in [0, 1)."""
    for i, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
