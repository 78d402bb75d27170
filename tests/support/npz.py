"""Npz files in one piece, for tests."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from deepcompress.formats.npz import npz_parts, open_npz


def npz_bytes(arrays: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    return b"".join(npz_parts(arrays.items()))


def read_npz(
    path: str | os.PathLike[str], max_bytes: int | None = None
) -> dict[str, np.ndarray[Any, Any]]:
    with open_npz(path, max_bytes) as file:
        return dict(file)
