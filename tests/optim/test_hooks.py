"""Optimizers' hooks, named parameters, options that are refused, optimizers of one's own, counters that part."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import optim
from fastnn.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
    required,
)


def leaf(*values: float) -> fastnn.Tensor:
    t = fastnn.tensor(list(values)).requires_grad_()
    t.grad = fastnn.ones_like(t)
    return t


def test_step_hooks() -> None:
    w = leaf(1.0)
    optimizer = optim.SGD([w], lr=0.1)
    seen: list[Any] = []
    handles = [
        optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append(("pre", args))),
        optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(("post", w.item()))),
        register_optimizer_step_pre_hook(lambda o, args, kwargs: seen.append("all pre")),
        register_optimizer_step_post_hook(lambda o, args, kwargs: seen.append("all post")),
    ]
    optimizer.step()
    assert seen == ["all pre", ("pre", ()), ("post", pytest.approx(0.9)), "all post"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(seen) == 4
    optimizer.register_step_pre_hook(lambda o, args, kwargs: ((lambda: 7,), {}))
    assert optimizer.step() == 7
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match="must return None or a tuple"):
        optimizer.step()


def test_a_step_that_calls_the_base_runs_hooks_once() -> None:
    class Twice(optim.SGD):
        def step(self, closure: Any = None) -> Any:
            super().step(closure)
            return super().step(closure)

    w = leaf(1.0)
    optimizer = Twice([w], lr=0.25)
    count: list[int] = []
    optimizer.register_step_post_hook(lambda *_: count.append(1))
    optimizer.step()
    assert count == [1]
    assert w.item() == 0.5


def test_state_hooks() -> None:
    optimizer = optim.SGD([leaf(1.0)], lr=0.1)
    order: list[str] = []
    optimizer.register_state_dict_pre_hook(lambda o: order.append("second"))
    optimizer.register_state_dict_pre_hook(lambda o: order.append("first"), prepend=True)
    optimizer.register_state_dict_post_hook(lambda o, state: {**state, "extra": 1})
    state = optimizer.state_dict()
    assert order == ["first", "second"]
    assert state["extra"] == 1

    def faster(o: Any, saved: Any) -> Any:
        groups = [{**g, "lr": 9.0} for g in saved["param_groups"]]
        return {**saved, "param_groups": groups}

    optimizer.register_load_state_dict_pre_hook(faster)
    optimizer.register_load_state_dict_post_hook(lambda o: order.append(str(o.param_groups[0]["lr"])))  # fmt: skip
    optimizer.load_state_dict(state)
    assert order[-1] == "9.0"


def test_named_parameters() -> None:
    model = fastnn.nn.Linear(2, 1)
    optimizer = optim.Adam(model.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    with pytest.raises(ValueError, match="with/without names"):
        optim.Adam([("a", leaf(1.0)), leaf(2.0)])
    with pytest.raises(ValueError, match="with/without names"):
        optimizer.add_param_group({"params": [leaf(1.0)]})


def test_tensor_rate() -> None:
    rate = fastnn.tensor(0.5)
    w = leaf(1.0)
    optimizer = optim.SGD([w], lr=rate)
    optimizer.step()
    assert w.item() == 0.5
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.25
    with pytest.raises(ValueError, match="1-element"):
        optim.SGD([w], lr=fastnn.ones(2))


def test_an_optimizer_of_ones_own() -> None:
    class Plain(optim.Optimizer):
        def __init__(self, params: Any, lr: Any = required) -> None:
            super().__init__(params, {"lr": lr})

        @fastnn.no_grad()
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    self.state[p]["n"] = self.state[p].get("n", 0) + 1
                    p.add_(p.grad, alpha=-group["lr"])

    w = leaf(1.0)
    with pytest.raises(ValueError, match="didn't specify a value of required"):
        Plain([w])
    optimizer = Plain([w], lr=0.5)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 1)
    optimizer.step()
    scheduler.step()
    assert w.item() == 0.5
    assert optimizer.state_dict()["state"] == {0: {"n": 1}}


def test_parameters_that_miss_steps_count_for_themselves() -> None:
    a, b, c = leaf(1.0), leaf(1.0), leaf(1.0)
    optimizer = optim.Adam([{"params": [a, b]}, {"params": [c]}])
    optimizer.step()
    b.grad = None
    optimizer.step()
    b.grad = fastnn.ones(1)
    optimizer.step()
    steps = [optimizer.state[p]["step"].item() for p in (a, b, c)]
    assert steps == [3, 2, 3]
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()
    assert [optimizer.state[p]["step"].item() for p in (a, b, c)] == [4, 3, 4]


@pytest.mark.parametrize("name", ["Adam", "NAdam", "LBFGS", "Adagrad"])
def test_copies(name: str) -> None:
    w = leaf(1.0, 2.0)
    optimizer = getattr(optim, name)([w])
    optimizer.step(lambda: (w * w).sum())
    for again in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        (p,) = again.param_groups[0]["params"]
        assert p is not w
        assert again.state[p].keys() == optimizer.state[w].keys()
        again.register_step_pre_hook(lambda *_: None)


@pytest.mark.parametrize("name", ["Adadelta", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "ASGD"])  # fmt: skip
def test_what_is_not_supported(name: str) -> None:
    make = getattr(optim, name)
    for option in ("capturable", "differentiable"):
        with pytest.raises(ValueError, match=f"{option}=True is not supported"):
            make([leaf(1.0)], **{option: True})
    make([leaf(1.0)], foreach=True)
    optimizer = make([leaf(1.0)])
    state = optimizer.state_dict()
    state["param_groups"][0]["capturable"] = True
    with pytest.raises(ValueError, match="capturable=True is not supported"):
        optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["capturable"] is False


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("name", [n for n in optim.__all__ if n[0].isupper() and n not in ("Optimizer", "LBFGS")])  # fmt: skip
def test_dtypes_and_no_dims(name: str, dtype: str) -> None:
    d = getattr(fastnn, dtype)
    shapes = [(2, 3)] if name == "Muon" else [(), (3,), (2, 3), (2, 1, 3)]
    params = [fastnn.zeros(*shape, dtype=d).requires_grad_() for shape in shapes]
    optimizer = getattr(optim, name)(params, lr=0.25)
    for _ in range(2):
        for p in params:
            p.grad = fastnn.ones_like(p)
        optimizer.step()
    for p in params:
        assert p.dtype is d
        values = p.detach().float().numpy()
        assert np.isfinite(values).all()
        assert (values < 0).any()
        for value in optimizer.state[p].values():
            assert value.shape == () or value.dtype is d


def test_refusals() -> None:
    with pytest.raises(TypeError, match="ordered collections"):
        optim.SGD({leaf(1.0)})
    w = leaf(1.0)
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optim.SGD([w, w])
    with pytest.raises(TypeError, match="a closure"):
        optim.LBFGS([w]).step()
    with pytest.raises(ValueError, match="line_search_fn"):
        optim.LBFGS([w], line_search_fn="golden")
    with pytest.raises(ValueError, match="parameter groups"):
        optim.LBFGS([{"params": [w]}, {"params": [leaf(1.0)]}])
    with pytest.raises(ValueError, match="2D parameters"):
        optim.Muon([w])
    with pytest.raises(RuntimeError, match="cannot be `True` together"):
        optim.SGD([w], foreach=True, fused=True)
    with pytest.raises(NotImplementedError, match="step or update"):
        optim.Optimizer([w], {}).step()
