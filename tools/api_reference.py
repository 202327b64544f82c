"""Writes the API reference, docs/api/*.md, from the docstrings of the package.

    python tools/api_reference.py           # write
    python tools/api_reference.py --check   # fail where a file differs from what would be written

The examples are executed by tests/test_doctests.py.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

MODULES = {
    "fastnn": "Tensors, operations, random numbers, saving",
    "fastnn.nn": "Layers, containers, losses",
    "fastnn.nn.functional": "Functions that layers call",
    "fastnn.nn.init": "Initial values of parameters",
    "fastnn.nn.utils": "Clipping, reparametrizations, parameters as one vector",
    "fastnn.nn.utils.rnn": "Sequences of different lengths",
    "fastnn.nn.utils.parametrize": "Parameters as functions of others",
    "fastnn.nn.utils.parametrizations": "Ready parametrizations",
    "fastnn.nn.utils.prune": "Pruning",
    "fastnn.optim": "Optimizers",
    "fastnn.optim.lr_scheduler": "Learning-rate schedules",
    "fastnn.optim.swa_utils": "Averages of models",
    "fastnn.autograd": "Gradients",
    "fastnn.autograd.functional": "Jacobians, Hessians and products with them",
    "fastnn.func": "Gradients as functions",
    "fastnn.linalg": "Linear algebra",
    "fastnn.special": "Special functions",
    "fastnn.signal.windows": "Window functions",
    "fastnn.distributions": "Probability distributions",
    "fastnn.utils.data": "Datasets, samplers, loaders",
    "fastnn.utils.checkpoint": "Less memory for more time",
    "fastnn.vision.datasets": "Datasets of images",
    "fastnn.vision.transforms": "Transforms of images",
    "fastnn.vision.models": "Models for images",
    "fastnn.vision.utils": "Pictures of tensors",
    "fastnn.profiler": "Where the time goes",
    "fastnn.amp": "Mixed precision",
    "fastnn.testing": "Comparing tensors in tests",
}
FOLDER = Path(__file__).parent.parent / "docs" / "api"
_SECTION = re.compile(r"^(Args|Returns|Raises|Attributes|Yields)(?:, \w+)*:\s*(.*)$")


def _signature(value: Any) -> str:
    try:
        text = str(inspect.signature(value))
    except (TypeError, ValueError):
        return "(...)"
    text = re.sub(r" at 0x[0-9a-f]+", "", text)
    return text.replace("'", "").replace("typing.", "")


def _escape(text: str) -> str:
    return re.sub(r"(?<!`)([*<])(?=\w)", r"\\\1", text) if "`" not in text else text


def _markdown(doc: str) -> list[str]:
    """A docstring as Markdown: its sections as lists, its examples as code."""
    lines: list[str] = []
    example = False
    section = False
    for line in inspect.cleandoc(doc).splitlines():
        stripped = line.strip()
        if stripped.startswith(">>>") and not example:
            lines += ["", "```pycon"]
            example = True
        if example:
            if not stripped:
                lines += ["```", ""]
                example = False
            else:
                lines.append(line)
            continue
        found = _SECTION.match(line)
        if found:
            lines += ["", f"**{line.split(':')[0]}**"]
            lines += ["", _escape(found.group(2))] if found.group(2) else [""]
            section = True
        elif section and line.startswith("    ") and not line.startswith("     ") and ":" in line:
            name, _, rest = stripped.partition(":")
            lines.append(f"- `{name}`:{_escape(rest)}")
        elif section and line.startswith("    "):
            lines.append(f"  {_escape(stripped)}")
        else:
            section = section and not stripped
            lines.append(_escape(line))
    return [*lines, "```"] if example else lines


def _doc(value: Any) -> list[str]:
    doc = value.__doc__ if isinstance(value, type) else inspect.getdoc(value)
    return _markdown(doc) if doc else []


def _members(kind: type) -> list[tuple[str, Any]]:
    """The public methods and properties that a class defines itself."""
    found = []
    for name, value in vars(kind).items():
        inner = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
        if not name.startswith("_") and (callable(inner) or isinstance(value, property)):
            found.append((name, value))
    return found


def _entry(name: str, value: Any) -> list[str]:
    if isinstance(value, type):
        lines = [f"## {name}", "", f"`class {name}{_signature(value)}`", "", *_doc(value), ""]
        for member, body in _members(value):
            if member == "forward" and not inspect.getdoc(body):
                continue
            if isinstance(body, property):
                lines += [f"### {name}.{member}", "", *_doc(body), ""]
            else:
                inner = body.__func__ if isinstance(body, (staticmethod, classmethod)) else body
                lines += [
                    f"### {name}.{member}",
                    "",
                    f"`{member}{_signature(inner)}`",
                    "",
                    *_doc(inner),
                    "",
                ]
        return lines
    if callable(value):
        return [f"## {name}", "", f"`{name}{_signature(value)}`", "", *_doc(value), ""]
    text = repr(value)
    shown = (
        f"`{text}`" if len(text) < 80 and " at 0x" not in text else f"A `{type(value).__name__}`."
    )
    return [f"## {name}", "", shown, ""]


def public_names(module: Any) -> set[str]:
    """What is public: ``__all__``, or what the module itself defines."""
    if hasattr(module, "__all__"):
        return set(module.__all__)
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }


def _operations_of(kind: type) -> list[str]:
    """The methods that a class has from its tables of operations, a line each."""
    lines = []
    for base in kind.__mro__[1:]:
        if base.__module__.startswith("fastnn."):
            for name, value in _members(base):
                doc = (inspect.getdoc(value) or "").partition("\n")[0]
                shape = "" if isinstance(value, property) else _signature(value)
                lines.append(f"- `{name}{shape}`: {_escape(doc)}")
    return sorted(lines, key=str.lower)


def page(module_name: str, title: str) -> str:
    """The page of one module."""
    module = importlib.import_module(module_name)
    lines = [f"# {module_name}", "", f"{title}.", "", *_doc(module), ""]
    first: dict[int, str] = {}
    for name in sorted(public_names(module), key=lambda n: (n.lower(), n)):
        value = getattr(module, name)
        if inspect.ismodule(value):
            continue
        if callable(value) and id(value) in first:
            lines += [
                f"## {name}",
                "",
                f"Another name of [{first[id(value)]}](#{first[id(value)].lower()}).",
                "",
            ]
            continue
        first[id(value)] = name
        lines += _entry(name, value)
    text = "\n".join(lines)
    return re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"


def pages() -> dict[str, str]:
    """All pages by file name."""
    found = {f"{name}.md": page(name, title) for name, title in MODULES.items()}
    index = [
        "# API reference",
        "",
        "Written by `python tools/api_reference.py` from the docstrings.",
        "",
    ]
    index += [f"- [{name}]({name}.md): {title}" for name, title in MODULES.items()]
    found["README.md"] = "\n".join(index) + "\n"
    return found


def main() -> int:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where a page differs"
    )
    check = parser.parse_args().check
    wanted = pages()
    FOLDER.mkdir(parents=True, exist_ok=True)
    stale = [f.name for f in FOLDER.glob("*.md") if f.name not in wanted]
    stale += [
        n
        for n, text in wanted.items()
        if not (FOLDER / n).exists() or (FOLDER / n).read_text() != text
    ]
    if check:
        if stale:
            print(
                f"differs from the docstrings (run tools/api_reference.py): {', '.join(sorted(stale))}"
            )
        return 1 if stale else 0
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)
    for name in stale:
        if name not in wanted:
            (FOLDER / name).unlink()
    print(f"{len(wanted)} pages in {FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
