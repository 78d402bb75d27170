"""Modules are still found by the names that they had before they got folders."""

import importlib
import subprocess
import sys
import warnings

import pytest

from deepcompress.moved import MOVED


@pytest.mark.parametrize("name", MOVED)
def test_a_former_name_gives_the_module_of_today(name):
    now = importlib.import_module(f"deepcompress.{MOVED[name]}")
    spec = now.__spec__
    sys.modules.pop(f"deepcompress.{name}", None)
    with pytest.warns(DeprecationWarning, match=rf"deepcompress\.{name} is now .*{MOVED[name]}"):
        then = importlib.import_module(f"deepcompress.{name}")
    assert then is now
    assert now.__spec__ is spec
    assert now.__name__ == f"deepcompress.{MOVED[name]}"


def test_names_can_be_taken_from_it_in_a_fresh_process():
    code = "from deepcompress.sources import open_source; import deepcompress.compressed as c"
    subprocess.run([sys.executable, "-c", f"{code}; c.CompressedTensor"], check=True)


def test_other_names_are_not_found():
    with pytest.raises(ModuleNotFoundError), warnings.catch_warnings():
        importlib.import_module("deepcompress.sauces")
