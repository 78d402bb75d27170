"""A part of a source: the arrays below a prefix of names alone, such as a model without the rest.

The prefix ends where a name does, or before a dot or a slash.
"""

import difflib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..errors import ArgumentError
from .source import Array, Source

SEPARATORS = (".", "/")


class Part(Source):
    """The arrays of a source whose names are below a prefix, which they keep.

    Raises
    ------
    ArgumentError
        If there are none, naming the prefixes that are nearest.
    """

    def __init__(self, source: Source, prefix: str) -> None:
        self._source, self._prefix = source, prefix
        self.keeps_names = source.keeps_names
        self.shapes = {
            name: shape for name, shape in source.shapes.items() if _is_below(name, prefix)
        }
        if not self.shapes:
            known = list(dict.fromkeys(one for name in source for one in _prefixes(name)))
            near = difflib.get_close_matches(prefix, known, 3, 0.5) or known[:3]
            names = ", ".join(map(repr, near))
            raise ArgumentError(f"no tensor is below {prefix!r}; nearest: {names}")

    @property
    def files(self) -> list[Path]:
        """Those of the whole source."""
        return self._source.files

    @property
    def metadata(self) -> dict[str, Any]:
        """What the source says of the part."""
        return self._source.metadata_below(self._prefix)

    @property
    def exact(self) -> Collection[str]:
        """Those of the source that are in the part."""
        return [name for name in self._source.exact if name in self.shapes]

    def __getitem__(self, name: str) -> Array:
        return self._source[name]


def _is_below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(tuple(prefix + one for one in SEPARATORS))


def _prefixes(name: str) -> list[str]:
    """Return the prefixes of a name that end before a separator, and the name."""
    return [name[:end] for end, letter in enumerate(name) if letter in SEPARATORS] + [name]
