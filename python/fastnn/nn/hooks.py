"""Hooks of modules: called around ``forward`` and when gradients pass through, for one module or for all."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from .._core import make
from ..autograd.grad_mode import mode
from ..autograd.node import MultiNode, Output, edge_of
from ..tensor import RemovableHandle, Tensor

Hooks = OrderedDict[int, Any]


class _GlobalHooks:
    """The hooks of all modules.

    ``calls`` holds (kind, hook) of all that hook on calls, so that a call asks one dictionary whether there are any.
    """

    def __init__(self) -> None:
        self.calls: OrderedDict[int, tuple[str, Any]] = OrderedDict()
        self.with_kwargs: set[int] = set()
        self.always_call: set[int] = set()
        self.parameter: Hooks = OrderedDict()
        self.buffer: Hooks = OrderedDict()
        self.module: Hooks = OrderedDict()

    def of_kind(self, kind: str) -> Hooks:
        """The hooks on calls of one kind."""
        return OrderedDict((key, hook) for key, (k, hook) in self.calls.items() if k == kind)


everywhere = _GlobalHooks()


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, args)`` before every module's ``forward``; what it returns replaces the arguments."""
    return RemovableHandle(everywhere.calls, ("forward_pre", hook))


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call ``hook(module, args, output)`` after every module's ``forward``; what it returns replaces the output.

    Args: as ``Module.register_forward_hook``.
    """
    handle = RemovableHandle(everywhere.calls, ("forward", hook))
    if with_kwargs:
        everywhere.with_kwargs.add(handle.id)
    if always_call:
        everywhere.always_call.add(handle.id)
    return handle


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, grad_output)`` before every module's gradient; what it returns replaces ``grad_output``."""
    return RemovableHandle(everywhere.calls, ("backward_pre", hook))


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, grad_input, grad_output)`` after every module's gradient; see ``Module``'s method."""
    return RemovableHandle(everywhere.calls, ("backward", hook))


register_module_backward_hook = register_module_full_backward_hook


def register_module_parameter_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, name, parameter)`` when a parameter is registered; what it returns is registered instead."""
    return RemovableHandle(everywhere.parameter, hook)


def register_module_buffer_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, name, buffer)`` when a buffer is registered; what it returns is registered instead."""
    return RemovableHandle(everywhere.buffer, hook)


def register_module_module_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, name, submodule)`` when a submodule is registered; what it returns is registered instead."""
    return RemovableHandle(everywhere.module, hook)


def registered(hooks: Hooks, module: Any, name: str, value: Any) -> Any:
    """``value``, or what the registration ``hooks`` put in its place."""
    for hook in list(hooks.values()):
        changed = hook(module, name, value)
        if changed is not None:
            value = changed
    return value


# -- gradients -----------------------------------------------------------------------------------------


class BackwardHookFunctionBackward(MultiNode):
    """The identity on several tensors, which shows their gradients to a function and passes on what that returns."""

    __slots__ = ("callback",)

    def __init__(self, edges: tuple[Any, ...], callback: Callable[..., Any]) -> None:
        super().__init__(edges, (), len(edges))
        self.callback = callback

    def backward(self, g: Any) -> tuple[Any, ...]:
        shown = self.callback(tuple(None if a is None else make(a) for a in g))
        return tuple(None if t is None else t._data for t in shown)

    def backward_graph(self, g: Any) -> tuple[Any, ...]:
        return tuple(self.callback(tuple(g)))


class _Gate:
    """A tuple of values whose tensors that require grad pass through one identity node."""

    def __init__(self, values: Sequence[Any], callback: Callable[..., Any]) -> None:
        self.values = list(values)
        self.places = [
            i for i, v in enumerate(values) if isinstance(v, Tensor) and v._requires_grad
        ]
        self.callback = callback
        if self.places:
            tensors = [self.values[i] for i in self.places]
            node = BackwardHookFunctionBackward(tuple(edge_of(t) for t in tensors), self._show)
            for k, (i, t) in enumerate(zip(self.places, tensors, strict=True)):
                self.values[i] = make(t._data, Output(node, k))

    def _show(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        whole: list[Any] = [None] * len(self.values)
        for i, g in zip(self.places, gradients, strict=True):
            whole[i] = g
        changed = self.callback(tuple(whole))
        return tuple(changed[i] for i in self.places)


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _replaced(old: tuple[Any, ...], new: Any, what: str) -> tuple[Any, ...]:
    """``new`` as a tuple in place of ``old``; None changes nothing."""
    if new is None:
        return old
    result = _as_tuple(new)
    if len(result) != len(old):
        raise RuntimeError(
            f"backward hook: returned {len(result)} gradients in place of the {len(old)} of {what}"
        )
    return result


class _BackwardHooks:
    """What the hooks on one call's gradients share: the module, and the gradient of its output."""

    def __init__(self, module: Any, pre_hooks: list[Any], hooks: list[Any]) -> None:
        self.module = module
        self.pre_hooks = pre_hooks
        self.hooks = hooks
        self.grad_output: tuple[Any, ...] = ()
        self.inputs = 0
        self.input_requires_grad = False

    def gate_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, watched."""
        gate = _Gate(args, self._on_input)
        self.inputs = len(args)
        self.input_requires_grad = bool(gate.places)
        return tuple(gate.values)

    def gate_outputs(self, result: Any) -> Any:
        """The result (a tensor or a tuple), watched."""
        gate = _Gate(_as_tuple(result), self._on_output)
        return tuple(gate.values) if isinstance(result, tuple) else gate.values[0]

    def _on_output(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in self.pre_hooks:
            gradients = _replaced(gradients, hook(self.module, gradients), "the output")
        self.grad_output = gradients
        if not self.input_requires_grad:
            nothing = (None,) * self.inputs
            for hook in self.hooks:
                changed = hook(self.module, nothing, gradients)
                if changed is not None and any(g is not None for g in _as_tuple(changed)):
                    raise RuntimeError(
                        "backward hook: where no input requires grad, a hook must return None"
                    )
        return gradients

    def _on_input(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in self.hooks:
            changed = hook(self.module, gradients, self.grad_output)
            gradients = _replaced(gradients, changed, "the input")
        return gradients


# -- calls ---------------------------------------------------------------------------------------------


def _run_pre_hooks(module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    for key, hook in (
        *everywhere.of_kind("forward_pre").items(),
        *module._forward_pre_hooks.items(),
    ):
        if key in module._forward_pre_hooks_with_kwargs:
            changed = hook(module, args, kwargs)
            if changed is not None:
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(
                        "forward pre-hook must return None or a tuple of (new_args, new_kwargs), got "
                        f"{type(changed).__name__}"
                    )
                args, kwargs = changed
        else:
            changed = hook(module, args)
            if changed is not None:
                args = _as_tuple(changed)
    return args, kwargs


def call_with_hooks(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``module.forward`` with everything that hooks on it."""
    run: set[int] = set()
    hooks = [
        (key, hook, key in known.with_kwargs, key in known.always_call)
        for source, known in (
            (everywhere.of_kind("forward"), everywhere),
            (module._forward_hooks, _Flags(module)),
        )
        for key, hook in source.items()
    ]

    def after(hook: Any, with_kwargs: bool, result: Any) -> Any:
        changed = hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
        return result if changed is None else changed

    try:
        args, kwargs = _run_pre_hooks(module, args, kwargs)
        watch = None
        pre = [*everywhere.of_kind("backward_pre").values(), *module._backward_pre_hooks.values()]
        full = [*everywhere.of_kind("backward").values(), *module._backward_hooks.values()]
        if (pre or full) and mode.enabled:
            watch = _BackwardHooks(module, pre, full)
            args = watch.gate_inputs(args)
        result = module.forward(*args, **kwargs)
        for key, hook, with_kwargs, always in hooks:
            if always:
                run.add(key)
            result = after(hook, with_kwargs, result)
        return result if watch is None else watch.gate_outputs(result)
    except Exception:
        for key, hook, with_kwargs, always in hooks:
            if always and key not in run:
                after(hook, with_kwargs, None)
        raise


class _Flags:
    """A module's flags under the names of ``_GlobalHooks``."""

    def __init__(self, module: Any) -> None:
        self.with_kwargs: set[int] = module._forward_hooks_with_kwargs
        self.always_call: set[int] = module._forward_hooks_always_called


class HookMethods:
    """The methods of ``Module`` that register hooks."""

    _forward_pre_hooks: Hooks
    _forward_pre_hooks_with_kwargs: set[int]
    _forward_hooks: Hooks
    _forward_hooks_with_kwargs: set[int]
    _forward_hooks_always_called: set[int]
    _backward_pre_hooks: Hooks
    _backward_hooks: Hooks

    def _init_hooks(self) -> None:
        put = object.__setattr__
        for name in ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks"):  # fmt: skip
            put(self, name, OrderedDict())
        for name in (
            "_forward_pre_hooks_with_kwargs",
            "_forward_hooks_with_kwargs",
            "_forward_hooks_always_called",
        ):
            put(self, name, set())

    def _is_hooked(self) -> bool:
        """Whether anybody would see a call of this module."""
        return bool(
            self._forward_hooks
            or self._forward_pre_hooks
            or self._backward_hooks
            or self._backward_pre_hooks
            or everywhere.calls
        )

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before ``forward``; what it returns replaces the arguments.

        Args:
            hook: the function; with ``with_kwargs`` it takes ``(module, args, kwargs)`` and returns None or
                ``(args, kwargs)``.
            prepend: call it before the hooks that are there.
            with_kwargs: show it the keyword arguments.
        """
        handle = RemovableHandle(self._forward_pre_hooks, hook)
        if with_kwargs:
            self._forward_pre_hooks_with_kwargs.add(handle.id)
        if prepend:
            self._forward_pre_hooks.move_to_end(handle.id, last=False)
        return handle

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after ``forward``; what it returns replaces the output.

        Args:
            hook: the function; with ``with_kwargs`` it takes ``(module, args, kwargs, output)``.
            prepend: call it before the hooks that are there.
            with_kwargs: show it the keyword arguments.
            always_call: call it (with output None) where ``forward`` raises, too.

        >>> from fastnn import nn, ones
        >>> layer = nn.Linear(2, 3)
        >>> handle = layer.register_forward_hook(lambda m, args, out: print(out.shape))
        >>> _ = layer(ones(1, 2))
        fastnn.Size([1, 3])
        >>> handle.remove()
        """
        handle = RemovableHandle(self._forward_hooks, hook)
        if with_kwargs:
            self._forward_hooks_with_kwargs.add(handle.id)
        if always_call:
            self._forward_hooks_always_called.add(handle.id)
        if prepend:
            self._forward_hooks.move_to_end(handle.id, last=False)
        return handle

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` when the output's gradient is known; what it returns replaces it."""
        handle = RemovableHandle(self._backward_pre_hooks, hook)
        if prepend:
            self._backward_pre_hooks.move_to_end(handle.id, last=False)
        return handle

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when the inputs' gradients are known.

        ``grad_input`` and ``grad_output`` are tuples, one entry for each positional argument and each output, None
        where there is no gradient. What the hook returns replaces ``grad_input``.
        """
        handle = RemovableHandle(self._backward_hooks, hook)
        if prepend:
            self._backward_hooks.move_to_end(handle.id, last=False)
        return handle

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """The older name of ``register_full_backward_hook``, whose meaning it has here."""
        return self.register_full_backward_hook(hook)
