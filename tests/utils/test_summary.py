"""summary: rows, totals, and a model that is left as it was."""

from __future__ import annotations

import pytest

import fastnn
from fastnn import nn


def _model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 6 * 6, 10),
    )


def test_rows_and_totals(capsys: pytest.CaptureFixture[str]) -> None:
    model = _model()
    found = fastnn.summary(model, (2, 3, 8, 8))
    assert [r.kind for r in found.layers] == [
        "Sequential",
        "Conv2d",
        "BatchNorm2d",
        "ReLU",
        "Flatten",
        "Linear",
    ]
    assert [r.depth for r in found.layers] == [0, 1, 1, 1, 1, 1]
    conv, linear = found.layers[1], found.layers[5]
    assert conv.output_shape == (2, 4, 6, 6)
    assert conv.flops == 2 * (2 * 4 * 6 * 6) * (3 * 3 * 3)
    assert linear.flops == 2 * (2 * 10) * 144 + 20
    assert (
        found.total_params
        == 3 * 4 * 9 + 2 * 4 + 144 * 10 + 10
        == sum(p.numel() for p in model.parameters())
    )
    assert found.total_flops == sum(r.flops for r in found.layers[1:])
    assert found.input_bytes == 2 * 3 * 8 * 8 * 4
    text = capsys.readouterr().out
    assert str(found) in text
    assert "1,566" in text


def test_model_stays_as_it_was() -> None:
    model = _model()
    model[1].eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    fastnn.summary(model, input_data=fastnn.randn(2, 3, 8, 8), verbose=0)
    assert model.training
    assert not model[1].training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    for key, value in model.state_dict().items():
        assert fastnn.equal(value, before[key])


def test_shared_parameters_count_once() -> None:
    layer = nn.Linear(3, 3)
    found = fastnn.summary(nn.Sequential(layer, layer), (1, 3), verbose=0)
    assert found.total_params == 12
    assert [r.parameters for r in found.layers] == [12, 12, 0]


def test_recurrent_and_several_inputs() -> None:
    lstm = nn.LSTM(3, 4, batch_first=True)
    found = fastnn.summary(lstm, (2, 5, 3), verbose=0)
    assert found.layers[0].output_shape == [(2, 5, 4), (1, 2, 4), (1, 2, 4)]
    assert found.total_flops == 2 * 10 * (16 * 3 + 16 * 4)
    embedding = fastnn.summary(nn.Embedding(5, 2), (3,), dtypes=[fastnn.int64], verbose=0)
    assert embedding.layers[0].output_shape == (3, 2)


def test_errors() -> None:
    with pytest.raises(ValueError, match="input_size or input_data"):
        fastnn.summary(nn.ReLU())
    with pytest.raises(ValueError, match="1 input sizes and 2 dtypes"):
        fastnn.summary(nn.ReLU(), (1, 2), dtypes=[fastnn.float32] * 2)
