"""Weights alone: sharing where there are no inputs to calibrate with, nor a network.

Rounding with a step s adds an error to the outputs of a tensor, with n weights of root mean square
r, that is to them about as s is to r. If that share mattered alike in all tensors, the sum of
(s / r)^2 would be least, for so many bits, with

    s  in proportion to  r sqrt(n),

as a finer step takes n bits. One step for all is as good where the inputs of all layers are alike,
as on SqueezeNet. In networks of inverted bottlenecks they aren't, and weights make up for it: plain
rounding of EfficientNet-Lite0 takes 29 % more bytes with one step, at a divergence of 0.035.
`SPREAD` is between one step for all, 0, and the above, 1; 0.75 is a good one for both.

Within a tensor, errors are compensated as if inputs were as those of most layers are (`expected`).
"""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import is_finite
from ..config import TensorConfig
from ..dtypes import as_float32, named
from ..errors import ArgumentError, shown
from ..inputs import flat
from ..model import CompressedModel
from ..nn.parallel import single_threaded_blas
from ..pipeline.models import checked_config, put
from ..pipeline.weights import Encodable, Kept, naming
from ..tensors import Float32Array, Float64Array, UInt8Array
from . import expected
from .grid import FINER, uniform_grid
from .layer import in_file
from .packing import CODINGS, CONTEXTS, encodable, rounded, stream_coder
from .rates import Rates, counts_of, entropy_rates

SPREAD = 0.75
ERROR = 0.06  # the middle between size and damage for networks that were tried
CHEAPER = 0.5  # than the step says: rates bias weights towards 0
SWEEPS = 2


def weights_alone(
    tensors: Mapping[str, npt.ArrayLike],
    *,
    error: float = ERROR,
    half: bool = False,
    rates: Rates = entropy_rates,
    coder: str = CONTEXTS,
    metadata: Mapping[str, Any] | None = None,
) -> CompressedModel:
    """Share weights without any inputs, with steps that follow from sizes of tensors and weights.

    Parameters
    ----------
    tensors : mapping of str to array_like
        As for `pipeline.compress`.
    error : float
        Root mean square of the rounding errors as a share of that of all weights, about: the only
        choice between size and damage. It makes the mean step, sqrt(12) times as large.
    half : bool
        Whether centroids and biases are numbers that float16 has, which take fewer bytes. The
        tensors keep their dtypes.
    rates : callable
        What labels will cost, from their counts (see `rates`).
    coder : str
        ``"context"``, the smallest, or the strongest of `container.CODERS`, which are read sooner.
    metadata : mapping, optional
        To be stored with the tensors.

    Returns
    -------
    CompressedModel
        Biases, tensors below 128 elements, and those that aren't floating and finite are kept,
        as `pipeline.compress` keeps them; `half` rounds those that are floating.

    Raises
    ------
    ArgumentError
        If an argument is anything else, or a tensor can't be stored, naming it.

    Notes
    -----
    Nothing but the weights is known here: inputs, wherever there are some, make a far better file
    (see `calibrate`).

    Examples
    --------
    >>> w = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    >>> model = weights_alone({"w": w})
    >>> bool(np.std(model["w"].to_dense() - w) < 0.08), len(model.to_bytes()) < w.nbytes / 5
    (True, True)
    """
    if not is_finite(error, 0) or error == 0:
        raise ArgumentError(f"error must be a positive finite number, not {shown(error)}")
    if not isinstance(half, bool):
        raise ArgumentError(f"half must be a bool, not {shown(half)}")
    inputs = flat(tensors)
    if coder not in CODINGS:
        raise ArgumentError(f"coder must be one of {', '.join(CODINGS)}, not {shown(coder)}")
    checked_config(inputs, None, metadata, 0)
    unit = unit_step((inputs[name] for name in inputs), error)
    model = CompressedModel({}, dict(metadata or {}), {}, combined=inputs.combined)
    with single_threaded_blas():
        for name, values in inputs.items():
            with naming(name):
                step = unit * own_step(values)
                weights = rounded_alone(values, step, half=half, rates=rates, coder=coder)
            put(model, name, weights, coder=stream_coder(coder))
    return model


def sharing_alone(
    tensors: Mapping[str, npt.NDArray[Any]], error: float = ERROR
) -> Callable[[npt.NDArray[Any]], Encodable | Kept]:
    """Return what `streaming.compress_to` takes as `share`, to do tensor by tensor the same.

    Parameters
    ----------
    tensors : mapping of str to ndarray
        All that are to share weights. Each is read once, for the steps.
    error : float
        As for `weights_alone`, whose `half` is true here.
    """
    unit = unit_step((tensors[name] for name in tensors), error)
    return partial(_shared_alone, unit=unit)


def _shared_alone(values: npt.NDArray[Any], unit: float) -> Encodable | Kept:
    with single_threaded_blas():  # whose threads would decide on the last bits of a sum
        return rounded_alone(values, unit * own_step(values), half=True, coder=CONTEXTS)


def unit_step(tensors: Iterable[npt.NDArray[Any]], error: float) -> float:
    """Return what the steps of all tensors are in proportion to.

    Their geometric mean, over weights, is `error` times sqrt(12) times the rms of what is rounded.
    """
    squares, logs, count, alive = 0.0, 0.0, 0, 0
    for values in tensors:
        if not why_kept(values):
            count += values.size
            if (total := sum_of_squares(values)) > 0:
                squares, alive = squares + total, alive + values.size
                logs += values.size * math.log(own_step(values))
    if squares == 0:
        return 1.0
    return math.sqrt(12) * error * math.sqrt(squares / count) * math.exp(-logs / alive)


def own_step(values: npt.NDArray[Any]) -> float:
    """Return the step of one tensor, but for what all have in common."""
    if why_kept(values) or (squares := sum_of_squares(values)) == 0:
        return 1.0
    return math.pow(squares, SPREAD / 2)  # rms times the square root of how many


def sum_of_squares(values: npt.NDArray[Any]) -> float:
    """Return the sum of squares of floating values."""
    floats = as_float32(values).astype(np.float64)
    return float((floats * floats).sum())


def why_kept(values: npt.NDArray[Any]) -> str:
    """Return why a tensor isn't shared, as `CompressedModel.kept` says it; "" if it is."""
    if named(values.dtype).kind != "f":
        return "not floating"
    if len(values.shape) < 2:
        return "bias"
    if values.size < TensorConfig.min_size:
        return "too small"
    with np.errstate(all="ignore"):
        return "" if np.isfinite(values.astype(np.float32)).all() else "not finite"


def rounded_alone(
    values: npt.NDArray[Any],
    step: float,
    *,
    half: bool = False,
    rates: Rates = entropy_rates,
    coder: str = CONTEXTS,
) -> Encodable | Kept:
    """Return one tensor with shared weights, for a step of all; or kept."""
    if why := why_kept(values):
        is_rounded = half and why in ("bias", "too small") and np.isfinite(values).all()
        return Kept(rounded(values.copy(), is_rounded, "bias"), why, small=half)
    levels, labels = compensated(as_float32(values), step, rates, half)
    return encodable(levels, labels, values.shape, named(values.dtype), coder, half)


def compensated(
    weights: Float32Array, step: float, rates: Rates, half: bool
) -> tuple[Float64Array, UInt8Array]:
    """Return levels (K,), ascending, and labels (R, d) of a tensor, for expected inputs."""
    targets, lam = weights.reshape(len(weights), -1), CHEAPER * price_of(step)
    positions, moves = expected.structure(weights.shape)[1], expected.Moves.of(weights.shape)
    levels = uniform_grid(targets, step)
    labels = expected.nearest(targets, levels)
    for _ in range(SWEEPS):
        charged = lam * rates(counts_of(labels, len(levels)))
        labels = expected.sweep(targets, positions, moves, levels, charged)
    charged = lam * rates(counts_of(labels, len(levels)))
    levels = in_file(expected.refitted(levels, labels, targets, positions), half)
    order = np.argsort(levels, kind="stable")
    labels = np.argsort(order).astype(np.uint8)[labels]
    levels, charged = levels[order], charged[order]
    return levels, expected.descend(targets, positions, levels, charged, labels)


def price_of(step: float) -> float:
    """Return lambda, in squares of weights for a bit, that belongs to a step (see `grid`)."""
    return math.log(2) / 6 * (step / FINER) ** 2
