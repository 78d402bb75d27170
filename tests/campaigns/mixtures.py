"""Check k-means on values of all magnitudes, from denormals to 3e38, side by side.

``python tests/campaigns/mixtures.py --cases 100000 --seed 0 [--json FILE]``: for each case, the sum
of squares isn't above that of the start; it is the same for the values with all signs changed; both
backends give the same bytes; and times a power of 2, values give centroids times that power.
"""

import argparse
import collections
import json
import platform
from pathlib import Path

import numpy as np

from deepcompress import native, quantize

INITS = ("linear", "density", "optimal", "random", "kmeans++")
DRAWN = INITS[3:]
LIMITS = np.finfo(np.float32)


def normal(rng, n):
    return rng.normal(size=n)


def whole(rng, n):
    """Whole numbers, of which many lie half-way between centroids."""
    return rng.integers(-6, 7, size=n)


def all_exponents(rng, n):
    return np.ldexp(rng.uniform(-2, 2, size=n), rng.integers(-149, 127, size=n))


def fill_values(rng, n):
    """Ordinary weights and a few of the largest magnitude there is, as masks leave them."""
    values = rng.normal(size=n)
    values[: rng.integers(1, 4)] = rng.choice([LIMITS.min, LIMITS.max])
    return values


def long_tails(rng, n):
    return rng.standard_cauchy(size=n) * 10.0 ** rng.integers(-40, 30)


def few_magnitudes(rng, n):
    magnitudes = rng.choice([1e-45, 1e-38, 1e-3, 1, 1e5, 3e38], size=n)
    return magnitudes * rng.choice([-1, -0.5, 0, 0.5, 1], size=n)


KINDS = (normal, whole, all_exponents, fill_values, long_tails, few_magnitudes)


def mixture(rng):
    """Return the name of a kind and up to 80 float32 values of it."""
    kind = KINDS[rng.integers(len(KINDS))]
    drawn = kind(rng, int(rng.integers(1, 80)))
    return kind.__name__, np.clip(drawn, LIMITS.min, LIMITS.max).astype(np.float32)


def check(values, rng):
    """Raise AssertionError if one of the rules doesn't hold for the values; return the start."""
    init, bits = str(rng.choice(INITS)), int(rng.integers(1, 5))
    limit = int(rng.choice([quantize.MAX_ITERATIONS, 1, 2, 3]))
    everything, seed = np.ones(values.shape, np.bool_), int(rng.integers(1 << 30))

    def share(values, iterations=limit):
        drawn = np.random.default_rng(seed)
        options = {"max_iterations": iterations, "rng": drawn}
        shared = quantize.share_weights(values, everything, bits, init, **options)
        return shared, quantize.sum_of_squares(values, shared)

    shared, squares = share(values)
    assert squares <= share(values, 0)[1]
    with native.use("reference"):
        twin, _ = share(values)
    assert twin.codebook.tobytes() == shared.codebook.tobytes()
    assert twin.labels.tobytes() == shared.labels.tobytes()
    if init not in DRAWN:
        mirrored, same = share(-values)
        assert same == squares
        symmetrical = (np.sort(values) == np.sort(-values)).all()
        assert symmetrical or (np.sort(-mirrored.codebook[1:]) == shared.codebook[1:]).all()

    wide, power = values.astype(np.float64), int(rng.integers(-200, 200))
    start = rng.choice(wide, int(rng.integers(1, 12)))
    found = quantize.kmeans(wide, start, limit)
    scaled = quantize.kmeans(np.ldexp(wide, power), np.ldexp(start, power), limit)
    assert (scaled == np.ldexp(found, power)).all()
    best = quantize.optimal_kmeans(wide, len(start))
    scaled = quantize.optimal_kmeans(np.ldexp(wide, power), len(start))
    assert (scaled == np.ldexp(best, power)).all()
    least, lloyd, first = (squares_of(wide, centroids) for centroids in (best, found, start))
    assert least * (1 - 1e-12) <= lloyd <= first
    return init


def squares_of(values, centroids):
    """Return the sum of squared distances from the nearest centroids."""
    distances = np.abs(values[:, None] - np.sort(centroids)).min(axis=1)
    return np.sum(distances**2)


def main():
    """Check as many cases as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    counts = collections.Counter()
    for case in range(args.cases):
        rng = np.random.default_rng([args.seed, case])
        kind, values = mixture(rng)
        try:
            init = check(values, rng)
        except AssertionError as error:
            raise SystemExit(f"case {case} of seed {args.seed}, {kind}: {error}") from error
        counts[f"{kind}, {init}"] += 1
    result = {
        "command": f"python tests/campaigns/mixtures.py --cases {args.cases} --seed {args.seed}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "above the start": 0,  # the first would have ended it
        "counts": dict(sorted(counts.items())),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
