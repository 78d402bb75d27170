"""Writes NumPy's npz files, the same bytes for the same arrays at any time and on any system."""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import ArgumentError

_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can hold
_UNIX = 3  # the system that a zip file says it is from
_MAX_NAME_BYTES = 65535


def npz_bytes(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return an npz file, not compressed, as bytes; ``numpy.load`` reads it.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Of any dtype but object, by the names that the file's keys shall have.

    Returns
    -------
    bytes

    Raises
    ------
    ArgumentError
        If a name can't be one in a zip file.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _DATE)
            if entry.filename != f"{name}.npy" or len(entry.filename.encode()) > _MAX_NAME_BYTES:
                raise ArgumentError(f"no name for an array in an npz file: {name[:40]!r}")
            entry.create_system = _UNIX
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(entry, content.getbuffer())
    return stream.getvalue()
