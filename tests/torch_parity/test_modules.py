"""PyTorch's own samples of every module: state, outputs, gradients and buffers, when training and in evaluation."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import fastnn

torch = pytest.importorskip("torch", reason="PyTorch is not installed: an optional reference")
pytest.importorskip(
    "expecttest", reason="expecttest is not installed: PyTorch's module_db needs it"
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_modules import module_db

from . import module_db as database  # noqa: E402

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore")
IN_SCOPE = [i for i in module_db if not database.out_of_scope(i.module_cls.__name__)]


def _compare(what: str, got: Any, expected: Any, exact: Any) -> None:
    wrong = database.differs(got, expected, exact)
    assert wrong is None, f"{what}: {wrong}"


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("info", IN_SCOPE, ids=lambda i: i.module_cls.__name__)
def test_module(info: Any, training: bool) -> None:
    name = info.module_cls.__name__
    assert hasattr(fastnn.nn, name), f"fastnn.nn has no {name}"
    tried = 0
    for sample in database.samples(info, training):
        tried += 1
        mine = sample.ours.state_dict()
        assert list(mine) == list(sample.state)
        for key, value in sample.state.items():
            assert tuple(mine[key].shape) == tuple(value.shape), key
            assert str(mine[key].dtype).split(".")[-1] == str(value.dtype).split(".")[-1], key
        sample.load()
        got, expected, exact = sample.run_ours(), sample.run_theirs(), sample.run_exact()
        random = training and any(word in name for word in database.RANDOM)
        text = f"sample {tried}, {sample.theirs}"
        assert got.dtypes == expected.dtypes, text
        assert [o.shape for o in got.outputs] == [o.shape for o in expected.outputs], text
        if random:
            continue
        for i, e in enumerate(expected.outputs):
            _compare(f"output {i} of {text}", got.outputs[i], e, exact.outputs[i])
        assert list(got.gradients) == list(expected.gradients), text
        for key, e in expected.gradients.items():
            g = got.gradients[key]
            if g is None or e is None:  # a gradient that is 0 everywhere may be None on either side
                other = g if e is None else e
                assert other is None or not other.any(), f"gradient of {key} in {text}"
                continue
            assert g.dtype == e.dtype, f"gradient of {key} is {g.dtype} in {text}"
            _compare(f"gradient of {key} in {text}", g, e, exact.gradients[key])
        assert list(got.buffers) == list(expected.buffers), text
        for key, e in expected.buffers.items():
            _compare(f"buffer {key} of {text}", got.buffers[key], e, exact.buffers[key])
    assert tried, "no samples"
