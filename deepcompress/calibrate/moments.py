"""Second moments of what reaches a layer, and the quadratic form that they make of its error.

Legend: a layer has G groups of R outputs, each a row of ``d`` weights and a bias. A row
``x`` of inputs has a 1 appended for the bias, so that vectors here have ``D = d + 1`` elements.

With ``N`` rows x that reach the layer in the network compressed so far, and x' at the same places
of the original network, a row w of weights that stands for the original w0 has the mean error

    E(w) = 1/N sum (w.x - w0.x')^2 + (w - w0) R (w - w0)^T,      R = r * diag(1, ..., 1, 0),

which is, but for a constant, ``(w - w*) H (w - w*)^T`` with the Hessian (halved)

    H = X^T X / N + R,        w* = w0 (X'^T X / N + R) H^-1.

So w* also undoes what the layers before got wrong, as far as the rows tell (Frantar and Alistarh,
"Optimal Brain Compression", arXiv:2208.11580, and GPTQ, arXiv:2210.17323, take w* = w0).
The damping ``r`` keeps H regular where inputs are dead, or there are fewer rows than weights.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import ArgumentError
from ..tensors import Float64Array

DAMPING = 0.01  # share of the mean of the diagonal
LEAST = 1e-12  # damping where all inputs are dead: any positive number
MOST_TRIES = 8


@dataclass(frozen=True)
class Moments:
    """Sums over rows of inputs.

    Attributes
    ----------
    reached : ndarray of shape (G, D, D), float64
        X^T X, of the rows that reach the layer in the network compressed so far.
    crossed : ndarray of shape (G, D, D), float64
        X'^T X, with the original network's rows X'.
    rows : int
        N.
    """

    reached: Float64Array
    crossed: Float64Array
    rows: int

    def __add__(self, other: "Moments") -> "Moments":
        """Return the moments of the rows of both."""
        with np.errstate(all="ignore"):  # `curvature` finds what isn't finite
            return Moments(
                self.reached + other.reached, self.crossed + other.crossed, self.rows + other.rows
            )


@dataclass(frozen=True)
class Curvature:
    """The quadratic form of a layer's error, one for each group.

    Attributes
    ----------
    hessian : ndarray of shape (G, D, D), float64
        H above, positive definite.
    target : ndarray of shape (G, R, D), float64
        w* of each output.
    damping : float
        The share of the mean of the diagonal that was needed.
    dead : int
        Inputs that are always 0.
    """

    hessian: Float64Array
    target: Float64Array
    damping: float
    dead: int

    def error(self, weights: Float64Array) -> Float64Array:
        """Return ``(w - w*) H (w - w*)^T`` of each output, (G, R), for weights (G, R, D)."""
        off = weights - self.target
        return np.asarray(((off @ self.hessian) * off).sum(axis=2))


def curvature(weights: Float64Array, moments: Moments, damping: float = DAMPING) -> Curvature:
    """Return the curvature of a layer's error.

    Parameters
    ----------
    weights : ndarray of shape (G, R, D), float64
        The original weights, w0, the bias last.
    moments : Moments
    damping : float
        ``r`` as a share of the mean of the diagonal; ten times as much, again and again, where
        H isn't positive definite to float64.

    Raises
    ------
    ArgumentError
        If moments aren't finite, or no damping helps.
    """
    if not (np.isfinite(moments.reached).all() and np.isfinite(moments.crossed).all()):
        raise ArgumentError("what reaches it isn't finite: it has NaN, or numbers too large")
    reached, crossed = moments.reached / moments.rows, moments.crossed / moments.rows
    diagonals = np.diagonal(reached, axis1=1, axis2=2)[:, :-1]
    level = max(float(diagonals.mean()), LEAST)
    eye = np.eye(reached.shape[1])
    eye[-1, -1] = 0
    for _ in range(MOST_TRIES):
        ridge = damping * level * eye
        hessian = reached + ridge
        try:
            np.linalg.cholesky(hessian)
        except np.linalg.LinAlgError:
            damping = max(10 * damping, 1e-8)
            continue
        right = weights @ (crossed + ridge)
        target = np.linalg.solve(hessian, right.transpose(0, 2, 1)).transpose(0, 2, 1)
        return Curvature(
            hessian, np.ascontiguousarray(target), damping, int((diagonals == 0).sum())
        )
    raise ArgumentError(f"its Hessian can't be factored, even with a damping of {damping / 10:g}")


def inverse_factor(hessian: Float64Array) -> Float64Array:
    """Return the upper triangular U, diagonal positive, with ``H^-1 = U^T U``; H is (D, D).

    Turned round, ``H = V V^T`` with V upper triangular, so that U is the inverse of V: H's own
    isn't needed, which would lose digits.
    """
    upper = np.linalg.cholesky(hessian[::-1, ::-1])[::-1, ::-1]
    return np.triu(np.linalg.inv(upper))
