"""What stands in for CuPy's arrays refuses what CuPy refuses."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from fastnn.backends import emulated

if not emulated():
    pytest.skip("there is a GPU", allow_module_level=True)

from fastnn.cuda import _emulated

HOST = np.arange(6.0, dtype=np.float32).reshape(2, 3)


def x() -> Any:
    return _emulated.asarray(HOST)


@pytest.mark.parametrize(
    "call",
    [
        lambda: np.asarray(x()),
        lambda: np.array([x(), x()]),
        lambda: x() + HOST,
        lambda: HOST * x(),
        lambda: np.add(x(), [[1, 2, 3]]),
        lambda: np.concatenate([x(), HOST]),
        lambda: np.where(x() > 0, HOST, x()),
        lambda: np.einsum("ij,kj", x(), HOST),
        lambda: np.apply_along_axis(np.sum, 0, x()),  # CuPy has it, fastnn has no use for it
        lambda: np.histogramdd(x()),
        lambda: np.linalg.vector_norm(x()),
        lambda: np.vecdot(x(), x()),
        lambda: np.spacing(x()),
        lambda: np.sum(x(), initial=1),
        lambda: np.sort(x(), stable=True),
        lambda: np.multiply(x(), 2, where=x() > 0),
        lambda: np.ones(3, like=x()),  # NumPy passes on device=None, which CuPy's does not take
        lambda: np.full(3, 1.0, like=x()),
        lambda: np.eye(3, like=x()),
        lambda: x().max(initial=0),
        lambda: range(x().sum()),
        lambda: [1, 2, 3][x()[0, 1]],
    ],
)
def test_type_errors(call: Any) -> None:
    with pytest.raises(TypeError):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: np.maximum.reduce(x()),
        lambda: np.minimum.accumulate(x()),
        lambda: np.maximum.reduceat(x(), [0, 1]),
        lambda: np.multiply.at(x(), 0, 2),
        lambda: x()[x() > 0, x() > 0],
    ],
)
def test_what_is_not_implemented(call: Any) -> None:
    with pytest.raises(NotImplementedError):
        call()


def test_attributes_and_dtypes() -> None:
    for name in ("flat", "ctypes", "argwhere", "__array_interface__", "itemset", "newbyteorder"):
        assert not hasattr(x(), name)
    assert not hasattr(x().flags, "writeable")
    for dtype in (object, "U3", "datetime64[s]", ml_dtypes.float8_e4m3fn):
        with pytest.raises(ValueError, match="unsupported dtype"):
            x().astype(dtype)
    with pytest.raises(TypeError, match="does not support bfloat16"):
        np.add.at(x().astype(ml_dtypes.bfloat16), 0, 1)
    with pytest.raises(ValueError, match="kind"):
        x().argsort(kind="quicksort")


def test_what_cupy_does_otherwise() -> None:
    assert x()[_emulated.asarray(np.array([3]))].tolist() == [[3, 4, 5]]  # positions wrap around
    assert x().take([4], 1).tolist() == [[1], [4]]
    assert isinstance(x().sum(), _emulated.ndarray)
    assert isinstance(x()[0, 0], _emulated.ndarray)
    view = x()[1:]
    assert view[..., :1].base is view.base
    assert x().base is None
    with pytest.raises(TypeError, match="0-d"):
        iter(x().sum())
