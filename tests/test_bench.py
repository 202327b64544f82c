"""The benchmark suite: it measures, and writes what it measured. Its peers need not be installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

pytest.importorskip(
    "fastnn._cpu", reason="what is measured, and the machine's roofs, are C++ kernels"
)

from bench import goals, measure, report, results, rows  # noqa: E402
from bench.measure import Result, Row, Sample  # noqa: E402
from bench.roofline import Machine  # noqa: E402


def _bench(*arguments: str | Path, code: int = 0) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert run.returncode == code, run.stdout + run.stderr
    return run.stdout + run.stderr


def _machine() -> Machine:
    return Machine(
        cpu="a processor", cores=2, isa="avx2", system="Linux", python="3.11", versions={"fastnn": "1"},
        build={"compiler": "GNU"}, threads=2, flops={"float32": 1e11, "float64": 5e10},
        copies={"16384": 1e11, "268435456": 1e10}, sizes={"fastnn": 5_000_000},
    )  # fmt: skip


def _result(name: str, ours: list[float], theirs: list[float]) -> Result:
    return Result(
        "gemm", name, {"fastnn": ours, "torch": theirs}, {"fastnn": [0.0] * len(ours), "torch": [1.0] * len(ours)},
        memory={"fastnn": 10_000_000}, flops=2e6, bytes=1e4, series=("squares: n", len(name)),
    )  # fmt: skip


def _run(*found: Result) -> results.Run:
    return results.Run(_machine(), 4, "2026-01-01T00:00:00", list(found))


class Recorded:
    """A contestant that gives times from a list, and writes down its turns."""

    def __init__(self, who: str, times: list[float], turns: list[str]) -> None:
        self.who, self.times, self.turns, self.closed = who, iter(times), turns, False

    def __call__(self, repeat: int) -> Sample:
        self.turns.append(self.who)
        return Sample(next(self.times), 0.0)

    def close(self) -> None:
        self.closed = True


def test_contestants_take_turns_and_the_first_three_rounds_do_not_count():
    turns: list[str] = []
    a = Recorded("fastnn", [9, 9, 9, 1, 1, 1, 4], turns)
    b = Recorded("torch", [9, 9, 9, 2, 4, 3, 4], turns)
    row = Row("group", "name", {})

    def missing() -> Recorded:
        raise ImportError("no such library")

    result = measure.measure(row, {"fastnn": lambda: a, "torch": lambda: b, "jax": missing}, 4)
    assert result.seconds == {"fastnn": [1, 1, 1, 4], "torch": [2, 4, 3, 4]}
    assert result.missing == {"jax": "no such library"}
    assert {tuple(turns[i : i + 2]) for i in range(0, 14, 2)} == {("fastnn", "torch"), ("torch", "fastnn")}  # fmt: skip
    assert result.ratio("torch") == 2.5  # of 2, 4, 3 and 1
    assert a.closed
    assert b.closed


def test_contestants_are_closed_when_one_fails():
    good = Recorded("fastnn", [1.0] * 9, [])
    bad = Recorded("torch", [], [])
    with pytest.raises(StopIteration):
        measure.measure(Row("group", "name", {}), {"fastnn": lambda: good, "torch": lambda: bad}, 2)
    assert good.closed
    assert bad.closed


def test_best_peer_is_the_fastest_that_does_the_same_work():
    result = Result("g", "n", {"fastnn": [2.0], "slow": [4.0], "fast": [3.0], "floor": [1.0]}, floors=("floor",))  # fmt: skip
    assert result.best_peer() == "fast"
    assert result.ratio("fast") == 1.5


@pytest.mark.parametrize(
    ("name", "peer", "wanted"),
    [
        ("no row of this name", [0.8, 0.9, 0.9, 1.3, 1.4], "not told from the goal"),
        ("no row of this name", [0.8, 0.9, 0.9, 0.9, 1.4], "not known yet"),
        ("import, in a process of its own", [0.8, 0.9, 0.9, 1.3, 1.4], "NumPy"),
    ],
)
def test_cause_is_the_one_known_or_the_spread(name, peer, wanted):
    result = Result("overhead", name, {"fastnn": [1.0] * 5, "torch": peer})
    assert goals.short(result)
    assert wanted in goals.cause(result)


def test_goals_to_some_peers_have_a_mean_of_their_own():
    result = Result("inference", "n", {"fastnn": [1.0], "torch eager": [4.0], "torch compile": [2.0], "onnxruntime": [0.5]})  # fmt: skip
    assert result.best_peer() == "onnxruntime"
    assert result.best_peer("torch*") == "torch compile"
    assert result.best_peer("jax*") is None
    text = report.summary(_run(result))
    assert "| inference | 1 | 0.50 | 1.0 |" in " ".join(text.split())
    assert "| inference, to torch | 1 | 2.00 | 3.0 |" in " ".join(text.split())


def test_groups_below_their_goal_have_a_cause():
    slow = Result("pool", "n", {"fastnn": [1.0], "torch": [4.0]})
    fast = Result("conv", "n", {"fastnn": [1.0], "torch": [2.5]})
    text = report.short_groups(_run(slow, fast))
    assert "4.00" in text
    assert goals.of("pool")[0].why in text
    assert "conv" not in text
    assert report.short_groups(_run(fast)) == "None."
    small = Result("training", "MNIST MLP step, batch 16", {"fastnn": [1.0], "torch eager": [3.9], "torch fused": [3.0]})  # fmt: skip
    large = Result("training", "MNIST MLP step, batch 256", {"fastnn": [1.0], "torch eager": [3.5]})
    text = " ".join(report.short_groups(_run(small, large)).split())
    assert "to torch eager | least | 3.90 | 4.0 |" in text


def test_saved_runs_are_the_same_when_loaded(tmp_path):
    run = _run(_result("a", [1.0, 2.0], [3.0, 4.0]))
    run.save(tmp_path / "run.json")
    assert results.load(tmp_path / "run.json") == run


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "machine": {}}'])
def test_files_of_another_format_are_refused(tmp_path, text):
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="not a result of python -m bench run"):
        results.load(path)
    assert "not a result of" in _bench("report", path, code=2)


def test_comparison_tells_what_is_beyond_the_spread():
    before = _run(
        _result("a", [2.0, 2.1, 2.2, 2.1], [1.0] * 4),
        _result("b", [1.0, 2.0, 3.0, 4.0], [1.0] * 4),
        _result("gone", [1.0], [1.0]),
    )
    after = _run(
        _result("a", [1.0, 1.1, 1.0, 1.1], [1.0] * 4),
        _result("b", [1.1, 2.1, 3.1, 3.9], [1.0] * 4),
        _result("new", [1.0], [1.0]),
    )
    changes, only_before, only_after = results.compare(before, after)
    assert [(c.title, c.certain) for c in changes] == [("gemm: a", True), ("gemm: b", False)]
    assert changes[0].ratio == pytest.approx(2.0)
    assert (only_before, only_after) == (["gemm: gone"], ["gemm: new"])
    text = report.changes(changes, only_before, only_after)
    assert "| gemm: a " in text
    assert "within the spread" in text
    assert "Only after: gemm: new" in text


def test_runs_of_one_machine_are_merged():
    first = _run(_result("a", [1.0] * 4, [2.0] * 4), _result("b", [1.0] * 4, [2.0] * 4))
    again = _run(_result("a", [4.0] * 4, [2.0] * 4), _result("c", [1.0] * 4, [2.0] * 4))
    merged = results.merge([first, again])
    assert [(r.name, r.median("fastnn")) for r in merged.results] == [("a", 4), ("b", 1), ("c", 1)]
    again.machine.versions = {"fastnn": "2"}
    with pytest.raises(ValueError, match="different machines: versions"):
        results.merge([first, again])
    with pytest.raises(ValueError, match="4 and of 9 rounds"):
        results.merge([first, results.Run(_machine(), 9, "2026-01-01T00:00:00", [])])


def test_report_has_figures_and_plots(tmp_path):
    run = _run(_result("a", [1e-3, 2e-3], [3e-3, 4e-3]), _result("bb", [2e-6, 2e-6], [1e-6, 1e-6]))
    report.write(run, tmp_path / "performance.md")
    text = (tmp_path / "performance.md").read_text()
    assert "| a " in text
    assert "1.5 ms" in text  # the median
    assert "2.50" in text  # of 3 and 2
    assert "| gemm | 2      | 1.12" in text  # sqrt(2.5 * 0.5)
    assert text.count("not known yet") == 1  # the row that is slower
    for file in ("roofline", "ratios-to-the-best-peer", "squares-n"):
        assert f"performance/{file}.svg" in text
        assert (tmp_path / "performance" / f"{file}.svg").stat().st_size > 1000


def test_titles_are_unique():
    titles = [row.title for row in rows.ROWS]
    assert len(set(titles)) == len(titles)


def test_command_line_measures_and_writes(tmp_path):
    pattern = "elementwise: add (64, 128)"
    json, written = tmp_path / "run.json", tmp_path / "out.md"
    options = ["--rounds", "2", "--peers", "numpy", "--json", json, "--report", written]
    text = _bench("run", pattern.replace("(", "[(]"), *options)
    assert pattern in text
    (result,) = results.load(json).results
    assert list(result.seconds) == ["fastnn"]
    assert len(result.seconds["fastnn"]) == 2
    assert all(s > 0 for s in result.seconds["fastnn"])
    assert "add (64, 128)" in written.read_text()
    assert "Geometric mean: 1.00" in _bench("compare", json, json)


def test_peak_memory_is_of_a_process_of_its_own():
    from bench.worker import peak_memory

    found = peak_memory("training: MNIST MLP step, batch 64", "fastnn", 1)
    # Parameters, gradients and Adam's two moments, float32; and less than a hundred times of it.
    parameters = 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10
    assert found is not None
    assert 16 * parameters <= found < 1600 * parameters


def test_unknown_rows_are_refused():
    assert "no row matches nothing" in _bench("run", "nothing", code=2)
    assert "memory" not in _bench("list", "gemm")


def test_roofs_are_measured_at_every_level():
    from fastnn import _cpu

    level = _cpu.isa()
    try:
        found = {}
        for isa in _cpu.isa_levels():
            _cpu.set_isa(isa)
            found[isa] = [_cpu.peak_flops(dtype, 0.02) for dtype in ("float32", "float64")]
    finally:
        _cpu.set_isa(level)
    assert all(1e7 < flops < 1e14 for pair in found.values() for flops in pair)
    assert 1e6 < _cpu.copy_bandwidth(1 << 20, 0.02) < 1e14


def test_roofs_refuse_bad_arguments():
    from fastnn import _cpu

    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64', got 'int8'"):
        _cpu.peak_flops("int8")
    for seconds in (0, -1, float("nan"), 1e9):
        with pytest.raises(ValueError, match="seconds must be over 0 and at most 60"):
            _cpu.peak_flops("float32", seconds)
        with pytest.raises(ValueError, match="seconds must be over 0 and at most 60"):
            _cpu.copy_bandwidth(1024, seconds)
    with pytest.raises(ValueError, match="bytes must be at least 1, got 0"):
        _cpu.copy_bandwidth(0)
