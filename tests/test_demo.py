"""The demonstration, a few steps of it on small data."""

import sys

import numpy as np
import pytest

import fastnn
from fastnn import demo
from fastnn.__main__ import main
from fastnn.vision.datasets import MNISTSample
from fastnn.vision.datasets.idx import write_idx


@pytest.fixture
def small_mnist(tmp_path):
    """Every tenth digit of the sample in the layout of the full MNIST: 600 and 100."""
    raw = tmp_path / "sets" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split, train in (("train", True), ("t10k", False)):
        sample = MNISTSample(train=train)
        write_idx(raw / f"{split}-images-idx3-ubyte.gz", sample.data.numpy()[::10])
        labels = sample.targets.numpy()[::10].astype(np.uint8)
        write_idx(raw / f"{split}-labels-idx1-ubyte.gz", labels)
    return tmp_path / "sets"


def test_the_command_learns_and_writes_its_results(small_mnist, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="drawing is an extra")
    out = tmp_path / "results"
    arguments = ["--epochs", "2", "--batch-size", "32", "--seed", "1", "--out", str(out)]
    assert main(["demo", "--data", str(small_mnist), *arguments]) == 0
    printed, bar = capsys.readouterr()
    assert "600 training and 100 test digits; 225,034 parameters" in printed
    assert "backend: " in printed
    assert printed.count("epoch 1/2") == printed.count("epoch 2/2") == 1
    assert "time an epoch:" in printed
    assert "epoch 1/2" in bar
    accuracy = float(printed.split("test accuracy: ")[1].split("%")[0])
    # Guessing gives 10; forty steps give about 80.
    assert accuracy > 50

    assert sorted(p.name for p in out.iterdir()) == [
        "curves.png",
        "mistakes.png",
        "mnist_cnn.safetensors",
    ]
    for name in ("curves.png", "mistakes.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    model = demo.build_model()
    model.load_state_dict(fastnn.load(out / "mnist_cnn.safetensors"))
    transform = fastnn.vision.transforms.Compose(
        [fastnn.vision.transforms.ToTensor(), demo._NORMALIZE]
    )
    test = fastnn.vision.datasets.MNIST(small_mnist, train=False, transform=transform)
    probabilities, labels = demo.predict(model, test)
    assert 100 * (probabilities.argmax(axis=1) == labels).mean() == pytest.approx(accuracy)


def test_the_seed_decides(small_mnist, tmp_path):
    def weights(seed):
        demo.run(small_mnist, epochs=1, seed=seed, out=tmp_path / "out")
        state = fastnn.load(tmp_path / "out" / "mnist_cnn.safetensors")
        return b"".join(value.numpy().tobytes() for value in state.values())

    first = weights(3)
    assert weights(3) == first
    assert weights(4) != first


def test_without_matplotlib(small_mnist, tmp_path, monkeypatch, capsys):
    for name in [m for m in sys.modules if m.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # importing it raises ImportError
    demo.run(small_mnist, epochs=1, batch_size=200, out=tmp_path / "out")
    assert "matplotlib is missing: no pictures" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mnist_cnn.safetensors"]
    with pytest.raises(ImportError, match="pip install matplotlib"):
        demo.draw_curves(demo.History([1.0], [0.5], [1.0]), tmp_path / "x.png")


@pytest.mark.parametrize("wrong", [0, 1, 40])
def test_any_number_of_mistakes_can_be_drawn(tmp_path, wrong):
    pytest.importorskip("matplotlib", reason="drawing is an extra")
    labels = np.zeros(50, np.int64)
    probabilities = np.tile(np.array([[0.9, 0.1]], np.float32), (50, 1))
    probabilities[:wrong] = [0.2, 0.8]
    path = tmp_path / "x.png"
    demo.draw_mistakes(np.zeros((50, 28, 28), np.uint8), probabilities, labels, path)
    assert path.read_bytes().startswith(b"\x89PNG")
