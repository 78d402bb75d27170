"""What calibration asks of a network, whichever library runs it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..tensors import Float64Array
from .moments import Moments

Weights = npt.NDArray[np.floating]


@dataclass(frozen=True)
class LayerSpec:
    """A layer ``y = W x + b`` of a network, of which a convolution is one at each position.

    Attributes
    ----------
    name : str
    weight, bias : str
        Names of its parameters; `bias` is "" where it has none.
    shape : tuple of int
        Of the weight: outputs first, then whatever one output takes, in the order of the rows
        that `Subject.moments` sums up.
    groups : int
        Group g of the outputs sees only group g of the inputs.
    """

    name: str
    weight: str
    bias: str
    shape: tuple[int, ...]
    groups: int = 1


class Subject(ABC):
    """A network with its parameters and with inputs, as calibration goes through it.

    `calibrated` goes once through the layers, in order. At each it asks for `moments`, may ask
    for `divergence` any number of times, and then calls `replace`, after which the layer computes
    with its new parameters. An adapter to another library implements these five.
    """

    @property
    @abstractmethod
    def layers(self) -> Sequence[LayerSpec]:
        """The layers with weights, in the order in which they compute."""

    @property
    @abstractmethod
    def params(self) -> Mapping[str, Weights]:
        """Every parameter as the network came, by name."""

    @abstractmethod
    def sensitivities(self) -> Mapping[str, Float64Array]:
        """Return, by a layer's name, how much each of its outputs matters, (outputs,).

        To second order, the divergence of a network's outputs, in nats, is half the mean over
        inputs of the square of ``d.v`` where a row of weights is changed by d, and v is a gradient
        of the outputs with respect to the row (`divergence.row_costs` says of what). An output
        matters by the mean of ``|v|^2`` over the variance of what the row takes, both of inputs
        less their mean.
        """

    @abstractmethod
    def moments(self, layer: LayerSpec) -> tuple[Moments, Moments]:
        """Return the second moments of what reaches the layer, and of it but for the probe.

        The probe are inputs that are held out for `divergence`.
        """

    @abstractmethod
    def divergence(
        self, layer: LayerSpec, before: tuple[Weights, Weights], after: tuple[Weights, Weights]
    ) -> float:
        """Return the mean KL divergence of the outputs, in nats, that a change of a layer makes.

        The layer's weight and bias are `before`, and then `after`; layers before it are as they
        were replaced, those behind it as they came. It is measured on the probe.
        """

    @abstractmethod
    def replace(self, layer: LayerSpec, weight: Weights, bias: Weights) -> None:
        """Give the layer its new parameters."""
