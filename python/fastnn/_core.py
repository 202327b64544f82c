"""The core of Tensor: its slots, what it says of itself, and how it reaches other libraries.

``fastnn.tensor.Tensor`` derives from ``TensorBase`` and binds the operations as methods. Operations are imported
by that file and so cannot import it at run time: they make tensors by ``make`` and test for ``TensorBase``.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from . import _device, _dtype, _printing
from ._dtype import dtype as DType
from .autograd import version
from .autograd.node import Node

if TYPE_CHECKING:
    from .tensor import Tensor

Scalar = int | float | bool
_ndarray = np.ndarray
_new = object.__new__
_tensor_class: Any = None  # Tensor; set when fastnn.tensor is imported


def as_array(data: Any) -> Any:
    """A NumPy scalar as an array; an array of another library as it is."""
    return data if _device.is_device_array(data) else np.asarray(data)


def make(data: Any, node: Node | None = None) -> Tensor:
    """The tensor over ``data`` (an array, or a NumPy scalar), the result of ``node``."""
    t: Tensor = _new(_tensor_class)
    t._data = data if type(data) is _ndarray else as_array(data)
    t._node = node
    t._requires_grad = node is not None
    t._grad = None
    t._extra = None
    return t


_make_code = make.__code__
_watchers: list[Any] = []  # what is told of every tensor that make makes


def _make_watched(data: Any, node: Node | None = None) -> Tensor:
    t: Tensor = _new(_tensor_class)
    t._data = data if type(data) is _ndarray else as_array(data)
    t._node = node
    t._requires_grad = node is not None
    t._grad = None
    t._extra = None
    for watcher in list(_watchers):
        watcher(t)
    return t


def watch(watcher: Any) -> None:
    """Call ``watcher`` with every tensor that is made from now on, until ``unwatch``.

    ``make`` runs other code meanwhile, under the same name in all modules: watching costs nothing when nobody does.
    """
    _watchers.append(watcher)
    make.__code__ = _make_watched.__code__


def unwatch(watcher: Any) -> None:
    """Take a watcher away."""
    _watchers.remove(watcher)
    if not _watchers:
        make.__code__ = _make_code


def normalize_dim(dim: int, ndim: int) -> int:
    """``dim`` as a non-negative axis.

    Raises:
        IndexError: out of range, as PyTorch puts it.
    """
    n = ndim or 1
    if not -n <= dim < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})"
        )
    return dim % n


class Size(tuple[int, ...]):
    """A shape: a tuple that prints as PyTorch's and counts its elements."""

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        n = 1
        for s in self:
            n *= s
        return n

    def __add__(self, other: tuple[Any, ...]) -> Size:
        return Size(tuple(self) + tuple(other))

    def __getitem__(self, index: Any) -> Any:
        found = tuple.__getitem__(self, index)
        return Size(found) if isinstance(index, slice) else found

    def __repr__(self) -> str:
        return f"fastnn.Size({list(self)})"


class TensorBase:
    """An array, its gradient and its place in the graph."""

    __slots__ = ("__weakref__", "_data", "_extra", "_grad", "_node", "_requires_grad")
    __array_priority__ = 1000
    is_node: ClassVar[bool] = False  # as a vertex of the graph: a leaf
    _data: Any
    _requires_grad: bool
    _node: Node | None
    _grad: Tensor | None
    _extra: Any  # autograd.inplace.Extra or None

    @property
    def is_leaf(self) -> bool:
        """True for tensors that no recorded operation made."""
        return self._node is None

    @property
    def grad_fn(self) -> Node | None:
        """The node of the operation that made this tensor, or None for a leaf."""
        return self._node

    @property
    def _version(self) -> int:
        return version.writes(self._data)

    # -- what it is ------------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The size of each dim."""
        return Size(self._data.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dim."""
        if dim is None:
            return Size(self._data.shape)
        return self._data.shape[normalize_dim(dim, self._data.ndim)]

    @property
    def dtype(self) -> DType:
        """The type of the elements."""
        return _dtype.from_numpy_dtype(self._data.dtype)

    @property
    def device(self) -> _device.device:
        """Where the memory is."""
        data = self._data
        return _device.CPU if type(data) is _ndarray else _device.of(data)

    @property
    def ndim(self) -> int:
        """The number of dims."""
        return int(self._data.ndim)

    def dim(self) -> int:
        """The number of dims."""
        return int(self._data.ndim)

    def numel(self) -> int:
        """The number of elements."""
        return int(self._data.size)

    nelement = numel

    def element_size(self) -> int:
        """The bytes of one element."""
        return int(self._data.itemsize)

    def stride(self, dim: int | None = None) -> Any:
        """The step of each dim (or of one) in memory, in elements."""
        steps = tuple(s // self._data.itemsize for s in self._data.strides)
        return steps if dim is None else steps[normalize_dim(dim, len(steps))]

    def data_ptr(self) -> int:
        """The address of the first element."""
        return _device.address(self._data)

    def is_contiguous(
        self, memory_format: _device.memory_format = _device.contiguous_format
    ) -> bool:
        """True where the memory has no gaps and this order of axes."""
        if memory_format is _device.channels_last:
            return self._data.ndim == 4 and bool(
                self._data.transpose(0, 2, 3, 1).flags.c_contiguous
            )
        return bool(self._data.flags.c_contiguous)

    def is_floating_point(self) -> bool:
        """True for floating dtypes."""
        return self.dtype.is_floating_point

    def __len__(self) -> int:
        if self._data.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return len(self._data)

    def __contains__(self, item: Any) -> bool:
        return bool((self._data == (item._data if isinstance(item, TensorBase) else item)).any())

    __hash__ = object.__hash__  # by identity

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise RuntimeError(
                f"Boolean value of Tensor with {self._data.size} values is ambiguous; use any() or all()"
            )
        return bool(
            self._data.item() if self._data.dtype.kind != "V" else float(self._data.reshape(()))
        )

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._data.dtype.kind not in "iub" or self._data.size != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self._data.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self._data.ndim == 0 else object.__format__(self, spec)

    def __repr__(self) -> str:
        return _printing.tensor_str(self)  # type: ignore[arg-type]

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self._node is not None:
            raise RuntimeError(
                "only leaf Tensors support the deepcopy protocol; use detach() or clone()"
            )
        new = cast("Tensor", _new(type(self)))
        memo[id(self)] = new
        new._data = self._data.copy()
        new._node = None
        new._requires_grad = self._requires_grad
        new._grad = None if self._grad is None else self._grad.detach().clone()
        new._extra = None
        if hasattr(self, "__dict__"):
            new.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return new

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._node is not None:
            raise RuntimeError("only leaf Tensors can be pickled; use detach()")
        return _rebuild, (
            type(self),
            np.ascontiguousarray(_device.place(self._data, _device.CPU)),
            self._requires_grad,
            self.device,
        )

    # -- out to others ---------------------------------------------------------------------------------

    def numpy(self) -> Any:
        """The array itself, sharing memory.

        Raises:
            RuntimeError: the tensor requires grad; use ``detach().numpy()``.
        """
        if self._requires_grad:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
            )
        data = self._data
        if _device.is_device_array(data):
            raise TypeError(
                f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
                "memory first."
            )
        return data

    @property
    def __cuda_array_interface__(self) -> Any:
        data = self._data
        if not _device.is_device_array(data):
            raise AttributeError("a tensor on the CPU has no __cuda_array_interface__")
        if self._requires_grad:
            raise RuntimeError(
                "Can't get __cuda_array_interface__ on Tensor that requires grad. Use tensor.detach() first."
            )
        return data.__cuda_array_interface__

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError("unable to avoid a copy: the dtype changes")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        """What NumPy's functions of a tensor return: a tensor again."""
        return make(array) if array.dtype in _dtype.FROM_NUMPY else array

    def __dlpack__(self, **options: Any) -> Any:
        data = self._data
        if _device.is_device_array(data) and not self._requires_grad:
            return data.__dlpack__(**options)
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._data.__dlpack_device__()

    def item(self) -> Any:
        """The only element, as a Python number.

        Raises:
            RuntimeError: there is not exactly one.
        """
        data = self._data
        if data.size != 1:
            raise RuntimeError(f"a Tensor with {data.size} elements cannot be converted to Scalar")
        return float(data.reshape(())) if data.dtype.kind == "V" else data.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        data = self._data
        return (data.astype(np.float32) if data.dtype.kind == "V" else data).tolist()


def _rebuild(
    tensor_class: Any, data: Any, requires_grad: bool, device: _device.device = _device.CPU
) -> Any:
    """A tensor from what ``copy`` and ``multiprocessing`` carry."""
    t = _new(tensor_class)
    t._data = _device.place(data, device)
    t._node = t._grad = t._extra = None
    t._requires_grad = requires_grad
    return t
