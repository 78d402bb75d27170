"""Two ways from curvature to labels: each weight with any level, or along a trellis.

Both have sweeps from the target and descent from labels (see `sweep` and `trellis`), and charge for
labels by how often each occurs. Along the trellis, that depends on the state's parity: a label is
told among those that a state allows.
"""

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np

from ..tensors import BoolArray, Float64Array, Int64Array, UInt8Array
from ..trellis import ranks, states
from . import sweep, trellis
from .moments import Curvature, inverse_factor
from .rates import Rates, counts_of

DEAD = 0.02  # of the largest element of a Hessian's diagonal: below, an input is as good as dead


class Way(ABC):
    """How labels (G, R, d) are found.

    Parameters
    ----------
    curved : Curvature
    scaled : ndarray of shape (G, R), float64
        What an error of 1 of each output costs, in bits.
    rates : callable
    """

    def __init__(self, curved: Curvature, scaled: Float64Array, rates: Rates) -> None:
        self.curved, self.scaled, self._rates = curved, scaled, rates

    @property
    def targets(self) -> Float64Array:
        """The weights (G, R, d) that errors count from."""
        return self.curved.target[:, :, :-1]

    @abstractmethod
    def first(self, levels: Float64Array) -> Float64Array:
        """Return what labels cost where each weight has the nearest level."""

    @abstractmethod
    def charged(self, levels: Float64Array, labels: UInt8Array) -> tuple[Float64Array, float]:
        """Return what labels cost by their counts, and all of them together, in bits."""

    @abstractmethod
    def sweep(self, levels: Float64Array, charged: Float64Array) -> UInt8Array:
        """Return the labels of a sweep."""

    @abstractmethod
    def descend(
        self, levels: Float64Array, charged: Float64Array, labels: UInt8Array, passes: int
    ) -> tuple[Float64Array, UInt8Array]:
        """Return what labels cost, and labels, after passes of descent, costs renewed in each."""


class Unbound(Way):
    """Each weight may have any level; a sweep begins with the inputs that are largest."""

    def __init__(self, curved: Curvature, scaled: Float64Array, rates: Rates) -> None:
        super().__init__(curved, scaled, rates)
        self.orders = [np.argsort(-np.diagonal(h)[:-1], kind="stable") for h in curved.hessian]
        self._with_last = [np.append(order, len(order)) for order in self.orders]
        self._factors = [
            inverse_factor(h[np.ix_(order, order)])
            for h, order in zip(curved.hessian, self._with_last, strict=True)
        ]

    @property
    def pivots(self) -> Float64Array:
        """The diagonals (G, d) of the inverse's factors, in the order of the sweep."""
        return np.stack([np.diagonal(factor)[:-1] for factor in self._factors])

    def first(self, levels: Float64Array) -> Float64Array:
        """Return what labels cost where each weight has the nearest level."""
        return self.charged(levels, nearest(self.targets, levels))[0]

    def charged(self, levels: Float64Array, labels: UInt8Array) -> tuple[Float64Array, float]:
        """Return what labels cost by their counts (K,), and all of them together, in bits."""
        counts = counts_of(labels, len(levels))
        rates = self._rates(counts)
        return rates, float(counts @ rates)

    def sweep(self, levels: Float64Array, charged: Float64Array) -> UInt8Array:
        """Return the labels of a sweep."""
        labels = np.empty(self.targets.shape, np.uint8)
        for g, (order, columns) in enumerate(zip(self.orders, self._with_last, strict=True)):
            start = np.ascontiguousarray(self.curved.target[g][:, columns])
            found = sweep.sweep(start, self._factors[g], self.scaled[g], levels, charged)[1]
            labels[g][:, order] = found
        return labels

    def descend(
        self, levels: Float64Array, charged: Float64Array, labels: UInt8Array, passes: int
    ) -> tuple[Float64Array, UInt8Array]:
        """Return what labels cost, and labels, after passes of descent, costs renewed in each."""
        weights, labels = with_bias(self.curved, levels[labels]), labels.copy()
        slopes = self.curved.slopes(weights)
        for _ in range(passes):
            for g, hessian in enumerate(self.curved.hessian):
                weights[g], slopes[g], labels[g] = sweep.descend(
                    *(weights[g], slopes[g], hessian, self.scaled[g]),
                    *(levels, charged, labels[g]),
                )
            charged = self.charged(levels, labels)[0]
        return charged, labels


class Along(Way):
    """Labels along a trellis, of a layer without groups; columns keep their order."""

    def __init__(
        self,
        curved: Curvature,
        scaled: Float64Array,
        rates: Rates,
        factor: Float64Array | None = None,
    ) -> None:
        super().__init__(curved, scaled, rates)
        self._factor = inverse_factor(curved.hessian[0]) if factor is None else factor
        self._idle = _idle(curved.hessian[0])

    def of_some(self, most: int) -> "Along":
        """Return the same for some of the rows, evenly spread: `most`, or not twice as many."""
        step = max(1, self.targets.shape[1] // most)
        curved = replace(self.curved, target=self.curved.target[:, ::step])
        return Along(curved, self.scaled[:, ::step], self._rates, self._factor)

    def first(self, levels: Float64Array) -> Float64Array:
        """Return what labels cost where each weight has the nearest level that is allowed."""
        counts = np.zeros((2, len(levels)), np.int64)
        for odd, allowed in enumerate(_allowed(levels)):
            labels = nearest(self.targets, levels[allowed])
            counts[odd, allowed] = counts_of(labels, int(allowed.sum()))
        return self._of(levels, counts)

    def charged(self, levels: Float64Array, labels: UInt8Array) -> tuple[Float64Array, float]:
        """Return what labels cost in even and odd states (2, K), and all together, in bits."""
        odd = states(ranks(levels)[labels[0]])[0] & 1
        counts = np.stack([counts_of(labels[0][odd == one], len(levels)) for one in range(2)])
        rates = self._of(levels, counts)
        occur = counts > 0
        return rates, float(counts[occur] @ rates[occur])

    def sweep(self, levels: Float64Array, charged: Float64Array) -> UInt8Array:
        """Return the labels of a sweep."""
        found = trellis.sweep(self.curved.target[0], self._factor, self.scaled[0], levels, charged)
        return found[None]

    def descend(
        self, levels: Float64Array, charged: Float64Array, labels: UInt8Array, passes: int
    ) -> tuple[Float64Array, UInt8Array]:
        """Return what labels cost, and labels, after passes of descent, costs renewed in each."""
        for _ in range(passes):
            weights = with_bias(self.curved, levels[labels])
            slopes = self.curved.slopes(weights)
            labels = trellis.descend(
                *(weights[0], slopes[0], self.curved.hessian[0], self.scaled[0]),
                *(levels, charged, self._idle),
            )[None]
            charged = self.charged(levels, labels)[0]
        return charged, labels

    def _of(self, levels: Float64Array, counts: Int64Array) -> Float64Array:
        """Return rates (2, K) from counts (2, K): infinite for what a state doesn't allow."""
        rates = np.full(counts.shape, np.inf)
        for odd, allowed in enumerate(_allowed(levels)):
            rates[odd, allowed] = self._rates(counts[odd, allowed])
        return rates


def _idle(hessian: Float64Array) -> BoolArray:
    """Tell which inputs (d,) are dead: they are only damped, less than others that are alike.

    Their weights become 0. Whatever else they would be is free but for the bits, so that a path
    would use them for its turns.
    """
    diagonal = np.diagonal(hessian)[:-1]
    alone = np.count_nonzero(hessian, axis=1)[:-1] == 1
    return np.asarray(alone & (diagonal < DEAD * diagonal.max()))


def _allowed(levels: Float64Array) -> Int64Array:
    """Tell which levels even and odd states allow, (2, K), bool."""
    ranked = ranks(levels)
    return np.stack([(ranked == 0) | (ranked & 1 == odd) for odd in range(2)])


def nearest(targets: Float64Array, levels: Float64Array) -> UInt8Array:
    """Return the label of the level nearest to each target."""
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, targets).astype(np.uint8)


def with_bias(curved: Curvature, values: Float64Array) -> Float64Array:
    """Return weights (G, R, D) with the best bias for each row of values (G, R, d)."""
    off = values - curved.target[:, :, :-1]
    last = curved.hessian[:, :-1, -1:] / curved.hessian[:, -1:, -1:]
    return np.concatenate([values, curved.target[:, :, -1:] - off @ last], axis=2)
