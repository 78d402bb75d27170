"""Search under a budget: the smallest file for a drop of a score, or the best score for a size.

`sensitivity` compresses each tensor alone; `search` takes its points, makes one plan for all
tensors by a common multiplier, and moves it until the budget is met.

From tensors to a plan: `rungs` says what a tensor becomes, `scan` what that costs, `responses` make
curves of it, `plans` choose a rung for each tensor; `budget` goes from plan to plan, whose `trials`
a `journal` keeps; `frontier` is what was seen. `scores` has two for networks without labels.
"""

from .budget import Found, search
from .frontier import FrontierPoint, ParetoFrontier
from .scan import ScanPoint, TensorScan, sensitivity
from .scores import agreement, divergence

__all__ = [
    "Found",
    "FrontierPoint",
    "ParetoFrontier",
    "ScanPoint",
    "TensorScan",
    "agreement",
    "divergence",
    "search",
    "sensitivity",
]
