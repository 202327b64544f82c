"""The examples run in their quick mode, on the real data, and learn something."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
DATA = os.environ.get("FASTNN_DATA")
pytestmark = [
    pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the tests run outside the source tree"),
    pytest.mark.skipif(not DATA, reason="FASTNN_DATA names no folder with the full data sets"),
]


# Guessing is right for 10 %. LeNet's learning rate is small: in 80 steps its loss only begins to fall.
@pytest.mark.parametrize(
    ("arguments", "least"),
    [
        (["mnist_mlp.py"], 85.0),
        (["mnist_cnn_torch.py"], 40.0),
        (["mnist_cnn_torch.py", "--net", "dropout"], 60.0),
        (["cifar_lenet.py"], 5.0),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_quick(arguments: list[str], least: float, tmp_path: Path) -> None:
    assert DATA
    command = [sys.executable, str(EXAMPLES / arguments[0]), *arguments[1:], "--quick"]
    command += ["--data", DATA, "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    accuracies = [float(a) for a in re.findall(r"test accuracy ([\d.]+) %", done.stdout)]
    assert accuracies
    assert accuracies[-1] >= least
    (picture,) = tmp_path.glob("*.png")
    assert picture.stat().st_size > 1000
