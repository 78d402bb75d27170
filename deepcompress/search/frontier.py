"""Which models that were tried are worth having: none is both smaller and better."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class FrontierPoint:
    """A whole model that was tried.

    Attributes
    ----------
    bytes : int
        Of its file.
    score : float
    settings : of JSON's types
        The rung of each tensor, or lambda where inputs calibrate.
    """

    bytes: int
    score: float
    settings: Any


@dataclass(frozen=True)
class ParetoFrontier:
    """Points in order of their bytes, scores ascending too.

    Attributes
    ----------
    points : tuple of FrontierPoint
    """

    points: tuple[FrontierPoint, ...]

    @classmethod
    def of(cls, tried: Iterable[FrontierPoint]) -> "ParetoFrontier":
        """Return the frontier of points in any order."""
        best: list[FrontierPoint] = []
        for point in sorted(tried, key=lambda one: (one.bytes, -one.score)):
            if not best or point.score > best[-1].score:
                best.append(point)
        return cls(tuple(best))

    @property
    def knee(self) -> FrontierPoint | None:
        """The point farthest above the line from the first to the last; None without points.

        Bytes and scores count as shares of that line's ends (Satopää et al. 2011, "Kneedle").
        """
        if not self.points:
            return None
        first, last = self.points[0], self.points[-1]
        width, height = last.bytes - first.bytes or 1, last.score - first.score or 1.0

        def above(point: FrontierPoint) -> float:
            return (point.score - first.score) / height - (point.bytes - first.bytes) / width

        return max(self.points, key=above)

    def to_dict(self) -> dict[str, Any]:
        """Return points and knee in JSON's types."""
        knee = self.knee
        return {
            "points": [asdict(point) for point in self.points],
            "knee": asdict(knee) if knee else None,
        }
