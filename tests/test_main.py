"""The command line."""

import os
import subprocess
import sys

import pytest

import fastnn
from fastnn.__main__ import main


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"fastnn {fastnn.__version__}\n"


def test_config(capsys):
    assert main(["config"]) == 0
    out = capsys.readouterr().out
    assert fastnn.__version__ in out
    assert "backend: " in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: command"),
        (["paint"], "invalid choice: 'paint'"),
        (["demo", "--epochs", "0"], "--epochs: must be at least 1, got 0"),
        (["demo", "--batch-size", "many"], "--batch-size: invalid"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_missing_data_are_an_error_without_a_traceback(tmp_path, capsys):
    assert main(["demo", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("python -m fastnn demo: Dataset not found")
    assert os.path.join("MNIST", "raw") in error


def test_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "fastnn", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"fastnn {fastnn.__version__}\n"
