"""Stage 2: surviving weights -> codebook + labels (Han et al. 2016, section 3).

"We partition n original weights W […] into k clusters C […] so as to minimize the
within-cluster sum of squares" (eq. 2), tensor by tensor. `lloyd` does so, from
`quantize.starts`.

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
"""

import numpy as np
import numpy.typing as npt

from .. import native
from ..checks import as_bits, as_weights, is_whole
from ..errors import ArgumentError, ConfigError, shown
from ..native import quantize as native_quantize
from ..tensors import BoolArray, SharedWeights, UInt8Array
from . import lloyd
from .starts import INITS

Float64Array = npt.NDArray[np.float64]

MAX_ITERATIONS = 1000  # Lloyd on scalars ends far earlier, but with no useful bound


def share_weights(
    weights: npt.ArrayLike,
    mask: BoolArray,
    bits: int,
    init: str = "linear",
    *,
    max_iterations: int = MAX_ITERATIONS,
    rng: np.random.Generator | None = None,
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
    init : {"linear", "density", "random", "kmeans++"}
        Where the centroids start (section 3.2): spaced evenly over the range of
        the values (best in the paper's figure 8, except at 3 bits), over their
        distribution function, at random values, or by k-means++.
    max_iterations : int
        Bound on Lloyd's iterations, which stop by themselves when no value changes
        its cluster. 0 assigns the values to the initial centroids as they are.
    rng : numpy.random.Generator, optional
        Needed by the inits ``"random"`` and ``"kmeans++"``.

    Returns
    -------
    SharedWeights
        With an ascending codebook and a label per survivor in row-major order.

    Raises
    ------
    ArgumentError
        If weights, mask, bits or `max_iterations` are out of range, or a generator is missing.
    ConfigError
        If `init` is unknown.

    Notes
    -----
    O(n log n) to sort, O(k log n) per iteration. All sums are float64.

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
    max_iterations = _checked_iterations(max_iterations)
    with np.errstate(over="ignore"):  # an overflow shows as an infinity just below
        values = dense[mask].astype(np.float32)
    if not np.isfinite(values).all():
        raise ArgumentError("surviving weights must be finite in float32")
    if rng is None:
        if init in ("random", "kmeans++"):
            raise ArgumentError(f"init {init!r} needs rng, a numpy.random.Generator")
        rng = np.random.default_rng(0)  # never drawn from

    k = 2**bits - 1
    ordered = np.sort(values).astype(np.float64)
    if np.count_nonzero(ordered[1:] != ordered[:-1]) < k:
        distinct = np.unique(values)
    else:
        start = INITS[init](ordered, k, rng)
        distinct = np.unique(lloyd.cluster(ordered, start, max_iterations).astype(np.float32))
    return SharedWeights(
        codebook=np.concatenate([np.zeros(1, np.float32), distinct]),
        labels=assign(values, distinct) + np.uint8(1),
        bits=bits,
    )


def kmeans(
    values: npt.ArrayLike, start: npt.ArrayLike, max_iterations: int = MAX_ITERATIONS
) -> Float64Array:
    """Return the centroids to which Lloyd's algorithm leads from given ones, ascending.

    Parameters
    ----------
    values : array_like of shape (n,), real
        Finite values in any order, at least one.
    start : array_like of shape (k,), real
        Finite centroids in any order, at least one.
    max_iterations : int
        As for `share_weights`.

    Returns
    -------
    ndarray of at most k values, float64
        Each has members (see `assign`); `lloyd` tells of those that lose theirs.

    Raises
    ------
    ArgumentError
        If an argument is out of range.

    Examples
    --------
    >>> kmeans([1, 2, 10, 11, 12], [0, 1])
    array([ 1.5, 11. ])
    """
    ordered = np.sort(np.asarray(values, np.float64), axis=None)
    centroids = np.asarray(start, np.float64)
    if not (np.ndim(values) == np.ndim(start) == 1 and ordered.size and centroids.size):
        raise ArgumentError(
            "values and start must each have one axis and an element, not shapes "
            f"{np.shape(values)} and {np.shape(start)}"
        )
    if not (np.isfinite(ordered).all() and np.isfinite(centroids).all()):
        raise ArgumentError("values and start must be finite")
    max_iterations = _checked_iterations(max_iterations)
    return lloyd.cluster(ordered, centroids, max_iterations)


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


def _checked_iterations(max_iterations: int) -> int:
    if not is_whole(max_iterations, 0):
        raise ArgumentError(f"max_iterations must be an integer >= 0, not {shown(max_iterations)}")
    return min(int(max_iterations), 1 << 62)  # what C can count to; nobody gets there


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
