"""A network's layers one after the other, under one price of a bit.

The objective over the whole network is ``divergence + lambda * bits``. A layer's part of the
divergence is, to second order, half the sum over its outputs of what an error of 1 costs times the
mean squared error (see `divergence.row_costs` and `moments`), if errors are as large at all
positions and those of different outputs don't add up. So each layer has a `factor`, the divergence
that was measured when the layer alone was rounded, over what the sum predicts. With it the layers'
parts add up to nearly the divergence of the whole, and one lambda, in nats for a bit, allocates
bits to layers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..dtypes import named
from ..errors import ArgumentError
from ..model import CompressedModel
from ..nn.parallel import single_threaded_blas
from ..pipeline.models import put
from ..pipeline.weights import Kept, naming
from ..tensors import Float64Array
from . import trust
from .layer import Decided, Effort, decide, decide_bias
from .moments import DAMPING, Curvature, Moments, curvature
from .packing import CONTEXTS, encodable, rounded, stream_coder
from .rates import Rates, entropy_rates
from .subject import LayerSpec, Subject, Weights
from .trust import LEAST_SENSITIVITY, TINY, Trust
from .ways import with_bias

FIRST = Effort(sweeps=2, rounds=0)  # to measure the factor with
TRIES = 2
NEAR = 1.6  # a factor that is confirmed so well needn't be measured again
LEAST, MOST = 1 / 64, 4096.0  # of a factor: far from the aim, none is right


@dataclass(frozen=True)
class LayerOutcome:
    """What became of a layer.

    Attributes
    ----------
    name : str
    bits : float
        That its labels will take by the rates.
    divergence : float
        Its part of the divergence, in nats, as predicted.
    factor : float
        Measured divergence over what the sensitivities alone predict.
    step : float
        Of the grid of levels.
    damping : float
        That made its Hessian positive definite, a share of the mean of the diagonal.
    trust : Trust
        What kept it from fitting these inputs alone.
    dead : int
        Inputs that were 0 in all rows; their weights cost nothing to prune.
    matters : ndarray of shape (outputs,), float64
        What a mean squared error of 1 of each output costs, in nats.
    """

    name: str
    bits: float
    divergence: float
    factor: float
    step: float
    damping: float
    trust: Trust
    dead: int
    matters: Float64Array


@dataclass(frozen=True)
class Calibrated:
    """A model, and what is known of it.

    Attributes
    ----------
    model : CompressedModel
    layers : tuple of LayerOutcome
        In order.
    """

    model: CompressedModel
    layers: tuple[LayerOutcome, ...]

    @property
    def divergence(self) -> float:
        """The mean KL divergence of the outputs that is predicted, in nats."""
        return sum(layer.divergence for layer in self.layers)


@dataclass(frozen=True)
class Settings:
    """How `calibrated` goes about a layer, checked."""

    lam: float
    damping: float = DAMPING
    half: bool = False
    rates: Rates = entropy_rates
    effort: Effort = field(default_factory=Effort)
    coder: str = CONTEXTS


def calibrated(
    subject: Subject,
    settings: Settings,
    *,
    metadata: Mapping[str, Any] | None = None,
    like: Calibrated | None = None,
) -> Calibrated:
    """Compress the layers of a subject in order; `calibrate` describes the arguments."""
    with single_threaded_blas():  # whose threads would decide on the last bits of a sum
        return _calibrated(subject, settings, metadata, like)


def _calibrated(
    subject: Subject,
    settings: Settings,
    metadata: Mapping[str, Any] | None,
    like: Calibrated | None,
) -> Calibrated:
    known = {layer.name: layer for layer in like.layers} if like else {}
    sensitivities = {} if known else subject.sensitivities()
    outcomes: list[LayerOutcome] = []
    results: dict[str, Decided | Weights] = {}
    for layer in subject.layers:
        with naming(layer.weight):
            if layer.name in known:
                matters, factor = known[layer.name].matters, known[layer.name].factor
            else:
                is_last = layer is subject.layers[-1]
                matters, factor = _matters(sensitivities[layer.name], is_last), 0.0
            decided, bias, outcome = _compressed(subject, layer, matters, factor, settings)
        results[layer.weight], results[layer.bias] = decided, bias
        outcomes.append(outcome)
    model = CompressedModel({}, dict(metadata or {}))
    for name, values in subject.params.items():
        result = results.get(name, values)
        if isinstance(result, Decided):
            with naming(name):
                own = named(np.asarray(values).dtype)
                parts = result.levels, result.labels, values.shape, own
                weights = encodable(*parts, settings.coder, settings.half, result.whole)
            put(model, name, weights, coder=stream_coder(settings.coder))
        else:
            kept = Kept(rounded(result, settings.half, name), small=settings.half)
            put(model, name, kept, coder=stream_coder(settings.coder))
    return Calibrated(model, tuple(outcomes))


def _matters(sensitivities: Float64Array, is_last: bool) -> Float64Array:
    """Return what an error of each output costs.

    The last layer's outputs cost the same: each input has drawn one class, and those that none has
    drawn matter as well.
    """
    mean = max(float(sensitivities.mean()), TINY)
    if is_last:
        return np.full(len(sensitivities), mean / 2)
    return np.maximum(sensitivities, LEAST_SENSITIVITY * mean) / 2


def _compressed(
    subject: Subject, layer: LayerSpec, matters: Float64Array, factor: float, settings: Settings
) -> tuple[Decided, Decided | Weights, LayerOutcome]:
    """Compress one layer, and put it in its place; without a factor, measure it first."""
    weights = _stacked(subject, layer)
    grouped = matters.reshape(layer.groups, -1)
    both, fit = (_of_layer(layer, one) for one in subject.moments(layer))
    both.check()
    trusted = trust.found(weights, fit, both - fit, grouped, settings.damping)
    if factor == 0:
        probed = _curved(weights, fit, settings.damping, trusted)
        factor = _factor(subject, layer, probed, grouped, settings)
        grouped = factor * grouped
    curved = _curved(weights, both, settings.damping, trusted)
    decided = decide(
        curved,
        grouped,
        settings.lam,
        rates=settings.rates,
        effort=settings.effort,
        half=settings.half,
        contexts=settings.coder == CONTEXTS,
    )
    final = with_bias(curved, decided.values)
    values, bias = _parts(layer, final)
    shared = None
    if settings.coder == CONTEXTS and layer.bias:
        shared = decide_bias(bias.astype(np.float64), grouped.ravel() / settings.lam)
    bias = shared.values.ravel() if shared else rounded(bias, settings.half, layer.bias)
    final[:, :, -1] = bias.reshape(final.shape[:2])
    subject.replace(layer, values, bias.astype(np.float32))
    divergence = float((grouped * curved.error(final)).sum())
    outcome = LayerOutcome(
        layer.name,
        decided.bits,
        divergence,
        factor,
        decided.step,
        curved.damping,
        trusted,
        curved.dead,
        grouped.ravel(),
    )
    return decided, shared or bias, outcome


def _curved(weights: Float64Array, moments: Moments, damping: float, trusted: Trust) -> Curvature:
    target = trust.pulled(weights, moments, trusted.pull)
    return curvature(weights, moments, damping, trusted.ridge, target)


def _factor(
    subject: Subject,
    layer: LayerSpec,
    curved: Curvature,
    matters: Float64Array,
    settings: Settings,
) -> float:
    """Measure the divergence that rounding a layer makes, over what is predicted.

    The error has to be that of the final rounding, or nearly, as divergence is quadratic only
    where it is small.
    """
    factor, before = 1.0, _parts(layer, curved.target)
    for _ in range(TRIES):
        decided = decide(
            curved,
            factor * matters,
            settings.lam,
            rates=settings.rates,
            effort=FIRST,
            contexts=settings.coder == CONTEXTS,
        )
        after = with_bias(curved, decided.values)
        predicted = float((matters * curved.error(after)).sum())
        measured = subject.divergence(layer, before, _parts(layer, after))
        if not (predicted > 0 and measured > 0):  # as where all weights are 0
            return factor
        last, factor = factor, min(max(measured / predicted, LEAST), MOST)
        if 1 / NEAR < factor / last < NEAR:
            break
    return factor


def _stacked(subject: Subject, layer: LayerSpec) -> Float64Array:
    """Return a layer's weights and bias as (G, R, D)."""
    weight = np.asarray(subject.params[layer.weight], np.float64)
    bias = subject.params[layer.bias] if layer.bias else np.zeros(len(weight))
    rows = weight.reshape(layer.groups, len(weight) // layer.groups, -1)
    return np.concatenate([rows, np.asarray(bias, np.float64).reshape(*rows.shape[:2], 1)], axis=2)


def _of_layer(layer: LayerSpec, moments: Moments) -> Moments:
    """Return moments, without those of the bias where a layer has none."""
    if layer.bias:
        return moments
    reached, crossed = moments.reached.copy(), moments.crossed.copy()
    for one in (reached, crossed):
        one[:, -1], one[:, :, -1], one[:, -1, -1] = 0, 0, moments.rows
    return replace(moments, reached=reached, crossed=crossed)


def _parts(layer: LayerSpec, weights: Float64Array) -> tuple[Weights, Weights]:
    """Return weight and bias of a layer, as float32, from (G, R, D)."""
    values = weights.astype(np.float32)
    if not np.isfinite(values).all():
        raise ArgumentError("compensated weights are beyond float32")
    return values[:, :, :-1].reshape(layer.shape), values[:, :, -1].ravel()
