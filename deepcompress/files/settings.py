"""Files that people write by hand for a program to read: TOML or JSON."""

import importlib
import os
from typing import Any

from ..errors import ConfigError
from . import strict_json
from .reading import read_file

TOML_MODULES = ("tomllib", "tomli")  # of Python 3.11 and later, and the package for earlier ones


def read(path: str | os.PathLike[str]) -> Any:
    """Return the value of a file, TOML by its suffix ``.toml``, else JSON.

    Raises
    ------
    DataError
        If it can't be read.
    ConfigError
        If this Python reads no TOML.
    ValueError
        If it isn't TOML or JSON.
    """
    data = read_file(path)
    if os.path.splitext(os.fspath(path))[1].lower() != ".toml":
        return strict_json.parse(data)
    try:
        return _toml().loads(str(data, "utf-8"))
    except RecursionError as error:
        raise ValueError(str(error)) from None


def _toml() -> Any:
    """Return the module that reads TOML."""
    for name in TOML_MODULES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise ConfigError("to read TOML takes Python 3.11, or the package tomli; JSON is read by any")
