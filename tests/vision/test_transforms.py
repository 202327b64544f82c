"""Transforms: values, types, errors and how they print."""

import numpy as np
import pytest

import fastnn
from fastnn.vision import transforms
from fastnn.vision.transforms import functional as F


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3)])
def test_to_tensor_scales_bytes(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    result = transforms.ToTensor()(image)
    planes = image.reshape(4, 5, -1).transpose(2, 0, 1)
    assert result.dtype == fastnn.float32
    np.testing.assert_array_equal(result.numpy(), planes.astype(np.float32) / np.float32(255))
    assert not np.shares_memory(result.numpy(), image)


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64, np.bool_])
def test_to_tensor_keeps_other_dtypes(dtype):
    image = np.ones((2, 3), dtype)
    result = F.to_tensor(image)
    assert result.numpy().dtype == dtype
    assert result.shape == (1, 2, 3)
    np.testing.assert_array_equal(result.numpy()[0], image)


def test_to_tensor_takes_strided_images():
    image = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)[::-1, ::2]
    np.testing.assert_array_equal(F.to_tensor(image).numpy(), F.to_tensor(np.array(image)).numpy())


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1", "I", "F"])
def test_to_tensor_takes_pil_images(mode):
    image_module = pytest.importorskip("PIL.Image", reason="PIL is not a dependency")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    picture = image_module.fromarray(pixels).convert(mode)
    array = np.asarray(picture)
    result = F.to_tensor(picture).numpy()
    assert result.shape[1:] == (4, 5)
    if mode in ("I", "F"):
        np.testing.assert_array_equal(result[0], array)
    elif mode == "1":
        np.testing.assert_array_equal(result[0], array.astype(np.float32))
    else:
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, F.to_tensor(np.array(array)).numpy())


def test_to_tensor_errors():
    with pytest.raises(TypeError, match=r"PIL Image or ndarray\. Got <class 'list'>"):
        F.to_tensor([[1, 2]])
    with pytest.raises(TypeError, match="PIL Image or ndarray"):
        F.to_tensor(fastnn.zeros(2, 2))
    for shape in [(3,), (1, 2, 3, 4)]:
        with pytest.raises(ValueError, match=f"2/3 dimensional. Got {len(shape)}"):
            F.to_tensor(np.zeros(shape))


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normalize(shape, dtype):
    image = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    tensor = fastnn.from_numpy(image.copy())
    result = transforms.Normalize(mean, std)(tensor)
    expected = (image - np.array(mean, dtype).reshape(3, 1, 1)) / np.array(std, dtype).reshape(
        3, 1, 1
    )
    assert result.numpy().dtype == dtype
    np.testing.assert_array_equal(result.numpy(), expected)
    np.testing.assert_array_equal(tensor.numpy(), image)


def test_normalize_in_place():
    tensor = fastnn.ones(1, 2, 2)
    result = transforms.Normalize((0.5,), (0.25,), inplace=True)(tensor)
    assert result is tensor
    np.testing.assert_array_equal(tensor.numpy(), np.full((1, 2, 2), 2.0))


def test_normalize_is_differentiable():
    tensor = fastnn.ones(1, 2, 2).requires_grad_()
    F.normalize(tensor, (0.5,), (0.25,)).sum().backward()
    np.testing.assert_array_equal(tensor.grad.numpy(), np.full((1, 2, 2), 4.0))


@pytest.mark.parametrize(
    ("image", "mean", "std", "error", "message"),
    [
        (lambda: np.zeros((1, 2, 2)), [0], [1], TypeError, "Got <class 'numpy.ndarray'>"),
        (lambda: fastnn.zeros(1, 2, 2, dtype=fastnn.uint8), [0], [1], TypeError, "uint8"),
        (lambda: fastnn.zeros(2, 2), [0], [1], ValueError, r"\(2, 2\)"),
        (lambda: fastnn.zeros(1, 2, 2), [0], [0], ValueError, "division by zero"),
        (lambda: fastnn.zeros(3, 2, 2), [0, 0], [1], ValueError, "mean has 2 values.*3 channels"),
        (lambda: fastnn.zeros(3, 2, 2), [0], [1] * 4, ValueError, "std has 4 values"),
    ],
)
def test_normalize_errors(image, mean, std, error, message):
    with pytest.raises(error, match=message):
        transforms.Normalize(mean, std)(image())


def test_compose_and_lambda():
    chain = transforms.Compose([transforms.Lambda(lambda x: x + 1), transforms.Lambda(str)])
    assert chain(1) == "2"
    with pytest.raises(TypeError, match="callable, got 'int'"):
        transforms.Lambda(3)


def test_representations():
    chain = transforms.Compose(
        [
            transforms.ToTensor(),
            transforms.Normalize((0.1307,), (0.3081,)),
            transforms.Lambda(abs),
        ]
    )
    assert repr(chain) == (
        "Compose(\n    ToTensor()\n    Normalize(mean=(0.1307,), std=(0.3081,))\n    Lambda()\n)"
    )
