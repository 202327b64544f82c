"""Linear algebra, as functions of ``fastnn`` and methods that are imported when first called."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from .._core import TensorBase

# name in fastnn: (the module of fastnn.ops, its name there)
FUNCTIONS = {
    "cholesky": ("linalg_factor", "torch_cholesky"),
    "cholesky_inverse": ("linalg_factor", "cholesky_inverse"),
    "cholesky_solve": ("linalg_factor", "cholesky_solve"),
    "det": ("linalg_solve", "det"),
    "geqrf": ("linalg_lu", "geqrf"),
    "inverse": ("linalg_solve", "inverse"),
    "logdet": ("linalg_solve", "logdet"),
    "lu": ("linalg_lu", "torch_lu"),
    "lu_solve": ("linalg_lu", "torch_lu_solve"),
    "lu_unpack": ("linalg_lu", "lu_unpack"),
    "matrix_exp": ("linalg", "matrix_exp"),
    "matrix_power": ("linalg", "matrix_power"),
    "orgqr": ("linalg_lu", "householder_product"),
    "ormqr": ("linalg_lu", "ormqr"),
    "pca_lowrank": ("linalg", "pca_lowrank"),
    "pinverse": ("linalg_norm", "pinverse"),
    "qr": ("linalg_factor", "torch_qr"),
    "slogdet": ("linalg_solve", "slogdet"),
    "svd": ("linalg_factor", "torch_svd"),
    "svd_lowrank": ("linalg", "svd_lowrank"),
    "triangular_solve": ("linalg_solve", "triangular_solve"),
}


def function(name: str) -> Callable[..., Any]:
    """The function that ``fastnn`` has under ``name``."""
    module, inside = FUNCTIONS[name]
    found: Callable[..., Any] = getattr(import_module(f"fastnn.ops.{module}"), inside)
    return found


def _method(name: str) -> Callable[..., Any]:
    def method(self: TensorBase, /, *args: Any, **kwargs: Any) -> Any:
        return function(name)(self, *args, **kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"``fastnn.{name}`` of this tensor."
    return method


class LinalgMethods(TensorBase):
    """Methods of linear algebra."""

    __slots__ = ()

    cholesky = _method("cholesky")
    cholesky_inverse = _method("cholesky_inverse")
    cholesky_solve = _method("cholesky_solve")
    det = _method("det")
    geqrf = _method("geqrf")
    inverse = _method("inverse")
    logdet = _method("logdet")
    lu = _method("lu")
    lu_solve = _method("lu_solve")
    matrix_exp = _method("matrix_exp")
    matrix_power = _method("matrix_power")
    orgqr = _method("orgqr")
    ormqr = _method("ormqr")
    pinverse = _method("pinverse")
    qr = _method("qr")
    slogdet = _method("slogdet")
    svd = _method("svd")
    triangular_solve = _method("triangular_solve")
