"""Keras's ``.keras`` files: zip files of a description, a model's weights, and more.

The weights are an HDF5 file, whose datasets are the tensors (see `hdf5`). The other members are
kept as they are. Nothing of Keras runs: its description may name code, which stays text.
"""

import os
import shutil
import tempfile
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import IO, Any

from ..errors import ArgumentError, DataError, DeepCompressError, FormatError
from . import hdf5, zips
from .hdf5 import Hdf5File
from .source import Array, Format, Source
from .spool import pieces, temporary

CONFIG, WEIGHTS = "config.json", "model.weights.h5"


def tells(members: Collection[str]) -> bool:
    """Tell by its members whether a zip file is one of Keras's."""
    return CONFIG in members and any(name.startswith("model.weights") for name in members)


class KerasFile(Source):
    """The tensors of the weights' member, and the other members."""

    keeps_names = True  # as the rest of the file has them, too

    def __init__(self, weights: Hdf5File, members: Mapping[str, bytes | None]) -> None:
        self._weights = weights
        self._members = members
        self.shapes = weights.shapes

    @property
    def metadata(self) -> dict[str, Any]:
        """As of the weights, and ``"members"``: texts, None for the weights."""
        metadata = self._weights.metadata
        members = [
            [name, None if data is None else zips.to_text(data)]
            for name, data in self._members.items()
        ]
        return {"origin": {**metadata["origin"], "members": members}}

    @property
    def exact(self) -> Collection[str]:
        """What is in the groups of an optimizer."""
        return self._weights.exact

    def __getitem__(self, name: str) -> Array:
        return self._weights[name]


@contextmanager
def open_keras(path: str) -> Iterator[Source]:
    """Open a file.

    Raises
    ------
    DataError, FormatError, ArgumentError
        As `Hdf5File`, and if it isn't a whole zip file of Keras's.
    """
    with tempfile.TemporaryFile() as weights:
        members = _extracted(path, weights)
        what = f"{path}: {WEIGHTS}"
        with hdf5.opened(weights, what, FORMAT.suffix, members[CONFIG]) as source:
            yield KerasFile(source, members)


def _extracted(path: str, weights: IO[bytes]) -> dict[str, bytes | None]:
    """Copy the weights to a file, as HDF5 needs one; return the other members."""
    members: dict[str, bytes | None] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = member.filename
                if name in members:
                    raise FormatError(f"member {name!r} is there twice")
                if name == WEIGHTS:
                    with archive.open(member) as stream:
                        shutil.copyfileobj(stream, weights, 1 << 20)
                    members[name] = None
                    continue
                if member.file_size > zips.MAX_TEXT_BYTES:
                    raise ArgumentError(f"member {name!r} is too large to be kept")
                members[name] = archive.read(member)
    except DeepCompressError as error:
        raise type(error)(f"{path}: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # zipfile raises many kinds for a damaged archive
        raise FormatError(f"{path}: not a whole .keras file: {error}") from error
    for name in (CONFIG, WEIGHTS):
        if name not in members:
            raise FormatError(f"{path}: a .keras file has {name}")
    weights.seek(0)
    return members


def write(
    path: str | os.PathLike[str],
    arrays: Iterable[tuple[str, Array]],
    origin: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Write a ``.keras`` file.

    Parameters
    ----------
    path : path-like
    arrays : iterable of (str, ndarray)
        Each is written, to a temporary file beside `path`, before the next is asked for.
    origin : mapping
        As of `KerasFile`.

    Returns
    -------
    int
        Size of the file in bytes.

    Raises
    ------
    ArgumentError
        If there is no origin: tensors alone don't make a model.
    OutputError
        As `write_parts`.
    """
    members = origin.get("members")
    if not isinstance(members, list) or "tree" not in origin:
        raise ArgumentError(
            "it takes a description of the model, which tensors of another format, or a part "
            "of them, don't have; .h5 or .safetensors can hold them"
        )
    texts = {}
    for item in members:
        if not isinstance(item, list) or len(item) != 2 or not isinstance(item[0], str):
            raise ArgumentError("what was around the tensors isn't valid: members")
        texts[item[0]] = None if item[0] == WEIGHTS else zips.from_text(item[1])
    with temporary(path) as file:
        hdf5.fill(file, arrays, origin, path)
        size = file.seek(0, os.SEEK_END)
        return zips.write(
            path,
            (
                (name, pieces(file), size) if text is None else (name, [text], len(text))
                for name, text in texts.items()
            ),
        )


FORMAT = Format(
    "a Keras .keras",
    ".keras",
    open_keras,
    (b"PK\3\4",),
    tells=tells,
    write=write,
    requires="keras",
    module="h5py",
)
