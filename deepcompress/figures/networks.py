"""Trained networks at each of the paper's stages, kept in the cache.

A network goes through the recipe as ``deepcompress run`` does, with a journal, so that training
that was stopped goes on. What the stages left is then one file.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..experiments.journal import Journal
from ..experiments.run import PaperRun
from ..tensors import BoolArray, Float32Array, SharedWeights, UInt8Array
from .bench import Bench
from .cache import digest, remembered

# How the journal's records of a stage begin; the last of each counts.
STAGES = {
    "reference": "train-",
    "pruned": "retrain-",
    "clustered": "quantize",
    "shared": "fine-tune-",
}
ERRORS = {
    "reference": "reference-error",
    "pruned": "pruned-error",
    "shared": "quantized-error",
    "file": "compressed-error",
}


@dataclass(frozen=True)
class Trained:
    """A network at each stage.

    Attributes
    ----------
    reference, pruned : dict of str to ndarray
        All parameters, dense, before pruning and after it.
    masks : dict of str to ndarray of bool
        What survives of each weight tensor.
    clustered, shared : dict of str to SharedWeights
        Codebook and labels of each weight tensor, before centroids were trained and after it.
    errors : dict of str to float
        Percent of the test images, at each of `ERRORS`.
    file : bytes
        The run's ``model.dcnn``.
    """

    reference: dict[str, Float32Array]
    pruned: dict[str, Float32Array]
    masks: dict[str, BoolArray]
    clustered: dict[str, SharedWeights]
    shared: dict[str, SharedWeights]
    errors: dict[str, float]
    file: bytes


def key_of(bench: Bench, network: str) -> dict[str, Any]:
    """Return all that a trained network depends on."""
    recipe = bench.recipe_of(network).to_dict()
    return {"deepcompress": __version__, "recipe": recipe, "seed": bench.seed, "holdout_images": 0}


@lru_cache(4)
def trained(bench: Bench, network: str) -> Trained:
    """Return a network that has gone through its recipe, now or before.

    Raises
    ------
    OutputError
        If the cache can't be written, or another process is training the network just now.
    ArgumentError
        If training diverges.
    """
    key = {"what": f"network-{network}"} | key_of(bench, network)
    return _from_record(
        remembered(Path(bench.cache), key, lambda: _train(bench, network)), bench, network
    )


def _train(bench: Bench, network: str) -> dict[str, Any]:
    key, recipe = key_of(bench, network), bench.recipe_of(network)
    folder = Path(bench.cache) / f"run-{network}-{digest(key)}"
    with contextlib.closing(_Watched(folder, key)) as journal:
        run = PaperRun(recipe, bench.dataset(network), journal, bench.seed, bench.threads, None)
        run.report(folder / "model.dcnn")
        found: dict[str, Any] = {"errors": journal.errors}
        for stage in ("reference", "pruned"):
            for name, values in journal.states[stage]["params"].items():
                found[f"{stage}/{name}"] = values
        for name, mask in journal.states["shared"]["masks"].items():
            found[f"masks/{name}"] = mask
        for stage in ("clustered", "shared"):
            for name, one in journal.states[stage]["shared"].items():
                found[f"{stage}/{name}/codebook"] = one["codebook"]
                found[f"{stage}/{name}/labels"] = one["labels"]
        found["file"] = np.frombuffer((folder / "model.dcnn").read_bytes(), np.uint8)
    return found


def _from_record(record: Mapping[str, Any], bench: Bench, network: str) -> Trained:
    bits = bench.recipe_of(network).bits

    def of(stage: str) -> dict[str, Any]:
        start = f"{stage}/"
        return {
            name.removeprefix(start): value
            for name, value in record.items()
            if name.startswith(start)
        }

    def shared(stage: str) -> dict[str, SharedWeights]:
        parts = of(stage)
        return {
            name: SharedWeights(parts[f"{name}/codebook"], parts[f"{name}/labels"], width)
            for name, width in bits.items()
        }

    return Trained(
        of("reference"),
        of("pruned"),
        of("masks"),
        shared("clustered"),
        shared("shared"),
        record["errors"],
        bytes(record["file"]),
    )


class _Watched(Journal):
    """A journal that remembers what the stages left."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        super().__init__(folder, config)
        self.states: dict[str, dict[str, Any]] = {}
        self.errors: dict[str, float] = {}

    def phase(self, name: str, function: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        record = super().phase(name, function)
        for stage, start in STAGES.items():
            if name.startswith(start) and "params" in record:
                self.states[stage] = record
        for stage, own in ERRORS.items():
            if name == own:
                self.errors[stage] = record["error"]
        return record


def share_of(labels: UInt8Array, codebook: Float32Array, mask: BoolArray) -> Float32Array:
    """Return the dense tensor of shared weights."""
    dense = np.zeros(mask.shape, np.float32)
    dense[mask] = codebook[labels]
    return dense
