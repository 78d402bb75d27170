"""Whole files as bytes, or one clear error."""

import os
from pathlib import Path

from ..errors import DataError


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Return a file's bytes, or raise DataError with the reason."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{os.fspath(path)}: {error.strerror or error}") from error
