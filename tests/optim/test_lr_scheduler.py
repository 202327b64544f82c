"""Schedulers: saved and loaded, refused arguments, warnings; their rates are held to PyTorch's in torch_parity."""

from __future__ import annotations

import io
from typing import Any

import pytest

import fastnn
from fastnn import optim
from fastnn.optim import lr_scheduler as L
from fastnn.optim import swa_utils


def sgd(**options: Any) -> Any:
    return optim.SGD([fastnn.ones(1, requires_grad=True)], lr=1.0, **options)


def test_resuming_in_a_new_process() -> None:
    def steps(optimizer: Any, scheduler: Any, n: int) -> list[float]:
        rates = []
        for _ in range(n):
            optimizer.step()
            scheduler.step()
            rates.append(scheduler.get_last_lr()[0])
        return rates

    def make() -> tuple[Any, Any]:
        optimizer = sgd(momentum=0.9)
        parts = [L.LinearLR(optimizer, 0.1, 1.0, 3), L.MultiStepLR(optimizer, [2, 4, 4], 0.5)]
        return optimizer, L.SequentialLR(optimizer, parts, [4])

    optimizer, scheduler = make()
    steps(optimizer, scheduler, 5)
    file = io.BytesIO()
    fastnn.save({"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}, file)
    expected = steps(optimizer, scheduler, 6)
    file.seek(0)
    saved = fastnn.load(file)
    optimizer, scheduler = make()
    optimizer.load_state_dict(saved["optimizer"])
    scheduler.load_state_dict(saved["scheduler"])
    assert steps(optimizer, scheduler, 6) == expected


def test_functions_are_not_saved_but_objects_are() -> None:
    class Half:
        def __init__(self, base: float) -> None:
            self.base = base

        def __call__(self, epoch: int) -> float:
            return self.base**epoch

    scheduler = L.LambdaLR(sgd(), Half(0.5))
    assert scheduler.state_dict()["lr_lambdas"] == [{"base": 0.5}]
    other = L.LambdaLR(sgd(), Half(0.1))
    other.load_state_dict(scheduler.state_dict())
    other.optimizer.step()
    other.step()
    assert other.get_last_lr() == [0.5]
    assert L.LambdaLR(sgd(), lambda e: 1.0).state_dict()["lr_lambdas"] == [None]


def test_a_scheduler_of_ones_own() -> None:
    class Inverse(L.LRScheduler):
        def get_lr(self) -> list[float]:
            return [base / (1 + self.last_epoch) for base in self.base_lrs]

    optimizer = sgd()
    scheduler = Inverse(optimizer)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.25
    with pytest.raises(NotImplementedError, match="must define get_lr"):
        L.LRScheduler(sgd())


def test_warnings() -> None:
    with pytest.warns(UserWarning, match="get_last_lr"):
        L.StepLR(sgd(), 1).get_lr()
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        L.StepLR(sgd(), 1).step()


O = sgd()  # noqa: E741
REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda: L.StepLR(3, 1), TypeError, "int is not an Optimizer"),  # type: ignore[arg-type]
    (lambda: L.StepLR(sgd(), 1, last_epoch=3), KeyError, "initial_lr"),
    (lambda: L.LambdaLR(O, [abs, abs]), ValueError, "Expected 1 lr_lambdas, but got 2"),
    (lambda: L.ConstantLR(O, 2.0), ValueError, "between 0 and 1, got 2.0"),
    (lambda: L.LinearLR(O, 0.0), ValueError, "Starting multiplicative factor"),
    (lambda: L.LinearLR(O, end_factor=-1.0), ValueError, "Ending multiplicative factor"),
    (lambda: L.SequentialLR(O, [], []), ValueError, "at least one scheduler"),
    (lambda: L.SequentialLR(O, [L.StepLR(O, 1)], [1]), ValueError, "one more than"),
    (lambda: L.SequentialLR(O, [L.StepLR(O, 1), L.ReduceLROnPlateau(O)], [1]), ValueError, "ReduceLROnPlateau"),
    (lambda: L.ChainedScheduler([]), ValueError, "at least one scheduler"),
    (lambda: L.ChainedScheduler([L.StepLR(O, 1), L.StepLR(sgd(), 1)]), ValueError, "same optimizer"),
    (lambda: L.ReduceLROnPlateau(O, factor=1.0), ValueError, "Factor should be < 1.0"),
    (lambda: L.ReduceLROnPlateau(O, "x"), ValueError, "mode x is unknown"),
    (lambda: L.ReduceLROnPlateau(O, threshold_mode="x"), ValueError, "threshold mode x"),
    (lambda: L.ReduceLROnPlateau(O, min_lr=[1, 2]), ValueError, "expected 1 min_lrs, got 2"),
    (lambda: L.CyclicLR(O, 0.1, 0.2, mode="x"), ValueError, "mode is invalid"),
    (lambda: L.CyclicLR(O, [0.1, 0.2], 0.2), ValueError, "base_lr must have the same length"),
    (lambda: L.CyclicLR(optim.Adagrad([fastnn.ones(1, requires_grad=True)]), 0.1, 0.2), ValueError, "momentum or beta1"),
    (lambda: L.CosineAnnealingWarmRestarts(O, 0), ValueError, "positive integer T_0"),
    (lambda: L.CosineAnnealingWarmRestarts(O, 5, 0), ValueError, "T_mult >= 1"),
    (lambda: L.CosineAnnealingWarmRestarts(O, 5).step(-1), ValueError, "non-negative epoch"),
    (lambda: L.OneCycleLR(O, 0.1), ValueError, "total_steps OR"),
    (lambda: L.OneCycleLR(O, 0.1, total_steps=-1), ValueError, "positive integer total_steps"),
    (lambda: L.OneCycleLR(O, 0.1, epochs=-1, steps_per_epoch=1), ValueError, "positive integer epochs"),
    (lambda: L.OneCycleLR(O, 0.1, total_steps=10, pct_start=2), ValueError, "pct_start"),
    (lambda: L.OneCycleLR(O, 0.1, total_steps=10, anneal_strategy="x"), ValueError, "anneal_strategy"),
    (lambda: [L.OneCycleLR(O, 0.1, total_steps=2)._update_lr() for _ in range(3)] and L.OneCycleLR(O, 0.1, total_steps=2)._update_lr(3), ValueError, "Tried to step 3 times"),
    (lambda: swa_utils.SWALR(O, [0.1, 0.2]), ValueError, "swa_lr must have the same length"),
    (lambda: swa_utils.SWALR(O, 0.1, anneal_strategy="x"), ValueError, "anneal_strategy"),
    (lambda: swa_utils.SWALR(O, 0.1, -1), ValueError, "anneal_epochs"),
    (lambda: swa_utils.get_ema_avg_fn(2.0), ValueError, "Invalid decay value 2.0"),
    (lambda: swa_utils.AveragedModel(fastnn.nn.ReLU(), avg_fn=abs, multi_avg_fn=abs), AssertionError, "Only one"),
    (lambda: swa_utils.AveragedModel(fastnn.nn.ReLU(), "cuda"), RuntimeError, "AveragedModel.*not available"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_refusals(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
