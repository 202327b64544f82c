"""Optimizers, schedulers and averaged models against PyTorch's: trajectories, rates, states both ways."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest

import fastnn

torch = pytest.importorskip("torch", reason="PyTorch is not installed: an optional reference")

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.005, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Adam", {"lr": 0.05}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1, "amsgrad": True}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("AdamW", {"lr": 0.05, "amsgrad": True, "maximize": True}),
    ("Adagrad", {"lr": 0.05}),
    ("Adagrad", {"lr": 0.05, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.3}),
    ("Adagrad", {"lr": 0.05, "maximize": True, "eps": 1e-3, "weight_decay": 0.1}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("Adamax", {"lr": 0.05}),
    ("Adamax", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {"lr": 0.05}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "momentum_decay": 0.1, "maximize": True}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.05}),
    ("RAdam", {"lr": 0.05, "betas": (0.9, 0.95), "weight_decay": 0.1, "maximize": True}),
    ("RAdam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RMSprop", {"lr": 0.02}),
    ("RMSprop", {"lr": 0.02, "centered": True, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.02, "momentum": 0.9, "alpha": 0.9, "maximize": True}),
    ("RMSprop", {"lr": 0.02, "momentum": 0.5, "centered": True, "eps": 1e-3}),
    ("Rprop", {"lr": 0.02}),
    ("Rprop", {"lr": 0.02, "etas": (0.4, 1.5), "step_sizes": (1e-3, 0.1), "maximize": True}),
    ("ASGD", {"lr": 0.05}),
    ("ASGD", {"lr": 0.05, "lambd": 0.1, "alpha": 0.6, "t0": 5, "weight_decay": 0.1}),
    ("ASGD", {"lr": 0.05, "t0": 0, "maximize": True}),
    ("Adafactor", {"lr": 0.05}),
    ("Adafactor", {"lr": 0.05, "eps": (1e-4, 1e-2), "d": 2.0, "beta2_decay": -0.5, "weight_decay": 0.1}),
    ("Adafactor", {"lr": 0.05, "maximize": True}),
    ("LBFGS", {"lr": 0.5, "max_iter": 3}),
    ("LBFGS", {"max_iter": 1, "history_size": 3, "line_search_fn": "strong_wolfe"}),
    ("LBFGS", {"max_iter": 1, "max_eval": 25, "history_size": 3, "line_search_fn": "strong_wolfe"}),
    ("LBFGS", {"max_iter": 5, "history_size": 3, "line_search_fn": "strong_wolfe"}),
    ("LBFGS", {"lr": 0.1, "max_iter": 8, "max_eval": 5, "line_search_fn": "strong_wolfe"}),
]  # fmt: skip
STEPS = 25
# float64; a step rounds some twenty times, and the loss, smooth and of curvature about one, does not blow rounding up
# in 25 of them. L-BFGS divides by differences of nearby gradients, which cost it six digits more.
RTOL = 25 * 20 * 2.3e-16 * 100
LBFGS_RTOL = RTOL * 1e6


class Problem:
    """A small network on fixed data, the same in both libraries."""

    def __init__(self, lib: Any, dtype: str = "float64") -> None:
        rng = np.random.default_rng(3)
        self.lib = lib
        make = lambda *shape: lib.tensor(rng.normal(size=shape).tolist(), dtype=getattr(lib, dtype))  # noqa: E731
        self.x, self.y = make(8, 3), make(8, 2)
        self.params = [make(3, 4), make(4), make(4, 2), make(2), make(1)[0]]
        for p in self.params:
            p.requires_grad_()

    def loss(self) -> Any:
        a, b, c, d, s = self.params
        out = (self.x @ a + b).tanh() @ c + d
        return ((out - self.y) ** 2).mean() + (s * s).sin()

    def steps(self, optimizer: Any, n: int, sparse: bool = False) -> None:
        for i in range(n):

            def closure() -> Any:
                optimizer.zero_grad()
                loss = self.loss()
                loss.backward()
                return loss

            if type(optimizer).__name__ == "LBFGS":
                optimizer.step(closure)
                continue
            closure()
            if sparse and i % 3 == 1:  # a parameter that misses steps
                self.params[1].grad = None
            optimizer.step()

    def values(self) -> Any:
        return np.concatenate([np.asarray(p.detach().numpy()).ravel() for p in self.params])


def tolerance(name: str) -> float:
    return LBFGS_RTOL if name == "LBFGS" else RTOL


def made(lib: Any, name: str, problem: Problem, options: dict[str, Any]) -> Any:
    return getattr(lib.optim, name)(problem.params, **options)


@pytest.mark.parametrize(("name", "options"), SETTINGS)
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "missing"])
def test_trajectory(name: str, options: dict[str, Any], sparse: bool) -> None:
    results = []
    for lib in (fastnn, torch):
        problem = Problem(lib)
        # Five iterations a step triple a difference with each step: PyTorch itself, from a start moved by 1e-15, is 3e-10
        # away after 8 steps, the 40 iterations compared here, and 0.01 after 25
        n = 8 if options.get("max_iter") == 5 else STEPS
        problem.steps(made(lib, name, problem, options), n, sparse)
        results.append(problem.values())
    assert np.isfinite(results[1]).all()
    np.testing.assert_allclose(*results, rtol=tolerance(name), atol=tolerance(name))


class ConvexProblem(Problem):
    """Logistic regression with weight decay: one minimum, to which a small difference between two descents dies out."""

    def loss(self) -> Any:
        weight, bias = self.params[0][:, 0], self.params[1][0]
        margin = (self.x @ weight + bias) * self.y[:, 0].sign()
        return (1 + (-margin).exp()).log().mean() + 0.01 * sum((p * p).sum() for p in self.params)


@pytest.mark.parametrize("options", [options for name, options in SETTINGS if name == "LBFGS"])
def test_lbfgs_trajectory_to_one_minimum(options: dict[str, Any]) -> None:
    ours, theirs = ConvexProblem(fastnn), ConvexProblem(torch)
    optimizers = made(fastnn, "LBFGS", ours, options), made(torch, "LBFGS", theirs, options)
    for _ in range(STEPS):
        ours.steps(optimizers[0], 1)
        theirs.steps(optimizers[1], 1)
        np.testing.assert_allclose(ours.values(), theirs.values(), rtol=LBFGS_RTOL, atol=LBFGS_RTOL)


def to_fastnn(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return fastnn.from_numpy(value.detach().numpy().copy())
    if isinstance(value, dict):
        return {k: to_fastnn(v) for k, v in value.items()}
    return [to_fastnn(v) for v in value] if isinstance(value, list) else value


def to_torch(value: Any) -> Any:
    if isinstance(value, fastnn.Tensor):
        return torch.from_numpy(value.detach().numpy().copy())
    if isinstance(value, dict):
        return {k: to_torch(v) for k, v in value.items()}
    return [to_torch(v) for v in value] if isinstance(value, list) else value


def shape_of(value: Any) -> Any:
    """The nest of ``value`` with tensors as their dtypes and shapes."""
    if isinstance(value, (torch.Tensor, fastnn.Tensor)):
        return str(value.dtype).split(".")[-1], tuple(value.shape)
    if isinstance(value, dict):
        return {k: shape_of(v) for k, v in value.items()}
    return [shape_of(v) for v in value] if isinstance(value, list) else type(value)


@pytest.mark.parametrize(("name", "options"), SETTINGS)
def test_state_goes_both_ways(name: str, options: dict[str, Any]) -> None:
    problems = {lib: Problem(lib) for lib in (fastnn, torch)}
    optimizers = {lib: made(lib, name, p, options) for lib, p in problems.items()}
    for lib, problem in problems.items():
        problem.steps(optimizers[lib], 4)
    ours, theirs = optimizers[fastnn].state_dict(), optimizers[torch].state_dict()
    for kept in (ours["state"], theirs["state"]):
        for state in kept.values():  # L-BFGS's workspace, and a length that is a number or a tensor
            state.pop("al", None)
            state["t"] = float(state.get("t", 0))
    assert shape_of(ours["state"]) == shape_of(theirs["state"])
    assert ours["param_groups"] == theirs["param_groups"]
    fresh = {lib: Problem(lib) for lib in (fastnn, torch)}
    for lib, problem in fresh.items():
        source = problems[torch if lib is fastnn else fastnn]
        for p, q in zip(problem.params, source.params, strict=True):
            p.data.copy_(lib.from_numpy(q.detach().numpy().copy()))
    loaded = {lib: made(lib, name, p, options) for lib, p in fresh.items()}
    loaded[fastnn].load_state_dict(to_fastnn(theirs))
    loaded[torch].load_state_dict(to_torch(ours))
    for lib, problem in fresh.items():
        problem.steps(loaded[lib], 4)
        problems[lib].steps(optimizers[lib], 4)
    # What PyTorch loads as float64 (eta, mu_product) goes on with 29 digits more, in both libraries
    np.testing.assert_allclose(fresh[fastnn].values(), fresh[torch].values(), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(fresh[fastnn].values(), problems[torch].values(), rtol=1e-6, atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("options", [{"lr": 0.02}, {"lr": 0.02, "nesterov": False, "adjust_lr_fn": "match_rms_adamw", "momentum": 0.8}])  # fmt: skip
def test_muon(options: dict[str, Any]) -> None:
    results = []
    for lib in (fastnn, torch):
        problem = Problem(lib, "float32")
        matrices = [p for p in problem.params if p.ndim == 2]
        optimizer = lib.optim.Muon(matrices, **options)
        for _ in range(STEPS):
            optimizer.zero_grad()
            problem.loss().backward()
            optimizer.step()
        results.append(problem.values())
    # The bound of ten steps holds for all 25: rates below 0.02 * 2, each along a direction that is known to bfloat16's 2**-8, five roundings deep
    np.testing.assert_allclose(*results, atol=10 * 0.04 * 5 * 2**-8, rtol=0)
    assert np.abs(results[0] - Problem(fastnn, "float32").values()).max() > 0.05


def test_defaults_and_signatures() -> None:
    import inspect

    for name, _ in SETTINGS:
        ours = inspect.signature(getattr(fastnn.optim, name)).parameters
        theirs = inspect.signature(getattr(torch.optim, name)).parameters
        assert [(p.name, p.default, p.kind) for p in ours.values()] == [
            (p.name, p.default, p.kind) for p in theirs.values()
        ], name
    for name in fastnn.optim.lr_scheduler.__all__:
        ours = inspect.signature(getattr(fastnn.optim.lr_scheduler, name)).parameters
        theirs = inspect.signature(getattr(torch.optim.lr_scheduler, name)).parameters
        assert [(p.name, p.default) for p in ours.values()] == [
            (p.name, p.default) for p in theirs.values()
        ], name


BAD: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": -1}),
    ("SGD", {"fused": True, "foreach": True}),
    ("Adagrad", {"lr_decay": -1}),
    ("Adagrad", {"initial_accumulator_value": -1}),
    ("Adadelta", {"rho": 2}),
    ("Adadelta", {"eps": -1}),
    ("Adamax", {"betas": (1, 0.9)}),
    ("NAdam", {"momentum_decay": -1}),
    ("RAdam", {"weight_decay": -1}),
    ("RMSprop", {"alpha": -1}),
    ("RMSprop", {"momentum": -1}),
    ("Rprop", {"etas": (2, 3)}),
    ("ASGD", {"weight_decay": -1}),
    ("Adafactor", {"beta2_decay": 1}),
    ("Adafactor", {"eps": (-1, 1)}),
    ("Adafactor", {"d": 0.5}),
    ("Muon", {"momentum": -1}),
    ("Muon", {"adjust_lr_fn": "x"}),
    ("LBFGS", {"lr": -1}),
]


@pytest.mark.parametrize(("name", "options"), BAD)
def test_refused_alike(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        getattr(torch.optim, name)([torch.ones(2, 2, requires_grad=True)], **options)
    with pytest.raises(theirs.type) as ours:
        getattr(fastnn.optim, name)([fastnn.ones(2, 2, requires_grad=True)], **options)
    start = str(theirs.value)[:30]
    assert str(ours.value).startswith(start)


# -- schedulers ----------------------------------------------------------------------------------------

SCHEDULERS: list[tuple[str, Any]] = [
    ("LambdaLR", lambda L, o: L.LambdaLR(o, lambda e: 0.95**e)),
    ("LambdaLR_list", lambda L, o: L.LambdaLR(o, [lambda e: 0.95**e, lambda e: 1 / (e + 1)])),
    ("MultiplicativeLR", lambda L, o: L.MultiplicativeLR(o, lambda e: 0.95 if e % 2 else 1.02)),
    ("StepLR", lambda L, o: L.StepLR(o, 4, 0.5)),
    ("MultiStepLR", lambda L, o: L.MultiStepLR(o, [3, 9, 9, 15], 0.5)),
    ("ConstantLR", lambda L, o: L.ConstantLR(o, 0.2, 6)),
    ("LinearLR", lambda L, o: L.LinearLR(o, 0.2, 0.8, 7)),
    ("ExponentialLR", lambda L, o: L.ExponentialLR(o, 0.9)),
    ("PolynomialLR", lambda L, o: L.PolynomialLR(o, 9, 2.0)),
    ("CosineAnnealingLR", lambda L, o: L.CosineAnnealingLR(o, 7, 0.001)),
    ("CosineAnnealingLR_long", lambda L, o: L.CosineAnnealingLR(o, 40)),
    ("CosineAnnealingWarmRestarts", lambda L, o: L.CosineAnnealingWarmRestarts(o, 4, 2, 0.001)),
    ("CosineAnnealingWarmRestarts_1", lambda L, o: L.CosineAnnealingWarmRestarts(o, 5)),
    ("CyclicLR", lambda L, o: L.CyclicLR(o, 0.01, 0.1, 4)),
    ("CyclicLR_2", lambda L, o: L.CyclicLR(o, 0.01, [0.1, 0.2], 4, 3, mode="triangular2")),
    ("CyclicLR_exp", lambda L, o: L.CyclicLR(o, 0.01, 0.1, 4, mode="exp_range", gamma=0.95)),
    ("CyclicLR_fn", lambda L, o: L.CyclicLR(o, 0.01, 0.1, 4, scale_fn=lambda x: 1 / x, cycle_momentum=False)),
    ("OneCycleLR", lambda L, o: L.OneCycleLR(o, 0.1, total_steps=31)),
    ("OneCycleLR_3", lambda L, o: L.OneCycleLR(o, [0.1, 0.3], epochs=6, steps_per_epoch=5, three_phase=True, anneal_strategy="linear")),
    ("SequentialLR", lambda L, o: L.SequentialLR(o, [L.LinearLR(o, 0.1, 1.0, 5), L.CosineAnnealingLR(o, 8), L.ExponentialLR(o, 0.8)], [5, 14])),
    ("SequentialLR_restart", lambda L, o: L.SequentialLR(o, [L.ConstantLR(o, 0.1, 3), L.CosineAnnealingWarmRestarts(o, 6)], [4])),
    ("ChainedScheduler", lambda L, o: L.ChainedScheduler([L.ConstantLR(o, 0.1, 4), L.ExponentialLR(o, 0.9)])),
    ("SWALR", lambda L, o: swa(L).SWALR(o, 0.02, 6)),
    ("SWALR_linear", lambda L, o: swa(L).SWALR(o, [0.02, 0.3], 0, "linear")),
]  # fmt: skip
each_scheduler = pytest.mark.parametrize("make", [m for _, m in SCHEDULERS], ids=[n for n, _ in SCHEDULERS])  # fmt: skip


def swa(L: Any) -> Any:
    return __import__(L.__name__.rsplit(".", 1)[0] + ".swa_utils", fromlist=["x"])


def optimizer_of(lib: Any, **options: Any) -> Any:
    a, b = (lib.ones(1, requires_grad=True) for _ in range(2))
    return lib.optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.05}], lr=0.1, momentum=0.5, **options)  # fmt: skip


def run(optimizer: Any, scheduler: Any, n: int) -> list[Any]:
    rates = []
    for _ in range(n):
        rates.append([(float(g["lr"]), g["momentum"]) for g in optimizer.param_groups])
        assert [lr for lr, _ in rates[-1]] == [float(r) for r in scheduler.get_last_lr()]
        optimizer.step()
        scheduler.step()
    return rates


@each_scheduler
def test_rates(make: Any) -> None:
    ours, theirs = (
        run(o := optimizer_of(lib), make(lib.optim.lr_scheduler, o), 29) for lib in (fastnn, torch)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-17)  # 29 products of doubles


@each_scheduler
def test_scheduler_state_goes_both_ways(make: Any) -> None:
    runs = {}
    for lib in (fastnn, torch):
        optimizer = optimizer_of(lib)
        scheduler = make(lib.optim.lr_scheduler, optimizer)
        run(optimizer, scheduler, 7)
        runs[lib] = optimizer, scheduler
    ours, theirs = (
        {k: v for k, v in runs[lib][1].state_dict().items() if not k.startswith("_scale")}
        for lib in (fastnn, torch)
    )
    assert ours.keys() == theirs.keys()
    expected = run(*runs[torch], 15)
    for source, target in ((torch, fastnn), (fastnn, torch)):
        optimizer = optimizer_of(target)
        scheduler = make(target.optim.lr_scheduler, optimizer)
        fresh = optimizer_of(source)
        before = make(source.optim.lr_scheduler, fresh)
        run(fresh, before, 7)
        groups = copy.deepcopy([{k: v for k, v in g.items() if k != "params"} for g in fresh.param_groups])  # fmt: skip
        for group, saved in zip(optimizer.param_groups, groups, strict=True):
            group.update(saved)
        scheduler.load_state_dict(copy.deepcopy(before.state_dict()))
        np.testing.assert_allclose(run(optimizer, scheduler, 15), expected, rtol=1e-13, atol=1e-17)


CHAINABLE = ["StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR", "CosineAnnealingLR"]  # fmt: skip


@pytest.mark.parametrize("name", CHAINABLE)
def test_going_on_and_jumping(name: str) -> None:
    make = dict(SCHEDULERS)[name]
    results: list[Any] = []
    for lib in (fastnn, torch):
        L = lib.optim.lr_scheduler
        optimizer = optimizer_of(lib)
        scheduler = make(L, optimizer)
        optimizer.step()
        rates = []
        with pytest.warns(UserWarning, match="epoch parameter"):  # noqa: PT031
            for epoch in (5, 2, 11):
                scheduler.step(epoch)
                rates.append(scheduler.get_last_lr())
        options = {
            "StepLR": (4, 0.5),
            "MultiStepLR": ([3, 9, 9, 15], 0.5),
            "ConstantLR": (0.2, 6),
            "LinearLR": (0.2, 0.8, 7),
            "ExponentialLR": (0.9,),
            "PolynomialLR": (9, 2.0),
            "CosineAnnealingLR": (7, 0.001),
        }
        resumed = getattr(L, name)(optimizer, *options[name], last_epoch=3)
        rates.append(resumed.get_last_lr())
        for _ in range(5):
            optimizer.step()
            resumed.step()
            rates.append(resumed.get_last_lr())
        results.append(rates)
    np.testing.assert_allclose(*results, rtol=1e-13, atol=1e-17)


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 1},
        {"mode": "max", "patience": 0, "cooldown": 2, "threshold": 0.1, "threshold_mode": "abs"},
        {"factor": 0.5, "patience": 0, "min_lr": [0.04, 0.01], "threshold": 0.1},
        {"mode": "max", "patience": 2, "eps": 0.02},
    ],
)
def test_plateau(options: dict[str, Any]) -> None:
    metrics = np.random.default_rng(0).normal(1, 0.3, 30).tolist()
    results = []
    for lib in (fastnn, torch):
        optimizer = optimizer_of(lib)
        scheduler = lib.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        rates = []
        for metric in metrics:
            scheduler.step(lib.tensor(metric))
            rates.append(scheduler.get_last_lr())
        results.append((rates, {k: v for k, v in scheduler.state_dict().items() if k != "best"}))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-14)
    assert results[0][1].keys() == results[1][1].keys()
    assert results[0][1]["num_bad_epochs"] == results[1][1]["num_bad_epochs"]


def test_warm_restarts_by_fractions() -> None:
    results = []
    for lib in (fastnn, torch):
        optimizer = optimizer_of(lib)
        scheduler = lib.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3, 2)
        rates = []
        for epoch in np.arange(0, 12, 0.25).tolist():
            scheduler.step(epoch)
            rates.append(scheduler.get_last_lr())
        results.append(rates)
    np.testing.assert_allclose(*results, rtol=1e-13)


def test_betas_as_momentum() -> None:
    results = []
    for lib in (fastnn, torch):
        optimizer = lib.optim.Adam([lib.ones(1, requires_grad=True)], lr=0.1)
        scheduler = lib.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10)
        seen = []
        for _ in range(9):
            optimizer.step()
            scheduler.step()
            seen.append(optimizer.param_groups[0]["betas"])
        results.append(seen)
    np.testing.assert_allclose(*results, rtol=1e-13)


def test_order_warning() -> None:
    for lib in (fastnn, torch):
        optimizer = optimizer_of(lib)
        scheduler = lib.optim.lr_scheduler.StepLR(optimizer, 3)
        with pytest.warns(
            UserWarning, match=r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"
        ):
            scheduler.step()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            scheduler.step()


# -- averaged models -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["default", "ema", "multi_ema", "swa", "multi_swa", "own"])
@pytest.mark.parametrize("use_buffers", [False, True])
def test_averaged_model(kind: str, use_buffers: bool) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 2, 3)).tolist()
    results = []
    for lib in (fastnn, torch):
        S = lib.optim.swa_utils
        options = {
            "default": {},
            "ema": {"avg_fn": S.get_ema_avg_fn(0.9)},
            "multi_ema": {"multi_avg_fn": S.get_ema_multi_avg_fn(0.9)},
            "swa": {"avg_fn": S.get_swa_avg_fn()},
            "multi_swa": {"multi_avg_fn": S.get_swa_multi_avg_fn()},
            "own": {"avg_fn": lambda a, p, n: a * 0.5 + p * 0.25},
        }[kind]
        model = lib.nn.Module()
        model.weight = lib.nn.Parameter(lib.ones(3))
        model.register_buffer("running_mean", lib.zeros(3))
        averaged = S.AveragedModel(model, use_buffers=use_buffers, **options)
        for weight, mean in values:
            model.weight.data.copy_(lib.tensor(weight))
            model.running_mean.copy_(lib.tensor(mean))
            averaged.update_parameters(model)
        state = averaged.state_dict()
        results.append({k: np.asarray(v.numpy()) for k, v in state.items()})
    assert list(results[0]) == list(results[1])
    for key, value in results[1].items():
        np.testing.assert_allclose(results[0][key], value, rtol=1e-6, atol=1e-6)  # float32


def test_update_bn() -> None:
    data = np.random.default_rng(0).normal(3, 2, (4, 6, 3)).tolist()
    results = []
    for lib in (fastnn, torch):
        model = lib.nn.Sequential(lib.nn.BatchNorm1d(3), lib.nn.ReLU())
        model.eval()
        lib.optim.swa_utils.update_bn([[lib.tensor(batch)] for batch in data], model)
        assert not model.training
        assert model[0].momentum == 0.1
        results.append([model[0].running_mean.numpy(), model[0].running_var.numpy()])
    np.testing.assert_allclose(*results, rtol=1e-5)  # float32, sums of 24
