"""Embeddings and recurrent modules on device="cuda": the losses and gradients of the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.cuda.common import hooks

import fastnn
import fastnn.nn as nn
import fastnn.nn.functional as F
from fastnn.backends.gpu._arrays import kernels
from fastnn.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

WORDS, LABELS, HIDDEN = 20, 5, 18


class Tagger(nn.Module):
    """An embedding, two bidirectional recurrent layers over a packed sequence, and a label for each word."""

    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 12, padding_idx=0)
        layer = getattr(nn, kind)
        self.layers = layer(
            12, HIDDEN, num_layers=2, bidirectional=True, batch_first=True, **options
        )
        self.label = nn.Linear(2 * options.get("proj_size", HIDDEN), LABELS)

    def forward(self, words: Any, lengths: Any) -> Any:
        packed = pack_padded_sequence(
            self.embedding(words), lengths, batch_first=True, enforce_sorted=False
        )
        y, _ = pad_packed_sequence(self.layers(packed)[0], batch_first=True)
        return self.label(y)


def trained(device: str, kind: str, options: dict[str, Any]) -> tuple[list[float], list[Any]]:
    """The losses of two steps, and the gradients of the first."""
    fastnn.manual_seed(0)
    model = Tagger(kind, **options).to(device)
    optimizer = fastnn.optim.SGD(model.parameters(), lr=0.5)
    lengths = fastnn.tensor([3, 7, 7, 1])
    words = fastnn.arange(28).remainder(WORDS).reshape(4, 7)
    words = (words * (fastnn.arange(7) < lengths[:, None])).to(device)
    target = words.remainder(LABELS).reshape(-1)
    losses, gradients = [], []
    for step in range(2):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(words, lengths).reshape(-1, LABELS), target, ignore_index=0)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step == 0:
            gradients = [p.grad.cpu().numpy().copy() for p in model.parameters()]
    return losses, gradients


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("LSTM", {}),
        ("LSTM", {"proj_size": 7}),
        ("GRU", {}),
        ("RNN", {"nonlinearity": "relu"}),
        ("RNN", {"nonlinearity": "tanh"}),
    ],
)
def test_a_tagger_learns_as_on_the_cpu(kind: str, options: dict[str, Any]) -> None:
    losses, gradients = trained("cuda", kind, options)
    wanted_losses, wanted = trained("cpu", kind, options)
    # float32 sums in another order: a few roundings of numbers of size one and less, over seven steps and two layers
    np.testing.assert_allclose(losses, wanted_losses, rtol=1e-5)
    for got, expected in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [fastnn.float32, fastnn.float16])
@pytest.mark.parametrize("kind", ["LSTMCell", "GRUCell", "RNNCell"])
def test_cells_run_on_the_kernels(kind: str, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if hooks():
        monkeypatch.setenv("SIMT_COUNT", "1")
        kernels.emulator_reset_counters()
    results = []
    for device in ("cuda", "cpu"):
        fastnn.manual_seed(0)
        cell = getattr(nn, kind)(5, 9, dtype=dtype).to(device)
        state = cell(fastnn.ones(3, 5, dtype=dtype, device=device))
        state = cell(fastnn.ones(3, 5, dtype=dtype, device=device), state)
        h = state[0] if isinstance(state, tuple) else state
        h.float().square().sum().backward()
        results.append([h.detach().cpu(), *(p.grad.cpu() for p in cell.parameters())])
    if hooks():
        assert any("step_kernel" in name for name in kernels.emulator_kernels())
    # float16: both are computed in float32 and rounded once, which may go either way; sums of 27 such numbers
    unit = 1e-5 if dtype == fastnn.float32 else 2e-3
    for got, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=4 * unit, atol=unit)
