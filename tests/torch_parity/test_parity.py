"""PyTorch as an independent reference; skipped where it is not installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn

torch = pytest.importorskip("torch", reason="PyTorch is not installed: an optional reference")

torch.set_num_threads(1)  # its threads would only wait for each other on shapes as small as these
LIBRARIES = (fastnn, torch)


def _functional(lib: Any) -> Any:
    return __import__(f"{lib.__name__}.nn.functional", fromlist=["x"])


# (name, program of the library, its functional module and the inputs, shapes of the inputs)
PROGRAMS: list[tuple[str, Any, tuple[tuple[int, ...], ...]]] = [
    ("relu", lambda lib, F, x: F.relu(x), ((3, 4),)),
    ("leaky_relu", lambda lib, F, x: F.leaky_relu(x, 0.2), ((3, 4),)),
    ("sigmoid", lambda lib, F, x: lib.sigmoid(x), ((3, 4),)),
    ("tanh", lambda lib, F, x: lib.tanh(x), ((3, 4),)),
    ("softmax", lambda lib, F, x: F.softmax(x, dim=1), ((3, 4),)),
    ("log_softmax", lambda lib, F, x: F.log_softmax(x, dim=0), ((3, 4),)),
    ("amax_ties", lambda lib, F, x: lib.amax(x.round(), 1), ((3, 9),)),
    ("max_dim", lambda lib, F, x: lib.max(x, 1)[0], ((3, 9),)),
    ("max_all_ties", lambda lib, F, x: x.round().max(), ((3, 9),)),
    ("maximum_ties", lambda lib, F, x, y: lib.maximum(x.round(), y.round()), ((5, 9), (5, 9))),
    ("clamp", lambda lib, F, x: x.clamp(-0.5, 0.5), ((3, 4),)),
    ("abs", lambda lib, F, x: lib.abs(x.round()), ((3, 4),)),
    ("var", lambda lib, F, x: x.var(1), ((3, 4),)),
    ("std_all", lambda lib, F, x: x.std(), ((3, 4),)),
    ("prod", lambda lib, F, x: x.prod(1), ((3, 4),)),
    ("pow_zero", lambda lib, F, x: (x * 0) ** 2.0 + x**3, ((3, 4),)),
    ("index_put", lambda lib, F, x: _put(lib, x), ((3, 4),)),
    ("view_write", lambda lib, F, x: _view_write(x), ((4, 4),)),
    ("linear", lambda lib, F, x, w, b: F.linear(x, w, b), ((2, 5, 3), (4, 3), (4,))),
    ("conv2d", lambda lib, F, x, w, b: F.conv2d(x, w, b, 2, 1, 1), ((2, 3, 9, 8), (4, 3, 3, 3), (4,))),
    ("conv2d_dilated", lambda lib, F, x, w: F.conv2d(x, w, None, (1, 2), (2, 1), (2, 3), 2), ((2, 4, 9, 9), (6, 2, 3, 2))),
    ("conv2d_same", lambda lib, F, x, w: F.conv2d(x, w, padding="same"), ((2, 3, 6, 7), (4, 3, 3, 5))),
    ("max_pool2d", lambda lib, F, x: F.max_pool2d(x, 3, 2, 1), ((2, 3, 9, 8),)),
    ("max_pool2d_ceil", lambda lib, F, x: F.max_pool2d(x, 3, 2, 1, 1, True), ((2, 3, 8, 10),)),
    ("max_pool2d_dilated", lambda lib, F, x: F.max_pool2d(x, 2, 1, 0, 3), ((2, 3, 9, 8),)),
    ("avg_pool2d", lambda lib, F, x: F.avg_pool2d(x, 3, 2, 1), ((2, 3, 9, 8),)),
    ("avg_pool2d_ceil", lambda lib, F, x: F.avg_pool2d(x, 3, 2, 1, True, False), ((2, 3, 8, 10),)),
    ("avg_pool2d_ceil_pad", lambda lib, F, x: F.avg_pool2d(x, 3, 2, 1, True, True), ((2, 3, 8, 10),)),
    ("adaptive_avg_pool2d", lambda lib, F, x: F.adaptive_avg_pool2d(x, (3, 5)), ((2, 3, 7, 8),)),
    ("mse", lambda lib, F, x, y: F.mse_loss(x, y), ((3, 4), (3, 4))),
    ("l1", lambda lib, F, x, y: F.l1_loss(x, y, reduction="sum"), ((3, 4), (3, 4))),
    ("bce", lambda lib, F, x: F.binary_cross_entropy(lib.sigmoid(x), lib.ones(3, 4) * 0.3), ((3, 4),)),
    ("bce_logits", lambda lib, F, x: F.binary_cross_entropy_with_logits(x, lib.ones(3, 4) * 0.3, pos_weight=lib.ones(4) * 2), ((3, 4),)),
    ("cross_entropy", lambda lib, F, x: F.cross_entropy(x, lib.tensor([1, 0, -100]), lib.tensor([0.5, 1, 2, 1]), label_smoothing=0.2), ((3, 4),)),
    ("cross_entropy_image", lambda lib, F, x: F.cross_entropy(x, lib.tensor([[1, 0], [3, 2]]), reduction="none"), ((2, 4, 2),)),
    ("nll_loss", lambda lib, F, x: F.nll_loss(x, lib.tensor([1, 0, 3]), ignore_index=3), ((3, 4),)),
    ("batch_norm", lambda lib, F, x, w, b: F.batch_norm(x, None, None, w, b, training=True), ((4, 3, 5, 5), (3,), (3,))),
    ("batch_norm_eval", lambda lib, F, x, w, b: F.batch_norm(x, lib.ones(3) * 0.2, lib.ones(3) * 2, w, b), ((4, 3), (3,), (3,))),
]  # fmt: skip


def _put(lib: Any, x: Any) -> Any:
    y = x * 2
    y[lib.tensor([0, 2, 0])] *= 3
    y[y > 1] = 0
    return y


def _view_write(x: Any) -> Any:
    y = x * 2
    v = y.t()
    w = y.view(2, 8)
    v[1:].mul_(3)
    w[0].sub_(x[0].repeat(2) if hasattr(x, "repeat") else fastnn.cat([x[0], x[0]]))
    return (y * y).sum(0) + v[0]


@pytest.mark.parametrize(("name", "program", "shapes"), PROGRAMS, ids=[p[0] for p in PROGRAMS])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_program(name: str, program: Any, shapes: Any, dtype: Any, computer: str) -> None:
    if dtype == np.float64 and name in _FLOAT32:
        pytest.skip("the program makes float32 tensors of its own")
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s).astype(dtype) for s in shapes]
    found = []
    for lib in LIBRARIES:
        leaves = [lib.from_numpy(a.copy()).requires_grad_() for a in arrays]
        y = program(lib, _functional(lib), *leaves)
        seed = np.random.default_rng(1).normal(size=tuple(y.shape)).astype(dtype)
        y.backward(lib.from_numpy(np.asarray(seed)))
        found.append(
            [y.detach().numpy(), *(None if t.grad is None else t.grad.numpy() for t in leaves)]
        )
    # Both sum up to some 200 terms of magnitude up to about 10, in orders of their own
    tolerance = 200 * 10 * float(np.finfo(dtype).eps)
    for got, expected in zip(*found, strict=True):
        assert (got is None) == (expected is None)
        if expected is not None:
            assert got.dtype == expected.dtype
            np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)


_FLOAT32 = {"bce", "bce_logits", "cross_entropy", "batch_norm_eval"}


def _model(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, stride=2, bias=False), nn.LeakyReLU(0.1), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(72, 20), nn.BatchNorm1d(20), nn.Tanh(), nn.Dropout(0.0), nn.Linear(20, 5), nn.LogSoftmax(1),
    )  # fmt: skip


def test_text_and_state_keys_are_pytorchs() -> None:
    ours, theirs = _model(fastnn.nn), _model(torch.nn)
    assert repr(ours) == repr(theirs)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    for key, value in ours.state_dict().items():
        assert tuple(value.shape) == tuple(state[key].shape)
        assert value.dtype.name == str(state[key].dtype).removeprefix("torch.")


OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.1, "maximize": True}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1, "amsgrad": True}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.01, "amsgrad": True, "maximize": True}),
]


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_training_follows_pytorch(name: str, options: dict[str, Any], computer: str) -> None:
    """25 steps of a CNN in float64: rounding cannot grow to anything that counts."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 1, 28, 28)), rng.integers(0, 5, 8)
    theirs = _model(torch.nn).double()
    ours = _model(fastnn.nn).double()
    ours.load_state_dict({k: fastnn.from_numpy(v.numpy()) for k, v in theirs.state_dict().items()})
    losses = []
    for lib, model in ((fastnn, ours), (torch, theirs)):
        optimizer = getattr(lib.optim, name)(model.parameters(), **options)
        own = []
        for _ in range(25):
            optimizer.zero_grad()
            loss = lib.nn.NLLLoss()(model(lib.from_numpy(x)), lib.from_numpy(y))
            loss.backward()
            optimizer.step()
            own.append(loss.item())
        losses.append(own)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)
    for (key, ours_value), theirs_value in zip(
        ours.state_dict().items(), theirs.state_dict().values(), strict=True
    ):
        np.testing.assert_allclose(
            ours_value.numpy(), theirs_value.numpy(), rtol=1e-4, atol=1e-6, err_msg=key
        )


@pytest.mark.parametrize(
    "a", ["bool", "uint8", "int64", "float16", "bfloat16", "float32", "float64"]
)
@pytest.mark.parametrize(
    "b", ["bool", "uint8", "int8", "int32", "float16", "bfloat16", "float32", "float64"]
)
@pytest.mark.parametrize(("m", "n"), [((2,), (2,)), ((2,), ()), ((), (2,)), ((), ())])
def test_promotion(a: str, b: str, m: Any, n: Any) -> None:
    found = []
    for lib in LIBRARIES:
        s = lib.ones(m, dtype=getattr(lib, a)) + lib.ones(n, dtype=getattr(lib, b))
        t = lib.ones(m, dtype=getattr(lib, a)) * 2
        u = lib.ones(m, dtype=getattr(lib, a)) / 2.5
        found.append([str(v.dtype).split(".")[1] for v in (s, t, u)])
    assert found[0] == found[1]
