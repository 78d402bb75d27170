"""The paper's figures, computed anew on networks that fit on a desk, and drawn.

`catalogue` lists them, and has each figure's module compute its data, as JSON's types, and draw
them. `bench` says on what; `networks` trains what is needed, `points` has the experiments of one
point of a curve, and `cache` keeps both, so that a figure that was stopped goes on.
"""

from .bench import Bench
from .catalogue import FIGURES, compute, draw

__all__ = ["FIGURES", "Bench", "compute", "draw"]
