"""The examples in docstrings run, and say what they say."""

import doctest
import importlib
import pkgutil
from types import ModuleType

import pytest

import riverrun


def modules_with_examples() -> list[ModuleType]:
    names = [found.name for found in pkgutil.walk_packages(riverrun.__path__, "riverrun.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    finder = doctest.DocTestFinder()
    return [module for module in modules if any(test.examples for test in finder.find(module))]


@pytest.mark.parametrize("module", modules_with_examples(), ids=lambda module: module.__name__)
def test_the_examples_of_a_module_run(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


def test_the_client_has_an_example() -> None:
    assert "riverrun.client.client" in {module.__name__ for module in modules_with_examples()}
