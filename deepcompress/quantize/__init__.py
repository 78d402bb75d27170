"""Stage 2: surviving weights -> codebook + labels (Han et al. 2016, section 3)."""

from .clusters import MAX_ITERATIONS, kmeans, optimal_kmeans
from .share import assign, share_weights, sharing_ratio, sum_of_squares
from .starts import INITS

__all__ = [
    "INITS",
    "MAX_ITERATIONS",
    "assign",
    "kmeans",
    "optimal_kmeans",
    "share_weights",
    "sharing_ratio",
    "sum_of_squares",
]
