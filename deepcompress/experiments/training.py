"""A stretch of training, as recipes give it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Training:
    """One stretch of training, by SGD with momentum or by Adam as the recipe says."""

    epochs: int
    rate: float  # learning rate at the start; it falls to `final_rate` along half a cosine
    final_rate: float = 0.0
    l2: float = 0.0  # L2 regularization of the weights
