"""A perceptron of `nn`, trained, pruned, shared and packed by `training`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from ..checks import as_bits, as_whole_number, is_finite
from ..config import Config, TensorConfig
from ..errors import ArgumentError, shown
from ..model import CompressedModel
from ..nn.definition import to_metadata
from ..nn.layers import Array, Layer, Linear, ReLU
from ..nn.network import Network
from ..nn.optim import Adam, cosine
from ..nn.parallel import single_threaded_blas
from ..training.course import Timetable
from ..training.decisions import packed
from ..training.retraining import Retraining

# Outputs and targets (outputs, B) -> the gradient of their mean loss.
Gradient = Callable[[Array, Array], Array]


def perceptron(sizes: Sequence[int]) -> Network:
    """Return fully connected layers ip1, ip2, …, all but the last with ReLU."""
    layers: list[Layer] = []
    for index, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        if index > 1:
            layers.append(ReLU(f"relu{index - 1}"))
        layers.append(Linear(f"ip{index}", inputs, outputs))
    return Network("perceptron", tuple(layers), (sizes[0],))


def hidden_sizes(value: Any) -> list[int]:
    """Return the sizes of hidden layers, given as a number or a sequence, or raise."""
    sizes = [value] if np.ndim(value) == 0 else list(value)
    return [as_whole_number(size, "hidden_layer_sizes", 1) for size in sizes]


def config_of(density: Any, bits: Any, coder: Any) -> Config:
    """Return the configuration of a perceptron, or raise, naming the parameter."""
    if not is_finite(density, 0, 1):
        raise ArgumentError(f"density must be in [0, 1], not {shown(density)}")
    default = TensorConfig(bits=as_bits(bits, "bits"), coder=coder)
    return Config(default, by_kind={"fc": {"sparsity": 1 - float(density)}})


def about(network: Network) -> dict[str, Any]:
    """Return the metadata by which a packed perceptron runs from its file."""
    return {"network": to_metadata(network)}


@dataclass(frozen=True)
class Epochs:
    """The passes through the data of each phase, and how each is trained.

    Attributes
    ----------
    dense, retrain, fine_tune : int
        Of the dense network; while and after it is pruned, along a ramp over the first half;
        and of centroids and biases.
    batch_size : int
    rate : float
        Adam's, at the start of the first two phases; it falls along half a cosine. The third
        phase has a tenth of it.
    l2 : float
        Weight decay.
    """

    dense: int
    retrain: int
    fine_tune: int
    batch_size: int
    rate: float
    l2: float

    def __post_init__(self) -> None:
        """Raise ArgumentError for a wrong value, by the name that the estimators give it."""
        as_whole_number(self.dense, "max_iter", 1)
        as_whole_number(self.retrain, "retrain_iter", 0)
        as_whole_number(self.fine_tune, "fine_tune_iter", 0)
        as_whole_number(self.batch_size, "batch_size", 1)
        if not is_finite(self.rate, 0) or self.rate == 0:
            raise ArgumentError(f"learning_rate must be positive, not {shown(self.rate)}")
        if not is_finite(self.l2, 0):
            raise ArgumentError(f"alpha must be finite and >= 0, not {shown(self.l2)}")

    @property
    def total(self) -> int:
        """Passes of all phases."""
        return self.dense + self.retrain + self.fine_tune


@dataclass
class _Weights:
    """The parameters of a network and the gradients of its latest batch, for `Retraining`."""

    values: dict[str, Array]
    grads: dict[str, Array] = field(default_factory=dict)

    def arrays(self) -> Mapping[str, Array]:
        return self.values

    def gradients(self) -> Mapping[str, Array]:
        return self.grads

    def put(self, arrays: Mapping[str, Array]) -> None:
        self.values = {name: array.copy() for name, array in arrays.items()}


def train(
    network: Network,
    data: tuple[Array, Array],
    gradient: Gradient,
    epochs: Epochs,
    config: Config,
    seed: int,
    finish: Callable[[dict[str, Array]], dict[str, Array]] = lambda values: values,
) -> CompressedModel:
    """Return the packed model of a perceptron trained on inputs and targets, batch first.

    `finish` may change the trained parameters before they are packed, as long as weights that
    were equal stay equal. The result doesn't depend on the number of threads.
    """
    rng = np.random.default_rng(seed)
    x, targets = data
    weights = _Weights(network.init(rng))
    per_epoch = -(-len(x) // epochs.batch_size)
    dense, retrain = epochs.dense * per_epoch, epochs.retrain * per_epoch
    ramp = retrain // 2
    timetable = Timetable(dense, ramp, max(1, ramp // 10), dense + retrain)
    first, second = cosine(epochs.rate, dense), cosine(epochs.rate, max(1, retrain))
    retraining = Retraining(weights, config, timetable, optimizer=Adam(l2=epochs.l2), seed=seed)
    with single_threaded_blas(), np.errstate(all="ignore"):  # what isn't finite, `step` refuses
        for _ in range(epochs.total):
            order = rng.permutation(len(x))
            for start in range(0, len(x), epochs.batch_size):
                batch = order[start : start + epochs.batch_size]
                outputs, caches = network.forward(weights.values, network.columns(x[batch]))
                slope = gradient(outputs, targets[batch].T)
                weights.grads = network.backward(weights.values, caches, slope)
                step = retraining.steps
                rate = first(step) if step < dense else second(step - dense)
                retraining.step(epochs.rate / 10 if retraining.is_shared else rate)
    return packed(finish(weights.values), config, about(network), seed)
