"""The numbers of the recipe ``max``: as few bytes as the paper's error allows.

Where the paper prunes in rounds, with a threshold for each layer, this recipe takes whole units
out first, then single weights along a cubic schedule, by one threshold for all layers on what a
weight is worth per bit. Weights are then trained while they are rounded to few centroids, and at
last the centroids alone. Training images are shifted at random by up to a pixel.

The numbers were chosen on the last 10,000 training images, for LeNet-300-100 with a sketch of this
recipe that trains sparse weights alone, one seed each; errors vary by 0.1 points at random. Pruned
to 5,000 weights at a rate of 1e-3, as it trained before, the network is 2.16 % wrong, at 3e-3
1.81 %. With all but 120 and 60 units and 20,000 weights gone at once, then 5e-3 down to 4,800
weights, it is 1.48 %; with 100 and 50 units and 4,400 weights 1.68 %; fewer units are worse. The
first cut is needed: a run on all images that had been left without it kept 300 and 66 weights in
ip2 and ip3 and was 2.33 % wrong, as training at this rate makes many a useless weight of ip1 large.
A price of 0.03 adds up to 0.2 points (0.06 adds 0.5) and saves 8 % of the bytes against 0.01. What
gained nothing and was left out: to let pruned weights grow back where their gradients are large
(1.47 %), and to end on images that aren't shifted, which adds 0.3 points. LeNet-5 in the sketch,
without a dense network before, had 0.95 % with 3,300 weights and 70 units of ip1 after 24 epochs,
1.05 % with 3,400 and 30 units after 20. For the runs' time it trains fewer epochs than it could
use.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .training import Training


@dataclass(frozen=True)
class MaxRecipe:
    """All numbers of a run of `experiments.max_run` for one network; Adam trains throughout."""

    name: str
    network: str
    data: str  # "mnist" or "digits"
    initializer: str  # "he" or "xavier"
    batch_size: int
    shift: int  # pixels by which a training image is shifted at most, along each axis
    train: Training  # of the dense network
    units: Mapping[str, int]  # outputs to keep of the layer with this weight tensor, at first
    start: int  # weights that are left at first, of those between these units
    survivors: int  # weights that are left at last, over all tensors
    label_bits: float  # what a weight costs besides its position, when weights are compared
    prune: Training  # of what is left, while it is pruned and after
    prune_epochs: int  # of those, before each of which the least worthy weights go
    bits: int  # width of the labels, at most
    price: float  # of a bit, in variances of a tensor's survivors
    round: Training  # while weights are rounded to centroids
    tune: Training  # of the centroids

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON's types."""
        return asdict(self)

    def epochs(self) -> dict[str, int]:
        """Return the epochs of each phase that trains, in order."""
        return {
            "train": self.train.epochs,
            "prune": self.prune.epochs,
            "round": self.round.epochs,
            "tune": self.tune.epochs,
        }


MAX_RECIPES = {
    "lenet-300-100": MaxRecipe(
        name="max",
        network="lenet-300-100",
        data="mnist",
        initializer="he",
        batch_size=128,
        shift=1,
        train=Training(epochs=10, rate=1e-3),
        units={"ip1.weight": 120, "ip2.weight": 60},
        start=20000,
        survivors=4800,
        label_bits=2.5,
        prune=Training(epochs=50, rate=5e-3),
        prune_epochs=25,
        bits=4,
        price=0.02,
        round=Training(epochs=10, rate=3e-4),
        tune=Training(epochs=3, rate=3e-4),
    ),
    "lenet-5": MaxRecipe(
        name="max",
        network="lenet-5",
        data="mnist",
        initializer="xavier",
        batch_size=64,
        shift=1,
        train=Training(epochs=3, rate=1e-3),
        units={"conv1.weight": 9, "conv2.weight": 18, "ip1.weight": 70},
        start=26000,  # all of them
        survivors=4500,
        label_bits=2.5,
        prune=Training(epochs=25, rate=3e-3),
        prune_epochs=13,
        bits=4,
        price=0.015,
        round=Training(epochs=5, rate=3e-4),
        tune=Training(epochs=3, rate=5e-4),
    ),
}
