"""What becomes of each tensor, as a configuration says: its sparsity, its mask, its labels.

The arrays are NumPy's, whatever the framework; only floating ones are pruned or shared. Here the
pipeline's stages are used as they are, so that training ends with what a file holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import dtypes, prune
from ..config import RULES, Config
from ..errors import ArgumentError
from ..model import CompressedModel
from ..pipeline import compress
from ..pipeline.weights import Grouped, Kept, compress_tensor, naming
from ..tensors import BoolArray, Float32Array, UInt8Array

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Shares:
    """The labels of a tensor whose weights share centroids.

    Attributes
    ----------
    labels : ndarray of the tensor's shape, uint8
        0 where a weight is pruned.
    codebook : ndarray of shape (K,), float32
        ``codebook[0] == 0.0``.
    """

    labels: UInt8Array
    codebook: Float32Array


def target_sparsities(arrays: Mapping[str, Array], config: Config) -> dict[str, float]:
    """Return the sparsity that each tensor with a rule of pruning shall have.

    A sensitivity and a threshold become the sparsity that they give now (see `prune`).

    Raises
    ------
    ArgumentError
        If weights aren't finite, or a rule is given by name for a tensor that isn't floating.
    """
    return {
        name: sparsity
        for name, values in arrays.items()
        if (sparsity := _target(name, values, config)) is not None
    }


def _target(name: str, values: Array, config: Config) -> float | None:
    wanted = config.of(name, values.shape)
    given = [rule for rule in RULES if getattr(wanted, rule) is not None]
    if wanted.method == "raw" or not given:
        return None
    with naming(name):
        if dtypes.named(values.dtype).kind != "f":
            if asked := config.asked_for(name):
                raise ArgumentError(f"{asked} was asked for by its name: not for {values.dtype}")
            return None
        if values.size < wanted.min_size or values.size == 0:
            return None
        floats = dtypes.as_float32(values)
        if wanted.sparsity is not None:
            prune.threshold_mask(floats, 0)  # which looks whether the weights are finite
            return wanted.sparsity
        if wanted.sensitivity is not None:
            mask = prune.sensitivity_mask(floats, wanted.sensitivity)
        else:
            mask = prune.threshold_mask(floats, wanted.threshold or 0.0)
        return 1 - np.count_nonzero(mask) / mask.size


def mask_of(name: str, values: Array, sparsity: float, before: BoolArray | None) -> BoolArray:
    """Return the largest weights at a sparsity; what was pruned before stays pruned."""
    with naming(name):
        return prune.sparsity_mask(dtypes.as_float32(values), sparsity, before)


def shares_of(name: str, values: Array, config: Config, seed: int) -> Shares | None:
    """Cluster the weights that aren't zero as `compress` does; None for what it wouldn't share."""
    weights = compress_tensor(name, values, without_rules(config), seed)
    if isinstance(weights, Kept):
        return None
    if isinstance(weights, Grouped):
        raise ArgumentError(f"tensor {name!r}: codebooks of a group_size can't be trained")
    labels = np.zeros(values.shape, np.uint8)
    survivors = weights.survivors
    labels.reshape(-1)[survivors.positions] = survivors.labels
    return Shares(labels, survivors.codebook)


def packed(
    arrays: Mapping[str, Any], config: Config, metadata: Mapping[str, Any] | None, seed: int
) -> CompressedModel:
    """Return the model of trained tensors; nothing more is pruned.

    Tensors that share weights have few values, and these are their codebook (see `quantize`).
    """
    return compress(arrays, without_rules(config), metadata=metadata, seed=seed)


def without_rules(config: Config) -> Config:
    """Return a configuration that says the same, but prunes nothing beyond the zeros there are."""
    plain = config.to_dict()
    for values in (plain["default"], *plain["by_kind"].values(), *plain["by_name"].values()):
        given = [rule for rule in RULES if values.get(rule) is not None]
        values.update(dict.fromkeys(given))
        values.update({"threshold": 0.0} if given else {})
    return Config.from_dict(plain)
