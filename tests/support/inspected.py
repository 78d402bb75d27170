"""Models to inspect, and the rows that are said of them."""

from typing import Any

import numpy as np

import deepcompress as dc
from deepcompress.reports.inspection import describe


def sparse(shape: tuple[int, ...], density: float) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(1)
    return (rng.standard_normal(shape) * (rng.random(shape) < density)).astype(np.float32)


W = sparse((50, 80), 0.1)


def model_of(
    tensors: dict[str, Any], storage: dict[str, Any] | None = None, **fields: Any
) -> dc.CompressedModel:
    model = dc.compress(tensors, dc.Config(dc.TensorConfig(**fields)))
    return dc.CompressedModel(model.tensors, {}, model.storage | (storage or {}))


def rows_of(data: bytes, **options: bool) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in describe(data, **options)["tensors"]}
