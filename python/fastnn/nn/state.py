"""The state of modules: what ``state_dict`` gives, and what ``load_state_dict`` does with it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..autograd.grad_mode import no_grad
from ..tensor import RemovableHandle, Tensor
from .parameter import Parameter

EXTRA_STATE = "_extra_state"


class _Keys(NamedTuple):
    missing_keys: list[str]
    unexpected_keys: list[str]


class IncompatibleKeys(_Keys):
    """What ``load_state_dict`` returns: the keys that were missing, and those that nothing took."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()


class _Loading:
    """Copies that wait until the whole state is known to fit; none waits outside of ``load_state_dict``."""

    def __init__(self) -> None:
        self.copies: list[Callable[[], None]] | None = None

    def do(self, copy: Callable[[], None]) -> None:
        """Run ``copy`` when the state fits (at once, where nothing is being loaded)."""
        if self.copies is None:
            copy()
        else:
            self.copies.append(copy)


_loading = _Loading()


class StateMethods:
    """The methods of ``Module`` about its state."""

    _version: int = 1
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]
    _non_persistent_buffers_set: set[str]
    _state_dict_pre_hooks: OrderedDict[int, Any]
    _state_dict_hooks: OrderedDict[int, Any]
    _load_state_dict_pre_hooks: OrderedDict[int, Any]
    _load_state_dict_post_hooks: OrderedDict[int, Any]

    def _init_state(self) -> None:
        put = object.__setattr__
        for name in (
            "_state_dict_pre_hooks",
            "_state_dict_hooks",
            "_load_state_dict_pre_hooks",
            "_load_state_dict_post_hooks",
        ):
            put(self, name, OrderedDict())

    # -- extra state -----------------------------------------------------------------------------------

    def get_extra_state(self) -> Any:
        """What ``state_dict`` holds of this module beside tensors; modules that have such define it."""
        raise RuntimeError(
            f"{type(self).__name__}.get_extra_state: a module that has extra state defines get_extra_state and "
            "set_extra_state"
        )

    def set_extra_state(self, state: Any) -> None:
        """Take back what ``get_extra_state`` gave."""
        raise RuntimeError(
            f"{type(self).__name__}.set_extra_state: the state to be loaded holds extra state, and this module "
            "defines no set_extra_state"
        )

    def _has_extra(self, method: str) -> bool:
        return getattr(type(self), method) is not getattr(StateMethods, method)

    # -- out -------------------------------------------------------------------------------------------

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        """Put this module's own parameters and buffers (not its submodules') into ``destination``."""
        for name, p in self._parameters.items():
            if p is not None:
                destination[prefix + name] = p if keep_vars else p.detach()
        for name, b in self._buffers.items():
            if b is not None and name not in self._non_persistent_buffers_set:
                destination[prefix + name] = b if keep_vars else b.detach()
        if self._has_extra("get_extra_state"):
            destination[prefix + EXTRA_STATE] = self.get_extra_state()

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> Any:
        """All parameters and persistent buffers by dotted name, sharing memory.

        Args:
            args: destination, prefix and keep_vars by position, as older scripts give them.
            destination: a dictionary to be filled.
            prefix: put before every name.
            keep_vars: the parameters themselves, rather than detached tensors.
        """
        if args:
            destination = args[0]
            prefix = args[1] if len(args) > 1 else prefix
            keep_vars = args[2] if len(args) > 2 else keep_vars
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata
        for hook in list(self._state_dict_pre_hooks.values()):
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(
                    destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        for hook in list(self._state_dict_hooks.values()):
            changed = hook(self, destination, prefix, local_metadata)
            if changed is not None:
                destination = changed
        return destination

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, prefix, keep_vars)`` before this module's state is taken."""
        return RemovableHandle(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` when the state is there, to change it in place."""

        def checked(*args: Any) -> None:
            if hook(*args) is not None:
                raise RuntimeError("state_dict post-hook must return None")

        return RemovableHandle(self._state_dict_hooks, checked)

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """As ``register_state_dict_post_hook``; what the hook returns replaces the state."""
        return RemovableHandle(self._state_dict_hooks, hook)

    # -- in --------------------------------------------------------------------------------------------

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata, strict, missing, unexpected, errors)`` before loading."""
        return RemovableHandle(self._load_state_dict_pre_hooks, lambda *args: hook(self, *args))

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        """The same without the module as the first argument, unless ``with_module``."""
        if with_module:
            return self.register_load_state_dict_pre_hook(hook)
        return RemovableHandle(self._load_state_dict_pre_hooks, hook)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, incompatible_keys)`` after loading; it may change the lists of keys."""
        return RemovableHandle(self._load_state_dict_post_hooks, hook)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Take this module's own parameters and buffers (not its submodules') from ``state_dict``.

        Problems are added to the three lists. Within ``load_state_dict`` nothing is written before all modules are
        known to fit.
        """
        for hook in list(self._load_state_dict_pre_hooks.values()):
            hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)  # fmt: skip
        assign = local_metadata.get("assign_to_params_buffers", False)
        own = {k: p for k, p in self._parameters.items() if p is not None}
        own |= {
            k: b
            for k, b in self._buffers.items()
            if b is not None and k not in self._non_persistent_buffers_set
        }
        for name, target in own.items():
            key = prefix + name
            if key not in state_dict:
                missing_keys.append(key)
                continue
            value = state_dict[key]
            if not isinstance(value, Tensor):
                error_msgs.append(f'"{key}": expected a Tensor, got {type(value).__name__}')
                continue
            if target.dim() == 0 and value.shape == (1,):
                value = value[0]
            if value.shape != target.shape:
                error_msgs.append(
                    f"size mismatch for {key}: copying a param with shape {tuple(value.shape)} from checkpoint, the "
                    f"shape in current model is {tuple(target.shape)}"
                )
                continue
            _loading.do(self._assignment(name, target, value) if assign else _copy(target, value))
        key = prefix + EXTRA_STATE
        if self._has_extra("set_extra_state"):
            if key in state_dict:
                extra = state_dict[key]
                _loading.do(lambda: self.set_extra_state(extra))
            else:
                missing_keys.append(key)
        elif key in state_dict:
            unexpected_keys.append(key)
        if strict:
            for key in state_dict:
                if key.startswith(prefix) and key != prefix + EXTRA_STATE:
                    first, _, rest = key[len(prefix) :].partition(".")
                    if first not in (self._modules if rest else own):
                        unexpected_keys.append(key)

    def _assignment(self, name: str, target: Tensor, value: Tensor) -> Callable[[], None]:
        def assign() -> None:
            if isinstance(target, Parameter):
                new = value if isinstance(value, Parameter) else Parameter(value, False)
                new.requires_grad_(target.requires_grad)
                self._parameters[name] = new
            else:
                self._buffers[name] = value

        return assign

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Copy a state into parameters and buffers.

        Args:
            state_dict: tensors by dotted name.
            strict: the names must be exactly this module's.
            assign: take the tensors themselves, with their dtypes, instead of copying.

        Returns:
            The missing and the unexpected keys.

        Raises:
            RuntimeError: keys (if strict) or shapes that do not fit; nothing is then changed.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"Expected state_dict to be dict-like, got {type(state_dict).__name__}."
            )
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []
        metadata = getattr(state_dict, "_metadata", None) or {}
        state = OrderedDict(state_dict)

        def load(module: Any, local: Any, prefix: str) -> None:
            known = dict(metadata.get(prefix[:-1], {}))
            if assign:
                known["assign_to_params_buffers"] = True
            module._load_from_state_dict(local, prefix, known, True, missing, unexpected, errors)
            for name, child in module._modules.items():
                if child is not None:
                    below = f"{prefix}{name}."
                    part = OrderedDict((k, v) for k, v in local.items() if k.startswith(below))
                    load(child, part, below)
            keys = IncompatibleKeys(missing, unexpected)
            for hook in list(module._load_state_dict_post_hooks.values()):
                if hook(module, keys) is not None:
                    raise RuntimeError(
                        "a load_state_dict post-hook must return None; it may change the lists of keys in place"
                    )

        outer = _loading.copies
        copies: list[Callable[[], None]] = []
        _loading.copies = copies
        try:
            load(self, state, "")
        finally:
            _loading.copies = outer
        if strict:
            for what, keys in (("Missing", missing), ("Unexpected", unexpected)):
                if keys:
                    listed = ", ".join(f'"{k}"' for k in keys)
                    errors.insert(0, f"{what} key(s) in state_dict: {listed}. ")
        if errors:
            lines = "\n\t".join(errors)
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{lines}"
            )
        for copy in copies:
            copy()
        return IncompatibleKeys(missing, unexpected)


def _copy(target: Tensor, value: Tensor) -> Callable[[], None]:
    def copy() -> None:
        with no_grad():
            target.copy_(value.detach().to(target.dtype))

    return copy
