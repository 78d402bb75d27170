"""Stage 1: weights -> mask (Han et al. 2016, section 2; Han et al. 2015).

"All connections with weights below a threshold are removed from the network."
A mask is a bool array of the tensor's shape, True where the weight survives.

Format notes
------------
- A weight survives when ``abs(w) > threshold``: a weight of exactly zero never does.
- The threshold is rounded to the weights' dtype first.
- A mask that is passed in is kept: a weight that was pruned once stays pruned.
- Ties at a target sparsity are broken by position, lower positions survive, so
  that the number of survivors is exact and the same on every machine.
"""

import math
import sys
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from .checks import as_weights, is_finite
from .errors import ArgumentError, shown
from .tensors import BoolArray

Floats = npt.NDArray[np.floating]

CHUNK_ELEMENTS = 1 << 17  # looked at together, so that they stay in the cache
SAMPLE_ELEMENTS = 1 << 16  # of a tensor, to guess a magnitude from


def threshold_mask(
    weights: npt.ArrayLike, threshold: float, mask: BoolArray | None = None
) -> BoolArray:
    """Keep the weights of magnitude above an absolute threshold.

    Parameters
    ----------
    weights : array_like of any shape, floating
        Dense weights, finite.
    threshold : float
        Non-negative, in the unit of the weights.
    mask : ndarray of the weights' shape, bool, optional
        Survivors of an earlier round; nothing outside it survives.

    Returns
    -------
    ndarray of the weights' shape, bool

    Raises
    ------
    ArgumentError
        If the weights aren't finite floats, if the threshold is negative or not
        finite, or if the mask has another shape.
    """
    values = _checked(weights, mask)
    _check_finite("threshold", threshold)
    survivors = np.empty(values.size, np.bool_)
    threshold = float(threshold)  # NumPy compares in the weights' dtype, not in float64's
    with np.errstate(over="ignore"):  # one beyond the weights' dtype is above all of them
        for part, magnitude in _magnitudes(values, mask):
            np.greater(magnitude, threshold, out=survivors[part])
    return survivors.reshape(values.shape)


def sensitivity_mask(
    weights: npt.ArrayLike, sensitivity: float, mask: BoolArray | None = None
) -> BoolArray:
    """Keep the weights above ``sensitivity`` times the layer's standard deviation.

    "The pruning threshold is chosen as a quality parameter multiplied by the
    standard deviation of a layer's weights" (Han et al. 2015, section 4). The
    deviation is that of the weights that survive so far, all of them in the first
    round. Taken over the zeros too, it would fall with each round, and the same
    sensitivity would prune less and less.

    Parameters
    ----------
    weights, mask
        As for `threshold_mask`.
    sensitivity : float
        Threshold / standard deviation, non-negative.

    Returns
    -------
    ndarray of the weights' shape, bool

    Raises
    ------
    ArgumentError
        As `threshold_mask`; or if the sensitivity is negative or not finite.
    """
    _check_finite("sensitivity", sensitivity)
    values = _checked(weights, mask)
    if mask is not None:
        values = values[mask]
    deviation = float(np.std(values, dtype=np.float64)) if values.size else 0.0
    return threshold_mask(weights, min(sensitivity * deviation, sys.float_info.max), mask)


def sparsity_mask(
    weights: npt.ArrayLike, sparsity: float, mask: BoolArray | None = None
) -> BoolArray:
    """Keep the largest weights so that a given fraction of the tensor is zero.

    Parameters
    ----------
    weights, mask
        As for `threshold_mask`.
    sparsity : float
        Fraction of zeros in the result, 0 to 1. ``round((1 - sparsity) * size)``
        weights survive, fewer only where fewer are left.

    Returns
    -------
    ndarray of the weights' shape, bool

    Raises
    ------
    ArgumentError
        As `threshold_mask`; or if the sparsity lies outside 0 to 1.
    """
    _check_sparsity(sparsity)
    values = _checked(weights, mask)
    keep = round((1 - sparsity) * values.size)
    return _largest(values, mask, keep).reshape(values.shape)


def global_masks(
    tensors: Mapping[str, npt.ArrayLike],
    *,
    sparsity: float | None = None,
    threshold: float | None = None,
    masks: Mapping[str, BoolArray] | None = None,
) -> dict[str, BoolArray]:
    """Prune several tensors by one threshold for all of them.

    Parameters
    ----------
    tensors : mapping of str to array_like
        The tensors to prune together.
    sparsity : float, optional
        Fraction of zeros over all of the tensors, 0 to 1.
    threshold : float, optional
        Absolute threshold. Exactly one of `sparsity` and `threshold` is given.
    masks : mapping of str to ndarray of bool, optional
        Survivors of an earlier round, for each of the tensors.

    Returns
    -------
    dict of str to ndarray of bool

    Raises
    ------
    ArgumentError
        As `threshold_mask` and `sparsity_mask`, naming the tensor; if `masks` lacks one;
        or if not exactly one of `sparsity` and `threshold` is given.
    """
    if (sparsity is None) == (threshold is None):
        raise ArgumentError("give exactly one of sparsity and threshold")
    by_name = {}
    for name, weights in tensors.items():
        try:
            if masks and name not in masks:
                raise ArgumentError("masks has none for it")
            values = _checked(weights, own := masks[name] if masks else None)
            by_name[name] = np.abs(values) if own is None else np.abs(values) * own
        except ArgumentError as error:
            raise ArgumentError(f"tensor {name!r}: {error}") from None
    if threshold is not None:
        return {name: threshold_mask(m, threshold) for name, m in by_name.items()}
    assert sparsity is not None
    _check_sparsity(sparsity)
    if not by_name:
        return {}
    together = np.concatenate([m.ravel() for m in by_name.values()])
    survivors = _largest(together, None, round((1 - sparsity) * together.size))
    ends = np.cumsum([m.size for m in by_name.values()])[:-1]
    return {
        name: part.reshape(m.shape)
        for (name, m), part in zip(by_name.items(), np.split(survivors, ends), strict=True)
    }


def cubic_sparsity(step: int, steps: int, final: float, initial: float = 0.0) -> float:
    """Return the sparsity of a gradual schedule after ``step`` of ``steps`` prunings.

    ``final + (initial - final) * (1 - step / steps) ** 3``: prune fast while there
    is redundancy, slowly towards the end (Zhu & Gupta 2017, eq. 1).

    Parameters
    ----------
    step, steps : int
        ``0 <= step <= steps`` and ``steps >= 1``.
    final, initial : float
        Sparsities at the end and at the start, 0 to 1.

    Returns
    -------
    float
        The target sparsity.

    Raises
    ------
    ArgumentError
        If a step or a sparsity is out of range.

    Examples
    --------
    >>> [round(cubic_sparsity(step, 4, 0.9), 3) for step in range(5)]
    [0.0, 0.52, 0.787, 0.886, 0.9]
    """
    if steps < 1 or not 0 <= step <= steps:
        raise ArgumentError(f"step must be 0 to steps and steps >= 1, not {step} of {steps}")
    _check_sparsity(final)
    _check_sparsity(initial)
    return final + (initial - final) * (1 - step / steps) ** 3


def scaled_dropout(rate: float, connections: int, original: int) -> float:
    """Scale a dropout rate to a layer that has lost connections.

    ``D_r = D_o * sqrt(C_r / C_o)`` (Han et al. 2015, eq. 2): pruning already
    reduces the model's capacity, so retraining needs less dropout.

    Parameters
    ----------
    rate : float
        Dropout rate of the original training, ``0 <= rate < 1``.
    connections, original : int
        Connections of the layer now and before pruning, ``0 <= connections <= original``.

    Returns
    -------
    float
        The dropout rate for retraining.

    Raises
    ------
    ArgumentError
        If the rate or the counts are out of range.

    Examples
    --------
    >>> scaled_dropout(0.5, 4, 100)
    0.1
    """
    if not 0 <= rate < 1:
        raise ArgumentError(f"dropout rate must be in [0, 1), not {rate!r}")
    if not 0 <= connections <= original or original < 1:
        raise ArgumentError(f"{connections} of {original} connections can't be")
    return rate * math.sqrt(connections / original)


def _checked(weights: npt.ArrayLike, mask: BoolArray | None) -> Floats:
    """Return the weights as an array, after checking them and the mask."""
    values = as_weights(weights, mask)
    if not all(np.isfinite(magnitude).all() for _, magnitude in _magnitudes(values, None)):
        raise ArgumentError("weights must be finite: they hold NaN or infinity")
    return values


def _check_finite(name: str, value: float) -> None:
    """Raise unless a number is finite and not negative."""
    if not is_finite(value, 0):
        raise ArgumentError(f"{name} must be finite and >= 0, not {shown(value)}")


def _check_sparsity(sparsity: float) -> None:
    if not is_finite(sparsity, 0, 1):
        raise ArgumentError(f"sparsity must be in [0, 1], not {shown(sparsity)}")


def _magnitudes(values: Floats, mask: BoolArray | None) -> Iterator[tuple[slice, Floats]]:
    """Yield abs(values), 0 outside the mask, a chunk of the flattened tensor at a time."""
    flat = values.reshape(-1)
    survives = None if mask is None else mask.reshape(-1)
    for start in range(0, flat.size, CHUNK_ELEMENTS):
        part = slice(start, min(start + CHUNK_ELEMENTS, flat.size))
        magnitude = np.abs(flat[part])
        if survives is not None:
            magnitude *= survives[part]
        yield part, magnitude


def _largest(values: Floats, mask: BoolArray | None, keep: int) -> BoolArray:
    """Mark the `keep` largest non-zero magnitudes, flattened; lower positions win ties."""
    survivors = np.zeros(values.size, np.bool_)
    if keep == 0:
        return survivors
    threshold = _nth_largest(values, mask, keep)
    tied = [np.zeros(0, np.int64)]
    for part, magnitude in _magnitudes(values, mask):
        np.greater(magnitude, threshold, out=survivors[part])
        tied.append(np.flatnonzero(magnitude == threshold) + part.start)
    if threshold > 0:
        survivors[np.concatenate(tied)[: keep - np.count_nonzero(survivors)]] = True
    return survivors


def _nth_largest(values: Floats, mask: BoolArray | None, n: int) -> np.floating:
    """Return the n-th largest magnitude, n > 0.

    A sample gives a guess below that magnitude, so that only those above the guess are gathered:
    few of them where few shall survive. If the guess was too high, all are gathered.
    """
    stride = max(1, values.size // SAMPLE_ELEMENTS)
    sample = np.abs(values.reshape(-1)[::stride])
    expected = sample.size * n / values.size
    rank = int(expected + 6 * math.sqrt(expected) + 6)  # rarely so many belong to the n
    guess = np.partition(sample, -rank)[-rank] if rank < sample.size else sample.dtype.type(0)
    for lowest in (guess, sample.dtype.type(0)):
        found = [chunk[chunk >= lowest] for _, chunk in _magnitudes(values, mask)]
        if sum(map(len, found)) >= n:
            break
    candidates = np.concatenate(found)
    del found
    candidates.partition(candidates.size - n)
    nth: np.floating = candidates[candidates.size - n]
    return nth
