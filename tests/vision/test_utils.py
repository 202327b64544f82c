"""Grids and files of images."""

import builtins
import io

import numpy as np
import pytest

import fastnn
from fastnn.vision.utils import encode_png, make_grid, save_image

IMAGES = fastnn.from_numpy(np.random.default_rng(0).random((5, 3, 4, 6)).astype(np.float32))


def test_grid():
    grid = make_grid(IMAGES, nrow=3, padding=1, pad_value=0.5).numpy()
    assert grid.shape == (3, 11, 22)
    np.testing.assert_array_equal(grid[:, 1:5, 1:7], IMAGES.numpy()[0])
    np.testing.assert_array_equal(grid[:, 6:10, 8:14], IMAGES.numpy()[4])
    assert (grid[:, 5] == 0.5).all()
    assert (grid[:, 6:10, 15:] == 0.5).all()
    np.testing.assert_array_equal(make_grid(list(IMAGES), 3, 1, pad_value=0.5).numpy(), grid)
    assert make_grid(IMAGES[0, 0]).shape == (3, 4, 6)
    assert make_grid(IMAGES[:, :1]).shape == (3, 8, 42)
    assert make_grid(IMAGES[:1]).shape == (3, 4, 6)  # one image has no border


def test_normalized_grids():
    grid = make_grid(IMAGES * 7 - 2, normalize=True, padding=0).numpy()
    assert grid.min() == 0
    assert grid.max() == 1
    each = make_grid(IMAGES, normalize=True, scale_each=True, nrow=5, padding=0).numpy()
    for i in range(5):
        part = each[:, :, 6 * i : 6 * i + 6]
        assert (part.min(), part.max()) == (0, 1)
    limited = make_grid(IMAGES, normalize=True, value_range=(0.0, 0.5), nrow=5, padding=0)
    np.testing.assert_allclose(limited.numpy()[:, :, :6], np.minimum(IMAGES.numpy()[0] * 2, 1), rtol=1e-6)  # fmt: skip


def test_grid_errors():
    with pytest.raises(TypeError, match="list of tensors"):
        make_grid(np.zeros((3, 2, 2)))
    with pytest.raises(ValueError, match="normalize=True"):
        make_grid(IMAGES, scale_each=True)
    with pytest.raises(ValueError, match="N, C, H, W"):
        make_grid(fastnn.zeros(1, 1, 1, 1, 1))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_is_read_by_pillow(channels):
    image_module = pytest.importorskip("PIL.Image", reason="Pillow is not installed: an optional extra")  # fmt: skip
    pixels = np.random.default_rng(channels).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    found = np.asarray(image_module.open(io.BytesIO(encode_png(pixels))))
    np.testing.assert_array_equal(found.reshape(pixels.shape), pixels)


def test_save_image(tmp_path):
    image_module = pytest.importorskip("PIL.Image", reason="Pillow is not installed: an optional extra")  # fmt: skip
    save_image(IMAGES, tmp_path / "grid.png", nrow=3)
    with image_module.open(tmp_path / "grid.png") as image:
        found = np.asarray(image).transpose(2, 0, 1)
    expected = np.floor(make_grid(IMAGES, nrow=3).numpy().astype(np.float64) * 255 + 0.5)
    np.testing.assert_array_equal(found, expected)
    save_image(IMAGES[0], str(tmp_path / "one.jpg"))
    with image_module.open(tmp_path / "one.jpg") as image:
        assert image.size == (6, 4)
    with pytest.raises(ValueError, match="format"):
        save_image(IMAGES, io.BytesIO())
    with pytest.raises(ValueError, match="PNG: expected"):
        encode_png(np.zeros((2, 2, 5), np.uint8))


def test_png_needs_no_pillow(tmp_path, monkeypatch):
    real = builtins.__import__

    def without_pillow(name, *args, **kwargs):
        if name == "PIL" or name.startswith("PIL."):
            raise ModuleNotFoundError("No module named 'PIL'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pillow)
    save_image(IMAGES, tmp_path / "grid.png")
    with pytest.raises(ModuleNotFoundError, match="pip install pillow"):
        save_image(IMAGES, tmp_path / "grid.jpg")
