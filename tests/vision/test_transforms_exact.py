"""Random crops of a whole batch, pixel by pixel; rotations, perspective and hues, against independent definitions."""

import colorsys

import numpy as np
import pytest

import fastnn
from fastnn.utils.data.batching import batched
from fastnn.vision import transforms
from fastnn.vision.transforms import InterpolationMode
from fastnn.vision.transforms import functional as F

RNG = np.random.default_rng(0)
FLOATS = fastnn.from_numpy(RNG.random((3, 8, 9)))


def _pillow():
    return pytest.importorskip("PIL.Image", reason="Pillow is optional")


def _images(n=40, shape=(6, 8, 3)):
    return np.random.default_rng(0).integers(1, 256, (n, *shape), dtype=np.uint8)


def _windows(image, margin, height, width):
    """Every crop that a random one may be."""
    ends = ((margin, margin), (margin, margin), (0, 0))[: image.ndim]
    big = np.pad(image, ends)
    for top in range(big.shape[0] - height + 1):
        for left in range(big.shape[1] - width + 1):
            yield big[top : top + height, left : left + width]


@pytest.mark.parametrize("shape", [(6, 8, 3), (6, 8)])
@pytest.mark.parametrize("layout", ["rows", "planes"])
def test_random_crop_cuts_each_image_by_itself(shape, layout):
    images = _images(shape=shape)
    if layout == "planes" and len(shape) == 3:  # as CIFAR lies in memory
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    before = images.copy()
    result = batched(transforms.RandomCrop((6, 8), padding=2))(images)
    assert result.shape == images.shape
    np.testing.assert_array_equal(images, before)
    places = set()
    for image, cut in zip(images, result, strict=True):
        found = [i for i, w in enumerate(_windows(image, 2, 6, 8)) if np.array_equal(w, cut)]
        assert len(found) == 1
        places.add(found[0])
    assert len(places) > 10  # of 25, for 40 images


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_random_crop_of_a_stack_pads_as_pad_does(mode):
    images = _images(4)
    fill = 7 if mode == "constant" else 0
    cut = transforms.RandomCrop((10, 12), padding=2, fill=fill, padding_mode=mode)
    padded = [transforms.functional.pad(image, 2, fill, mode) for image in images]
    np.testing.assert_array_equal(batched(cut)(images), padded)


def test_overridden_parameters_are_heard():
    class Corner(transforms.RandomCrop):
        @staticmethod
        def get_params(img, output_size):
            return 0, 0, *output_size

    assert batched(Corner(2)) is None
    np.testing.assert_array_equal(Corner(2)(_images()[0]), _images()[0, :2, :2])


def test_rotation_of_a_ramp():
    # Bilinear values of a plane are exact inside: x turned by 30 degrees
    rows, columns = np.mgrid[:21, :21] - 10.0
    out = F.rotate(fastnn.tensor(columns[None]), 30, InterpolationMode.BILINEAR).numpy()[0]
    angle = np.deg2rad(30)
    expected = columns * np.cos(angle) - rows * np.sin(angle)
    inside = np.hypot(rows, columns) < 9
    # float64 on coordinates up to 21
    np.testing.assert_allclose(out[inside], expected[inside], atol=1e-12)


def test_perspective_agrees_with_pillow():
    image_module = _pillow()
    pixels = RNG.integers(0, 256, (40, 50), dtype=np.uint8)
    start, end = [[0, 0], [49, 0], [49, 39], [0, 39]], [[5, 3], [45, 1], [48, 30], [2, 38]]
    rows = []
    for (x, y), (u, v) in zip(end, start, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    coefficients = np.linalg.solve(np.array(rows, float), np.array(start, float).reshape(-1))
    picture = image_module.fromarray(pixels)
    expected = picture.transform(
        (50, 40),
        image_module.Transform.PERSPECTIVE,
        coefficients.tolist(),
        image_module.Resampling.NEAREST,
    )
    out = F.perspective(pixels, start, end, InterpolationMode.NEAREST)
    # Where a position falls on the edge of two pixels, either may be taken
    assert (out != np.asarray(expected)).mean() < 0.01


@pytest.mark.parametrize("turn", [-0.4, 0.0, 0.25, 0.5])
def test_hue_against_colorsys(turn):
    out = F.adjust_hue(FLOATS, turn).numpy()
    for y in range(8):
        for x in range(9):
            h, s, v = colorsys.rgb_to_hsv(*FLOATS.numpy()[:, y, x])
            expected = colorsys.hsv_to_rgb((h + turn) % 1.0, s, v)
            # float64 through a dozen operations of numbers about 1
            np.testing.assert_allclose(out[:, y, x], expected, atol=1e-13)
    grey = fastnn.full((3, 1, 1), 0.3)
    np.testing.assert_array_equal(F.adjust_hue(grey, 0.2).numpy(), grey.numpy())
