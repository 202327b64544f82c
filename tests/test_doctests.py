"""The examples in the documentation run and print what they say."""

import doctest
import importlib
import pkgutil

import pytest

import fastnn

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(fastnn.__path__, "fastnn.")
    if not module.name.endswith((".__main__", "._cpu"))
    # these need the CUDA kernels, which tests/cuda runs under the emulator
    and not module.name.startswith(("fastnn.backends.gpu", "fastnn._cuda"))
)


@pytest.mark.parametrize("name", ["fastnn", *MODULES])
def test_examples(name):
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=flags)
    output = []
    for test in finder.find(module, name):
        runner.run(test, out=output.append)
    assert not runner.failures, "".join(output)
