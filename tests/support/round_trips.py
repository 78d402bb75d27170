"""A file into a ``.dcnn`` file and out of it again by the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from deepcompress.formats.registry import open_source

from .command import call, fails

RAW = {"default": {"method": "raw"}}


def there(path: Path, *options: object) -> Path:
    """Compress a file with every tensor kept as it is, or with other options."""
    packed = path.parent / "packed.dcnn"
    if not options:
        config = path.parent / "raw.json"
        config.write_text(json.dumps(RAW))
        options = ("--config", config)
    status, _, error = call("compress", path, "-o", packed, *options)
    assert (status, error) == (0, "")
    return packed


def there_and_back(path: Path, out: str, *options: object) -> Path:
    """Compress a file so, and decompress it to another of this name; return its path."""
    back = path.parent / out
    status, _, error = call("decompress", there(path, *options), "-o", f"{back.parent}/{out}")
    assert (status, error) == (0, "")
    return back


def refused(path: Path, status: int = 1) -> str:
    """Return why a file can't be compressed; nothing is written."""
    out = path.parent / "refused.dcnn"
    message = fails(status, "compress", path, "-o", out)
    assert not out.exists()
    return message


def assert_same(path: Path, other: Path) -> None:
    """Compare names, order, dtypes, shapes and elements of two sources bit for bit."""
    with open_source(path) as one, open_source(other) as two:
        assert list(one) == list(two)
        for name in one:
            assert_same_array(one[name], two[name])


def assert_same_array(one: Any, two: Any) -> None:
    one, two = np.asarray(one), np.asarray(two)
    assert (one.dtype, one.shape) == (two.dtype, two.shape)
    assert one.tobytes() == two.tobytes()
