"""The golden files' bases."""

import numpy as np


def base_of(path):
    """Return the arrays of the base of a golden file, None if it has none."""
    base = path.with_name(f"{path.stem}-base.npz")
    if not base.exists():
        return None
    with np.load(base, allow_pickle=False) as arrays:
        return dict(arrays)
