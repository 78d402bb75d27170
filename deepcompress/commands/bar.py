"""Progress over the tensors of a model, on standard error if that is a terminal."""

import math
import sys
from collections.abc import Mapping

from tqdm import tqdm

_USUAL_BYTES = 4  # of an element, until the first tensor is done


class ByteBar:
    """A bar of bytes as they were, their rate, and the time left; a context manager.

    Sizes are known as numbers of elements, and of each tensor that is done in bytes. So the
    total is estimated, and exact where all tensors have one dtype.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
    title : str
    wanted : bool
        False for no bar, whatever standard error is.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], title: str, wanted: bool) -> None:
        self._elements = {name: math.prod(shape) for name, shape in shapes.items()}
        self._all = sum(self._elements.values())
        self._done = self._bytes = 0
        self._bar = tqdm(
            total=self._all * _USUAL_BYTES or None,
            desc=title,
            unit="B",
            unit_scale=True,
            leave=False,
            disable=not (wanted and sys.stderr.isatty()),
        )

    def __enter__(self) -> "ByteBar":
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def __call__(self, name: str, size_bytes: int) -> None:
        """Show that a tensor is done."""
        self._done += self._elements.get(name, 0)
        self._bytes += size_bytes
        if self._done:
            self._bar.total = round(self._bytes * self._all / self._done)
        self._bar.update(size_bytes)
