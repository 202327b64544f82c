"""nn.utils: clipping, parametrizations, pruning, fusion, calls with other parameters; and their errors."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn.nn import utils
from fastnn.nn.utils import parametrizations, parametrize, prune


def test_clip() -> None:
    p = fastnn.zeros(2, requires_grad=True)
    p.grad = fastnn.tensor([3.0, 4.0])
    assert utils.clip_grad_norm_(p, 10.0).item() == 5
    assert p.grad.tolist() == [3, 4]
    assert utils.clip_grad_norm_([p], 1.0, norm_type=math.inf).item() == 4
    assert utils.get_total_norm([]).item() == 0
    p.grad = fastnn.tensor([math.nan, 1.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    p.grad = fastnn.tensor([math.inf, 1.0])
    assert utils.clip_grad_norm_([p], 1.0).item() == math.inf
    assert math.isnan(p.grad[0].item())
    assert p.grad[1].item() == 0
    p.grad = fastnn.tensor([math.inf, 1.0])
    utils.clip_grad_value_([p], 2.0)
    assert p.grad.tolist() == [2, 1]


def test_a_clipped_gradient_is_a_write() -> None:
    """What saved the gradient before it was clipped raises, rather than compute with other values."""
    x = fastnn.ones(2, requires_grad=True)
    x.grad = fastnn.tensor([3.0, 4.0])
    y = (x.grad * x).sum()
    utils.clip_grad_norm_([x], 1.0)
    with pytest.raises(RuntimeError, match="modified by an in-place operation"):
        y.backward()


def test_vectors() -> None:
    net = nn.Linear(2, 1)
    v = utils.parameters_to_vector(net.parameters())
    assert v.shape == (3,)
    utils.vector_to_parameters(fastnn.tensor([1.0, 2.0, 3.0]), net.parameters())
    assert net.bias.tolist() == [3]
    with pytest.raises(RuntimeError, match="4 elements, the parameters 3"):
        utils.vector_to_parameters(fastnn.ones(4), net.parameters())
    with pytest.raises(TypeError, match="expected Tensor"):
        utils.vector_to_parameters([1.0], net.parameters())  # type: ignore[arg-type]


def test_norms_of_weights() -> None:
    layer = nn.Linear(3, 2)
    before = layer.weight.detach().clone()
    utils.weight_norm(layer)
    np.testing.assert_allclose(layer.weight.tolist(), before.tolist(), rtol=1e-6)
    with pytest.raises(RuntimeError, match="two weight_norm hooks"):
        utils.weight_norm(layer)
    utils.remove_weight_norm(layer)
    assert sorted(layer._parameters) == ["bias", "weight"]
    with pytest.raises(ValueError, match="weight_norm of 'weight' not found"):
        utils.remove_weight_norm(layer)
    utils.spectral_norm(layer, n_power_iterations=50)
    layer(fastnn.ones(1, 3))
    largest = np.linalg.svd(layer.weight.detach().numpy())[1][0]
    assert abs(largest - 1) < 1e-4  # 50 iterations of a 2 x 3 matrix
    with pytest.raises(RuntimeError, match="two spectral_norm hooks"):
        utils.spectral_norm(layer)
    utils.remove_spectral_norm(layer)
    with pytest.raises(ValueError, match="spectral_norm of 'weight' not found"):
        utils.remove_spectral_norm(layer)
    with pytest.raises(ValueError, match="n_power_iterations to be positive"):
        utils.spectral_norm(layer, n_power_iterations=0)


@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
def test_orthogonal_gradients(kind: str) -> None:
    layer: Any = nn.Linear(3, 3, dtype=fastnn.float64)
    parametrizations.orthogonal(layer, orthogonal_map=kind)
    function = layer.parametrizations.weight[0]
    fastnn.manual_seed(0)
    x = fastnn.randn(3, 3, dtype=fastnn.float64, requires_grad=True)
    assert fastnn.autograd.gradcheck(function, (x,))
    assert fastnn.autograd.gradgradcheck(function, (x,))


def test_orthogonal_without_trivialization() -> None:
    layer: Any = nn.Linear(3, 3)
    parametrizations.orthogonal(layer, use_trivialization=False)
    np.testing.assert_allclose((layer.weight @ layer.weight.T).tolist(), np.eye(3), atol=1e-6)
    with pytest.raises(NotImplementedError, match="use_trivialization"):
        layer.weight = fastnn.eye(3)
    with pytest.raises(ValueError, match="orthogonal_map has to be"):
        parametrizations.orthogonal(nn.Linear(2, 2), orthogonal_map="qr")
    with pytest.raises(ValueError, match="matrix or batch"):
        parametrizations.orthogonal(nn.Linear(2, 2), "bias")


class Twice(nn.Module):
    """x * 2."""

    def forward(self, x: fastnn.Tensor) -> fastnn.Tensor:
        return x * 2


def test_parametrizations() -> None:
    layer: Any = nn.Linear(2, 2)
    original = layer.weight
    parametrize.register_parametrization(layer, "weight", Twice())
    assert layer.parametrizations.weight.original is original
    assert sorted(dict(layer.named_parameters())) == ["bias", "parametrizations.weight.original"]
    layer(fastnn.ones(1, 2)).sum().backward()
    assert original.grad.tolist() == [[2, 2], [2, 2]]
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    other = copy.deepcopy(layer)
    assert fastnn.equal(other.weight, layer.weight)
    assert other.parametrizations.weight.original is not original
    with pytest.raises(RuntimeError, match="does not implement right_inverse"):
        layer.weight = fastnn.ones(2, 2)
    with pytest.raises(RuntimeError, match="through state_dict"):
        pickle.dumps(layer)
    new: Any = nn.Linear(2, 2)
    parametrize.transfer_parametrizations_and_params(layer, new)
    assert fastnn.equal(new.weight, layer.weight)
    value = layer.weight.detach()
    parametrize.remove_parametrizations(layer, "weight")
    assert layer.weight is original
    assert fastnn.equal(layer.weight, value)
    parametrize.remove_parametrizations(other, "weight", leave_parametrized=False)
    assert fastnn.equal(other.weight * 2, value)
    with pytest.raises(ValueError, match="does not have a parametrization"):
        parametrize.remove_parametrizations(layer, "weight")
    with pytest.raises(ValueError, match="does not have a parameter"):
        parametrize.register_parametrization(layer, "nothing", Twice())

    class Short(nn.Module):
        def forward(self, x: fastnn.Tensor) -> fastnn.Tensor:
            return x[:1]

    with pytest.raises(ValueError, match="may not change the shape"):
        parametrize.register_parametrization(layer, "weight", Short())
    parametrize.register_parametrization(layer, "bias", Short(), unsafe=True)
    assert layer.bias.shape == (1,)


def test_prune_amounts() -> None:
    fastnn.manual_seed(0)
    layer = nn.Linear(10, 10)
    prune.random_unstructured(layer, "weight", 0.25)
    assert int(layer.weight_mask.sum()) == 75
    prune.random_unstructured(layer, "weight", 15)
    assert int(layer.weight_mask.sum()) == 60
    prune.random_structured(layer, "weight", 2, dim=0)
    assert int((layer.weight_mask.sum(1) == 0).sum()) == 2
    prune.identity(layer, "bias")
    assert int(layer.bias_mask.sum()) == 10
    layer(fastnn.ones(1, 10)).sum().backward()
    assert fastnn.equal(layer.weight_orig.grad, layer.weight_mask)
    scores = fastnn.arange(10).float()
    pruned = prune.L1Unstructured(amount=3).prune(fastnn.ones(10), importance_scores=scores)
    assert pruned.tolist() == [0] * 3 + [1] * 7
    for wrong, error in ((1.5, ValueError), (-1, ValueError), ("x", TypeError)):
        with pytest.raises(error):
            prune.l1_unstructured(nn.Linear(2, 2), "weight", wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="smaller than the number"):
        prune.l1_unstructured(nn.Linear(2, 2), "weight", 5)
    with pytest.raises(ValueError, match="multidimensional"):
        prune.ln_structured(nn.Linear(2, 2), "bias", 1, n=2, dim=0)
    with pytest.raises(ValueError, match="has to be pruned"):
        prune.remove(nn.Linear(2, 2), "weight")
    with pytest.raises(TypeError, match="non-empty list"):
        prune.global_unstructured([], prune.L1Unstructured, amount=1)
    with pytest.raises(TypeError, match="unstructured"):
        prune.global_unstructured([(nn.Linear(2, 2), "weight")], prune.LnStructured, amount=1, n=2)


def test_functional_calls() -> None:
    shared = nn.Linear(1, 1, bias=False)
    net = nn.Sequential(shared, shared)
    two = fastnn.tensor([[2.0]])
    call = fastnn.func.functional_call
    assert call(net, {"0.weight": two}, fastnn.ones(1)).item() == 4
    assert call(net, ({"0.weight": two},), (fastnn.ones(1),), strict=False).item() == 4
    before = shared.weight
    with pytest.raises(ValueError, match="multiple values"):
        call(net, {"0.weight": two, "1.weight": two + 1}, fastnn.ones(1))
    with pytest.raises(ValueError, match="multiple dictionaries"):
        call(net, ({"0.weight": two}, {"0.weight": two}), fastnn.ones(1))
    with pytest.raises(RuntimeError, match=r"unexpected key\(s\) \['x'\]"):
        call(net, {"x": two}, fastnn.ones(1))
    with pytest.raises(RuntimeError, match="missing"):
        call(nn.Linear(1, 1), {"weight": two}, fastnn.ones(1), strict=True)
    assert shared.weight is before


def test_skip_init_and_fusion() -> None:
    assert utils.skip_init(nn.Linear, 2, 3).weight.shape == (3, 2)
    with pytest.raises(RuntimeError, match="Expected a Module"):
        utils.skip_init(int)
    conv, bn = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
    with pytest.raises(AssertionError, match="only for eval"):
        utils.fuse_conv_bn_eval(conv, bn)
    x = fastnn.randn(2, 1, 5, 5)
    bn(conv(x))
    conv.eval()
    bn.eval()
    fused = utils.fuse_conv_bn_eval(conv, bn)
    # Sums of 9 products below 2, scaled
    np.testing.assert_allclose(fused(x).tolist(), bn(conv(x)).tolist(), rtol=0, atol=1e-5)
