"""Device arrays without a device: what stands in for CuPy's where the kernels run under the emulator.

As CuPy's, such an array does not turn into a NumPy array by itself, does not mix with one, and gives 0-d arrays where NumPy
gives scalars: a program that confuses host and device fails here as it would on a GPU.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np


def _wrap(value: Any) -> Any:
    """Host results as device arrays, inside of tuples and lists too."""
    if isinstance(value, (np.ndarray, np.generic)):
        return ndarray(np.asarray(value))
    if isinstance(value, (tuple, list)):
        wrapped = [_wrap(v) for v in value]
        if hasattr(value, "_fields"):  # a named tuple, such as np.linalg.qr's
            return type(value)(*wrapped)
        return type(value)(wrapped)
    return value


def _unwrap(value: Any, name: str) -> Any:
    """Device arrays as their host arrays; a host array among them is an error."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"{name}: unsupported type numpy.ndarray: move it to the device first")
    if isinstance(value, (tuple, list)):
        return type(value)([_unwrap(v, name) for v in value])
    if isinstance(value, dict):
        return {k: _unwrap(v, name) for k, v in value.items()}
    return value


def _index(key: Any) -> Any:
    """An index; host arrays of positions are allowed, as by CuPy."""
    if isinstance(key, tuple):
        return tuple(_index(k) for k in key)
    return key._host if isinstance(key, ndarray) else key


class ndarray:
    """A host array that plays an array on a device."""

    __slots__ = ("__weakref__", "_host")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, host: Any) -> None:
        self._host = host

    # -- what CuPy's arrays have -----------------------------------------------------------------------

    def get(self) -> Any:
        """A copy on the host."""
        return self._host.copy()

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self._host.__array_interface__, "version": 3}

    @property
    def device(self) -> Any:
        """Device 0."""
        return _Device()

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array "
            "explicitly."
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = ufunc.__name__
        out = kwargs.pop("out", None)
        host_inputs = [_unwrap(x, name) for x in inputs]
        host_kwargs = _unwrap(kwargs, name)
        if out is not None:
            host_kwargs["out"] = tuple(None if o is None else _unwrap(o, name) for o in out)
        result = getattr(ufunc, method)(*host_inputs, **host_kwargs)
        if out is not None and len(out) == 1 and out[0] is not None:
            return out[0]
        return _wrap(result)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any
    ) -> Any:
        name = function.__name__
        if name in ("array", "asarray"):  # of like=: the way from the host to the device
            return _wrap(
                function(*(a._host if isinstance(a, ndarray) else a for a in args), **kwargs)
            )
        result = function(*_unwrap(args, name), **_unwrap(kwargs, name))
        out = kwargs.get("out")
        return out if isinstance(out, ndarray) else _wrap(result)

    # -- what they share with NumPy's ------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # NumPy would look through at the host's memory
            raise AttributeError(name)
        value = getattr(self._host, name)
        if not callable(value):
            return _wrap(value)

        def method(*args: Any, **kwargs: Any) -> Any:
            return _wrap(value(*_unwrap(args, name), **_unwrap(kwargs, name)))

        return method

    def item(self, *index: int) -> Any:
        """An element as a Python number."""
        return self._host.item(*index)

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self._host.tolist()

    def __getitem__(self, key: Any) -> Any:
        return _wrap(self._host[_index(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._host[_index(key)] = _unwrap(value, "__setitem__")

    def __len__(self) -> int:
        return len(self._host)

    def __bool__(self) -> bool:
        return bool(self._host)

    def __int__(self) -> int:
        return int(self._host)

    def __float__(self) -> float:
        return float(self._host)

    def __index__(self) -> int:
        return operator.index(self._host)

    def __repr__(self) -> str:
        return repr(self._host)


class _Device:
    id = 0


def _binary(name: str) -> Callable[[Any, Any], Any]:
    function = getattr(operator, name)

    def method(self: Any, other: Any) -> Any:
        return _wrap(function(self._host, _unwrap(other, name)))

    return method


def _reflected(name: str) -> Callable[[Any, Any], Any]:
    function = getattr(operator, name)

    def method(self: Any, other: Any) -> Any:
        return _wrap(function(_unwrap(other, name), self._host))

    return method


def _inplace(name: str) -> Callable[[Any, Any], Any]:
    function = getattr(operator, name)

    def method(self: Any, other: Any) -> Any:
        self._host = function(self._host, _unwrap(other, name))
        return self

    return method


def _unary(name: str) -> Callable[[Any], Any]:
    function = getattr(operator, name)

    def method(self: Any) -> Any:
        return _wrap(function(self._host))

    return method


_ARITHMETIC = "add sub mul truediv floordiv mod pow matmul lshift rshift and or xor"
for _name in _ARITHMETIC.split():
    setattr(ndarray, f"__{_name}__", _binary(f"__{_name}__"))
    setattr(ndarray, f"__r{_name}__", _reflected(f"__{_name}__"))
    setattr(ndarray, f"__i{_name}__", _inplace(f"__i{_name}__"))
for _name in ["lt", "le", "eq", "ne", "gt", "ge"]:
    setattr(ndarray, f"__{_name}__", _binary(f"__{_name}__"))
for _name in ["neg", "pos", "abs", "invert"]:
    setattr(ndarray, f"__{_name}__", _unary(f"__{_name}__"))


def asarray(host: Any) -> ndarray:
    """A copy of a host array on the device."""
    return host if isinstance(host, ndarray) else ndarray(np.array(host))


def asnumpy(array: Any) -> Any:
    """A copy of a device array on the host."""
    return array.get()
