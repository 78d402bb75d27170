"""Perceptrons in skops's files, without a look at what skops trusts."""

import os
import zipfile
from random import Random
from typing import Any

from deepcompress.errors import FormatError
from deepcompress.formats import skops

from . import npz
from .limits import MAX_BYTES, limited, outcome, require, scratch_path

_path = scratch_path()


def _read() -> Any:
    try:
        archive = zipfile.ZipFile(_path)
    except Exception as error:  # as `open_skops` takes it
        raise FormatError(str(error)) from None
    with archive:
        try:
            source = skops.SkopsFile(archive, os.path.getsize(_path), "file")
            return dict(source), source.metadata["origin"]
        except (KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise FormatError(str(error)) from None
        except (OSError, ValueError) as error:
            if type(error).__module__.startswith("deepcompress"):
                raise
            raise FormatError(str(error)) from None


def test_one_input(data: bytes) -> None:
    _path.write_bytes(data)
    with limited("reading", 2 * MAX_BYTES):
        result, _ = outcome(_read)
    if result is None:
        return
    arrays, origin = result
    written, _ = outcome(lambda: skops.write(_path, arrays.items(), origin))
    if written is None:
        return
    again, more = _read()
    require(list(again) == list(arrays), "names differ")
    require(more["tensors"] == origin["tensors"], "tensors differ")
    for name, array in arrays.items():
        require(again[name].tobytes() == array.tobytes(), f"{name!r} differs")


def mutate(data: bytes, max_size: int, random: Random, mutate_bytes: object) -> bytes:
    """Change a member of the archive, whose checksums are made anew, or anything."""
    return npz.mutate(data, max_size, random, mutate_bytes)
