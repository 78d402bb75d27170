"""A rung for each tensor, all chosen by one multiplier (Everett 1963; Shoham and Gersho 1988).

For a multiplier mu, each tensor takes the rung where its predicted loss plus mu times its bytes is
least; so for the sum of losses the sum of bytes is the least there is, as far as losses add up.
"""

from collections.abc import Sequence

import numpy as np

from .responses import RANGE, Response
from .rungs import Settings

HALVINGS = 60


def plan(responses: Sequence[Response], mu: float) -> tuple[Settings, float]:
    """Return the rung of each tensor for a multiplier, and the loss that is predicted."""
    settings: Settings = {}
    total = 0.0
    for one in responses:
        costs = one.losses + mu * one.sizes
        best = int(costs.argmin())
        if mu * one.size <= costs[best]:
            settings[one.name] = None
        else:
            settings[one.name] = int(RANGE[best])
            total += float(one.losses[best])
    return settings, total


def plan_for(responses: Sequence[Response], loss: float) -> Settings:
    """Return the smallest plan whose predicted loss is at most so much."""
    low, high = -60.0, 60.0  # logarithms of mu
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if plan(responses, float(np.exp(middle)))[1] <= loss:
            low = middle
        else:
            high = middle
    return plan(responses, float(np.exp(low)))[0]
