"""Clipping, normalizations of weights, parametrizations, fusion, pruning, and the calls of modules against PyTorch's."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import fastnn

torch = pytest.importorskip("torch", reason="PyTorch is not installed: an optional reference")


from .convert import EPS, to_fastnn  # noqa: E402
from .paired import compare, load  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::FutureWarning"
    ),  # older forms that PyTorch calls deprecated
    pytest.mark.filterwarnings("ignore:Full backward hook is firing"),
]
LIBRARIES = (torch, fastnn)
importlib.import_module("torch.nn.utils.prune")  # which PyTorch does not do itself


def _pair(make: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    reference, module = make(torch), make(fastnn)
    load(reference, module)
    return reference, module


def _same(got: Any, expected: Any, terms: float = 64) -> None:
    """Equal to ``terms`` roundings of the largest value."""
    e = expected.detach().numpy()
    scale = max(1.0, float(np.abs(e[np.isfinite(e)]).max(initial=0)))
    np.testing.assert_allclose(got.detach().numpy(), e, rtol=0, atol=terms * EPS * scale)


@pytest.mark.parametrize("norm_type", [2.0, 1.0, float("inf"), 0.5])
def test_clip_grad(norm_type: float) -> None:
    reference, module = _pair(lambda lib: lib.nn.Linear(4, 3))
    for factor, limit in ((3.0, 1.0), (0.01, 100.0)):
        for lib, m in ((torch, reference), (fastnn, module)):
            m.zero_grad()
            (m(lib.ones(2, 4)) * factor).sum().backward()
        _same(
            fastnn.nn.utils.clip_grad_norm_(module.parameters(), limit, norm_type),
            torch.nn.utils.clip_grad_norm_(reference.parameters(), limit, norm_type),
        )
        for p, q in zip(module.parameters(), reference.parameters(), strict=True):
            _same(p.grad, q.grad)
    fastnn.nn.utils.clip_grad_value_(module.weight, 0.005)
    torch.nn.utils.clip_grad_value_(reference.weight, 0.005)
    _same(module.weight.grad, reference.weight.grad)
    grads = [p.grad for p in reference.parameters()]
    total = torch.nn.utils.get_total_norm(grads, norm_type)
    _same(fastnn.nn.utils.get_total_norm(to_fastnn(grads), norm_type), total)
    torch.nn.utils.clip_grads_with_norm_(reference.parameters(), 0.001, total)
    fastnn.nn.utils.clip_grads_with_norm_(module.parameters(), 0.001, to_fastnn(total))
    _same(module.bias.grad, reference.bias.grad)


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("kind", ["hook", "parametrization"])
def test_weight_norm(dim: int | None, kind: str) -> None:
    def make(lib: Any) -> Any:
        utils = lib.nn.utils
        place = utils if kind == "hook" else utils.parametrizations
        return place.weight_norm(lib.nn.Conv2d(2, 3, 2), dim=dim)

    reference, module = _pair(make)
    x = torch.randn(2, 2, 4, 4, requires_grad=True)
    compare(reference, module, (x,))


@pytest.mark.parametrize("kind", ["hook", "parametrization"])
def test_spectral_norm(kind: str) -> None:
    def make(lib: Any) -> Any:
        utils = lib.nn.utils
        place = utils if kind == "hook" else utils.parametrizations
        return place.spectral_norm(lib.nn.Linear(5, 3), n_power_iterations=2)

    reference, module = _pair(make)
    x = torch.randn(2, 5, requires_grad=True)
    for training in (True, True, False):
        reference.train(training)
        module.train(training)
        compare(reference, module, (x,))
        for p, q in zip(module.buffers(), reference.buffers(), strict=True):
            _same(p, q)
    if kind == "hook":
        fastnn.nn.utils.remove_spectral_norm(module)
        torch.nn.utils.remove_spectral_norm(reference)
        _same(module.weight, reference.weight)
        assert sorted(module.state_dict()) == sorted(reference.state_dict())


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)])
@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
def test_orthogonal(shape: tuple[int, int], kind: str) -> None:
    """The matrix is orthogonal, keeps an orthogonal initial value, and its gradient is PyTorch's."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(shape[1], shape[0], bias=False)
    torch.nn.init.orthogonal_(layer.weight)
    own = fastnn.nn.Linear(shape[1], shape[0], bias=False)
    own.load_state_dict(to_fastnn(dict(layer.state_dict())))
    initial = own.weight.detach().clone()
    fastnn.nn.utils.parametrizations.orthogonal(own, orthogonal_map=kind)
    np.testing.assert_allclose(own.weight.detach().numpy(), initial.numpy(), rtol=0, atol=1e-5)
    with fastnn.no_grad():
        own.parametrizations.weight.original.add_(fastnn.rand(*shape) * 0.3)
    w = own.weight
    small = min(shape)
    gram = w @ w.T if shape[0] <= shape[1] else w.T @ w
    np.testing.assert_allclose(gram.detach().numpy(), np.eye(small), rtol=0, atol=1e-5)
    if kind != "householder":  # whose reflections PyTorch scales in another way
        torch.nn.utils.parametrizations.orthogonal(layer, orthogonal_map=kind)
        parametrization = layer.parametrizations.weight
        with torch.no_grad():
            parametrization.original.copy_(
                torch.from_numpy(own.parametrizations.weight.original.detach().numpy())
            )
            base = own.parametrizations.weight[0].base.numpy()
            parametrization[0].base.copy_(torch.from_numpy(base))
        _same(own.weight, layer.weight)
        factors = torch.randn(shape)
        (layer.weight * factors).sum().backward()
        (own.weight * to_fastnn(factors)).sum().backward()
        _same(own.parametrizations.weight.original.grad, parametrization.original.grad, 256)


def _symmetric(lib: Any) -> Any:
    class Symmetric(lib.nn.Module):
        def forward(self, x: Any) -> Any:
            return (x + x.T) / 2

        def right_inverse(self, x: Any) -> Any:
            return x * 1.0

    class Scale(lib.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = lib.nn.Parameter(lib.ones(1) * 2)

        def forward(self, x: Any) -> Any:
            return x * self.factor

        def right_inverse(self, x: Any) -> Any:
            return x / self.factor

    layer = lib.nn.Linear(3, 3)
    parametrize = lib.nn.utils.parametrize
    parametrize.register_parametrization(layer, "weight", Symmetric())
    parametrize.register_parametrization(layer, "weight", Scale())
    return layer


def test_parametrize() -> None:
    reference, module = _pair(_symmetric)
    x = torch.randn(2, 3, requires_grad=True)
    compare(reference, module, (x,))
    for lib, m in ((torch, reference), (fastnn, module)):
        m.weight = lib.eye(3) * 4
        assert type(m).__name__ == "ParametrizedLinear"
        assert lib.nn.utils.parametrize.is_parametrized(m, "weight")
        assert not lib.nn.utils.parametrize.is_parametrized(m, "bias")
        with lib.nn.utils.parametrize.cached():
            assert m.weight is m.weight
    _same(module.parametrizations.weight.original, reference.parametrizations.weight.original)
    _same(module.weight, reference.weight)
    for lib, m in ((torch, reference), (fastnn, module)):
        lib.nn.utils.parametrize.remove_parametrizations(m, "weight")
        assert type(m) is lib.nn.Linear
        assert isinstance(m.weight, lib.nn.Parameter)
    _same(module.weight, reference.weight)


@pytest.mark.parametrize("transpose", [False, True])
def test_fusion(transpose: bool) -> None:
    def make(lib: Any) -> Any:
        conv = (lib.nn.ConvTranspose2d if transpose else lib.nn.Conv2d)(2, 3, 2, bias=transpose)
        return lib.nn.Sequential(conv, lib.nn.BatchNorm2d(3)).eval()

    reference, module = _pair(make)
    with torch.no_grad():
        reference[1].running_mean.normal_()
        reference[1].running_var.uniform_(0.5, 2)
        reference[1].weight.normal_()
    load(reference, module)
    fused = torch.nn.utils.fuse_conv_bn_eval(reference[0], reference[1], transpose)
    own = fastnn.nn.utils.fuse_conv_bn_eval(module[0], module[1], transpose)
    _same(own.weight, fused.weight)
    _same(own.bias, fused.bias)
    linear = [lib.nn.Linear(4, 3) for lib in LIBRARIES]
    load(*linear)
    norms = [m[1] for m in (reference, module)]
    theirs = torch.nn.utils.fuse_linear_bn_eval(linear[0].eval(), norms[0])
    ours = fastnn.nn.utils.fuse_linear_bn_eval(linear[1].eval(), norms[1])
    _same(ours.weight, theirs.weight)
    _same(ours.bias, theirs.bias)


def test_prune() -> None:
    def make(lib: Any) -> Any:
        return lib.nn.Sequential(lib.nn.Linear(4, 6), lib.nn.Conv2d(2, 3, 2))

    reference, module = _pair(make)
    for lib, m in ((torch, reference), (fastnn, module)):
        prune = lib.nn.utils.prune
        prune.l1_unstructured(m[0], "weight", 0.3)
        prune.ln_structured(m[0], "weight", 2, n=2, dim=0)
        prune.ln_structured(m[1], "weight", 1, n=float("inf"), dim=1)
        prune.custom_from_mask(m[1], "bias", lib.tensor([1.0, 0.0, 1.0]))
        prune.global_unstructured(
            [(m[0], "weight"), (m[1], "weight")], prune.L1Unstructured, amount=4
        )
        assert prune.is_pruned(m)
    assert list(module.state_dict()) == list(reference.state_dict())
    for k, v in reference.state_dict().items():
        _same(module.state_dict()[k], v, 0)
    compare(reference[0], module[0], (torch.randn(2, 4, requires_grad=True),))
    compare(reference[1], module[1], (torch.randn(1, 2, 4, 4, requires_grad=True),))
    for lib, m in ((torch, reference), (fastnn, module)):
        lib.nn.utils.prune.remove(m[0], "weight")
        lib.nn.utils.prune.remove(m[1], "weight")
        lib.nn.utils.prune.remove(m[1], "bias")
        assert not lib.nn.utils.prune.is_pruned(m)
    assert list(module.state_dict()) == list(reference.state_dict())
    for k, v in reference.state_dict().items():
        _same(module.state_dict()[k], v, 0)


def test_vectors_and_calls() -> None:
    reference, module = _pair(
        lambda lib: lib.nn.Sequential(lib.nn.Linear(3, 2), lib.nn.Linear(2, 1))
    )
    v = torch.nn.utils.parameters_to_vector(reference.parameters())
    _same(fastnn.nn.utils.parameters_to_vector(module.parameters()), v, 0)
    torch.nn.utils.vector_to_parameters(v * 2, reference.parameters())
    fastnn.nn.utils.vector_to_parameters(to_fastnn(v * 2), module.parameters())
    x = torch.ones(1, 3)
    _same(module(to_fastnn(x)), reference(x))
    values = {"0.weight": torch.ones(2, 3, requires_grad=True)}
    own = to_fastnn(values)
    y = torch.func.functional_call(reference, values, (x,))
    z = fastnn.func.functional_call(module, own, (to_fastnn(x),))
    _same(z, y)
    (g,) = torch.autograd.grad(y.sum(), values["0.weight"])
    (h,) = fastnn.autograd.grad(z.sum(), own["0.weight"])
    _same(h, g)
    assert isinstance(module[0].weight, fastnn.nn.Parameter)


def test_hooks_see_what_pytorchs_see() -> None:
    logs: list[list[Any]] = []
    reference, module = _pair(lambda lib: lib.nn.Sequential(lib.nn.Linear(3, 2), lib.nn.Tanh()))
    for lib, m in ((torch, reference), (fastnn, module)):
        log: list[Any] = []
        logs.append(log)

        def note(kind: str, *values: Any, log: list[Any] = log) -> None:
            log.append(
                (kind, [None if v is None else np.array(v.detach().tolist()) for v in values])
            )

        m[0].register_forward_pre_hook(lambda m, a, k, note=note: note("pre", *a), with_kwargs=True)
        m[0].register_forward_hook(lambda m, a, o, note=note: note("hook", *a, o))
        m[0].register_forward_hook(lambda m, a, o: o * 2, prepend=True)
        m[0].register_full_backward_pre_hook(lambda m, go, note=note: note("bpre", *go))
        m[0].register_full_backward_hook(lambda m, gi, go, note=note: note("back", *gi, *go))
        m[1].register_full_backward_hook(lambda m, gi, go: (gi[0] * 3,))
        handle = lib.nn.modules.module.register_module_forward_hook(
            lambda m, a, o, note=note: note(type(m).__name__, o)
        )
        x = lib.ones(2, 3, requires_grad=True)
        m(x).sum().backward()
        m(lib.ones(2, 3)).sum().backward()
        handle.remove()
        note("grad", x.grad, *(p.grad for p in m.parameters()))
    theirs, ours = logs
    assert [k for k, _ in ours] == [k for k, _ in theirs]
    for (_, got), (_, expected) in zip(ours, theirs, strict=True):
        assert len(got) == len(expected)
        for g, e in zip(got, expected, strict=True):
            assert (g is None) == (e is None)
            if e is not None:
                np.testing.assert_allclose(g, e, rtol=0, atol=64 * EPS)
