"""Time k-means of scalars against scikit-learn's, and compare both with the exact optimum.

``python -m benchmarks.bench_kmeans [--sizes N …] [--clusters K …] [--rounds N] [--json FILE]``
``python -m benchmarks.bench_kmeans --optimal …``: our optimum against that of kmeans1d alone

The values are drawn like weights that survived pruning: normal, those near zero cut off. Ours
and `sklearn.cluster.KMeans` (Lloyd's algorithm) start at the same centroids, stop by the same
rule, when no value changes its cluster (or after as many iterations), and both give centroids
and labels, so that ours sorts the values, too. Before their times count, our sum of squares must
not be above scikit-learn's by more than rounding; from the start ``linear`` that holds as both
move clusters without members by the same rule (`deepcompress.quantize.lloyd`). The optimum is that
of ``kmeans1d``, an exact O(k n) program. ``squares_<peer>`` is the peer's sum of squares / ours.

scikit-learn takes minutes for millions of values; there (`--peer-values`) ours is compared with
the optimum alone, and without it where a second limit (`--exact-values`) is passed.

With `--optimal`, `quantize.optimal_kmeans` and ``kmeans1d`` take turns, both with labels and the
sorting; the sums of squares must be the same but for rounding.
"""

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kmeans1d
import numpy as np
import sklearn
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from deepcompress import quantize
from deepcompress.quantize.starts import INITS

from .harness import machine

THRESHOLD = 0.5  # of the standard deviation: what pruning takes away
STARTS = ["density", "linear"]
ROUNDING = 1e-9  # of sums of squares: they are added up in float64, in different orders


def surviving_weights(n: int) -> np.ndarray:
    """Draw n float32 values of a pruned layer."""
    rng = np.random.default_rng(0)
    drawn = rng.normal(scale=0.05, size=2 * n)
    return drawn[np.abs(drawn) > THRESHOLD * 0.05][:n].astype(np.float32)


def ours(values: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return centroids and labels."""
    centroids = quantize.kmeans(values, start)
    return centroids, quantize.assign(values, centroids)


def theirs(values: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's centroids and labels, from the same start with the same stop."""
    model = KMeans(
        len(start),
        init=start[:, None],
        n_init=1,
        tol=0,
        max_iter=quantize.MAX_ITERATIONS,
        algorithm="lloyd",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(values[:, None].astype(np.float64))
    return model.cluster_centers_.ravel(), model.labels_


def exact(values: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the best centroids and labels there are."""
    labels, centroids = kmeans1d.cluster(values.astype(np.float64), len(start))
    return np.array(centroids), np.array(labels)


def optimal(values: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return our best centroids and labels."""
    centroids = quantize.optimal_kmeans(values, len(start))
    return centroids, quantize.assign(values, centroids)


def sum_of_squares(values: np.ndarray, answer: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the within-cluster sum of squares, in float64."""
    centroids, labels = answer
    return float(np.sum((values.astype(np.float64) - centroids[labels]) ** 2))


def timed(
    function: Callable[..., tuple[np.ndarray, np.ndarray]], values: np.ndarray, start: np.ndarray
) -> tuple[float, float]:
    """Return seconds and the sum of squares."""
    begun = time.perf_counter()
    answer = function(values, start)
    seconds = time.perf_counter() - begun
    return seconds, sum_of_squares(values, answer)


def measure(
    n: int, k: int, init: str, rounds: int, peers: dict[str, Callable[..., Any]]
) -> dict[str, Any]:
    """Return one row; exit if our sum of squares isn't what it has to be."""
    values = surviving_weights(n)
    where = "linear" if init == "optimal" else init
    start = INITS[where](np.sort(values).astype(np.float64), k, np.random.default_rng(0))
    peers["ours"](values[:1000], start[:9])  # loads the kernels
    seconds: dict[str, list[float]] = {who: [] for who in peers}
    squares: dict[str, float] = {}
    for turn in range(rounds):
        for who, function in peers.items():
            if turn and who == "exact" and init != "optimal":
                continue  # it is here for its sum
            spent, squares[who] = timed(function, values, start)
            seconds[who].append(spent)
    least = squares.get("exact", 0.0)
    most = least if init == "optimal" else squares.get("sklearn", np.inf)
    if not least * (1 - ROUNDING) <= squares["ours"] <= most * (1 + ROUNDING):
        raise SystemExit(f"{n:,} values, {k} clusters, {init}: sums of squares {squares}")
    median = {who: statistics.median(turns) for who, turns in seconds.items()}
    row: dict[str, Any] = {"case": f"{n:,} values, {k} clusters, {init}"}
    row |= {f"{who}_seconds": value for who, value in median.items()}
    row |= {f"ratio_{who}": median[who] / median["ours"] for who in median if who != "ours"}
    row |= {f"{who}_sum_of_squares": value for who, value in squares.items()}
    row |= {f"squares_{who}": squares[who] / squares["ours"] for who in squares if who != "ours"}
    return row


def main() -> None:
    """Measure, print the table and write the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[363_000, 10_000_000])
    parser.add_argument("--clusters", type=int, nargs="+", default=[32, 256])
    parser.add_argument("--inits", nargs="+", choices=STARTS, default=STARTS)
    parser.add_argument("--optimal", action="store_true", help="no start: the optimum")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-values", type=int, default=1_000_000)
    parser.add_argument("--exact-values", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, help="file for the rows")
    options = parser.parse_args()
    rows = []
    for n in options.sizes:
        peers: dict[str, Callable[..., Any]] = {"ours": ours}
        peers |= {"sklearn": theirs} if n <= options.peer_values else {}
        peers |= {"exact": exact} if n <= options.exact_values else {}
        if options.optimal:
            peers = {"ours": optimal, "exact": exact}
        for k in options.clusters:
            for init in ["optimal"] if options.optimal else options.inits:
                row = measure(n, k, init, options.rounds, peers)
                times = "  ".join(f"{who} {row[who + '_seconds']:.4f} s" for who in peers)
                sums = "  ".join(f"{row[who + '_sum_of_squares']:.10g}" for who in peers)
                peer = "exact" if options.optimal else "sklearn"
                ratio = f"  {peer}/ours {row[f'ratio_{peer}']:.0f}" if peer in peers else ""
                print(f"{row['case']:44} {times}{ratio}  sums {sums}", flush=True)
                rows.append(row)
    if options.json:
        content = {"machine": machine(**{"scikit-learn": sklearn.__version__}), "rows": rows}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
