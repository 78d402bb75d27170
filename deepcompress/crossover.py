"""Placeholder."""

from typing import Any


def is_packed_faster(tensor: Any) -> bool:
    """Say yes."""
    return True
