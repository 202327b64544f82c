"""What is public is named in ``__all__``, exists, and says what it is."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path
from typing import Any

import pytest

TOOL = Path(__file__).parent.parent / "tools" / "api_reference.py"


def _reference() -> Any:
    """The tool that writes the reference: it knows which modules are public."""
    spec = importlib.util.spec_from_file_location("api_reference", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = _reference() if TOOL.is_file() else None
pytestmark = pytest.mark.skipif(REFERENCE is None, reason="the tests run outside the source tree")
MODULES = list(REFERENCE.MODULES) if REFERENCE is not None else []
# Methods whose name says all: Python's and Module's protocols, described where they are first defined
_INHERITED = {"forward", "extra_repr", "reset_parameters"}


def _undocumented(name: str, value: Any) -> list[str]:
    if inspect.ismodule(value) or not callable(value):
        return []
    missing = [] if inspect.getdoc(value) else [name]
    if isinstance(value, type):
        for member, body in vars(value).items():
            inner = body.__func__ if isinstance(body, (staticmethod, classmethod)) else body
            public = not member.startswith("_") and member not in _INHERITED
            if public and (inspect.isfunction(inner) or isinstance(body, property)):
                inherited = any(
                    getattr(vars(k).get(member), "__doc__", None) for k in value.__mro__
                )
                if not inherited:
                    missing.append(f"{name}.{member}")
    return missing


@pytest.mark.parametrize("name", MODULES)
def test_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert inspect.getdoc(module)
    names = list(getattr(module, "__all__", ()))
    assert len(names) == len(set(names)), "a name twice in __all__"
    missing: list[str] = []
    assert REFERENCE is not None
    for public in sorted(REFERENCE.public_names(module)):
        missing += _undocumented(public, getattr(module, public))
    assert not missing
