"""Linear algebra on matrices and batches of them: PyTorch's ``torch.linalg``.

>>> import fastnn
>>> a = fastnn.tensor([[2., 1.], [1., 3.]])
>>> fastnn.allclose(a @ fastnn.linalg.inv(a), fastnn.eye(2), atol=1e-6)
True
"""

from __future__ import annotations

from ._help import getattr_of
from .ops.gemm import matmul
from .ops.linalg import (
    cross,
    diagonal,
    matrix_exp,
    matrix_power,
    multi_dot,
    tensorinv,
    tensorsolve,
    vander,
    vecdot,
)
from .ops.linalg_factor import (
    cholesky,
    cholesky_ex,
    eig,
    eigh,
    eigvals,
    eigvalsh,
    qr,
    svd,
    svdvals,
)
from .ops.linalg_lu import householder_product, lu, lu_factor, lu_factor_ex, lu_solve
from .ops.linalg_norm import cond, lstsq, matrix_norm, matrix_rank, norm, pinv, vector_norm
from .ops.linalg_solve import (
    LinAlgError,
    det,
    inv,
    inv_ex,
    slogdet,
    solve,
    solve_ex,
    solve_triangular,
)

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]

__getattr__ = getattr_of(__name__)
