"""README's training code runs, as it stands there."""

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parent.parent / "README.md"


def test_the_training_code(tmp_path, monkeypatch, capsys):
    if not README.is_file():
        pytest.skip("the tests run outside the source tree")
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(README), "exec"), {})
    losses = re.findall(r"epoch \d: loss ([\d.]+)", capsys.readouterr().out)
    assert len(losses) == 3
    assert float(losses[-1]) < 1  # guessing: log(10) = 2.3
    assert (tmp_path / "model.safetensors").is_file()
