"""The examples in the docstrings of the package that is imported, installed or not."""

import doctest
import importlib
import importlib.util
import pkgutil

import pytest

import deepcompress

NOT_IMPORTED = {"deepcompress.native._native", "deepcompress.native.build", "deepcompress.__main__"}
if importlib.util.find_spec("torch") is None:
    NOT_IMPORTED |= {"deepcompress.torch"}  # whose modules are then not found either
MODULES = {module.name for module in pkgutil.walk_packages(deepcompress.__path__, "deepcompress.")}


@pytest.mark.parametrize("name", ["deepcompress", *sorted(MODULES - NOT_IMPORTED)])
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    assert doctest.testmod(importlib.import_module("deepcompress.files.atomic")).attempted > 0
