"""npz files of sparse matrices."""

import math
from random import Random
from typing import Any

import numpy as np

from deepcompress.formats import sparse

from . import npz
from .limits import MAX_BYTES, limited, outcome, require, scratch_path

_path = scratch_path()
_LARGEST = 1 << 16  # elements: a dense matrix may be as large as its file declares


def test_one_input(data: bytes) -> None:
    _path.write_bytes(data)

    def read() -> Any:
        with sparse.open_any(str(_path)) as source:
            found = {}
            for name, shape in source.shapes.items():
                if math.prod(shape) > _LARGEST:
                    return None, None
                found[name] = source[name]
            return found, source.metadata.get("origin", {})

    with limited("reading", 2 * MAX_BYTES):
        result, _ = outcome(read)
    if result is None or not result[1]:
        return
    arrays, origin = result
    if arrays[sparse.NAME].dtype.kind not in "iufc" or arrays[sparse.NAME].dtype == np.float16:
        return
    sparse.write(str(_path), arrays.items(), origin)
    again, more = read()
    require(more == origin, f"{more} isn't {origin}")
    one, two = again[sparse.NAME], arrays[sparse.NAME]
    require(one.dtype == two.dtype and one.shape == two.shape, "dtypes or shapes differ")
    require(np.array_equal(one, two, equal_nan=one.dtype.kind in "fc"), "elements differ")


def mutate(data: bytes, max_size: int, random: Random, mutate_bytes: object) -> bytes:
    """Change an array within the archive, whose checksums are made anew, or anything."""
    return npz.mutate(data, max_size, random, mutate_bytes)
