"""Anomaly detection names the module, the operation and the shapes, and leaves nothing behind."""

from __future__ import annotations

from typing import Any

import pytest

import fastnn
from fastnn import _core, autograd, nn
from fastnn.autograd import engine
from fastnn.nn.module import Module


class Block(nn.Module):
    def __init__(self, bad: Any) -> None:
        super().__init__()
        self.linear1 = nn.Linear(3, 4)
        self.bad = bad

    def forward(self, x: Any) -> Any:
        return self.bad(self.linear1(x))


class Net(nn.Module):
    def __init__(self, bad: Any) -> None:
        super().__init__()
        self.encoder = nn.ModuleList([Block(lambda x: x), Block(bad)])
        self.head = nn.Linear(4, 1)

    def forward(self, x: Any) -> Any:
        self.encoder[0](x)
        return self.head(self.encoder[1](x))


def test_forward() -> None:
    net = Net(lambda x: (x * 0) / (x * 0))
    with (
        autograd.detect_anomaly(),
        pytest.raises(RuntimeError, match=r"^module encoder\.1, .*test_anomaly\.py:\d+: DivBackward0: the result, shape \(2, 4\), has NaN \(8 of 8, first at \(0, 0\)\), computed from shapes") as found,
    ):  # fmt: skip
        net(fastnn.ones(2, 3))
    assert str(found.value).count("encoder") == 1
    net(fastnn.ones(2, 3))


def test_module_inside() -> None:
    net = Net(lambda x: x)
    with fastnn.no_grad():
        net.encoder[1].linear1.weight[0, 0] = float("inf")
    with (
        autograd.detect_anomaly(),
        pytest.raises(RuntimeError, match=r"^module encoder\.1\.linear1, .*AddmmBackward0"),
    ):
        net(fastnn.ones(2, 3))


def test_backward() -> None:
    net = Net(lambda x: (x * 0).sqrt())
    for create_graph in (False, True):
        with (
            autograd.detect_anomaly(),
            pytest.raises(RuntimeError, match=r"module encoder\.1, .*Function 'SqrtBackward0' returned nan or inf values in its 0th output: the gradient of its input 0, shape \(2, 4\), has (NaN|Inf)") if not create_graph else pytest.raises(RuntimeError, match="has (NaN|Inf)"),
        ):  # fmt: skip
            net(fastnn.ones(2, 3)).sum().backward(create_graph=create_graph)
    net(fastnn.ones(2, 3)).sum().backward()


def test_masks_pass() -> None:
    x = fastnn.rand(3, 3).requires_grad_()
    mask = fastnn.tensor([[False, True, True], [False, False, True], [False, False, False]])
    with autograd.detect_anomaly():
        scores = fastnn.where(mask, fastnn.tensor(-float("inf")), x) + 1
        fastnn.softmax(scores, 1).square().sum().backward()
        with pytest.raises(RuntimeError, match="LogBackward0.*Inf"):
            (x * 0).log()


def test_custom_functions_and_several_results() -> None:
    class Bad(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            return x + 1, y + 1

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            return g, h * float("nan")

    x = fastnn.ones(2, requires_grad=True)
    with autograd.detect_anomaly():
        a, b = Bad.apply(x, x)
        out = (a + b).sum()
        with pytest.raises(
            RuntimeError, match="'BadBackward' returned nan or inf values in its 1th"
        ):
            out.backward()


def test_switching() -> None:
    call, code = Module.__call__, _core.make.__code__
    x = fastnn.zeros(2, requires_grad=True)
    assert not fastnn.is_anomaly_enabled()
    autograd.set_detect_anomaly(True)
    try:
        assert fastnn.is_anomaly_enabled()
        assert fastnn.is_anomaly_check_nan_enabled()
        with pytest.raises(RuntimeError, match="DivBackward0"):
            x / 0
        with autograd.set_detect_anomaly(False):
            x / 0
        with autograd.detect_anomaly(check_nan=False):
            assert not fastnn.is_anomaly_check_nan_enabled()
            x / 0
        with pytest.raises(RuntimeError, match="DivBackward0"):
            x / 0
    finally:
        autograd.set_detect_anomaly(False)
    x / 0
    assert Module.__call__ is call
    assert _core.make.__code__ is code
    assert engine.check_gradients is None
