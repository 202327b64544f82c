"""What a tensor says of itself and its storage, and PyTorch's names that real CPU tensors answer trivially."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _device
from .._core import TensorBase, make
from ..autograd import version
from ..autograd.grad_mode import mode
from ..autograd.inplace import write
from ..ops import creation, information, transfer, views
from ..ops import shape as shape_ops

if TYPE_CHECKING:
    from ..tensor import Tensor


def _in_place(operation: Callable[..., Tensor], name: str) -> Callable[..., Tensor]:
    """The form of a view operation that changes the shape of the tensor itself."""

    def method(self: Tensor, /, *args: Any, **kwargs: Any) -> Tensor:
        if self._requires_grad and self._node is None and mode.enabled:
            raise RuntimeError(
                f"{name}: a leaf Variable that requires grad is being used in an in-place operation; "
                "wrap it in no_grad()"
            )
        view = operation(self, *args, **kwargs)
        self._data, self._node, self._requires_grad = view._data, view._node, view._requires_grad
        return self

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"``{operation.__name__}``, in place: the same memory, in the new shape."
    return method


def _to_dense(input: Tensor) -> Tensor:
    """This tensor: it is dense."""
    return input


def _is_pinned(input: Tensor) -> bool:
    """False: which memory is page-locked is not recorded."""
    return False


def _fill_diagonal(input: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """Write ``fill_value`` on the main diagonal, in place; ``wrap``: of tall matrices, again after each block.

    Raises:
        RuntimeError: less than two dims, or more of different sizes.
    """
    sizes = input._data.shape
    if len(sizes) < 2 or (len(sizes) > 2 and len(set(sizes)) > 1):
        raise RuntimeError(
            f"fill_diagonal_: expects a matrix, or equal sizes in all dims, got {tuple(sizes)}"
        )
    mask = np.zeros(sizes, np.bool_)
    np.fill_diagonal(mask, True, wrap)
    return write(input, input.masked_fill(make(mask), fill_value), "fill_diagonal_")


def _apply(input: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replace each element by ``callable`` of it, in place (slow: a Python call an element)."""
    if input._requires_grad:
        raise RuntimeError("apply_: cannot be called on a tensor that requires grad; use detach()")
    flat = [callable(v) for v in input.reshape(-1).tolist()]
    values = np.array(flat, input._data.dtype).reshape(input._data.shape)
    return write(input, make(values), "apply_")


def _map(input: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Replace each element by ``callable`` of it and of tensor's, in place (slow: a Python call an element)."""
    if input._requires_grad or tensor._requires_grad:
        raise RuntimeError("map_: cannot be called on tensors that require grad; use detach()")
    other = np.broadcast_to(tensor._data, input._data.shape)
    pairs = zip(input.reshape(-1).tolist(), other.reshape(-1).tolist(), strict=True)
    values = np.array([callable(a, b) for a, b in pairs], input._data.dtype)
    return write(input, make(values.reshape(input._data.shape)), "map_")


def _set(input: Tensor, source: Tensor) -> Tensor:
    """Make this tensor show the memory of ``source``."""
    if source._data.dtype != input._data.dtype:
        raise RuntimeError(f"set_: expected a source of dtype {input.dtype}, got {source.dtype}")
    input._data = source._data
    return input


def _storage_offset(input: Tensor) -> int:
    """Where the first element lies in the storage, in elements."""
    root = version.storage_root(input._data)
    begin = _device.address(input._data) - _device.address(root)
    return int(begin // input._data.itemsize)


def _is_set_to(input: Tensor, tensor: Tensor) -> bool:
    """True where both show the same elements of the same memory."""
    a, b = input._data, tensor._data
    same = _device.address(a) == _device.address(b)
    return bool(same and a.shape == b.shape and a.strides == b.strides)


def _cuda(input: Tensor, device: Any = None, non_blocking: bool = False) -> Tensor:
    """This tensor on a GPU.

    Raises:
        RuntimeError: there is none that this build can use.
    """
    return input.to("cuda" if device is None else device)


class InformationMethods(TensorBase):
    """Methods and properties that describe a tensor, or change how it shows its memory."""

    __slots__ = ()

    adjoint = information.adjoint
    angle = information.angle
    apply_ = _apply
    map_ = _map
    fill_diagonal_ = _fill_diagonal
    set_ = _set
    storage_offset = _storage_offset
    is_inference = information.is_inference
    is_signed = information.is_signed
    is_same_size = information.is_same_size
    is_set_to = _is_set_to
    is_nonzero = creation.is_nonzero
    is_complex = creation.is_complex
    is_conj = information.is_conj
    is_neg = information.is_neg
    is_pinned = _is_pinned
    pin_memory = transfer.pin_memory
    get_device = information.get_device
    cuda = _cuda
    conj = information.conj
    conj_physical = information.conj_physical
    resolve_conj = information.resolve_conj
    resolve_neg = information.resolve_neg
    to_dense = _to_dense

    squeeze_ = _in_place(shape_ops.squeeze, "squeeze_")
    unsqueeze_ = _in_place(shape_ops.unsqueeze, "unsqueeze_")
    t_ = _in_place(shape_ops.t, "t_")
    transpose_ = swapaxes_ = swapdims_ = _in_place(shape_ops.transpose, "transpose_")
    as_strided_ = _in_place(views.as_strided, "as_strided_")

    def ndimension(self) -> int:
        """The number of dims."""
        return int(self._data.ndim)

    @property
    def itemsize(self) -> int:
        """The bytes of one element."""
        return int(self._data.itemsize)

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return int(self._data.nbytes)

    @property
    def layout(self) -> _device.layout:
        """How the elements are stored."""
        return _device.strided

    @property
    def real(self) -> Tensor:
        """The tensor itself: it holds real numbers."""
        return self  # type: ignore[return-value]

    @property
    def name(self) -> None:
        """None: tensors have no names."""
        return None

    @property
    def is_cpu(self) -> bool:
        """True where the memory is the CPU's."""
        return not _device.is_device_array(self._data)

    @property
    def is_cuda(self) -> bool:
        """True where the memory is a GPU's."""
        return _device.is_device_array(self._data)

    @property
    def is_sparse(self) -> bool:
        """False: tensors are dense."""
        return False

    @property
    def is_quantized(self) -> bool:
        """False: elements are plain numbers."""
        return False

    @property
    def is_meta(self) -> bool:
        """False: tensors have memory."""
        return False
