"""Module: the base of all layers and models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from .. import _dtype
from ..autograd.grad_mode import no_grad
from ..ops.creation import empty_like
from ..tensor import Tensor
from .hooks import (
    HookMethods,
    call_with_hooks,
    everywhere,
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
    registered,
)
from .parameter import Buffer, Parameter
from .state import StateMethods

__all__ = [
    "Module",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]
M = TypeVar("M", bound="Module")


class Module(HookMethods, StateMethods):
    """A part of a model: parameters, buffers, submodules, and a ``forward``.

    >>> import fastnn
    >>> from fastnn import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.fc = nn.Linear(3, 2)
    ...     def forward(self, x):
    ...         return self.fc(x).relu()
    >>> Net()(fastnn.ones(5, 3)).shape
    fastnn.Size([5, 2])
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]

    def __init__(self) -> None:
        put = object.__setattr__
        put(self, "training", True)
        put(self, "_parameters", {})
        put(self, "_buffers", {})
        put(self, "_non_persistent_buffers_set", set())
        put(self, "_modules", {})
        self._init_hooks()
        self._init_state()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every module defines its own."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if (
                self._forward_hooks
                or self._forward_pre_hooks
                or self._backward_hooks
                or self._backward_pre_hooks
                or everywhere.calls
            ):
                return call_with_hooks(self, args, kwargs)
            return self.forward(*args, **kwargs)
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
            self._locate(error)
            raise

    def _weight_and_bias(self) -> tuple[Any, Any]:
        """Both as ``self.weight`` and ``self.bias``, in less time where they are parameters."""
        members = self._parameters
        try:
            return members["weight"], members["bias"]
        except KeyError:  # computed from other parameters: pruned, normalized or parametrized
            return self.weight, self.bias

    def _locate(self, error: Exception) -> None:
        """Put the path of the failing submodule, as seen from here, before the error's message."""
        trail = getattr(error, "_module_trail", None)
        if trail is None:
            if not (len(error.args) == 1 and isinstance(error.args[0], str)):
                return
            trail = [self, [], error.args[0]]
            error._module_trail = trail  # type: ignore[attr-defined]
            return
        child, names, message = trail
        if child is self:
            return
        name = next((n for n, m in self.named_modules() if m is child), None)
        if name is not None:
            names.insert(0, name)
            error.args = (f"{'.'.join(names)}: {message}",)
        trail[0] = self

    # -- attributes ------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        members = self.__dict__
        if "_parameters" not in members:
            if isinstance(value, (Parameter, Module)):
                raise AttributeError(
                    f"cannot assign {type(value).__name__.lower()} before Module.__init__() call"
                )
            object.__setattr__(self, name, value)
            return
        if isinstance(value, Parameter):
            self._hold("_parameters", name, registered(everywhere.parameter, self, name, value))
        elif isinstance(value, Module):
            self._hold("_modules", name, registered(everywhere.module, self, name, value))
        elif isinstance(value, Buffer):
            if name in self._parameters or name in self._modules:
                self._forget(name)
            self._set_buffer(name, value, value.persistent)
        elif name in self._parameters:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as parameter '{name}' (nn.Parameter or None expected)"
                )
            self._parameters[name] = None
        elif name in self._modules:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as child module '{name}' (nn.Module or None expected)"
                )
            self._modules[name] = None
        elif name in self._buffers:
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as buffer '{name}' (Tensor or None expected)"
                )
            self._buffers[name] = registered(everywhere.buffer, self, name, value)
        else:
            object.__setattr__(self, name, value)

    def _hold(self, kind: str, name: str, value: Any) -> None:
        """Keep a member of ``kind``, in the place of one of its name, and of that kind alone."""
        if name not in self.__dict__[kind]:
            self._forget(name)
        self.__dict__[kind][name] = value

    def _forget(self, name: str) -> None:
        self.__dict__.pop(name, None)
        for members in (self._parameters, self._buffers, self._modules):
            members.pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def __getattr__(self, name: str) -> Any:
        members = self.__dict__
        if "_modules" in members:  # one after the other, as every layer is found so
            held = members["_modules"]
            if name in held:
                return held[name]
            held = members["_parameters"]
            if name in held:
                return held[name]
            held = members["_buffers"]
            if name in held:
                return held[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        for members in (self._parameters, self._buffers, self._modules):
            if name in members:
                del members[name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self._parameters, *self._buffers, *self._modules})

    @staticmethod
    def _check_name(kind: str, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {type(name).__name__}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain ".", got {name!r}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')

    def _check_free(self, kind: str, name: str) -> None:
        """KeyError where ``name`` is an attribute of another kind than ``kind``."""
        if name not in self.__dict__[kind] and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter (None: a place for one).

        Raises:
            KeyError: no name, or one that is taken.
            TypeError: ``param`` is no parameter.
        """
        self._check_name("parameter", name)
        self._check_free("_parameters", name)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' (nn.Parameter or None required)"
            )
        if param is not None:
            param = registered(everywhere.parameter, self, name, param)
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is part of the state but not trained; not persistent: kept out of ``state_dict``.

        Raises:
            KeyError: no name, or one that is taken.
            TypeError: ``tensor`` is no tensor.
        """
        self._check_name("buffer", name)
        self._check_free("_buffers", name)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' (Tensor or None required)"
            )
        self._set_buffer(name, tensor, persistent)

    def _set_buffer(self, name: str, tensor: Tensor | None, persistent: bool) -> None:
        self.__dict__.pop(name, None)
        if tensor is not None:
            tensor = registered(everywhere.buffer, self, name, tensor)
        self._buffers[name] = tensor
        kept_out = self._non_persistent_buffers_set
        (kept_out.discard if persistent else kept_out.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule.

        Raises:
            KeyError: no name, or one that is taken.
            TypeError: ``module`` is no module.
        """
        self._check_name("module", name)
        self._check_free("_modules", name)
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        if module is not None:
            module = registered(everywhere.module, self, name, module)
        self._modules[name] = module

    register_module = add_module

    # -- walking ---------------------------------------------------------------------------------------

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, with their dotted names; each once."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(
                    memo, f"{prefix}.{name}" if prefix else name, remove_duplicate
                )

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (m for _, m in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct submodules, with their names; each once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The direct submodules."""
        return (m for _, m in self.named_children())

    def _named_members(
        self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else iter([(prefix, self)])
        )
        for path, module in modules:
            for name, value in getattr(module, kind).items():
                if value is None or id(value) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(value))
                yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their dotted names; each once."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their dotted names; each once."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The submodule of dotted name ``target``.

        Raises:
            AttributeError: there is none.
        """
        module: Module = self
        for name in target.split(".") if target else ():
            found = module._modules.get(name)
            if found is None:
                raise AttributeError(
                    f"{type(module).__name__} has no submodule `{name}` (looking for {target!r})"
                )
            module = found
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of dotted name ``target``.

        Raises:
            AttributeError: there is none.
        """
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path)._parameters.get(name)
        if found is None:
            raise AttributeError(f"{type(self).__name__} has no parameter {target!r}")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of dotted name ``target``.

        Raises:
            AttributeError: there is none.
        """
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path)._buffers.get(name)
        if found is None:
            raise AttributeError(f"{type(self).__name__} has no buffer {target!r}")
        return found

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put ``module`` in the place of dotted name ``target``; ``strict``: there must be one already.

        Raises:
            ValueError: an empty name, or ``module`` is no module.
            AttributeError: no such place.
        """
        path, _, name = target.rpartition(".")
        if not name:
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError(f"{type(module).__name__} is not an nn.Module")
        parent = self.get_submodule(path)
        if strict and name not in parent._modules:
            raise AttributeError(f"{type(parent).__name__} has no attribute `{name}`")
        if name not in parent._modules and hasattr(parent, name):
            raise AttributeError(f"`{name}` of {type(parent).__name__} is not an nn.Module")
        setattr(parent, name, module)

    def apply(self: M, fn: Callable[[Module], Any]) -> M:
        """Call ``fn`` on every submodule, then on this one; returns this module."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # -- mode, type, gradients -------------------------------------------------------------------------

    def train(self: M, mode: bool = True) -> M:
        """Set training mode here and below."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: M) -> M:
        """Set evaluation mode here and below."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Set whether the parameters are trained."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to zero."""
        for p in self.parameters():
            if p.grad is not None:
                if set_to_none:
                    p.grad = None
                else:
                    p.grad = p.grad.detach() * 0

    def _apply(self: M, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> M:
        """Replace the memory of every parameter, gradient and buffer, here and (``recurse``) below, by ``fn`` of it."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for p in self._parameters.values():
            if p is not None:
                grad = p.grad
                p.grad = None
                with no_grad():
                    p._data = fn(p.detach())._data
                    if grad is not None:
                        p.grad = fn(grad)
        for name, b in self._buffers.items():
            if b is not None:
                self._buffers[name] = fn(b)
        return self

    def to(self: M, *args: Any, **kwargs: Any) -> M:
        """Convert parameters and buffers in place: dtype (floating ones only), device, memory format (4-d ones).

        Raises:
            TypeError: a dtype that is not floating.
        """
        memory_format = kwargs.pop("memory_format", None)
        for d in (*args, kwargs.get("dtype")):
            if isinstance(d, _dtype.dtype) and not d.is_floating_point:
                raise TypeError(f"nn.Module.to only accepts floating point dtypes, got {d}")

        def one(t: Tensor) -> Tensor:
            if t.is_floating_point():
                t = t.to(*args, **kwargs)
            else:
                places = [a for a in args if not isinstance(a, (_dtype.dtype, Tensor))]
                t = t.to(*places, **{k: v for k, v in kwargs.items() if k != "dtype"})
            return t.contiguous(memory_format) if memory_format is not None and t.ndim == 4 else t

        return self._apply(one)

    def type(self: M, dst_type: Any) -> M:
        """Convert all parameters and buffers, whatever they are, to one dtype."""
        return self._apply(lambda t: t.to(dst_type))

    def float(self: M) -> M:
        """Convert floating parameters and buffers to float32."""
        return self.to(_dtype.float32)

    def double(self: M) -> M:
        """Convert floating parameters and buffers to float64."""
        return self.to(_dtype.float64)

    def half(self: M) -> M:
        """Convert floating parameters and buffers to float16."""
        return self.to(_dtype.float16)

    def bfloat16(self: M) -> M:
        """Convert floating parameters and buffers to bfloat16."""
        return self.to(_dtype.bfloat16)

    def cpu(self: M) -> M:
        """Move parameters and buffers to the CPU."""
        return self._apply(lambda t: t.cpu())

    def cuda(self: M, device: Any = None) -> M:
        """Move parameters and buffers to a GPU.

        Raises:
            RuntimeError: there is none that this build can use.
        """
        return self._apply(lambda t: t.cuda(device))

    def to_empty(self: M, *, device: Any, recurse: bool = True) -> M:
        """Give parameters and buffers new memory, not initialized."""
        return self._apply(lambda t: empty_like(t, device=device), recurse=recurse)

    def share_memory(self: M) -> M:
        """This module; memory that processes share is a matter of its tensors."""
        return self

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Nothing to do: modules run their kernels as they are; the arguments of a compiler mean speed alone."""

    # -- text ------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows; modules define their own."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [
            f"({name}): " + repr(module).replace("\n", "\n  ")
            for name, module in self._modules.items()
        ]
        if not children and len(lines) < 2:
            return f"{self._get_name()}({extra})"
        body = "\n  ".join(lines + children)
        return f"{self._get_name()}(\n  {body}\n)"
