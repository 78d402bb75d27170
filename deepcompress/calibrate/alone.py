"""Weights alone: sharing where there are no inputs to calibrate with, nor a network.

Rounding with a step s adds an error to the outputs of a tensor, with n weights of root mean square
r, that is to them about as s is to r. If that share mattered alike in all tensors, the sum of
(s / r)^2 would be least, for so many bits, with

    s  in proportion to  r sqrt(n),

as a finer step takes n bits. One step for all is as good where the inputs of all layers are alike,
as on SqueezeNet. In networks of inverted bottlenecks they aren't, and weights make up for it: plain
rounding of EfficientNet-Lite0 takes 29 % more bytes with one step, at a divergence of 0.035.
`SPREAD` is between one step for all, 0, and the above, 1; 0.75 is a good one for both.

Within a tensor, errors are compensated as if inputs were as those of most layers are, behind a
ReLU: above 0 in the mean, and alike at neighbouring positions. Of variance 1 and independent
otherwise, they have the Hessian

    H = SHARED  +  ALIKE where two weights are of one channel  +  the rest on the diagonal.

So errors of a filter, and of each of its channels, come to add up to about 0. Rounding that keeps
such sums is SQuant's idea (Guo et al., ICLR 2022, arXiv:2202.07471). The two numbers were chosen
on SqueezeNet with 100 photographs, of a few pairs; most were as good.

Tensors that are too large for that are rounded weight by weight: entropy-constrained
quantization (Chou, Lookabaugh and Gray, IEEE Trans. ASSP 37, 1989).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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
from .grid import FINER, uniform_grid
from .layer import Effort, decide
from .moments import Curvature
from .packing import CODINGS, CONTEXTS, encodable, rounded, stream_coder
from .rates import Rates, entropy_rates

SPREAD = 0.75
ERROR = 0.06  # the middle between size and damage for networks that were tried
SHARED, ALIKE = 0.3, 0.25
CHEAPER = 0.5  # than the step says: rates bias weights towards 0
EFFORT = Effort(sweeps=2, rounds=1, descents=1)
MOST_COLUMNS = 4608  # of a compensated tensor, whose time grows with their square
MOST_ELEMENTS = 1 << 24
ROUNDS = 4


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
    floats = as_float32(values)
    columns = values.size // len(values)
    if columns <= MOST_COLUMNS and values.size <= MOST_ELEMENTS:
        levels, labels = compensated(floats, step, rates, half)
    else:
        levels, labels = weight_by_weight(floats, step, rates, half)
    return encodable(levels, labels, values.shape, named(values.dtype), coder, half)


def compensated(
    weights: Float32Array, step: float, rates: Rates, half: bool
) -> tuple[Float64Array, UInt8Array]:
    """Return levels (K,) and labels of a tensor, as for inputs that are expected."""
    rows = weights.reshape(1, len(weights), -1).astype(np.float64)
    target = np.concatenate([rows, np.zeros((1, rows.shape[1], 1))], axis=2)
    hessian = expected_hessian(weights.shape)[None]
    curved = ExpectedCurvature(hessian, target, 0.0, 0, Expected(weights.shape))
    lam, alike = CHEAPER * price_of(step), np.ones((1, rows.shape[1]))
    decided = decide(curved, alike, lam, rates=rates, effort=EFFORT, half=half, step=step)
    return decided.levels, decided.labels


def expected_hessian(shape: tuple[int, ...]) -> Float64Array:
    """Return the Hessian (D, D) of a weight of this shape (O, I, ...) for inputs as expected.

    The bias, last, is on its own: how large inputs are isn't known, so that it can't make up for
    anything.
    """
    columns, positions, alike = _alike(shape)
    hessian = np.full((columns + 1, columns + 1), SHARED)
    channel = np.arange(columns) // positions
    hessian[:-1, :-1] += alike * (channel[:, None] == channel)
    hessian[-1], hessian[:, -1] = 0, 0
    np.fill_diagonal(hessian, 1)
    return hessian


def _alike(shape: tuple[int, ...]) -> tuple[int, int, float]:
    """Return the columns, those of a channel, and what its weights have in common."""
    columns, positions = math.prod(shape[1:]), math.prod(shape[2:])
    return columns, positions, ALIKE if positions > 1 else 0.0


class Expected:
    """`expected_hessian` but for the bias, for products: ``rows @ it`` takes three passes, no more.

    Parameters
    ----------
    shape : tuple of int
        Of the weight.
    """

    __array_ufunc__ = None  # so that NumPy leaves its product to __rmatmul__

    def __init__(self, shape: tuple[int, ...]) -> None:
        _, self._positions, self._alike = _alike(shape)

    def __rmatmul__(self, rows: Float64Array) -> Float64Array:
        """Return the products of rows (..., d)."""
        found = (1 - SHARED - self._alike) * rows
        if self._alike:
            channels = rows.reshape(*rows.shape[:-1], -1, self._positions)
            found += self._alike * np.repeat(channels.sum(axis=-1), self._positions, axis=-1)
        found += SHARED * rows.sum(axis=-1, keepdims=True)
        return np.asarray(found)


@dataclass(frozen=True)
class ExpectedCurvature(Curvature):
    """A curvature whose Hessian is `expected_hessian`.

    Attributes
    ----------
    expected : Expected
    """

    expected: Expected

    def slopes(self, weights: Float64Array) -> Float64Array:
        """Return what `Curvature.slopes` does; the bias is on its own."""
        off = weights - self.target
        return np.concatenate([off[..., :-1] @ self.expected, off[..., -1:]], axis=-1)

    def without_bias(self) -> Sequence[Expected]:
        """Return what `Curvature.without_bias` does."""
        return [self.expected] * len(self.hessian)


def price_of(step: float) -> float:
    """Return lambda, in squares of weights for a bit, that belongs to a step (see `grid`)."""
    return math.log(2) / 6 * (step / FINER) ** 2


def weight_by_weight(
    weights: Float32Array, step: float, rates: Rates, half: bool
) -> tuple[Float64Array, UInt8Array]:
    """Return levels (K,), ascending, and the label of each weight, each on its own.

    Centroids are the means of their weights; labels cost what their last counts say.
    """
    values = weights.ravel()
    levels, lam = uniform_grid(values.astype(np.float64), step), CHEAPER * price_of(step)
    labels = best_labels(values, levels, np.zeros(len(levels)))
    for _ in range(ROUNDS):
        counts = np.bincount(labels, minlength=len(levels))
        labels = best_labels(values, levels, lam * rates(counts))
        counts = np.bincount(labels, minlength=len(levels))
        sums = np.bincount(labels, values, len(levels))
        means = np.divide(sums, counts, out=levels.copy(), where=(counts > 0) & (levels != 0))
        levels = means.astype(np.float16 if half else np.float32).astype(np.float64)
    return levels, labels.reshape(weights.shape)


def best_labels(values: Float32Array, levels: Float64Array, charged: Float64Array) -> UInt8Array:
    """Return the label of each value with the least ``(value - level)^2 + charged[label]``.

    `levels` ascend. Functions of the value, costs differ by straight lines, so that each level is
    the best one in an interval or nowhere; the borders are found from left to right.
    """
    heights, bits = levels.tolist(), charged.tolist()  # Python's floats overflow in silence
    best: list[int] = []
    borders: list[float] = []  # borders[i]: above, best[i] is better than best[i - 1]
    for k in range(len(levels)):
        border = -math.inf
        while best:
            rise, more = heights[k] - heights[best[-1]], bits[k] - bits[best[-1]]
            if rise > 0:
                border = (heights[k] + heights[best[-1]]) / 2 + more / (2 * rise)
            else:
                border = -math.inf if more < 0 else math.inf
            if border > borders[-1]:
                break
            best.pop()
            borders.pop()
            border = -math.inf
        if border < math.inf:
            best.append(k)
            borders.append(border)
    below = np.searchsorted(np.array(borders[1:]), values, side="left")
    return np.array(best, np.uint8)[below]
