"""Sums by label, and back, on whatever device a tensor is."""

from .extra import torch


def sums_of(values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the sum of the values of each label, 0 for label 0: the pruned weights."""
    wide = torch.float32 if values.device.type == "mps" else torch.float64  # which that lacks
    sums = torch.zeros(256, dtype=wide, device=values.device)
    sums.index_add_(0, labels.reshape(-1).int(), values.reshape(-1).to(wide))
    sums[0] = 0
    return sums


def by_label(values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return for each label its value, in the labels' shape."""
    return values.index_select(0, labels.reshape(-1).int()).view(labels.shape)
