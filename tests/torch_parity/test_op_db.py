"""PyTorch's own samples of every operation: values, dtypes, gradients and gradients of gradients."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastnn

torch = pytest.importorskip("torch", reason="PyTorch is not installed: an optional reference")
pytest.importorskip("expecttest", reason="expecttest is not installed: PyTorch's op_db needs it")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db

from . import exclusions  # noqa: E402
from . import op_db as database  # noqa: E402
from .convert import array_of, close, dtype_name, flat, to_fastnn  # noqa: E402

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore")


def _identify(info: Any) -> str:
    return f"{info.name}:{info.variant_test_name}" if info.variant_test_name else info.name


def _excluded(table: dict[str, str], info: Any) -> bool:
    return info.name in table or _identify(info) in table


SCOPE = [
    info for info in op_db if torch.float32 in info.dtypes and not database.out_of_scope(info.name)
]
TESTED = [info for info in SCOPE if not _excluded(exclusions.FORWARD, info)]
DIFFERENTIABLE_TWICE = [
    info
    for info in TESTED
    if info.supports_autograd
    and info.supports_gradgrad
    and info.name not in database.RANDOM
    and not _excluded(exclusions.DOUBLE_BACKWARD, info)
    and not _excluded(exclusions.DOUBLE_BACKWARD_OF_PYTORCH, info)
]


def _run(info: Any, function: Any, sample: Any) -> Any:
    prepare = database.PREPARED.get(_identify(info))
    if prepare is None:
        return function(sample.input, *sample.args, **sample.kwargs)
    kwargs = dict(sample.kwargs)
    given = {k: kwargs.pop(k) for k in ("upper",) if k in kwargs and "linalg" not in info.name}
    if info.name == "cholesky":
        kwargs, given = {**kwargs, **given}, {}
    return function(*prepare(sample.input, *sample.args, **given), **kwargs)


def _processed(sample: Any, output: Any) -> list[Any]:
    """The differentiable part of an output, as PyTorch's own tests choose it."""
    process = sample.output_process_fn_grad
    return flat(process(output) if process is not None else output)


def _floating(values: list[Any]) -> list[Any]:
    return [v for v in values if hasattr(v, "requires_grad") and v.requires_grad]


def _array(t: Any) -> Any:
    return array_of(t) if isinstance(t, torch.Tensor) else t.detach().numpy()


def _cotangents(outputs: list[Any]) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.uniform(-1, 1, tuple(o.shape)) for o in outputs]


def _gradients(lib: Any, outputs: list[Any], leaves: list[Any], create_graph: bool = False) -> Any:
    seeds = [
        lib.tensor(np.asarray(c).tolist(), dtype=o.dtype).reshape(tuple(o.shape))
        for c, o in zip(_cotangents(outputs), outputs, strict=True)
    ]
    return lib.autograd.grad(
        outputs, leaves, seeds, allow_unused=True, create_graph=create_graph, retain_graph=True
    )


def _compare(what: str, got: Any, expected: Any, exact: Any = None) -> None:
    """Values to rounding, or (2x rule) to twice PyTorch's own distance from its float64 result."""
    wrong = close(got, expected)
    if wrong is None:
        return
    if exact is not None and np.shape(exact) == np.shape(got):
        own = np.abs(np.asarray(expected, np.float64) - exact).max(initial=0.0)
        ours = np.abs(np.asarray(got, np.float64) - exact).max(initial=0.0)
        if ours <= 2 * own:
            return
    raise AssertionError(f"{what}: {wrong}")


class _Sample:
    """A sample of PyTorch's and its copies for fastnn."""

    def __init__(self, sample: Any) -> None:
        self.theirs = sample
        self.pairs: list[tuple[Any, fastnn.Tensor]] = []
        parts = (sample.input, sample.args, sample.kwargs)
        self.input, self.args, self.kwargs = (to_fastnn(p, self.pairs) for p in parts)
        self.output_process_fn_grad = sample.output_process_fn_grad


def _in_double(value: Any, leaves: list[Any]) -> Any:
    if isinstance(value, torch.Tensor):
        t = value.detach().double() if value.dtype is torch.float32 else value.detach().clone()
        if value.requires_grad:
            leaves.append(t.requires_grad_())
        return t
    if isinstance(value, dict):
        return {k: _in_double(v, leaves) for k, v in value.items()}
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        items = [_in_double(v, leaves) for v in value]
        return items if isinstance(value, list) else tuple(items)
    return value


def _exact(info: Any, sample: Any) -> tuple[list[Any], list[Any]]:
    """PyTorch's results and gradients in float64; None for each where it cannot."""
    leaves: list[Any] = []
    try:
        double = SimpleNamespace(output_process_fn_grad=sample.output_process_fn_grad)
        for part in ("input", "args", "kwargs"):
            setattr(double, part, _in_double(getattr(sample, part), leaves))
        out = _run(info, info.op, double)
        floats = _floating(_processed(double, out))
        grads = _gradients(torch, floats, leaves) if floats and leaves else []
    except (RuntimeError, TypeError):
        return [], []
    shown = _processed(double, out) if info.name in database.UP_TO_SIGNS else flat(out)
    values = [array_of(v) if isinstance(v, torch.Tensor) else v for v in shown]
    return values, [None if g is None else array_of(g) for g in grads]


@pytest.mark.parametrize("info", TESTED, ids=_identify)
def test_operation(info: Any) -> None:
    function = database.resolve(info.name, info.variant_test_name)
    assert function is not None, f"fastnn has no {info.name}"
    tried = 0
    for sample in info.sample_inputs("cpu", torch.float32, requires_grad=info.supports_autograd):
        tried += 1
        random = database.is_random(info.name, sample)
        ours = _Sample(sample)
        expected = _run(info, info.op, sample)
        got = _run(info, function, ours)
        text = sample.summary() if hasattr(sample, "summary") else str(sample)
        values, wanted = flat(got), flat(expected)
        if info.name in database.UP_TO_SIGNS:
            values, wanted = _processed(ours, got), _processed(sample, expected)
        assert len(values) == len(wanted), f"{len(values)} results, expected {len(wanted)}: {text}"
        exact: Any = None
        for i, (g, e) in enumerate(zip(values, wanted, strict=True)):
            if not isinstance(e, torch.Tensor):
                assert g == e or (isinstance(e, float) and close(g, e) is None), text
                continue
            assert dtype_name(g) == dtype_name(e), f"dtype {g.dtype}, expected {e.dtype}: {text}"
            assert tuple(g.shape) == tuple(e.shape), f"{g.shape}, expected {e.shape}: {text}"
            if random:
                continue
            if close(g.detach().numpy(), array_of(e)) is not None and exact is None:
                exact = _exact(info, sample)
            reference = exact[0][i] if exact and exact[0] else None
            _compare(f"result {i} of {text}", g.detach().numpy(), array_of(e), reference)
        if not info.supports_autograd or random or not ours.pairs:
            continue
        outputs = _floating(_processed(ours, got))
        theirs = _floating(_processed(sample, expected))
        assert len(outputs) == len(theirs), (
            f"{len(outputs)} differentiable results of {len(theirs)}: {text}"
        )
        if not theirs:
            continue
        grads = _gradients(fastnn, outputs, [p[1] for p in ours.pairs])
        want = _gradients(torch, theirs, [p[0] for p in ours.pairs])
        for i, (g, e) in enumerate(zip(grads, want, strict=True)):
            if g is None or e is None:
                # A gradient that is 0 everywhere may be None on either side
                other = g if e is None else e
                assert other is None or not other.detach().any(), f"gradient {i}: {g}, {e}: {text}"
                continue
            assert dtype_name(g) == dtype_name(e), f"gradient {i} has dtype {g.dtype}: {text}"
            if close(g.numpy(), array_of(e)) is not None and exact is None:
                exact = _exact(info, sample)
            reference = exact[1][i] if exact and len(exact[1]) > i else None
            _compare(f"gradient {i} of {text}", g.numpy(), array_of(e), reference)
    assert tried, "no samples"


@pytest.mark.parametrize("info", DIFFERENTIABLE_TWICE, ids=_identify)
def test_double_backward(info: Any) -> None:
    """Gradients of gradients equal PyTorch's in float64; those of the smallest sample, finite differences too."""
    function = database.resolve(info.name, info.variant_test_name)
    assert function is not None, f"fastnn has no {info.name}"
    smallest: Any = None
    for sample in info.sample_inputs("cpu", torch.float64, requires_grad=True):
        ours = _Sample(sample)
        if not ours.pairs or database.is_random(info.name, sample):
            continue
        size = sum(p[0].numel() for p in ours.pairs)
        found: list[Any] = []
        for lib, op, place, leaves in (
            (fastnn, function, ours, [p[1] for p in ours.pairs]),
            (torch, info.op, sample, [p[0] for p in ours.pairs]),
        ):
            outputs = _floating(_processed(place, _run(info, op, place)))
            if not outputs:
                found.append(None)
                continue
            first = [
                g for g in _gradients(lib, outputs, leaves, create_graph=True) if g is not None
            ]
            again = _floating(first)
            second = _gradients(lib, again, leaves) if again else [None] * len(leaves)
            found.append([None if g is None else _array(g) for g in second])
        got, expected = found
        if expected is None:
            continue
        assert got is not None, str(sample)
        for i, (g, e) in enumerate(zip(got, expected, strict=True)):
            if g is None or e is None:
                other = g if e is None else e
                assert other is None or close(np.nan_to_num(other), other * 0) is None, (
                    f"{i}: {g}, {e}: {sample}"
                )
                continue
            _compare(f"second gradient {i} of {sample}", g, e)
        contiguous = all(p[1].is_contiguous() for p in ours.pairs)
        if size > 0 and contiguous and (smallest is None or size < smallest[0]):
            smallest = (size, ours)
    if smallest is None or info.name in database.LOW_PRECISION:
        return
    _, ours = smallest
    leaves = [p[1] for p in ours.pairs]

    def call(*_: Any) -> Any:
        return tuple(_floating(_processed(ours, _run(info, function, ours))))

    if call():
        assert fastnn.autograd.gradgradcheck(call, leaves)
