"""Module: registration, walking, state, modes, hooks, text, and errors that name the module."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import nn


class Net(nn.Module):
    """Two layers, a shared one, a buffer and a list."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.again = self.first
        self.blocks = nn.ModuleList([nn.Linear(4, 4, bias=False), nn.ReLU()])
        self.scale = nn.Parameter(fastnn.ones(1))
        self.register_buffer("count", fastnn.tensor(0))
        self.register_buffer("cache", fastnn.zeros(2), persistent=False)

    def forward(self, x: fastnn.Tensor) -> fastnn.Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return x * self.scale


def test_registration_and_names() -> None:
    net = Net()
    assert [n for n, _ in net.named_parameters()] == [
        "scale", "first.weight", "first.bias", "blocks.0.weight",
    ]  # fmt: skip
    assert [n for n, _ in net.named_modules()] == ["", "first", "blocks", "blocks.0", "blocks.1"]
    assert [n for n, _ in net.named_buffers()] == ["count", "cache"]
    assert [n for n, _ in net.named_children()] == ["first", "blocks"]
    assert list(net.state_dict()) == [
        "scale", "count", "first.weight", "first.bias", "again.weight", "again.bias", "blocks.0.weight",
    ]  # fmt: skip
    assert net.get_parameter("blocks.0.weight") is net.blocks[0].weight
    with pytest.raises(AttributeError, match="missing"):
        net.get_submodule("missing.x")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = net.nothing
    del net.again
    assert "again.weight" not in net.state_dict()


def test_attributes() -> None:
    net = Net()
    with pytest.raises(TypeError, match="cannot assign 'Tensor' as parameter 'scale'"):
        net.scale = fastnn.ones(1)  # type: ignore[assignment]
    with pytest.raises(TypeError, match="as child module 'first'"):
        net.first = 3  # type: ignore[assignment]
    net.scale = None  # type: ignore[assignment]
    assert "scale" not in dict(net.named_parameters())
    with pytest.raises(KeyError, match="name can"):
        net.register_parameter("a.b", None)

    class Early(nn.Module):
        def __init__(self) -> None:
            self.fc = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match="before Module.__init__"):
        Early()


def test_state_dict_round_trip() -> None:
    a, b = Net(), Net()
    x = fastnn.rand(2, 3)
    assert not fastnn.allclose(a(x), b(x))
    result = b.load_state_dict(a.state_dict())
    assert result.missing_keys == []
    assert fastnn.equal(a(x), b(x))
    assert not np.shares_memory(a.scale.detach().numpy(), b.scale.detach().numpy())
    c = copy.deepcopy(a)
    assert c.again is c.first
    assert fastnn.equal(a(x), c(x))


def test_load_state_dict_refuses() -> None:
    net = Net()
    state = net.state_dict()
    before = net.first.weight.tolist()
    state["extra"] = fastnn.ones(1)
    del state["scale"]
    state["first.weight"] = fastnn.ones(1, 2)
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    message = str(caught.value)
    assert 'Unexpected key(s) in state_dict: "extra"' in message
    assert 'Missing key(s) in state_dict: "scale"' in message
    assert "size mismatch for first.weight: copying a param with shape (1, 2)" in message
    assert net.first.weight.tolist() == before
    state["first.weight"] = fastnn.zeros(4, 3)
    result = net.load_state_dict(state, strict=False)
    assert result == (["scale"], ["extra"])
    assert net.first.weight.tolist() == fastnn.zeros(4, 3).tolist()


def test_modes_apply_and_to() -> None:
    net = Net()
    net.eval()
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())
    seen: list[str] = []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "Linear", "ReLU", "ModuleList", "Net"]
    weight = net.first.weight
    assert net.double() is net
    assert net.first.weight is weight
    assert weight.dtype is fastnn.float64
    assert net.count.dtype is fastnn.int64
    net.to(fastnn.float32)
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


def test_forward_hooks() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    log: list[Any] = []
    first = net[0].register_forward_pre_hook(lambda m, args: (args[0] * 0,))
    second = net.register_forward_hook(lambda m, args, out: log.append(tuple(out.shape)) or out + 1)
    x = fastnn.ones(3, 2)
    np.testing.assert_allclose(
        net(x).detach().numpy(), np.maximum(net[0].bias.detach().numpy(), 0)[None].repeat(3, 0) + 1
    )
    assert log == [(3, 2)]
    first.remove()
    second.remove()
    net(x)
    assert log == [(3, 2)]


def test_zero_grad() -> None:
    net = nn.Linear(2, 1)
    net(fastnn.ones(1, 2)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert net.weight.grad is not None
    assert net.weight.grad.tolist() == [[0, 0]]
    net.zero_grad()
    assert net.weight.grad is None


def test_repr() -> None:
    net = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(1, 8, 3, padding=1, bias=False),
            block=nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
            drop=nn.Dropout(0.25),
            head=nn.Linear(8, 2),
        )
    )
    assert repr(net) == (
        "Sequential(\n"
        "  (conv): Conv2d(1, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)\n"
        "  (block): Sequential(\n"
        "    (0): BatchNorm2d(8, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)\n"
        "    (1): ReLU(inplace=True)\n"
        "    (2): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)\n"
        "  )\n"
        "  (drop): Dropout(p=0.25, inplace=False)\n"
        "  (head): Linear(in_features=8, out_features=2, bias=True)\n"
        ")"
    )


def test_containers() -> None:
    s = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert len(s) == 3
    assert isinstance(s[-1], nn.Linear)
    assert isinstance(s[:2], nn.Sequential)
    with pytest.raises(IndexError):
        s[3]
    m = nn.ModuleList([nn.ReLU()])
    m.insert(0, nn.Tanh())
    assert [type(x).__name__ for x in m] == ["Tanh", "ReLU"]
    d = nn.ModuleDict({"a": nn.ReLU()})
    d["b"] = nn.Tanh()
    assert list(d) == ["a", "b"]
    assert "a" in d
    assert isinstance(d.pop("a"), nn.ReLU)
    assert list(d.keys()) == ["b"]


def test_errors_name_the_module() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(
                nn.Linear(8, 4), nn.Sequential(nn.ReLU(), nn.Linear(64, 2))
            )

        def forward(self, x: fastnn.Tensor) -> fastnn.Tensor:
            return self.encoder(x)

    with pytest.raises(RuntimeError) as caught:
        Outer()(fastnn.ones(32, 8))
    assert str(caught.value) == "encoder.1.1: linear expects input of 64 features, got (32, 4)"
    with pytest.raises(RuntimeError) as caught:
        nn.Linear(3, 2)(fastnn.ones(2, 4))
    assert str(caught.value) == "linear expects input of 3 features, got (2, 4)"
    with pytest.raises(NotImplementedError, match='missing the required "forward"'):
        nn.Module()(1)
