"""The profiler: what it records, schedules, traces; and that nothing stays behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import fastnn
from fastnn import nn
from fastnn.autograd.node import Node
from fastnn.profiler import (
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    tensorboard_trace_handler,
)


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 3), nn.Tanh())

    def forward(self, x: Any) -> Any:
        return self.body(x).sum()


def _step(model: nn.Module, optimizer: Any) -> None:
    optimizer.zero_grad()
    with record_function("forward"):
        loss = model(fastnn.ones(2, 4))
    loss.backward()
    optimizer.step()


def _setting() -> tuple[nn.Module, Any]:
    model = _Net()
    return model, fastnn.optim.SGD(model.parameters(), lr=0.1)


def test_records_operations_gradients_modules_and_blocks() -> None:
    model, optimizer = _setting()
    with profile(
        activities=[ProfilerActivity.CPU], record_shapes=True, profile_memory=True
    ) as prof:
        _step(model, optimizer)
    rows = {row.key: row for row in prof.key_averages()}
    for name in (
        "forward",
        "sum",
        "SumBackward0",
        "AddmmBackward0",
        "TanhBackward0",
        "Optimizer.step#SGD.step",
    ):
        assert rows[name].count == 1, sorted(rows)
    assert "nn.Module: body.0 (Linear)" in rows
    events = {e.name: e for e in prof.events()}
    outer, inner = events["forward"], events["sum"]
    assert outer.start <= inner.start <= inner.end <= outer.end
    assert inner.shapes == ((2, 3),)
    assert events["nn.Module: body (Sequential)"].memory == 2 * 3 * 4
    for event in prof.events():
        assert 0 <= event.self_cpu_time_total <= event.cpu_time_total
    # Every span lies in one that is open: what is inside is not counted twice
    total = sum(e.self_cpu_time_total for e in prof.events())
    tops = sum(e.cpu_time_total for e in prof.events() if e.depth == 0)
    assert total == pytest.approx(tops)
    table = prof.key_averages(group_by_input_shape=True).table(
        sort_by="self_cpu_time_total", row_limit=3
    )
    assert len(table.splitlines()) == 3 + 3 + 2
    assert "Input Shapes" in table


def test_nothing_stays_behind() -> None:
    model, optimizer = _setting()
    _step(model, optimizer)

    def state() -> list[Any]:
        kinds = [fastnn.Tensor, *fastnn.Tensor.__mro__, nn.Module, nn.functional, fastnn, Node]
        return [dict(vars(k)) for k in kinds]

    before = state()
    with profile():
        assert state() != before
        _step(model, optimizer)
    assert state() == before
    with pytest.raises(ZeroDivisionError), profile():
        _ = 1 / 0
    assert state() == before


def test_schedule(tmp_path: Path) -> None:
    plan = schedule(wait=1, warmup=1, active=2, repeat=1, skip_first=1)
    assert [plan(i).name for i in range(7)] == [
        "NONE", "NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE", "NONE", "NONE",
    ]  # fmt: skip
    model, optimizer = _setting()
    seen = []

    def ready(prof: profile) -> None:
        seen.append([e.name for e in prof.events() if e.name.startswith("ProfilerStep")])
        tensorboard_trace_handler(str(tmp_path), "worker")(prof)

    with profile(schedule=plan, on_trace_ready=ready) as prof:
        for _ in range(7):
            _step(model, optimizer)
            prof.step()
    assert seen == [["ProfilerStep#3", "ProfilerStep#4"]]
    (file,) = tmp_path.glob("worker.*.pt.trace.json")
    spans = json.loads(file.read_text())["traceEvents"]
    assert {s["ph"] for s in spans} == {"X"}
    assert sum(s["name"] == "AddmmBackward0" for s in spans) == 2


def test_older_names() -> None:
    assert fastnn.autograd.profiler.profile is profile
    assert fastnn.autograd.profiler.record_function is record_function


def test_decorator_outside_a_profile() -> None:
    @record_function("double")
    def double(x: int) -> int:
        return 2 * x

    assert double(3) == 6


def test_errors() -> None:
    with pytest.raises(ValueError, match="with_stack"):
        profile(with_stack=True)
    with pytest.raises(ValueError, match="with_flops"):
        profile(with_flops=True)
    with pytest.raises(ValueError, match="active >= 1"):
        schedule(wait=0, warmup=0, active=0)
    with profile() as prof:
        fastnn.ones(1)
    with pytest.raises(ValueError, match="sort_by must be one of"):
        prof.key_averages().table(sort_by="nothing")
    with pytest.raises(ValueError, match="group_by_stack_n"):
        prof.key_averages(group_by_stack_n=5)
