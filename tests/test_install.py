"""An installation without a compiler: the package works on NumPy alone, and says why."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("CMakeLists.txt", "README.md", "cmake", "csrc", "pyproject.toml", "python")
BUILT = shutil.ignore_patterns("*.so", "*.pyd", "_build_info.json", "__pycache__")

TRAINING_STEP = """
import fastnn
from fastnn import backends, demo, nn

fastnn.show_config()
assert backends.available() == ["numpy"], backends.available()
model = demo.build_model()
optimizer = fastnn.optim.SGD(model.parameters(), lr=0.1)
digits = fastnn.vision.datasets.MNISTSample(transform=fastnn.vision.transforms.ToTensor())
images, labels = next(iter(fastnn.utils.data.DataLoader(digits, batch_size=8)))
losses = []
for _ in range(2):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model.eval()(images), labels)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert losses[1] < losses[0], losses
"""


def run(command, **environment):
    done = subprocess.run(
        [str(word) for word in command],
        env={**CLEAN, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


# What names a compiler, or leads to another copy of fastnn, is taken out.
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if name
    not in ("CC", "CXX", "CFLAGS", "CXXFLAGS", "CMAKE_ARGS", "PYTHONPATH", "SKBUILD_CMAKE_ARGS")
    and not name.startswith("FASTNN_")
}


@pytest.mark.skipif(not (ROOT / "CMakeLists.txt").is_file(), reason="needs the source tree")
@pytest.mark.parametrize(
    ("path", "options", "reason"),
    [
        ("", [], "no C++ compiler was found when fastnn was built"),
        (
            os.environ.get("PATH", ""),
            [
                "--config-settings=cmake.define.FASTNN_CPU=OFF",
                "--config-settings=cmake.define.FASTNN_CUDA=OFF",
            ],
            "the build was configured with FASTNN_CPU=OFF",
        ),
    ],
    ids=["no compiler in PATH", "FASTNN_CPU=OFF, FASTNN_CUDA=OFF"],
)
def test_numpy_only(tmp_path, path, options, reason):
    tree, empty, site = tmp_path / "tree", tmp_path / "empty", tmp_path / "site"
    empty.mkdir()
    tree.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=BUILT)
        elif source.is_file():
            shutil.copy(source, tree / name)

    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    # With the build's own tools at hand nothing has to be downloaded.
    tools = all(importlib.util.find_spec(m) for m in ("scikit_build_core", "pybind11", "cmake"))
    isolation = ["--no-build-isolation"] if tools else []
    build = [*pip, "wheel", "--no-deps", *isolation, "-w", tmp_path, *options, tree]
    run(build, PATH=path or str(empty))

    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        assert not [name for name in content.namelist() if name.endswith((".so", ".pyd"))]
    run([*pip, "install", "--no-deps", "--no-index", "--target", site, wheel])
    printed = run([sys.executable, "-c", TRAINING_STEP], PYTHONPATH=str(site))
    assert "backend: numpy (available: numpy)" in printed
    assert f"cpu: missing: {reason}" in printed
    assert f"cuda: missing: fastnn has no CUDA kernels: {reason.replace('CPU', 'CUDA')}" in printed
