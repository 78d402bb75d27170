"""A network of `nn`, its parameters, and inputs, as a subject of calibration.

Activations go through the network once, side by side: those of the original network, and those of
the one compressed so far, each held where the next layer with weights takes them (`Frontier`).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import dtypes
from ..checks import as_real_array, as_whole_number, is_finite
from ..errors import ArgumentError, shown
from ..nn.conv import Conv2D
from ..nn.layers import Array, Linear
from ..nn.network import Network
from ..nn.parallel import Run, serially, workers
from ..tensors import Float64Array
from . import rows
from .batches import Frontier, batch_size, multiplications, spread
from .divergence import kl_divergence, row_costs
from .driver import Calibrated, Settings, calibrated
from .layer import Effort
from .moments import DAMPING, Moments
from .packing import CODINGS, CONTEXTS
from .rates import Rates, entropy_rates
from .subject import LayerSpec, Subject, Weights
from .trust import steadied
from .unsure import PRIOR, input_weights

ROWS = 50_000

SUMMED = 16  # batches whose moments are in memory at once, whatever the number of threads
SENSITIVE_WORK = 1 << 37  # multiplications that sensitivities may take, for one pass forward
PROBE_WORK = 1 << 33
LEAST_INPUTS = 32
MOST_PROBE = 6  # that part of the batches, at most, is held out for the probe


def calibrate(
    network: Network,
    params: Mapping[str, npt.ArrayLike],
    inputs: npt.ArrayLike,
    *,
    lam: float = 1e-7,
    rows: int = ROWS,
    damping: float = DAMPING,
    half: bool = False,
    effort: Effort | None = None,
    rates: Rates = entropy_rates,
    coder: str = CONTEXTS,
    metadata: Mapping[str, Any] | None = None,
    like: Calibrated | None = None,
    seed: int = 0,
    threads: int | None = None,
) -> Calibrated:
    """Compress a trained network with inputs, without labels and without retraining.

    Parameters
    ----------
    network : Network
        Its outputs are taken for logits.
    params : mapping of str to array_like
        Every parameter by name, floating and finite.
    inputs : array_like of shape (n, ...), each row an input
        As they are at prediction, after preprocessing; some hundreds serve, from all classes.
    lam : float
        What a bit may cost, in nats of the divergence KL(original || compressed) of the outputs,
        mean over inputs: the only choice between size and damage.
    rows : int
        Rows of inputs that reach a layer, at most so many, at positions drawn at random.
    damping : float
        Added to each Hessian's diagonal, as a share of its mean (see `moments`).
    half : bool
        Whether biases, and centroids that aren't multiples of a step, are numbers that float16
        has, which take fewer bytes. The tensors keep their dtypes.
    effort : Effort, optional
    rates : callable
        What labels will cost, from their counts (see `rates`).
    coder : str
        ``"context"``, the smallest, or the strongest of `container.CODERS`, which are read sooner.
    metadata : mapping, optional
        To be stored with the tensors.
    like : Calibrated, optional
        An outcome for the same network and similar inputs and `lam`, whose sensitivities and
        factors are taken over: half the time.
    seed : int
        For positions, and for the classes that sensitivities are drawn from.
    threads : int, optional
        All processors by default; has no influence on the result.

    Returns
    -------
    Calibrated

    Raises
    ------
    ArgumentError
        If an argument is anything else; if there are no inputs, or they or what reaches a layer
        aren't finite, naming the layer's weight.

    Notes
    -----
    Deviation: the paper prunes, retrains, shares, and retrains (sections 2 and 3). Here a weight's
    pruning and its centroid are one decision, and other weights, not retraining, make up for
    it: Hassibi and Stork's optimal brain surgeon (NIPS 1993), layer by layer as in GPTQ
    (arXiv:2210.17323), SparseGPT (arXiv:2301.00774) and OBC (arXiv:2208.11580), with bits
    priced in.

    The same inputs and seed give the same bytes with any number of threads, and on both
    backends: moments are products by NumPy for both, and all that decides is float64 in one order.
    Another BLAS, as on another machine, may round moments differently.

    Examples
    --------
    >>> from deepcompress.nn import zoo
    >>> rng = np.random.default_rng(0)
    >>> network = zoo.build("digits")
    >>> params = network.init(rng)
    >>> found = calibrate(network, params, rng.random((64, 64), np.float32), lam=1e-5)
    >>> len(found.model.to_bytes()) < sum(p.nbytes for p in params.values()) / 10
    True
    """
    settings = checked_settings(lam, damping, half, effort, rates, coder)
    if not isinstance(network, Network):
        raise ArgumentError(f"network must be a Network, not {type(network).__name__}")
    if metadata is not None and not isinstance(metadata, Mapping):
        raise ArgumentError(f"metadata must be a mapping, not {shown(metadata)}")
    if like is not None and {layer.name for layer in like.layers} != {
        step.layer.name for step in network.steps if isinstance(step.layer, (Conv2D, Linear))
    }:
        raise ArgumentError("like is the outcome of another network: its layers are others")
    subject = NetworkSubject(network, params, inputs, most_rows=rows, seed=seed, threads=threads)
    return calibrated(subject, settings, metadata=metadata, like=like)


def checked_settings(
    lam: Any, damping: Any, half: Any, effort: Any, rates: Any, coder: Any
) -> Settings:
    """Return settings, or raise ArgumentError for one that can't be used."""
    if not is_finite(lam, 0) or lam == 0:
        raise ArgumentError(f"lam must be a positive finite number, not {shown(lam)}")
    if not is_finite(damping, 0):
        raise ArgumentError(f"damping must be a finite number >= 0, not {shown(damping)}")
    if not isinstance(half, bool):
        raise ArgumentError(f"half must be a bool, not {shown(half)}")
    if effort is not None and not isinstance(effort, Effort):
        raise ArgumentError(f"effort must be an Effort, not {shown(effort)}")
    if not callable(rates):
        raise ArgumentError(f"rates must be callable, not {shown(rates)}")
    if coder not in CODINGS:
        raise ArgumentError(f"coder must be one of {', '.join(CODINGS)}, not {shown(coder)}")
    return Settings(float(lam), float(damping), half, rates, effort or Effort(), coder)


class NetworkSubject(Subject):
    """A network of `nn` with inputs.

    Parameters
    ----------
    network, params, inputs
        As for `calibrate`.
    most_rows : int
        Rows of inputs that a layer's moments are of.
    seed, threads
        As for `calibrate`.

    Raises
    ------
    ArgumentError
        As `calibrate`.
    """

    def __init__(
        self,
        network: Network,
        params: Mapping[str, npt.ArrayLike],
        inputs: npt.ArrayLike,
        *,
        most_rows: int = ROWS,
        seed: int = 0,
        threads: int | None = None,
    ) -> None:
        self._most_rows = as_whole_number(most_rows, "rows", 1)
        self._seed = as_whole_number(seed, "seed", 0)
        self._threads = None if threads is None else as_whole_number(threads, "threads", 1)
        self.network, self._params = network, checked_params(network, params)
        self._current: dict[str, Weights] = dict(self._params)
        shaped = checked_inputs(network, inputs)
        size = batch_size(network, len(shaped))
        batches = [
            network.columns(shaped[start : start + size]) for start in range(0, len(shaped), size)
        ]
        self._counts = [batch.shape[-1] for batch in batches]
        self._own, self._compressed = Frontier(network, batches), Frontier(network, batches)
        each, least = size * multiplications(network), -(-LEAST_INPUTS // size)
        sensitive = max(least, SENSITIVE_WORK // each)
        self._batches = [batches[index] for index in spread(len(batches), sensitive)]
        probe = min(max(least, PROBE_WORK // each), -(-len(batches) // MOST_PROBE))
        self._probe = spread(len(batches), probe)
        self._known: tuple[Any, Array] = None, np.empty(0)
        self._weights: list[Float64Array] = []
        self._places = {
            step.layer.name: place
            for place, step in enumerate(network.steps)
            if isinstance(step.layer, (Conv2D, Linear))
        }
        self._layers = tuple(
            LayerSpec(
                step.layer.name,
                f"{step.layer.name}.weight",
                f"{step.layer.name}.bias",
                step.layer.param_shapes()[f"{step.layer.name}.weight"],
                getattr(step.layer, "groups", 1),
            )
            for step in network.steps
            if step.layer.name in self._places
        )

    @property
    def layers(self) -> Sequence[LayerSpec]:
        """The convolutions and fully connected layers."""
        return self._layers

    @property
    def params(self) -> Mapping[str, Weights]:
        """Every parameter as the network came."""
        return self._params

    def sensitivities(self) -> Mapping[str, Float64Array]:
        """Return how much each output of each layer matters, from some of the inputs."""
        rng = np.random.default_rng([self._seed, 1])
        classes = self.network.shapes[self.network.layers[-1].name][0]
        signs = [
            np.where(rng.random((classes, batch.shape[-1])) < 0.5, -1, 1).astype(np.int8)
            for batch in self._batches
        ]

        def one(index: int) -> dict[str, Float64Array]:
            return row_costs(self.network, self._params, self._batches[index], signs[index])

        with workers(self._threads) as run:
            parts = run(one, range(len(signs)))
        total = sum(batch.shape[-1] for batch in self._batches)
        zeros = {name: np.zeros_like(value) for name, value in parts[0].items()}
        return {
            name: steadied(
                *(sum((part[name] for part in parts[half::2]), zeros[name]) for half in (0, 1))
            )
            / total
            for name in self._places
        }

    def moments(self, layer: LayerSpec) -> tuple[Moments, Moments]:
        """Return the moments of the rows that reach a layer, and without the probe's."""
        place = self._places[layer.name]
        width = math.prod(layer.shape[1:]) + 1
        probed, fit = (_zeros(layer.groups, width) for _ in range(2))
        with workers(self._threads) as run:
            if not self._weights:
                self._weights = self._weighed(run)
            self._own.advance(place, self._params, run)
            self._compressed.advance(place, self._current, run)
            for first in range(0, len(self._counts), SUMMED):
                indices = range(first, min(first + SUMMED, len(self._counts)))
                parts = run(lambda index: self._batch_moments(place, index), indices)
                for index, part in zip(indices, parts, strict=True):
                    if index in self._probe:
                        probed += part
                    else:
                        fit += part
        both = fit + probed
        return both, fit if fit.rows else both

    def _weighed(self, run: Run) -> list[Float64Array]:
        """Return the weights of inputs, batch by batch."""
        if sum(self._counts) <= PRIOR:
            return [np.ones(count) for count in self._counts]
        batches = range(len(self._counts))
        logits = run(lambda one: self._own.outputs(self._params, serially, [one]), batches)
        return input_weights(logits)

    def _batch_moments(self, place: int, index: int) -> Moments:
        """Return the moments of one batch before a step, in float32."""
        layer, count = self.network.steps[place].layer, self._counts[index]
        rng = np.random.default_rng([self._seed, 2, place, index])
        most = -(-self._most_rows * count // sum(self._counts))
        places = rows.draw((*self.network.shapes[layer.name][1:], count), most, rng)
        reached, own = (
            rows.gather(layer, frontier.taken(index), places)
            for frontier in (self._compressed, self._own)
        )
        weights = self._weights[index][places % count]  # the batch is the last axis
        roots = np.sqrt(weights).astype(np.float32)[:, None]
        with np.errstate(all="ignore"):  # `curvature` finds what isn't finite
            reached *= roots
            own *= roots
            crossed = own.transpose(0, 2, 1) @ reached
            total = float(weights.sum())
            return Moments(reached.transpose(0, 2, 1) @ reached, crossed, total)

    def divergence(
        self, layer: LayerSpec, before: tuple[Weights, Weights], after: tuple[Weights, Weights]
    ) -> float:
        """Return the mean KL divergence of the probe's outputs that a change makes."""
        with workers(self._threads) as run:
            if before is not self._known[0]:  # else they are those of the last call
                self._known = before, self._probed(layer, before, run)
            return kl_divergence(self._known[1].T, self._probed(layer, after, run).T)

    def _probed(self, layer: LayerSpec, pair: tuple[Weights, Weights], run: Run) -> Array:
        return self._compressed.outputs(self._params | _named(layer, pair), run, self._probe)

    def replace(self, layer: LayerSpec, weight: Weights, bias: Weights) -> None:
        """Give the layer its new parameters."""
        self._current |= _named(layer, (weight, bias))


def checked_params(network: Network, params: Mapping[str, npt.ArrayLike]) -> dict[str, Weights]:
    """Return parameters as float32, in the network's order, or raise ArgumentError."""
    if not hasattr(params, "keys"):
        raise ArgumentError(f"params must be a mapping, not {type(params).__name__}")
    arrays = {name: np.asarray(params[name]) for name in params}
    network.check_params(arrays)
    checked: dict[str, Weights] = {}
    for name in network.param_shapes:
        if dtypes.named(arrays[name].dtype).kind != "f":
            raise ArgumentError(f"tensor {name!r}: must be floating, not {arrays[name].dtype}")
        with np.errstate(over="ignore"):
            checked[name] = np.ascontiguousarray(arrays[name], np.float32)
        if not np.isfinite(checked[name]).all():
            raise ArgumentError(f"tensor {name!r}: weights must be finite in float32")
    return checked


def checked_inputs(network: Network, inputs: npt.ArrayLike) -> Array:
    """Return inputs as float32, ``(n, *input_shape)``, or raise ArgumentError."""
    with np.errstate(over="ignore"):
        array = np.asarray(as_real_array(inputs, "inputs"), np.float32)
    if array.ndim == 0 or len(array) == 0:
        raise ArgumentError("there are no inputs to calibrate with")
    network.check_inputs(array)
    if not np.isfinite(array).all():
        raise ArgumentError("inputs must be finite: they have NaN or infinity")
    return array.reshape(-1, *network.input_shape)


def _zeros(groups: int, width: int) -> Moments:
    return Moments(np.zeros((groups, width, width)), np.zeros((groups, width, width)), 0)


def _named(layer: LayerSpec, pair: tuple[Weights, Weights]) -> dict[str, Weights]:
    return {layer.weight: pair[0], layer.bias: pair[1]}
