"""Device arrays without a device: what stands in for CuPy's where the kernels run under the emulator.

As CuPy's, such an array does not turn into a NumPy array by itself, does not mix with one, gives 0-d arrays where NumPy
gives scalars, and has the functions, parameters and dtypes of ``_cupy.py`` only: a program that confuses host and device,
or asks for what CuPy does not have, fails here as it would on a GPU. An index out of bounds wraps around, as CuPy's does.
"""

from __future__ import annotations

import functools
import operator
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _cupy


def _parameters(table: str) -> dict[str, Callable[..., None]]:
    """For each line "name(parameters)" a function of these parameters: calling it checks arguments."""
    found: dict[str, Callable[..., None]] = {}
    for line in table.split("\n")[1:-1]:
        name, _, parameters = line.partition("(")
        found[name] = eval(f"lambda {parameters[:-1]}: None")
    return found


_functions = _parameters(_cupy.FUNCTIONS)
_methods = _parameters(_cupy.METHODS)
_attributes = frozenset(_cupy.ATTRIBUTES.split())
_ufuncs = frozenset(_cupy.UFUNCS.split())
_dtypes = frozenset(_cupy.DTYPES.split())
_creators = frozenset(["array", "asanyarray", "asarray", "ascontiguousarray"])  # take host arrays

# The array that owns memory, by the id of the host array that owns it.
_owners: weakref.WeakValueDictionary[int, ndarray] = weakref.WeakValueDictionary()


def _owner(host: Any) -> Any:
    """The host array that owns the memory that ``host`` looks at."""
    while isinstance(host.base, np.ndarray):
        host = host.base
    return host


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


def _index(key: Any, shape: tuple[int, ...]) -> Any:
    """An index of an array of this shape; host arrays of positions are allowed, and positions wrap around."""
    keys = [
        k._host if isinstance(k, ndarray) else np.asarray(k) if isinstance(k, (list, tuple)) else k
        for k in (key if isinstance(key, tuple) else (key,))
    ]
    masks = [isinstance(k, np.ndarray) and k.dtype == np.bool_ for k in keys]
    if sum(masks) > 1:
        raise NotImplementedError("more than one boolean array as an index")
    widths = [
        0 if k is None or k is Ellipsis else k.ndim if mask else 1
        for k, mask in zip(keys, masks, strict=True)
    ]
    axis = 0
    for i, (k, width) in enumerate(zip(keys, widths, strict=True)):
        if k is Ellipsis:
            axis = len(shape) - sum(widths[i + 1 :])
        elif isinstance(k, np.ndarray) and not masks[i]:
            if k.size == 0 and k.dtype.kind == "f":  # an empty list
                k = k.astype(np.int64)
            keys[i] = k % shape[axis] if k.size and shape[axis] else k
        axis += width
    return tuple(keys)


class _Flags:
    """The flags that CuPy's arrays have."""

    __slots__ = ("c_contiguous", "f_contiguous", "owndata")

    def __init__(self, flags: Any) -> None:
        self.c_contiguous = flags.c_contiguous
        self.f_contiguous = flags.f_contiguous
        self.owndata = flags.owndata


class _Device:
    id = 0


class ndarray:
    """A host array that plays an array on a device."""

    __slots__ = ("__weakref__", "_base", "_host")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, host: Any) -> None:
        if host.dtype.name not in _dtypes:
            raise ValueError(f"unsupported dtype {host.dtype}")
        self._host = host
        root = _owner(host)
        self._base = None
        if root is host:
            _owners[id(host)] = self
            return
        self._base = _owners.get(id(root))
        if self._base is None:
            self._base = ndarray(root)

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

    @property
    def base(self) -> Any:
        """The array that owns the memory, None where this one does."""
        return self._base

    @property
    def flags(self) -> _Flags:
        """How the memory lies."""
        return _Flags(self._host.flags)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array "
            "explicitly."
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = ufunc.__name__
        if name not in _ufuncs or method not in (
            "__call__",
            "outer",
            "at",
            "reduce",
            "accumulate",
            "reduceat",
        ):
            return NotImplemented
        _check_ufunc(ufunc, method, inputs, kwargs)
        out = kwargs.pop("out", None)
        if method == "at":
            target, key, *values = inputs
            values = [_unwrap(v, name) for v in values]
            getattr(ufunc, method)(target._host, _index(key, target.shape), *values)
            return None
        host_inputs = [_unwrap(x, name) for x in inputs]  # also what `reduceat` takes
        host_kwargs = _unwrap(kwargs, name)
        if out is not None:
            host_kwargs["out"] = tuple(_unwrap(o, name) for o in out)
        with np.errstate(all="ignore"):  # a GPU does not warn
            result = getattr(ufunc, method)(*host_inputs, **host_kwargs)
        return _wrap(result) if out is None else out[0]

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any
    ) -> Any:
        module = function.__module__.removeprefix("numpy").removeprefix(".")
        name = f"{module}.{function.__name__}".removeprefix(".")
        check = _functions.get(name)
        if check is None:
            return NotImplemented
        check(*args, **kwargs)
        if name in _creators:  # with like=: the way from the host to the device
            return _wrap(
                function(*(a._host if isinstance(a, ndarray) else a for a in args), **kwargs)
            )
        if name == "take":
            return ndarray.take(*args, **kwargs)
        if name in ("sort", "argsort"):
            _check_kind(*args[2:3], **kwargs)
        with np.errstate(all="ignore"):
            result = function(*_unwrap(args, name), **_unwrap(kwargs, name))
        out = kwargs.get("out")
        return out if isinstance(out, ndarray) else _wrap(result)

    # -- what they share with NumPy's ------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name in _attributes:
            return _wrap(getattr(self._host, name))
        check = _methods.get(name)
        if check is None:
            raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")
        return functools.partial(self._call, name, check)

    def _call(self, name: str, check: Callable[..., None], *args: Any, **kwargs: Any) -> Any:
        check(*args, **kwargs)
        if name in ("sort", "argsort"):
            _check_kind(*args[1:2], **kwargs)
        with np.errstate(all="ignore"):
            result = getattr(self._host, name)(*_unwrap(args, name), **_unwrap(kwargs, name))
        out = kwargs.get("out")
        return out if isinstance(out, ndarray) else _wrap(result)

    def take(self, indices: Any, axis: int | None = None, out: Any = None) -> Any:
        """Elements by their positions."""
        if axis is None:
            return self.ravel().take(indices, 0, out)
        places = indices._host if isinstance(indices, ndarray) else np.asarray(indices)
        length = self._host.shape[axis]
        if places.size and not length:
            raise IndexError("cannot do a non-empty take from an empty axes.")
        result = self._host.take(places % length if length else places, axis, _unwrap(out, "take"))
        return _wrap(result) if out is None else out

    def item(self) -> Any:
        """The only element as a Python number."""
        return self._host.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self._host.tolist()

    def __getitem__(self, key: Any) -> Any:
        return _wrap(self._host[_index(key, self._host.shape)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._host[_index(key, self._host.shape)] = _unwrap(value, "__setitem__")

    def __iter__(self) -> Any:
        if not self._host.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self._host)))

    def __len__(self) -> int:
        return len(self._host)

    def __bool__(self) -> bool:
        return bool(self._host)

    def __int__(self) -> int:
        return int(self._host)

    def __float__(self) -> float:
        return float(self._host)

    def __complex__(self) -> complex:
        return complex(self._host)

    def __format__(self, spec: str) -> str:
        return format(self._host, spec)

    def __repr__(self) -> str:
        return repr(self._host)

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def __reduce__(self) -> Any:
        return asarray, (self._host,)


def _check_kind(kind: Any = None, **_: Any) -> None:
    """CuPy's only way of sorting."""
    if kind not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")


def _check_ufunc(ufunc: Any, method: str, inputs: Any, kwargs: dict[str, Any]) -> None:
    """What CuPy refuses of a ufunc or of one of its methods."""
    name = ufunc.__name__
    known = {"dtype", "out", "casting"} if method == "__call__" else {"dtype", "out", "axis"}
    if method == "reduce":
        known.add("keepdims")
    if kwargs.keys() - known:
        raise TypeError(f"cupy.{name}: wrong arguments {kwargs.keys() - known}")
    if name not in _cupy.REDUCTIONS.get(method, (name,)):
        raise NotImplementedError(f"`cupy_{name}.{method}` is not supported yet")
    if method == "at":
        dtypes = _cupy.SCATTERS.get(name)
        if dtypes is None:
            raise NotImplementedError(f"`cupy_{name}.at` is not supported yet")
        if inputs[0].dtype.name not in dtypes:
            raise TypeError(f"cupy.{name}.at does not support {inputs[0].dtype}")
        return
    if len(kwargs.get("out", (None,))) != 1:
        raise ValueError("The 'out' parameter must have exactly one array value")
    for x in inputs if method == "__call__" else inputs[:1]:
        if not isinstance(x, (ndarray, np.generic, bool, int, float, complex)):
            raise TypeError(f"cupy.{name}: unsupported type {type(x)}")


def _binary(name: str) -> Callable[[Any, Any], Any]:
    function = getattr(operator, name)

    def method(self: Any, other: Any) -> Any:
        if isinstance(other, (list, tuple)):
            raise TypeError(f"{name}: unsupported type {type(other)}")
        with np.errstate(all="ignore"):
            return _wrap(function(self._host, _unwrap(other, name)))

    return method


def _reflected(name: str) -> Callable[[Any, Any], Any]:
    function = getattr(operator, name)

    def method(self: Any, other: Any) -> Any:
        if isinstance(other, (list, tuple)):
            raise TypeError(f"{name}: unsupported type {type(other)}")
        with np.errstate(all="ignore"):
            return _wrap(function(_unwrap(other, name), self._host))

    return method


def _inplace(name: str) -> Callable[[Any, Any], Any]:
    function = getattr(operator, name)

    def method(self: Any, other: Any) -> Any:
        with np.errstate(all="ignore"):
            function(self._host, _unwrap(other, name))
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
    if _name != "matmul":
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


def _as_strided(x: ndarray, shape: Any = None, strides: Any = None) -> ndarray:
    return ndarray(np.lib.stride_tricks.as_strided(x._host, shape, strides))


lib = types.SimpleNamespace(stride_tricks=types.SimpleNamespace(as_strided=_as_strided))
