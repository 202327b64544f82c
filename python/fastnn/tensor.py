"""Tensor: one array, its place in the graph, and the operations as its methods."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from . import _core, _device, _dtype
from ._core import TensorBase, make
from ._dtype import dtype as DType
from ._methods.creation import CreationMethods
from ._methods.elementwise import ElementwiseMethods
from ._methods.information import InformationMethods
from ._methods.inplace import InplaceMethods
from ._methods.linalg import LinalgMethods
from ._methods.missing import MissingMethods
from ._methods.random import RandomMethods
from ._methods.reduction import ReductionMethods
from ._methods.shape import ShapeMethods
from .autograd import engine
from .autograd.grad_mode import mode
from .autograd.inplace import extra_of, write
from .ops import comparison, creation, elementwise, gemm, indexing, promotion, unary
from .ops import shape as shape_ops
from .ops.transfer import transfer

_Float: TypeAlias = float  # Tensor.float hides the type


class RemovableHandle:
    """What registering a hook returns: ``remove()`` takes the hook away."""

    __slots__ = ("_hooks", "_key")
    _count = 0

    def __init__(self, hooks: Any, hook: Any) -> None:
        RemovableHandle._count += 1
        self._hooks = hooks
        self._key = RemovableHandle._count
        hooks[self._key] = hook

    @property
    def id(self) -> int:
        """The hook's key."""
        return self._key

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self._hooks.pop(self._key, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class Tensor(
    ElementwiseMethods,
    ReductionMethods,
    ShapeMethods,
    InplaceMethods,
    RandomMethods,
    CreationMethods,
    InformationMethods,
    MissingMethods,
    LinalgMethods,
    TensorBase,
):
    """An n-dimensional array that records how it was computed.

    Args:
        data: a sequence of numbers, which become the default floating dtype; a tensor, whose memory is shared; an
            array, which is copied and cast to it; or sizes, for a tensor of zeros. ``fastnn.tensor`` is clearer.

    >>> import fastnn
    >>> x = fastnn.tensor([1., 2.], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = ()

    def __init__(self, *data: Any) -> None:
        if len(data) == 1 and isinstance(data[0], (Tensor, np.ndarray)):
            given = data[0]
            made = (
                given
                if isinstance(given, Tensor)
                else creation.tensor(given, dtype=_dtype.get_default_dtype())
            )
        else:
            from ._legacy import construct

            made = construct(data, _dtype.get_default_dtype(), type(self).__name__)
        self._data = made._data
        self._node = self._grad = self._extra = None
        self._requires_grad = False

    # -- autograd --------------------------------------------------------------------------------------

    @property
    def grad(self) -> Tensor | None:
        """The gradient that ``backward`` accumulated, or None."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got {type(value).__name__}"
                )
            if value._data.shape != self._data.shape or value._data.dtype != self._data.dtype:
                raise RuntimeError(
                    f"assigned grad has {value.dtype} {tuple(value.shape)}, the tensor is {self.dtype} "
                    f"{tuple(self.shape)}"
                )
        self._grad = value

    @property
    def requires_grad(self) -> bool:
        """True where operations on this tensor are recorded."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set whether operations on this leaf are recorded.

        Raises:
            RuntimeError: turned on for an integer tensor, or off for a result.
        """
        if requires_grad and self._data.dtype.kind in "iub":
            raise RuntimeError(
                f"only Tensors of floating point dtype can require gradients, got {self.dtype}"
            )
        if not requires_grad and self._node is not None:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables; use detach()"
            )
        self._requires_grad = bool(requires_grad)
        return self

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Sequence[Tensor] | None = None,
    ) -> None:
        """Add the gradients of this tensor to the ``grad`` of the leaves; see ``autograd.backward``."""
        if inputs is not None or not self._requires_grad:
            engine.backward(self, gradient, retain_graph, create_graph, inputs=inputs)
            return
        previous = mode.enabled
        mode.enabled = create_graph
        try:
            start = engine.root_gradient(self, gradient, create_graph)
            retain = create_graph if retain_graph is None else retain_graph
            engine.run((self,), [start], retain_graph=retain, create_graph=create_graph)
        finally:
            mode.enabled = previous

    def detach(self) -> Tensor:
        """The same memory, outside the graph."""
        return make(self._data)

    def detach_(self) -> Tensor:
        """Cut this tensor off the graph, in place.

        Raises:
            RuntimeError: it is a view.
        """
        if self._extra is not None and self._extra.base is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self._node = None
        self._requires_grad = False
        return self

    @property
    def data(self) -> Tensor:
        """The same memory, outside the graph; assigning replaces the array."""
        return make(self._data)

    @data.setter
    def data(self, value: Tensor) -> None:
        self._data = value._data

    def retain_grad(self) -> None:
        """Keep the gradient of this non-leaf tensor in ``grad`` too.

        Raises:
            RuntimeError: the tensor does not require grad.
        """
        if not self._requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        extra = extra_of(self)
        if self._node is None or extra.retains_grad:
            return
        extra.retains_grad = True
        reference = weakref.ref(self)

        def keep(g: Tensor) -> None:
            x = reference()
            if x is not None:
                x._grad = g.clone() if x._grad is None else x._grad + g

        self.register_hook(keep)

    @property
    def retains_grad(self) -> bool:
        """True for a non-leaf tensor whose gradient is kept."""
        return self._extra is not None and self._extra.retains_grad

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call ``hook`` with this tensor's gradient when it is computed; what it returns replaces the gradient.

        Raises:
            RuntimeError: the tensor does not require grad.
        """
        if not self._requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self._node is None:
            extra = extra_of(self)
            if extra.hooks is None:
                extra.hooks = OrderedDict()
            return RemovableHandle(extra.hooks, hook)
        return RemovableHandle(engine.hooks_of(self._node), hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Call ``hook`` with this leaf after its ``grad`` was accumulated."""
        if not self._requires_grad or self._node is not None:
            raise RuntimeError(
                "post accumulate grad hooks cannot be registered on non-leaf tensors"
            )
        extra = extra_of(self)
        if extra.post_accumulate_hooks is None:
            extra.post_accumulate_hooks = OrderedDict()
        return RemovableHandle(extra.post_accumulate_hooks, hook)

    @property
    def _base(self) -> Tensor | None:
        return None if self._extra is None else self._extra.base

    def _write(self, result: Tensor, operation: str) -> Tensor:
        """Write ``result`` into this tensor (an in-place operation)."""
        return write(self, result, operation)

    @property
    def T(self) -> Tensor:
        """All dims in reverse order."""
        return self.permute(tuple(range(self._data.ndim))[::-1])

    @property
    def H(self) -> Tensor:
        """A matrix transposed (a real one is its own conjugate)."""
        return shape_ops.t(self)

    @property
    def mH(self) -> Tensor:
        """The last two dims exchanged."""
        return self.transpose(-2, -1)

    @property
    def mT(self) -> Tensor:
        """The last two dims exchanged."""
        return self.transpose(-2, -1)

    def __reversed__(self) -> Tensor:
        return indexing.flip(self, tuple(range(self._data.ndim)))

    def __complex__(self) -> complex:
        return complex(self.item())

    def __iter__(self) -> Iterator[Tensor]:
        if self._data.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    # -- type and place --------------------------------------------------------------------------------

    def to(
        self,
        *args: Any,
        dtype: Any = None,
        device: Any = None,
        copy: bool = False,
        non_blocking: bool = False,
        memory_format: _device.memory_format = _device.preserve_format,
    ) -> Tensor:
        """This tensor with another dtype, device or memory format; itself where nothing changes.

        ``non_blocking`` changes nothing: a copy from ordinary memory blocks in PyTorch too.
        """
        flags = []
        for arg in args:
            if isinstance(arg, DType) or arg in (float, int, bool):
                dtype = arg
            elif isinstance(arg, Tensor):
                dtype = arg.dtype
            elif arg is True or arg is False:
                flags.append(arg)  # non_blocking, copy
            else:
                device = arg
        if len(flags) > 1:
            copy = flags[1]
        out = self
        if device is not None:
            out = transfer(out, _device.resolve(device))
        if dtype is not None:
            out = promotion.cast(out, _dtype.as_numpy_dtype(dtype))
        if memory_format is not _device.preserve_format:
            out = out.contiguous(memory_format)
        return out.clone() if copy and out is self else out

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The name of the type, such as "fastnn.FloatTensor", or (with a dtype or such a name) the tensor cast to it.

        Raises:
            ValueError: a name that no type has.
        """
        from . import _legacy

        if dtype is None:
            return f"fastnn.{_legacy.NAMES[self.dtype]}"
        if isinstance(dtype, _legacy.LegacyType):
            return self.to(dtype.dtype)
        if isinstance(dtype, str):
            found = _legacy.named(dtype)
            if found is None:
                raise ValueError(
                    f"type: invalid type {dtype!r}; a name such as 'fastnn.LongTensor'"
                )
            return self.to(found)
        return self.to(dtype)

    def type_as(self, other: Tensor) -> Tensor:
        """The tensor cast to the dtype of ``other``."""
        return self.to(other.dtype)

    def float(self, memory_format: _device.memory_format = _device.preserve_format) -> Tensor:
        """Cast to float32."""
        return self.to(_dtype.float32, memory_format=memory_format)

    def double(self, memory_format: _device.memory_format = _device.preserve_format) -> Tensor:
        """Cast to float64."""
        return self.to(_dtype.float64, memory_format=memory_format)

    def half(self, memory_format: _device.memory_format = _device.preserve_format) -> Tensor:
        """Cast to float16."""
        return self.to(_dtype.float16, memory_format=memory_format)

    def bfloat16(self, memory_format: _device.memory_format = _device.preserve_format) -> Tensor:
        """Cast to bfloat16."""
        return self.to(_dtype.bfloat16, memory_format=memory_format)

    def long(self, memory_format: _device.memory_format = _device.preserve_format) -> Tensor:
        """Cast to int64."""
        return self.to(_dtype.int64, memory_format=memory_format)

    def int(self, memory_format: _device.memory_format = _device.preserve_format) -> Tensor:
        """Cast to int32."""
        return self.to(_dtype.int32, memory_format=memory_format)

    def bool(self, memory_format: _device.memory_format = _device.preserve_format) -> Tensor:
        """Cast to bool."""
        return self.to(_dtype.bool_, memory_format=memory_format)

    def short(self, memory_format: _device.memory_format = _device.preserve_format) -> Tensor:
        """Cast to int16."""
        return self.to(_dtype.int16, memory_format=memory_format)

    def char(self, memory_format: _device.memory_format = _device.preserve_format) -> Tensor:
        """Cast to int8."""
        return self.to(_dtype.int8, memory_format=memory_format)

    def byte(self, memory_format: _device.memory_format = _device.preserve_format) -> Tensor:
        """Cast to uint8."""
        return self.to(_dtype.uint8, memory_format=memory_format)

    def cpu(self, memory_format: _device.memory_format = _device.preserve_format) -> Tensor:
        """This tensor on the CPU; itself where it is there."""
        return self.to(_device.CPU, memory_format=memory_format)

    def contiguous(
        self, memory_format: _device.memory_format = _device.contiguous_format
    ) -> Tensor:
        """This tensor with memory in this order of axes; itself where it has it.

        Raises:
            RuntimeError: channels_last for a tensor that is not an image batch (4 dims).
        """
        if self.is_contiguous(memory_format):
            return self
        if memory_format is _device.channels_last:
            if self._data.ndim != 4:
                raise RuntimeError(
                    f"contiguous: channels_last needs 4 dims, got {tuple(self._data.shape)}"
                )
            return self.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        return shape_ops.clone(self, "C")

    def clone(self, memory_format: _device.memory_format = _device.preserve_format) -> Tensor:
        """A copy in memory of its own, part of the graph."""
        if memory_format is _device.preserve_format:
            return shape_ops.clone(self)
        out = self.contiguous(memory_format)
        return shape_ops.clone(self) if out is self else out

    # -- operators -------------------------------------------------------------------------------------

    __add__ = elementwise.add
    __sub__ = elementwise.sub
    __mul__ = elementwise.mul
    __truediv__ = elementwise.div
    __floordiv__ = elementwise.floor_divide
    __mod__ = elementwise.remainder
    __pow__ = elementwise.pow
    __matmul__ = gemm.matmul
    __neg__ = unary.neg
    __abs__ = unary.abs
    __invert__ = comparison.bitwise_not
    __and__ = __rand__ = comparison.bitwise_and
    __or__ = __ror__ = comparison.bitwise_or
    __xor__ = __rxor__ = comparison.bitwise_xor
    __lt__ = comparison.lt
    __le__ = comparison.le
    __gt__ = comparison.gt
    __ge__ = comparison.ge
    __getitem__ = indexing.getitem
    __setitem__ = indexing.setitem
    __hash__ = TensorBase.__hash__
    __radd__ = elementwise.add
    __rmul__ = elementwise.mul

    def __rlshift__(self, other: Any) -> Tensor:
        return comparison.bitwise_left_shift(other, self)

    def __rrshift__(self, other: Any) -> Tensor:
        return comparison.bitwise_right_shift(other, self)

    __lshift__ = comparison.bitwise_left_shift
    __rshift__ = comparison.bitwise_right_shift

    def __eq__(self, other: object) -> Any:
        return comparison.eq(self, other) if comparison.comparable(other) else NotImplemented

    def __ne__(self, other: object) -> Any:
        return comparison.ne(self, other) if comparison.comparable(other) else NotImplemented

    def __pos__(self) -> Tensor:
        return self

    def __rsub__(self, other: Any) -> Tensor:
        return elementwise.sub(other, self)

    def __rtruediv__(self, other: Any) -> Tensor:
        return elementwise.div(other, self)

    __rdiv__ = __rtruediv__

    def __rfloordiv__(self, other: Any) -> Tensor:
        return elementwise.floor_divide(other, self)

    def __rmod__(self, other: Any) -> Tensor:
        return elementwise.remainder(other, self)

    def __rmatmul__(self, other: Any) -> Tensor:
        return gemm.matmul(other, self)

    def __rpow__(self, other: Any) -> Tensor:
        return elementwise.pow(other, self)

    # -- in place --------------------------------------------------------------------------------------

    def fill_(self, value: Any) -> Tensor:
        """Set all elements to ``value``."""
        given = value if isinstance(value, Tensor) else creation.tensor(value, dtype=self.dtype)
        return write(self, given.to(self.dtype).expand(self._data.shape), "fill_")

    def resize_(
        self, *sizes: Any, memory_format: _device.memory_format = _device.contiguous_format
    ) -> Tensor:
        """Change the shape in place: the elements stay in order, new ones are uninitialised.

        Raises:
            RuntimeError: the tensor requires grad, or another ``memory_format``.
        """
        if self._requires_grad:
            raise RuntimeError("resize_: cannot resize variables that require grad")
        if memory_format is not _device.contiguous_format:
            raise RuntimeError("resize_: only memory_format=contiguous_format is supported")
        shape = shape_ops._numbers(sizes)
        out = np.empty(shape, self._data.dtype)
        flat, old = out.reshape(-1), self._data.reshape(-1)
        count = min(flat.size, old.size)
        flat[:count] = old[:count]
        self._data = out
        return self

    def resize_as_(self, other: Tensor) -> Tensor:
        """``resize_`` to the shape of ``other``."""
        return self.resize_(other._data.shape)

    def zero_(self) -> Tensor:
        """Set all elements to 0."""
        return self.fill_(0)

    def copy_(self, source: Tensor) -> Tensor:
        """Copy ``source``, broadcast and cast to this tensor's dtype, into this tensor."""
        return write(self, source.to(self.dtype).expand(self._data.shape), "copy_")


Scalar = _core.Scalar
_core._tensor_class = Tensor
