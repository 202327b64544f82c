"""PyTorch's methods that tensors here do not have: each raises AttributeError with advice, or its nearest names.

They are descriptors, since a ``__getattr__`` would slow down the reading of every attribute. Of other names Python itself
suggests the nearest in its traceback.
"""

from __future__ import annotations

from typing import Any, NoReturn

from .._core import TensorBase
from .._help import missing

NAMES = (
    "as_subclass", "ccol_indices", "cdouble", "cfloat", "chalf", "coalesce", "col_indices", "crow_indices", "dense_dim",
    "dequantize", "dim_order", "eig", "imag", "indices", "int_repr", "ipu", "is_coalesced", "is_shared", "istft", "lstsq",
    "map2_", "mtia", "narrow_copy", "new", "nonzero_static", "output_nr", "q_scale", "q_zero_point",
    "qscheme", "record_stream", "reinforce", "resize", "resize_as", "row_indices", "share_memory_", "smm", "solve",
    "sparse_dim", "sparse_mask", "sparse_resize_", "stft", "storage", "storage_type", "symeig", "to_mkldnn",
    "to_padded_tensor", "to_sparse", "to_sparse_bsc", "to_sparse_bsr", "to_sparse_coo", "to_sparse_csc",
    "to_sparse_csr", "untyped_storage", "values", "volatile", "xpu",
)  # fmt: skip


class _Missing:
    """An attribute that is not there."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> NoReturn:
        known = [name for name in dir(owner) if name not in NAMES]
        raise AttributeError(missing("'Tensor' object", self.name, known))


class MissingMethods(TensorBase):
    """What PyTorch's tensors have beside these."""

    __slots__ = ()


for _name in NAMES:
    setattr(MissingMethods, _name, _Missing(_name))
