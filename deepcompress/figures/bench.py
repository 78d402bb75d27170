"""On what the figures are computed: networks, data, weights of others, and how much work.

The networks are those of the paper that can be trained without ImageNet. Of AlexNet and VGG-16
only the convolutions are used, real ones, where nothing but weights is needed.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentError, ConfigError
from ..experiments.datasets import DATA_VARIABLE, Dataset, load_digits, load_mnist
from ..experiments.recipes import DEMO, Recipe, Training, find_recipe
from ..formats.registry import open_tensors
from ..reports.paper import PAPER
from ..tensors import Float32Array

NETWORKS = ("lenet-300-100", "lenet-5")
# Training images, from the first on, that a point of a curve is retrained with, once each, so that
# a figure takes minutes. LeNet-5 takes about ten times as long for an image.
IMAGES = {"lenet-300-100": 20_000, "lenet-5": 6_400}
# Files of real convolutions, and the layer that is looked at alone, as in the paper's figure 4.
CONVOLUTIONS = {
    "alexnet": ("alexnet-convolutions.safetensors", "conv3"),
    "vgg-16": ("vgg16-convolutions.safetensors", "conv9"),
}
WEIGHTS_FOLDER = "real-weights"  # within the folder that DEEPCOMPRESS_DATA names

Settings = tuple[tuple[str, int], ...]  # a number for a network, or for all if the name is ""


@dataclass(frozen=True)
class Bench:
    """What figures are computed on; two that are equal give the same data, but for timings.

    Attributes
    ----------
    cache : str
        Folder for trained networks and for points of curves.
    networks : tuple of str
        Of `NETWORKS`, or ``"digits"``, which takes seconds.
    recipe : str
        That networks are trained by, as for `recipes.find_recipe`; only recipes like the paper's.
    shorten : tuple of (str, int)
        So many times fewer epochs than the recipe says, for a quick look: for the network named,
        or for all where the name is "". The last one that fits counts; none is for the recipe.
    images : tuple of (str, int)
        Training images for each retraining, named alike; `IMAGES` by default.
    data : str, optional
        As for `datasets.load_mnist`.
    weights : str, optional
        Folder of real convolutions; by default ``real-weights`` in the folder that the variable
        DEEPCOMPRESS_DATA names, and without one figures do without these.
    reports : tuple of str
        Files ``report.json`` of runs, for the frontier.
    seed : int
    threads : int, optional
        Of each training; all processors by default.
    jobs : int
        Points that are computed at once.
    """

    cache: str
    networks: tuple[str, ...] = NETWORKS
    recipe: str = "paper"
    shorten: Settings = ()
    images: Settings = ()
    data: str | None = None
    weights: str | None = None
    reports: tuple[str, ...] = ()
    seed: int = 0
    threads: int | None = None
    jobs: int = 1

    def __post_init__(self) -> None:
        if min([self.jobs, *(value for _, value in self.shorten + self.images)]) < 1:
            raise ArgumentError("shorten, jobs and images must be positive")

    def recipe_of(self, network: str) -> Recipe:
        """Return the recipe that a network is trained by.

        Raises
        ------
        ConfigError
            If there is none of that name, or it isn't like the paper's.
        """
        found = DEMO if network == "digits" else find_recipe(network, self.recipe)
        if not isinstance(found, Recipe):
            raise ConfigError(f"recipe {self.recipe!r} isn't one of the paper's kind")
        times = _setting(self.shorten, network, 1)
        if times == 1:
            return found

        def shorter(training: Training) -> Training:
            return replace(training, epochs=-(-training.epochs // times))

        return replace(
            found,
            train=shorter(found.train),
            rounds=tuple(replace(one, retrain=shorter(one.retrain)) for one in found.rounds),
            fine_tune=shorter(found.fine_tune),
        )

    def dataset(self, network: str) -> Dataset:
        """Return the data that a network is trained with."""
        return load_digits() if network == "digits" else _mnist(self.data)

    def images_of(self, network: str) -> int:
        """Return how many training images a point is retrained with."""
        available = len(self.dataset(network).train_images)
        wanted = _setting(self.images, network, IMAGES.get(network, available))
        return min(wanted, available)

    def densities(self, network: str) -> dict[str, float]:
        """Return the paper's density of each weight tensor; a tenth where it has none."""
        if network in PAPER:
            rows = PAPER[network].rows
            return {row.layer: row.kept_percent / 100 for row in rows if row.layer != "total"}
        return dict.fromkeys(self.recipe_of(network).bits, 0.1)

    def convolutions(self, network: str) -> dict[str, Float32Array]:
        """Return real convolutions in the order of the network's layers; none if there are none."""
        folder, shared = self.weights, os.environ.get(DATA_VARIABLE)
        if folder is None and shared:
            folder = os.path.join(shared, WEIGHTS_FOLDER)
        if folder is None:
            return {}
        path = Path(folder, CONVOLUTIONS[network][0])
        if not path.exists():
            if self.weights is None:
                return {}
            raise ArgumentError(f"{path}: no such file; it has real convolutions")
        with open_tensors(str(path)) as tensors:
            found = {
                name.removesuffix(".weight"): np.asarray(tensors[name], np.float32)
                for name in tensors
                if np.ndim(tensors[name]) == 4
            }
        return dict(sorted(found.items(), key=lambda item: int(item[0].removeprefix("conv"))))

    def described(self) -> dict[str, Any]:
        """Return what figures say of how they were made, as JSON's values."""
        return {
            network: {
                "recipe": self.recipe_of(network).name,
                "epochs_divided_by": _setting(self.shorten, network, 1),
                "retrained_with_images": self.images_of(network),
                "seed": self.seed,
            }
            for network in self.networks
        }


def _setting(settings: Settings, network: str, otherwise: int) -> int:
    """Return the last value that is for a network, or for all."""
    return [otherwise, *(value for name, value in settings if name in ("", network))][-1]


@lru_cache(1)
def _mnist(folder: str | None) -> Dataset:
    return load_mnist(folder)


def overall(densities: Mapping[str, float], sizes: Mapping[str, int]) -> float:
    """Return the density of all tensors together."""
    return sum(densities[name] * sizes[name] for name in densities) / sum(
        sizes[name] for name in densities
    )
