"""Networks: numbers of parameters, names, shapes, initial weights, gradients."""

import math

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn.vision import models
from fastnn.vision.models import vgg
from fastnn.vision.models.resnet import BasicBlock, Bottleneck

# As the papers and torchvision's documentation give them.
PARAMETERS = {
    "alexnet": 61_100_840,
    "mobilenet_v2": 3_504_872,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnext50_32x4d": 25_028_904,
    "wide_resnet50_2": 68_883_240,
    "vgg11": 132_863_336,
}


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "resnet34", "resnet50", "resnext50_32x4d"])  # fmt: skip
def test_numbers_of_parameters(name):
    assert count(models.get_model(name)) == PARAMETERS[name]


@pytest.fixture
def shapes_only(monkeypatch):
    """Weights of 100 million numbers are not drawn."""
    for name in ("kaiming_normal_", "kaiming_uniform_", "normal_", "uniform_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *args, **kwargs: nn.init.zeros_(tensor))


@pytest.mark.usefixtures("shapes_only")
def test_numbers_of_parameters_of_large_models():
    for name in ("alexnet", "resnet101", "wide_resnet50_2", "vgg11"):
        assert count(models.get_model(name)) == PARAMETERS[name]


@pytest.mark.usefixtures("shapes_only")
def test_vgg():
    depths = {11: 8, 13: 10, 16: 13, 19: 16}
    for number, convolutions in depths.items():
        features = vgg._features(vgg._DEPTHS[f"vgg{number}"], batch_norm=True)
        assert sum(isinstance(m, nn.Conv2d) for m in features) == convolutions
        assert sum(isinstance(m, nn.BatchNorm2d) for m in features) == convolutions
    small = models.VGG(nn.Sequential(nn.Conv2d(3, 512, 1)), num_classes=2)
    assert list(small.state_dict()) == [
        "features.0.weight", "features.0.bias",
        *(f"classifier.{i}.{part}" for i in (0, 3, 6) for part in ("weight", "bias")),
    ]  # fmt: skip
    assert small(fastnn.zeros(1, 3, 7, 7)).shape == (1, 2)


def test_resnet_names_and_shapes():
    state = models.resnet18().state_dict()
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert list(state)[:6] == ["conv1.weight", *(f"bn1.{part}" for part in norm)]
    assert tuple(state["layer2.0.downsample.0.weight"].shape) == (128, 64, 1, 1)
    assert tuple(state["layer4.1.conv2.weight"].shape) == (512, 512, 3, 3)
    assert len(state) == 122
    deep = models.resnet50(num_classes=7).state_dict()
    assert tuple(deep["layer3.5.conv3.weight"].shape) == (1024, 256, 1, 1)
    assert tuple(deep["fc.weight"].shape) == (7, 2048)
    assert len(deep) == 320


def test_mobilenet_names():
    state = models.mobilenet_v2(width_mult=0.5).state_dict()
    for name, shape in (
        ("features.0.0.weight", (16, 3, 3, 3)),
        ("features.1.conv.0.0.weight", (16, 1, 3, 3)),
        ("features.1.conv.2.running_mean", (8,)),
        ("features.2.conv.0.0.weight", (48, 8, 1, 1)),
        ("features.18.1.weight", (1280,)),
        ("classifier.1.bias", (1000,)),
    ):
        assert tuple(state[name].shape) == shape
    assert len(models.mobilenet_v2().state_dict()) == 314


@pytest.mark.parametrize(
    "make",
    [
        lambda: models.ResNet(BasicBlock, [1, 1, 1, 1], 4),
        lambda: models.ResNet(Bottleneck, [1, 1, 1, 1], 4, groups=4, width_per_group=8, replace_stride_with_dilation=(False, True, True)),
        lambda: models.mobilenet_v2(num_classes=4, width_mult=0.25),
        lambda: models.LeNet(4, in_channels=3, image_size=32),
    ],
)  # fmt: skip
def test_gradients_reach_all_parameters(make):
    fastnn.manual_seed(0)
    model = make()
    images = fastnn.randn(4, 3, 32 if isinstance(model, models.LeNet) else 64, 32 if isinstance(model, models.LeNet) else 64)  # fmt: skip
    scores = model(images)
    assert scores.shape == (4, 4)
    nn.functional.cross_entropy(scores, fastnn.tensor([0, 1, 2, 3])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert np.isfinite(parameter.grad.numpy()).all(), name


def test_initial_weights():
    fastnn.manual_seed(0)
    model = models.resnet18(zero_init_residual=True)
    assert not model.layer1[0].bn2.weight.any()
    weight = model.layer3[0].conv2.weight
    expected = math.sqrt(2 / (256 * 9))
    # The deviation of 589,824 numbers is known to a thousandth: 1/sqrt(2 n).
    assert abs(weight.std().item() / expected - 1) < 5e-3
    assert model.bn1.weight.tolist() == [1.0] * 64


def test_initial_weights_of_vgg():
    fastnn.manual_seed(0)
    linear = nn.Linear(300, 300)
    vgg._initialize(linear)
    assert abs(linear.weight.std().item() - 0.01) < 1e-4  # 90,000 numbers: known to 0.24 %
    assert not linear.bias.any()


def test_blocks_begin_as_the_identity():
    model = models.ResNet(BasicBlock, [2, 1, 1, 1], zero_init_residual=True)
    x = fastnn.rand(1, 64, 4, 4)
    np.testing.assert_array_equal(model.layer1[1](x).detach().numpy(), x.numpy())


@pytest.mark.usefixtures("shapes_only")
def test_alexnet_runs():
    assert models.alexnet(num_classes=3).eval()(fastnn.zeros(1, 3, 63, 63)).shape == (1, 3)


def test_weights_are_refused():
    for options in ({"weights": "DEFAULT"}, {"pretrained": True}):
        for name in ("resnet18", "vgg16_bn", "alexnet", "mobilenet_v2"):
            with pytest.raises(NotImplementedError, match=f"{name}.*load_state_dict"):
                models.get_model(name, **options)


def test_errors():
    with pytest.raises(ValueError, match="Unknown model"):
        models.get_model("resnet19")
    with pytest.raises(ValueError, match="width_per_group"):
        models.wide_resnet50_2(width_per_group=64)
    with pytest.raises(ValueError, match="3-element"):
        models.resnet18(replace_stride_with_dilation=(True,))
    with pytest.raises(ValueError, match="groups=1"):
        models.resnet18(groups=2)
    with pytest.raises(NotImplementedError, match="Bottleneck"):
        models.resnet18(replace_stride_with_dilation=(True, False, False))
    with pytest.raises(ValueError, match="stride"):
        models.mobilenetv2.InvertedResidual(4, 4, 3, 1)
    with pytest.raises(ValueError, match="4-element"):
        models.mobilenet_v2(inverted_residual_setting=[(1, 2)])
    with pytest.raises(ValueError, match="image_size"):
        models.LeNet(image_size=8)
