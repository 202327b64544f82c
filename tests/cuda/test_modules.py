"""Modules, losses and optimizers on device="cuda", against the same on the CPU."""

from __future__ import annotations

import copy
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import fastnn
import fastnn.nn as nn

Tensor = fastnn.Tensor

# Sums of at most a few hundred terms, each rounded once on either side, in up to three layers: errors of this many
# roundings of the largest value.
ROUNDINGS = 2000

MODULES: dict[str, tuple[Any, Any]] = {
    "Linear": (lambda: nn.Linear(5, 3), (4, 5)),
    "Bilinear": (lambda: nn.Bilinear(3, 4, 2), [(5, 3), (5, 4)]),
    "Conv1d": (lambda: nn.Conv1d(2, 3, 3, padding=1), (2, 2, 7)),
    "Conv2d": (lambda: nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), (2, 2, 7, 6)),
    "Conv2d_reflect": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (2, 2, 5, 5)),
    "Conv3d": (lambda: nn.Conv3d(2, 3, 2), (1, 2, 4, 4, 4)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(2, 3, 3, stride=2), (2, 2, 5)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(2, 3, 3, stride=2, output_padding=1), (2, 2, 4, 4)),
    "MaxPool1d": (lambda: nn.MaxPool1d(2), (2, 3, 8)),
    "MaxPool2d": (lambda: nn.MaxPool2d(3, 2, 1), (2, 3, 7, 7)),
    "MaxPool3d": (lambda: nn.MaxPool3d(2), (1, 2, 4, 4, 4)),
    "AvgPool2d": (lambda: nn.AvgPool2d(2), (2, 3, 6, 6)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((2, 3)), (2, 3, 7, 7)),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d((2, 3)), (2, 3, 7, 7)),
    "LPPool2d": (lambda: nn.LPPool2d(2, 2), (2, 3, 6, 6)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(4), (6, 4)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3), (4, 3, 5, 5)),
    "LayerNorm": (lambda: nn.LayerNorm((3, 5)), (4, 3, 5)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), (3, 4, 5)),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(3, affine=True), (2, 3, 4, 4)),
    "RMSNorm": (lambda: nn.RMSNorm(5), (4, 5)),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(2), (2, 4, 5)),
    "Embedding": (lambda: nn.Embedding(7, 3, padding_idx=1), 7),
    "EmbeddingBag": (lambda: nn.EmbeddingBag(7, 3), 7),
    "EmbeddingBag_max": (lambda: nn.EmbeddingBag(7, 3, mode="max"), 7),
    "RNN": (lambda: nn.RNN(3, 4, num_layers=2), (5, 2, 3)),
    "LSTM": (lambda: nn.LSTM(3, 4, bidirectional=True, batch_first=True), (2, 5, 3)),
    "LSTM_proj": (lambda: nn.LSTM(3, 4, proj_size=2), (5, 2, 3)),
    "GRU": (lambda: nn.GRU(3, 4), (5, 2, 3)),
    "LSTMCell": (lambda: nn.LSTMCell(3, 4), (2, 3)),
    "GRUCell": (lambda: nn.GRUCell(3, 4), (2, 3)),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(8, 2, batch_first=True), [(2, 5, 8)] * 3),
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, 0.0), (5, 2, 8)),
    "TransformerDecoderLayer": (lambda: nn.TransformerDecoderLayer(8, 2, 16, 0.0), [(4, 2, 8), (5, 2, 8)]),
    "PReLU": (lambda: nn.PReLU(3), (2, 3, 4)),
    "Upsample": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), (1, 2, 3, 4)),
    "Upsample_bicubic": (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), (1, 2, 4, 4)),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), (1, 4, 2, 3)),
    "ReflectionPad2d": (lambda: nn.ReflectionPad2d(2), (1, 2, 4, 4)),
    "ReplicationPad1d": (lambda: nn.ReplicationPad1d(2), (1, 2, 4)),
    "CircularPad1d": (lambda: nn.CircularPad1d(2), (1, 2, 4)),
    "Unfold": (lambda: nn.Unfold(2), (1, 2, 4, 4)),
    "Fold": (lambda: nn.Fold((4, 4), 2), (1, 8, 9)),
    "CosineSimilarity": (lambda: nn.CosineSimilarity(), [(3, 4), (3, 4)]),
    "PairwiseDistance": (lambda: nn.PairwiseDistance(), [(3, 4), (3, 4)]),
    "spectral_norm": (lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(5, 3)), (4, 5)),
    "weight_norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(5, 3)), (4, 5)),
    "orthogonal": (lambda: nn.utils.parametrizations.orthogonal(nn.Linear(3, 3)), (4, 3)),
}  # fmt: skip
for _name in [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "ReLU",
    "ReLU6",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
]:
    arguments = (1,) if _name in ("LogSoftmax", "Softmax", "Softmin") else ()
    MODULES[_name] = (lambda n=_name, a=arguments: getattr(nn, n)(*a), (3, 4))


def tensors(value: Any) -> list[Any]:
    if isinstance(value, Tensor):
        return [value]
    return [t for v in value or () for t in tensors(v)]


def numbers(t: Any) -> Any:
    return t.detach().cpu().numpy()


def assert_near(got: Any, wanted: Any) -> None:
    assert got.dtype is wanted.dtype
    got, wanted, floating = numbers(got), numbers(wanted), wanted.is_floating_point()
    if not floating:
        np.testing.assert_array_equal(got, wanted)
        return
    eps = float(ml_dtypes.finfo(wanted.dtype).eps)
    got, wanted = got.astype(np.float64), wanted.astype(np.float64)
    scale = max(float(np.abs(wanted).max(initial=0.0)), 1.0)
    # Narrow results are rounded once, and sums of them are short.
    roundings = ROUNDINGS if eps < 1e-6 else 8
    np.testing.assert_allclose(got, wanted, rtol=0, atol=roundings * eps * scale)


def inputs_of(shapes: Any, device: str) -> list[Any]:
    if isinstance(shapes, int):  # indices
        return [fastnn.arange(6).remainder(shapes).reshape(2, 3).to(device)]
    rng = np.random.default_rng(0)
    several = shapes if isinstance(shapes, list) else [shapes]
    arrays = [rng.normal(size=s).astype(np.float32) for s in several]
    return [fastnn.from_numpy(a).to(device).requires_grad_() for a in arrays]


def run(module: Any, shapes: Any, device: str) -> list[Any]:
    """Outputs, gradients of inputs and parameters, and buffers after a pass."""
    module = module.to(device)
    inputs = inputs_of(shapes, device)
    outputs = tensors(module(*inputs))
    assert all(o.device.type == device for o in outputs)
    loss: Any = sum((o.float() ** 2).sum() for o in outputs if o.requires_grad)
    if isinstance(loss, Tensor):
        loss.backward()
    found = [t.grad for t in (*inputs, *module.parameters()) if t.requires_grad]
    assert all(g is None or g.device.type == device for g in found)
    return outputs + found + list(module.buffers())


@pytest.mark.parametrize("name", MODULES)
def test_module(name: str) -> None:
    make, shapes = MODULES[name]
    fastnn.manual_seed(1)
    module = make()
    wanted = run(copy.deepcopy(module), shapes, "cpu")
    got = run(module, shapes, "cuda")
    assert len(got) == len(wanted)
    for g, w in zip(got, wanted, strict=True):
        assert (g is None) == (w is None)
        if w is not None:
            assert_near(g, w)


LOSSES: dict[str, Any] = {
    "L1Loss": "like",
    "MSELoss": "like",
    "SmoothL1Loss": "like",
    "HuberLoss": "like",
    "KLDivLoss": "positive",
    "PoissonNLLLoss": "positive",
    "BCEWithLogitsLoss": "positive",
    "CrossEntropyLoss": "labels",
    "NLLLoss": "labels",
    "MultiMarginLoss": "labels",
    "SoftMarginLoss": "signs",
    "HingeEmbeddingLoss": "signs",
    "MultiLabelSoftMarginLoss": "positive",
    "MultiLabelMarginLoss": "lists",
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_loss(name: str, reduction: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 3)).astype(np.float32)
    target = {
        "like": rng.normal(size=(4, 3)).astype(np.float32),
        "positive": rng.uniform(0.1, 0.9, size=(4, 3)).astype(np.float32),
        "signs": np.where(rng.random((4, 3)) < 0.5, -1, 1).astype(np.float32),
        "labels": np.array([0, 2, 1, 0]),
        "lists": np.array([[0, -1, 1], [2, 1, -1], [-1, 0, 0], [1, 0, 2]]),
    }[LOSSES[name]]
    found = []
    for device in ("cpu", "cuda"):
        leaf = fastnn.from_numpy(x).to(device).requires_grad_()
        loss = getattr(nn, name)(reduction=reduction)(leaf, fastnn.from_numpy(target).to(device))
        loss.sum().backward()
        found.append((loss, leaf.grad))
    for wanted, got in zip(*found, strict=True):
        assert got.is_cuda
        assert_near(got, wanted)


def test_losses_of_several_inputs() -> None:
    found = []
    for device in ("cpu", "cuda"):
        fastnn.manual_seed(0)
        a, b, c = (fastnn.randn(4, 3).to(device).requires_grad_() for _ in range(3))
        sign = fastnn.tensor([1, -1, 1, -1], device=device)
        logp = fastnn.randn(6, 2, 4).to(device).log_softmax(2)
        labels = fastnn.tensor([[1, 2], [3, 3]], device=device)
        lengths = fastnn.tensor([6, 6], device=device), fastnn.tensor([2, 2], device=device)
        losses = [
            nn.CosineEmbeddingLoss()(a, b, sign),
            nn.MarginRankingLoss()(a[:, 0], b[:, 0], sign),
            nn.TripletMarginLoss()(a, b, c),
            nn.GaussianNLLLoss()(a, b, c.square() + 0.1),
            nn.CTCLoss()(logp, labels, *lengths),
        ]
        sum(losses[1:], losses[0]).backward()
        found.append([*losses, a.grad, b.grad, c.grad])
    for wanted, got in zip(*found, strict=True):
        assert got.is_cuda
        assert_near(got, wanted)


OPTIMIZERS = [
    "SGD", "Adam", "AdamW", "Adagrad", "Adadelta", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop", "Adafactor",
]  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name: str) -> None:
    found = []
    for device in ("cpu", "cuda"):
        fastnn.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)).to(device)
        optimizer = getattr(fastnn.optim, name)(net.parameters(), lr=0.01)
        x = fastnn.randn(8, 4).to(device)
        for _ in range(3):
            optimizer.zero_grad()
            net(x).square().mean().backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
        found.append(list(net.parameters()))
    for wanted, got in zip(*found, strict=True):
        assert got.is_cuda
        assert_near(got, wanted)


def test_lbfgs() -> None:
    x = fastnn.tensor([3.0, -2.0], device="cuda", requires_grad=True)
    optimizer = fastnn.optim.LBFGS([x], line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (x - 1).square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(numbers(x), [1.0, 1.0], atol=1e-5)


def test_dropout_draws_the_same_numbers() -> None:
    found = []
    for device in ("cpu", "cuda"):
        fastnn.manual_seed(5)
        found.append(numbers(nn.Dropout(0.4)(fastnn.ones(50, 3).to(device))))
    np.testing.assert_array_equal(*found)


def test_packed_sequences() -> None:
    found = []
    for device in ("cpu", "cuda"):
        fastnn.manual_seed(0)
        lstm = nn.LSTM(3, 4).to(device)
        x = fastnn.randn(5, 3, 3).to(device)
        packed = nn.utils.rnn.pack_padded_sequence(x, [2, 5, 3], enforce_sorted=False)
        y, (h, _) = lstm(packed)
        padded, lengths = nn.utils.rnn.pad_packed_sequence(y)
        padded.sum().backward()
        found.append([padded, h, lengths, lstm.weight_ih_l0.grad])
    for wanted, got in zip(*found, strict=True):
        assert_near(got, wanted)
