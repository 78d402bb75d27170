"""Stage 2: surviving weights -> codebook + labels (Han et al. 2016, section 3).

"We partition n original weights W […] into k clusters C […] so as to minimize the
within-cluster sum of squares" (eq. 2), tensor by tensor. `lloyd` does so from one of
`quantize.starts`, to an optimum among its neighbours; `optimal` finds the least there is.

Format notes
------------
- A width of ``bits`` gives ``2**bits`` codes. Code 0 is the zero weight, so that
  ``2**bits - 1`` centroids are left for the survivors.
  Deviation: the paper's text doesn't mention the zero, but its authors' files
  keep code 0 for it in the same way.
- Weights with no more distinct values than that are stored exactly: their values
  are the codebook. So sharing twice changes nothing.
- A value half-way between two centroids belongs to the lower one.
- A cluster that loses all members moves to a value far from its centroid (see
  `lloyd`), so that there are ``2**bits - 1`` centroids unless the iterations are
  cut short: then one without members is dropped.
- The sum of squares is never above that of the start, roundings of centroids to float32
  included: where the iterations end above it, the start is kept.
- Values with all signs changed give the same sum of squares, and the same codebook with all
  signs changed, unless its start is drawn or the values are symmetrical. Only a label may
  differ: half-way is the lower one all the same.
"""

import numpy as np
import numpy.typing as npt

from .. import native
from ..checks import as_bits, as_weights
from ..errors import ArgumentError, ConfigError
from ..native import quantize as native_quantize
from ..tensors import BoolArray, Float32Array, SharedWeights, UInt8Array
from . import lloyd, optimal
from .clusters import MAX_ITERATIONS, better, checked_iterations, checked_weights, in_order
from .starts import INITS

Float64Array = npt.NDArray[np.float64]


def share_weights(
    weights: npt.ArrayLike,
    mask: BoolArray,
    bits: int,
    init: str = "linear",
    *,
    max_iterations: int = MAX_ITERATIONS,
    rng: np.random.Generator | None = None,
    importance: npt.ArrayLike | None = None,
) -> SharedWeights:
    """Cluster the surviving weights of one tensor with k-means.

    Parameters
    ----------
    weights : array_like of any shape, floating
        Dense weights; the survivors are finite in float32.
    mask : ndarray of the weights' shape, bool
        True where a weight survives.
    bits : int
        Width of a label, 1 to 8; at most ``2**bits - 1`` centroids.
    init : {"linear", "density", "random", "kmeans++", "optimal"}
        Where the centroids start: spaced evenly over the range of the values, over their
        distribution function, at random values, by k-means++, or at the exact optimum of
        eq. (2). The notes tell what each does to large weights.
    max_iterations : int
        Bound on Lloyd's iterations, which stop by themselves when no value changes
        its cluster. 0 assigns the values to the initial centroids as they are.
        None is needed after ``"optimal"``, and none is done.
    rng : numpy.random.Generator, optional
        Needed by the inits ``"random"`` and ``"kmeans++"``.
    importance : array_like of the weights' shape, real, optional
        How much the squared error of each weight counts, as a diagonal of the Hessian may
        say: finite, none below 0, and not 0 for all survivors. It counts in the iterations
        and in ``"optimal"``; the other inits start without it.

    Returns
    -------
    SharedWeights
        With an ascending codebook and a label per survivor in row-major order.

    Raises
    ------
    ArgumentError
        If weights, mask, bits, `max_iterations` or `importance` are out of range, or a generator
        is missing.
    ConfigError
        If `init` is unknown.

    Notes
    -----
    O(n log n) to sort, O(k log n) per iteration, O(k n log n) at most for ``"optimal"``. All
    sums are float64, and hold for values from 1e-45 to 3e38 in one tensor.

    "Larger weights play a more important role than smaller weights, but there are fewer of
    these" (section 3.2). ``"linear"`` has as many centroids among the large weights as among
    the small ones, and Lloyd's iterations move them in only slowly; it is the best in the
    paper's figure 8, except at 3 bits. ``"density"`` and ``"random"`` put most centroids
    where most weights are, and leave few, or none, to the largest. ``"kmeans++"`` prefers values
    far from all centroids before. ``"optimal"`` has the least sum of squares, 2.5 times less
    than ``"density"`` at 8 bits: large weights count by their squared error, no more.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([2.0, 0.0, 1.5, -1.0, -1.1], np.float32)
    >>> shared = share_weights(w, w != 0, bits=2)
    >>> shared.labels, shared.codebook
    (array([3, 2, 1, 1], dtype=uint8), array([ 0.  , -1.05,  1.5 ,  2.  ], dtype=float32))
    """
    dense = as_weights(weights, mask)
    bits = as_bits(bits, "bits")
    if init not in INITS:
        raise ConfigError(f"unknown init {init!r}; the choices are {', '.join(INITS)}")
    max_iterations = checked_iterations(max_iterations)
    with np.errstate(over="ignore"):  # an overflow shows as an infinity just below
        values = dense[mask].astype(np.float32, copy=False)
    ordered = np.sort(values)  # NaN comes last
    if not np.isfinite(ordered[[0, -1]] if ordered.size else ordered).all():
        raise ArgumentError("surviving weights must be finite in float32")
    if rng is None:
        if init in ("random", "kmeans++"):
            raise ArgumentError(f"init {init!r} needs rng, a numpy.random.Generator")
        rng = np.random.default_rng(0)  # never drawn from

    if importance is not None:
        if np.shape(importance) != dense.shape:
            shape = np.shape(importance)
            raise ArgumentError(f"importance must be of shape {dense.shape}, not {shape}")
        survivors = np.asarray(importance)[mask]
        importance = checked_weights(survivors, values.shape, "importance of survivors")
    k = 2**bits - 1
    if np.count_nonzero(ordered[1:] != ordered[:-1]) < k:
        distinct = np.unique(values)
    else:
        in_float64 = ordered.astype(np.float64)
        del ordered  # as memory is at its peak from here on
        distinct = _codebook(values, in_float64, k, init, max_iterations, rng, importance)
        del in_float64
    return SharedWeights(
        codebook=np.concatenate([np.zeros(1, np.float32), distinct]),
        labels=assign(values, distinct) + np.uint8(1),
        bits=bits,
    )


def _codebook(
    values: Float32Array,
    ordered: Float64Array,
    k: int,
    init: str,
    max_iterations: int,
    rng: np.random.Generator,
    importance: Float64Array | None,
) -> Float32Array:
    """Return the centroids, ascending; arguments validated by `share_weights`."""
    masses = None
    start = None if init == "optimal" else INITS[init](ordered, k, rng)
    if importance is not None:
        ordered, masses = in_order(values.astype(np.float64), importance)
    if start is None:
        return lloyd.distinct(optimal.centroids(ordered, k, masses).astype(np.float32))
    found, clear = lloyd.descend(ordered, start, max_iterations, masses)
    centroids = lloyd.distinct(found.astype(np.float32))
    if clear:
        return centroids
    unmoved = lloyd.cluster(ordered, start, 0, masses).astype(np.float32)
    return better(values, centroids, lloyd.distinct(unmoved), importance)


def assign(values: npt.NDArray[np.floating], centroids: npt.NDArray[np.floating]) -> UInt8Array:
    """Return for each value the index of its nearest centroid, the lower one of two.

    Parameters
    ----------
    values : ndarray of shape (n,), floating
        Finite values in any order.
    centroids : ndarray of shape (k,), floating
        Ascending, ``k <= 256``; none is needed where there is no value.

    Returns
    -------
    ndarray of shape (n,), uint8
        Each ``< k``.
    """
    bounds = lloyd.midpoints(centroids)
    if values.dtype == np.float32 and len(centroids) and native.active():
        return native_quantize.assign(np.ascontiguousarray(values), bounds)
    return np.searchsorted(bounds, values, side="left").astype(np.uint8)


def sum_of_squares(values: npt.ArrayLike, shared: SharedWeights) -> float:
    """Return the within-cluster sum of squares of eq. (2).

    Parameters
    ----------
    values : array_like of shape (N,), floating
        The surviving weights, in the order of the labels.
    shared : SharedWeights
        Their codebook and labels.

    Returns
    -------
    float
        ``sum((w - codebook[label]) ** 2)``, in float64.
    """
    centroids = shared.codebook.astype(np.float64)[shared.labels]
    return float(np.sum((np.asarray(values, np.float64) - centroids) ** 2))


def sharing_ratio(n: int, k: int, weight_bits: int = 32) -> float:
    """Return the compression rate of weight sharing alone, eq. (1).

    ``r = n b / (n log2(k) + k b)`` for ``n`` weights of ``b`` bits that share ``k``
    centroids; the label's width is rounded up to whole bits.

    Raises
    ------
    ArgumentError
        If `n`, `k` or `weight_bits` is below 1.

    Examples
    --------
    The 16 weights of the paper's figure 3 with 4 centroids:

    >>> sharing_ratio(16, 4)
    3.2
    """
    if min(n, k, weight_bits) < 1:
        raise ArgumentError(f"n, k and weight_bits must be >= 1, not {n}, {k}, {weight_bits}")
    return n * weight_bits / (n * (k - 1).bit_length() + k * weight_bits)
