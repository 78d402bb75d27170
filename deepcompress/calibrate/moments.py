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
`trust` finds how much more of it there should be, and a w* that such rows don't mislead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..tensors import Float64Array
from . import centroids

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
    rows : float
        N; where rows have weights, each times the root of its own, the sum of these.
    """

    reached: Float64Array
    crossed: Float64Array
    rows: float

    def __add__(self, other: "Moments") -> "Moments":
        """Return the moments of the rows of both."""
        with np.errstate(all="ignore"):  # `curvature` finds what isn't finite
            return Moments(
                self.reached + other.reached, self.crossed + other.crossed, self.rows + other.rows
            )

    def __sub__(self, other: "Moments") -> "Moments":
        """Return the moments of the rows that the other ones are without."""
        return Moments(
            self.reached - other.reached, self.crossed - other.crossed, self.rows - other.rows
        )

    def check(self) -> None:
        """Raise ArgumentError where moments aren't finite."""
        if not (np.isfinite(self.reached).all() and np.isfinite(self.crossed).all()):
            raise ArgumentError("what reaches it isn't finite: it has NaN, or numbers too large")

    @property
    def level(self) -> float:
        """The mean square of inputs; a positive number where all are dead."""
        diagonals = np.diagonal(self.reached, axis1=1, axis2=2)[:, :-1]
        return max(float((diagonals / self.rows).mean()), LEAST)


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
        return np.asarray((self.slopes(weights) * (weights - self.target)).sum(axis=2))

    def slopes(self, weights: Float64Array) -> Float64Array:
        """Return ``(w - w*) H``, (G, R, D), for weights (G, R, D)."""
        return np.asarray((weights - self.target) @ self.hessian)

    def without_bias(self) -> Sequence[Any]:
        """Return H less what the bias takes up by itself, of each group.

        A row of d numbers times one of them, by ``@``, is what there is to do with them.
        """
        return [centroids.without_bias(hessian) for hessian in self.hessian]


def curvature(
    weights: Float64Array,
    moments: Moments,
    damping: float = DAMPING,
    ridge: float = 0.0,
    target: Float64Array | None = None,
) -> Curvature:
    """Return the curvature of a layer's error.

    Parameters
    ----------
    weights : ndarray of shape (G, R, D), float64
        The original weights, w0, the bias last.
    moments : Moments
    damping : float
        ``r`` as a share of the mean of the diagonal; ten times as much, again and again, where
        H isn't positive definite to float64.
    ridge : float
        More of it (see `ridged`), and never changed.
    target : ndarray of shape (G, R, D), float64, optional
        In place of w* as above.

    Raises
    ------
    ArgumentError
        If moments aren't finite, or no damping helps.
    """
    moments.check()
    reached, crossed = moments.reached / moments.rows, moments.crossed / moments.rows
    diagonals = np.diagonal(reached, axis1=1, axis2=2)[:, :-1]
    level = moments.level
    eye = np.eye(reached.shape[1])
    eye[-1, -1] = 0
    regular = ridged(reached, ridge * level)
    for _ in range(MOST_TRIES):
        added = damping * level * eye
        hessian = regular + added
        try:
            np.linalg.cholesky(hessian)
        except np.linalg.LinAlgError:
            damping = max(10 * damping, 1e-8)
            continue
        if target is None:
            right = weights @ (crossed + added)
            target = np.asarray(np.linalg.solve(hessian, right.transpose(0, 2, 1)))
            target = target.transpose(0, 2, 1)
        return Curvature(
            hessian, np.ascontiguousarray(target), damping, int((diagonals == 0).sum())
        )
    raise ArgumentError(f"its Hessian can't be factored, even with a damping of {damping / 10:g}")


def ridged(reached: Float64Array, added: float) -> Float64Array:
    """Return means of products (G, D, D), with a number added for each input that isn't dead."""
    columns = np.arange(reached.shape[1] - 1)
    diagonals = reached[:, columns, columns]
    changed = reached.copy()
    changed[:, columns, columns] = diagonals + added * (diagonals > 0)
    return changed


def inverse_factor(hessian: Float64Array) -> Float64Array:
    """Return the upper triangular U, diagonal positive, with ``H^-1 = U^T U``; H is (D, D).

    Turned round, ``H = V V^T`` with V upper triangular, so that U is the inverse of V: H's own
    isn't needed, which would lose digits.
    """
    upper = np.linalg.cholesky(hessian[::-1, ::-1])[::-1, ::-1]
    return np.triu(np.linalg.inv(upper))
