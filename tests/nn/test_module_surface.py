"""Module's hooks, state hooks, extra state, buffers, conversions, copies, and PyTorch's file names."""

from __future__ import annotations

import copy
import importlib
import pickle
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn.nn.modules import module as globals_of_modules


def test_forward_hooks_with_everything() -> None:
    layer = nn.Linear(2, 1)
    log: list[str] = []

    def pre(m: Any, args: Any, kwargs: Any) -> Any:
        log.append("pre")
        return (args[0] * 0, *args[1:]), kwargs

    def post(m: Any, args: Any, kwargs: Any, out: Any) -> Any:
        log.append(f"post {sorted(kwargs)}")
        return out + 1

    layer.register_forward_pre_hook(pre, with_kwargs=True)
    layer.register_forward_pre_hook(lambda m, a: log.append("first"), prepend=True)
    layer.register_forward_hook(post, with_kwargs=True)
    out = layer(fastnn.ones(1, 2), activation=None)
    np.testing.assert_allclose(out.tolist(), [[layer.bias.item() + 1]], rtol=0, atol=1e-6)
    assert log == ["first", "pre", "post ['activation']"]
    layer.register_forward_pre_hook(lambda m, a, k: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match="new_args, new_kwargs"):
        layer(fastnn.ones(1, 2))


def test_hooks_that_are_always_called() -> None:
    layer = nn.Linear(2, 1)
    seen: list[Any] = []
    layer.register_forward_hook(lambda m, a, out: seen.append(out), always_call=True)
    with pytest.raises(RuntimeError, match="expects input of 2 features"):
        layer(fastnn.ones(1, 3))
    assert seen == [None]
    layer(fastnn.ones(1, 2))
    assert len(seen) == 2


def test_backward_hooks() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    x = fastnn.randn(4, 2, requires_grad=True)
    (expected,) = fastnn.autograd.grad(net(x).sum(), x)
    shapes: list[Any] = []

    def hook(m: Any, grad_input: Any, grad_output: Any) -> None:
        shapes.append([tuple(g.shape) for g in (*grad_input, *grad_output)])

    handles = [m.register_full_backward_hook(hook) for m in net]
    (g,) = fastnn.autograd.grad(net(x).sum(), x)
    assert fastnn.equal(g, expected)
    assert shapes == [[(4, 3), (4, 1)], [(4, 3), (4, 3)], [(4, 2), (4, 3)]]
    for h in handles:
        h.remove()
    net.register_full_backward_pre_hook(lambda m, go: (go[0] * 2,))
    net.register_full_backward_hook(lambda m, gi, go: (gi[0] * 5,))
    (g,) = fastnn.autograd.grad(net(x).sum(), x, create_graph=True)
    # Twice and five times, each one rounding
    np.testing.assert_allclose(g.tolist(), (expected * 10).tolist(), rtol=1e-6)
    net.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))
    with pytest.raises(RuntimeError, match="returned 2 gradients in place of the 1"):
        net(x).sum().backward()


def test_backward_hook_without_input_gradients() -> None:
    layer = nn.Linear(2, 1)
    seen: list[Any] = []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].tolist())))
    layer(fastnn.ones(1, 2)).sum().backward()
    assert seen == [((None,), [[1.0]])]
    with fastnn.no_grad():
        layer(fastnn.ones(1, 2))
    assert layer.weight.grad is not None


def test_hooks_of_all_modules() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    log: list[str] = []
    handles = [
        globals_of_modules.register_module_forward_pre_hook(lambda m, a: log.append(f"> {type(m).__name__}")),
        globals_of_modules.register_module_forward_hook(lambda m, a, o: log.append(f"< {type(m).__name__}")),
        globals_of_modules.register_module_full_backward_hook(lambda m, gi, go: log.append(f"b {type(m).__name__}")),
    ]  # fmt: skip
    net(fastnn.ones(1, 2)).sum().backward()
    for h in handles:
        h.remove()
    net(fastnn.ones(1, 2))
    assert log == [
        "> Sequential", "> Linear", "< Linear", "> ReLU", "< ReLU", "< Sequential", "b Sequential", "b ReLU",
        "b Linear",
    ]  # fmt: skip


def test_hooks_of_registration() -> None:
    names: list[str] = []
    handles = [
        register(lambda m, name, value: names.append(name))
        for register in (
            globals_of_modules.register_module_parameter_registration_hook,
            globals_of_modules.register_module_buffer_registration_hook,
            globals_of_modules.register_module_module_registration_hook,
        )
    ]
    nn.Sequential(nn.BatchNorm1d(2))
    for h in handles:
        h.remove()
    nn.Linear(1, 1)
    assert names == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked", "0"]


class Counter(nn.Module):
    """A module with extra state and a version."""

    _version = 3

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(fastnn.zeros(2))
        self.count = 0

    def get_extra_state(self) -> Any:
        return {"count": self.count}

    def set_extra_state(self, state: Any) -> None:
        self.count = state["count"]


def test_extra_state_and_versions() -> None:
    a, b = nn.Sequential(Counter()), nn.Sequential(Counter())
    a[0].count = 5
    state = a.state_dict()
    assert list(state) == ["0.weight", "0._extra_state"]
    assert state._metadata["0"] == {"version": 3}
    assert repr(b.load_state_dict(state)) == "<All keys matched successfully>"
    assert b[0].count == 5
    del state["0._extra_state"]
    with pytest.raises(RuntimeError, match='Missing key.*"0._extra_state"'):
        b.load_state_dict(state)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        nn.Sequential(nn.Linear(1, 1)).load_state_dict({"0._extra_state": 1})
    with pytest.raises(RuntimeError, match="get_extra_state"):
        nn.Linear(1, 1).get_extra_state()


def test_state_hooks() -> None:
    layer = nn.Linear(2, 1)
    log: list[str] = []
    layer.register_state_dict_pre_hook(lambda m, prefix, keep: log.append("pre"))
    layer.register_state_dict_post_hook(
        lambda m, state, prefix, meta: state.pop(prefix + "bias") and None
    )
    layer._register_state_dict_hook(
        lambda m, state, prefix, meta: {**state, "more": fastnn.ones(1)}
    )
    state = layer.state_dict()
    assert sorted(state) == ["more", "weight"]
    assert log == ["pre"]
    other = nn.Linear(2, 1)

    def rename(m: Any, state: Any, prefix: str, *rest: Any) -> None:
        state[prefix + "bias"] = state.pop(prefix + "more")

    def forgive(m: Any, keys: Any) -> None:
        log.append(str(keys.unexpected_keys))
        keys.unexpected_keys.clear()

    other.register_load_state_dict_pre_hook(rename)
    other.register_load_state_dict_post_hook(forgive)
    state["extra"] = fastnn.ones(1)
    other.load_state_dict(state)
    assert other.bias.item() == 1
    assert log == ["pre", "['extra']"]


def test_loading_by_a_module_of_its_own() -> None:
    class Doubled(nn.Linear):
        def _load_from_state_dict(self, state: Any, prefix: str, *args: Any) -> None:
            state[prefix + "weight"] = state[prefix + "weight"] * 2
            super()._load_from_state_dict(state, prefix, *args)

        def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
            super()._save_to_state_dict(destination, prefix, keep_vars)
            destination[prefix + "weight"] = destination[prefix + "weight"] / 2

    net = nn.Sequential(Doubled(2, 1))
    before = net[0].weight.tolist()
    state = net.state_dict()
    net.load_state_dict(state)
    assert net[0].weight.tolist() == before
    assert (state["0.weight"] * 2).tolist() == before


def test_assign() -> None:
    net = nn.BatchNorm1d(2)
    weight = net.weight
    state = {k: v.double() if v.is_floating_point() else v for k, v in net.state_dict().items()}
    net.load_state_dict(state, assign=True)
    assert net.weight is not weight
    assert isinstance(net.weight, nn.Parameter)
    assert net.weight.requires_grad
    assert net.running_mean.dtype is fastnn.float64
    net.running_mean.fill_(4)
    assert state["running_mean"].tolist() == [4, 4]
    scalar = nn.Module()
    scalar.register_buffer("n", fastnn.tensor(0.0))
    scalar.load_state_dict({"n": fastnn.ones(1)})  # as files of older versions hold scalars
    assert scalar.n.item() == 1


def test_buffers_and_names() -> None:
    m = nn.Module()
    m.a = nn.Buffer(fastnn.ones(1))
    m.b = nn.Buffer(fastnn.ones(1), persistent=False)
    assert list(m.state_dict()) == ["a"]
    assert m.get_buffer("a").item() == 1
    m.a = fastnn.zeros(1)
    assert m.get_buffer("a").item() == 0
    with pytest.raises(AttributeError, match="no buffer 'c'"):
        m.get_buffer("c")
    m.plain = 3
    with pytest.raises(KeyError, match="already exists"):
        m.register_buffer("plain", fastnn.ones(1))
    with pytest.raises(KeyError, match="already exists"):
        m.register_parameter("forward", None)
    with pytest.raises(KeyError, match="already exists"):
        m.add_module("a", nn.ReLU())


def test_replacing_keeps_the_place() -> None:
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    net[0].weight = nn.Parameter(fastnn.ones(1, 1))
    assert list(net[0]._parameters) == ["weight", "bias"]
    net.set_submodule("0", nn.Tanh())
    assert [type(m).__name__ for m in net] == ["Tanh", "ReLU"]
    net.set_submodule("new", nn.Tanh())
    with pytest.raises(AttributeError, match="no attribute `other`"):
        net.set_submodule("other", nn.Tanh(), strict=True)
    with pytest.raises(ValueError, match="not an nn.Module"):
        net.set_submodule("0", 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="target name"):
        net.set_submodule("", nn.Tanh())


def test_conversions() -> None:
    net = nn.BatchNorm1d(2)
    assert net.half().weight.dtype is fastnn.float16
    assert net.num_batches_tracked.dtype is fastnn.int64
    assert net.bfloat16().running_var.dtype is fastnn.bfloat16
    assert net.type(fastnn.float64).num_batches_tracked.dtype is fastnn.float64
    assert net.float().share_memory() is net
    weight = net.weight
    assert net.to_empty(device="cpu").weight is weight
    with pytest.raises(TypeError, match="only accepts floating point"):
        net.to(fastnn.int64)
    with pytest.raises(RuntimeError, match="not available"):
        net.cuda()
    net.compile()
    assert "weight" in dir(net)
    p = nn.Linear(1, 1)
    p(fastnn.ones(1, 1)).sum().backward()
    p.double()
    assert p.weight.grad.dtype is fastnn.float64

    class Watched(nn.Linear):
        def _apply(self, fn: Any, recurse: bool = True) -> Any:
            self.applied = True
            return super()._apply(fn, recurse)

    outer = nn.Sequential(Watched(1, 1))
    outer.double()
    assert outer[0].applied


def test_copies() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.LSTM(2, 2))
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert list(other.state_dict()) == list(net.state_dict())
        assert fastnn.equal(other[0].weight, net[0].weight)
        assert isinstance(other[0].weight, nn.Parameter)
        assert not np.shares_memory(
            other[0].weight.detach().numpy(), net[0].weight.detach().numpy()
        )
        other[0](fastnn.ones(1, 2))


def test_file_names_of_pytorch() -> None:
    for path, name in (
        ("batchnorm", "_BatchNorm"), ("activation", "MultiheadAttention"), ("activation", "ReLU"), ("loss", "_Loss"),
        ("rnn", "RNNBase"), ("sparse", "Embedding"), ("utils", "_pair"), ("module", "register_module_forward_hook"),
    ):  # fmt: skip
        found = getattr(importlib.import_module(f"fastnn.nn.modules.{path}"), name)
        assert found is getattr(nn, name, found)
    assert nn.modules.utils._pair(3) == (3, 3)
    assert nn.modules.utils._reverse_repeat_tuple((1, 2), 2) == (2, 2, 1, 1)
