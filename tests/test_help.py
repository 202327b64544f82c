"""Names that are missing say what is near, and what to use instead."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import nn, optim
from fastnn.optim import lr_scheduler
from fastnn.utils import data
from fastnn.vision import transforms


@pytest.mark.parametrize(
    ("owner", "name", "near"),
    [
        (fastnn, "sofmax", "softmax"),
        (nn, "LayerNrm", "LayerNorm"),
        (F, "cross_entrpy", "cross_entropy"),
        (optim, "Adamw", "AdamW"),
        (lr_scheduler, "StepLr", "StepLR"),
        (data, "Dataloader", "DataLoader"),
        (transforms, "Totensor", "ToTensor"),
        (nn.init, "xavier_unifrm_", "xavier_uniform_"),
        (fastnn.autograd, "Funktion", "Function"),
        (fastnn.ones(1), "resize", "resize_"),
    ],
)
def test_nearest(owner: Any, name: str, near: str) -> None:
    with pytest.raises(AttributeError, match=f"'{name}'; the nearest that it has: .*{near}"):
        getattr(owner, name)
    assert not hasattr(owner, name)


@pytest.mark.parametrize(
    ("owner", "name", "advice"),
    [
        (fastnn, "jit", "TorchScript"),
        (fastnn, "complex64", "complex numbers are not supported"),
        (nn, "LazyLinear", "give in_features"),
        (optim, "SparseAdam", "use Adam"),
        (fastnn.ones(1), "to_sparse", "use dense ones"),
    ],
)
def test_advice(owner: Any, name: str, advice: str) -> None:
    with pytest.raises(AttributeError, match=advice):
        getattr(owner, name)


def test_python_suggests_for_tensors() -> None:
    """A typing error in a tensor's attribute: no ``__getattr__`` slows tensors down, Python's traceback suggests."""
    assert not hasattr(fastnn.Tensor, "__getattr__")
    program = "import fastnn; fastnn.ones(1).sofmax"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "'Tensor' object has no attribute 'sofmax'. Did you mean: 'softmax'?" in done.stderr


def test_nothing_near() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'qqqqqqqqqq'$"):
        _ = fastnn.qqqqqqqqqq
    with pytest.raises(
        AttributeError, match="'Tensor' object has no attribute '__array_struct__'$"
    ):
        _ = fastnn.ones(1).__array_struct__


def test_in_place_functions() -> None:
    x = fastnn.tensor([-1.0, 2.0])
    assert fastnn.relu_(x) is x
    assert x.tolist() == [0.0, 2.0]


class _Outer(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.encoder = nn.ModuleList([nn.Sequential(inner)])

    def forward(self, *args: Any) -> Any:
        return self.encoder[0][0](*args)


@pytest.mark.parametrize(
    ("inner", "args", "words"),
    [
        (nn.Linear(4, 2), (fastnn.ones(3, 5),), ("linear", "4", "5")),
        (nn.Conv2d(3, 2, 3), (fastnn.ones(1, 2, 8, 8),), ("conv2d", "3", "2")),
        (nn.BatchNorm1d(4), (fastnn.ones(3, 5),), ("4", "5")),
        (nn.LayerNorm(4), (fastnn.ones(3, 5),), ("layer_norm", "4", "5")),
        (nn.LSTM(4, 2), (fastnn.ones(3, 5),), ("4", "5")),
        (nn.Embedding(4, 2), (fastnn.tensor([5]),), ("embedding", "4", "5")),
        (nn.MultiheadAttention(4, 2), (fastnn.ones(3, 5),) * 3, ("4", "5")),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else "",
)
def test_errors_name_the_module(inner: nn.Module, args: Any, words: tuple[str, ...]) -> None:
    with pytest.raises((RuntimeError, ValueError, IndexError, AssertionError)) as caught:
        _Outer(inner)(*args)
    message = str(caught.value)
    for word in ("encoder.0.0", *words):
        assert word in message
