"""The best centroids for given labels, in closed form.

With labels fixed, ``w = z[labels]`` is linear in the centroids z, and the error of all rows is a
quadratic form in them. Its gradient is

    dE / dz_k  =  2 * sum over the weights of label k, in row c, of  s_c [(w - w*) S]_ci,

where S is H less what the bias takes up by itself, its Schur complement. Conjugate gradients
(Hestenes and Stiefel 1952) need a few steps for K unknowns. Deviation: the paper's centroids
are means of their weights (section 3), the best if H were the identity.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..tensors import Float64Array, UInt8Array

STEPS = 8


def without_bias(hessian: Float64Array) -> Float64Array:
    """Return the Schur complement (d, d) of the last row and column of H (D, D)."""
    last = hessian[:-1, -1]
    return np.asarray(hessian[:-1, :-1] - np.outer(last, last) / hessian[-1, -1])


def refitted(
    levels: Float64Array,
    labels: Sequence[UInt8Array],
    targets: Sequence[Float64Array],
    schur: Sequence[Any],
    matters: Sequence[Float64Array],
    steps: int = STEPS,
) -> Float64Array:
    """Return the levels, zero where it was, after steps of conjugate gradients.

    Parameters
    ----------
    levels : ndarray of shape (K,), float64
    labels, targets, schur, matters : sequence, one for each group
        Arrays of shapes (R, d), (R, d), (d, d) and (R,): labels, the first d columns of w*,
        one of `Curvature.without_bias`, and how much each row matters.
    steps : int
    """
    count, is_free = len(levels), levels != 0

    def gradient(weights: Sequence[Float64Array]) -> Float64Array:
        total = np.zeros(count)
        for one, label, matrix, s in zip(weights, labels, schur, matters, strict=True):
            slopes = (one @ matrix) * s[:, None]
            total += np.bincount(label.ravel(), slopes.ravel(), count)
        return np.where(is_free, total, 0)

    def spread(values: Float64Array) -> list[Float64Array]:
        return [values[label] for label in labels]

    levels = levels.copy()
    residual = -gradient([w - t for w, t in zip(spread(levels), targets, strict=True)])
    direction, square = residual, float(residual @ residual)
    for _ in range(steps):
        curved = gradient(spread(direction))
        bend = float(direction @ curved)
        if bend <= 0 or square == 0:  # at the least error, to rounding
            break
        length = square / bend
        levels += length * direction
        residual = residual - length * curved
        before, square = square, float(residual @ residual)
        direction = residual + (square / before) * direction
    return levels
