"""Compression in each way there is, and a look at what is kept bit for bit."""

from pathlib import Path
from typing import Any

import numpy as np

import deepcompress as dc


def is_same(a: Any, b: np.ndarray) -> bool:
    """Tell whether the first is an array of the very same bytes and dtype."""
    return type(a) is np.ndarray and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def compressed(
    tmp_path: Path, tensors: dict[str, Any], config: dc.Config | None = None
) -> dc.CompressedModel:
    """Compress in each way there is, with the same outcome; return the model as read back."""
    model = dc.compress(tensors, config)
    out = tmp_path / "f.dcnn"
    written = dc.compress_to(tensors, out, config)
    assert out.read_bytes() == model.to_bytes()
    assert written.kept == model.kept
    assert written.own_bytes == sum(np.asarray(tensor).nbytes for tensor in tensors.values())
    return dc.CompressedModel(dc.load(out).tensors, kept=model.kept)
